"""What every command does around its body: exit codes, errors without tracebacks, JSON on request."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from handful.progress import mute, put

if TYPE_CHECKING:
    from handful.errors import HandfulError

MISTAKE, SOME_REFUSED, INTERRUPTED = 2, 3, 130


@contextlib.contextmanager
def user_errors(
    *, as_json: bool = False, told: Callable[[HandfulError], Any] | None = None
) -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2; Ctrl-C into 130.

    Args:
        as_json: print the mistake as JSON too.
        told: the JSON value for a mistake; by default an object of the message and the findings.
    """
    from handful.errors import HandfulError

    try:
        yield
    except HandfulError as error:
        if os.environ.get("HANDFUL_DEBUG"):
            traceback.print_exc()
        put(f"error: {error}", sys.stderr)
        if as_json:
            print_json((told or _mistake)(error))
        raise typer.Exit(MISTAKE) from None
    except KeyboardInterrupt:
        put("stopped; nothing half-done was left behind", sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # of a command that only prints; where something is made, `put` talks on
        mute(sys.stdout)
        raise typer.Exit(0) from None


def _mistake(error: HandfulError) -> dict[str, Any]:
    from handful.plain import problem_entry

    return {"error": str(error), "problems": [problem_entry(problem) for problem in error.problems]}


def print_json(value: Any) -> bool:
    """Print one JSON value on one line, in ASCII; nan becomes null. False when nobody reads any more."""
    from handful.plain import finite

    return put(json.dumps(finite(value)))
