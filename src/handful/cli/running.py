"""What every command does around its body: exit codes, errors without tracebacks, JSON on request."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import typer

MISTAKE, SOME_REFUSED, INTERRUPTED = 2, 3, 130


@contextlib.contextmanager
def user_errors(*, as_json: bool = False) -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2; Ctrl-C into 130."""
    from handful.errors import HandfulError

    try:
        yield
    except HandfulError as error:
        if os.environ.get("HANDFUL_DEBUG"):
            traceback.print_exc()
        _fail(error, as_json)
    except KeyboardInterrupt:
        print("stopped; nothing half-done was left behind", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of a pipe has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def _fail(error: Any, as_json: bool) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    if as_json:
        from handful.plain import problem_entry

        print_json({"error": str(error), "problems": [problem_entry(problem) for problem in error.problems]})
    raise typer.Exit(MISTAKE) from None


def print_json(value: Any) -> None:
    """Print one JSON value on one line, in ASCII; nan becomes null."""
    from handful.plain import finite

    print(json.dumps(finite(value)), flush=True)
