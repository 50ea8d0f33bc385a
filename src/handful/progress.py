"""One way to speak: lines, warnings and progress bars, or nothing at all.

Rooms below the command line take a `Speaker` and never print. Python callers get `Warnings` unless they
pass another; the command line passes a `Console`. Warnings are kept by every speaker, so that a result can
record what the user was told.

A reader that goes away (as with `| head`) ends the talking and not the work.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from handful.errors import Problem

if TYPE_CHECKING:
    from rich.progress import Progress

Advance = Callable[[int], None]
_MOST_SHOWN = 40  # findings in a table on the screen; --json and the card have all


class Speaker(Protocol):
    """What a room needs to tell the user something.

    Attributes:
        warnings: every line passed to `warn`, oldest first.
    """

    warnings: list[str]

    def say(self, line: str) -> None:
        """Tell one plain line."""
        ...

    def warn(self, line: str) -> None:
        """Tell one plain line that must not be missed, and keep it."""
        ...

    def show(self, problems: Sequence[Problem]) -> None:
        """Show findings about photos as one table: file, what, fix."""
        ...

    def bar(self, what: str, total: int) -> contextlib.AbstractContextManager[Advance]:
        """Show a bar of `total` steps while the block runs; call the value with steps done."""
        ...

    def busy(self, what: str) -> contextlib.AbstractContextManager[None]:
        """Show that something of unknown length is under way while the block runs."""
        ...


class Silent:
    """Says nothing, keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def say(self, line: str) -> None:
        """Drop the line."""

    def warn(self, line: str) -> None:
        """Keep the line."""
        self.warnings.append(line)

    def show(self, problems: Sequence[Problem]) -> None:
        """Show nothing; results hold the findings."""

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show nothing."""
        yield lambda steps: None

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show nothing."""
        yield


class Warnings:
    """What Python callers get: no story and no bars; what must not be missed goes to standard error."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def say(self, line: str) -> None:
        """Drop the line."""

    def warn(self, line: str) -> None:
        """Print the line to standard error and keep it."""
        self.warnings.append(line)
        put(f"handful: {line}", sys.stderr)

    def show(self, problems: Sequence[Problem]) -> None:
        """Say in one line how many findings there are; the result holds them."""
        serious = [problem for problem in problems if problem.severity != "note"]
        if serious:
            first = serious[0]
            put(
                f"handful: {_counted(serious)} about the photos, which the result lists; "
                f"the first: {_subject(first)}{first.what}",
                sys.stderr,
            )

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show nothing."""
        yield lambda steps: None

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show nothing."""
        yield


class Console:
    """Speaks to a terminal: lines to standard output, warnings and bars to standard error.

    Args:
        quiet: drop lines and bars; warnings, and findings as plain lines, are still shown.
        machine: standard output is kept for JSON, so lines are dropped too.
    """

    def __init__(self, *, quiet: bool = False, machine: bool = False) -> None:
        self.warnings: list[str] = []
        self._talks = not quiet and not machine
        self._machine = machine
        self._bars = self._talks and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print the line to standard output unless quiet."""
        if self._talks:
            put(line)

    def warn(self, line: str) -> None:
        """Print the line to standard error and keep it."""
        self.warnings.append(line)
        put(f"note: {line}", sys.stderr)

    def show(self, problems: Sequence[Problem]) -> None:
        """Print the findings: a table; when quiet plain lines, and for a machine only their number."""
        serious = [problem for problem in problems if problem.severity != "note"]
        if self._talks:
            put(_table(problems), end="")
        elif self._machine:
            if serious:
                put(f"note: {_counted(serious)} about the photos; the JSON lists them", sys.stderr)
        else:
            for problem in serious:
                put(f"{problem.severity}: {_subject(problem)}{problem.what}. {problem.fix}", sys.stderr)

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar with rate and time left on a terminal; nothing elsewhere."""
        if not self._bars or total == 0:
            yield lambda steps: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with _live(*columns) as progress:
            task = progress.add_task(what, total=total)
            yield lambda steps: progress.advance(task, steps)

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show something that turns, and the time passed, on a terminal; nothing elsewhere."""
        if not self._bars:
            yield
            return
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        with _live(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
            progress.add_task(what, total=None)
            yield


def put(text: str, stream: TextIO | None = None, *, end: str = "\n") -> bool:
    """Print to standard output, or to `stream`; a reader that has gone is no error.

    Returns:
        False when nobody reads any more; later texts go nowhere, without an error.
    """
    out = stream or sys.stdout
    try:
        print(text, end=end, file=out, flush=True)
    except BrokenPipeError:
        mute(out)
        return False
    return True


def mute(stream: TextIO) -> None:
    """Let what is still printed to a stream go nowhere, because its reader has gone."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _live(*columns: object) -> Progress:
    """A display on standard error that goes when it is done; output to a pipe or file stays there."""
    from rich.console import Console as RichConsole
    from rich.progress import Progress

    return Progress(
        *columns,  # pyright: ignore[reportArgumentType] - rich is only imported here, so not named above
        console=RichConsole(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # otherwise rich would print our lines to standard error
    )


def _counted(problems: Sequence[Problem]) -> str:
    return f"{len(problems):,} finding{'' if len(problems) == 1 else 's'}"


def _subject(problem: Problem) -> str:
    return f"{problem.file}: " if problem.file else ""


def _table(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("", "file", "what", "fix"):
        table.add_column(heading, overflow="fold")
    for problem in problems[:_MOST_SHOWN]:
        cells = (problem.severity, problem.file or "(all)", problem.what, problem.fix)
        table.add_row(*(Text(cell) for cell in cells))
    terminal = sys.stdout.isatty()
    drawn = io.StringIO()
    RichConsole(file=drawn, width=None if terminal else 160, force_terminal=terminal).print(table)
    if len(problems) > _MOST_SHOWN:
        drawn.write(f"... and {len(problems) - _MOST_SHOWN} more; --json lists all.\n")
    return drawn.getvalue()
