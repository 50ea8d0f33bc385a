"""One way to speak: lines, warnings and progress bars, or nothing at all.

Rooms below the command line take a `Speaker` and never print. `Silent` is the default for Python
callers; the command line passes a `Console`. Warnings are kept by every speaker, so that a result can
record what the user was told.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from handful.errors import Problem

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


class Console:
    """Speaks to a terminal: lines to standard output, warnings and bars to standard error.

    Args:
        quiet: drop lines and bars; warnings are still shown.
        machine: standard output is kept for JSON, so lines are dropped too.
    """

    def __init__(self, *, quiet: bool = False, machine: bool = False) -> None:
        self.warnings: list[str] = []
        self._talks = not quiet and not machine
        self._bars = self._talks and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print the line to standard output unless quiet."""
        if self._talks:
            print(line, flush=True)

    def warn(self, line: str) -> None:
        """Print the line to standard error and keep it."""
        self.warnings.append(line)
        print(f"note: {line}", file=sys.stderr, flush=True)

    def show(self, problems: Sequence[Problem]) -> None:
        """Print the findings as a table; when quiet, only say how many files were left out."""
        if self._talks:
            _print_table(problems)
        elif left_out := sum(problem.severity == "warning" for problem in problems):
            print(
                f"note: {left_out} findings about the photos; the result lists them",
                file=sys.stderr,
                flush=True,
            )

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar with rate and time left on a terminal; nothing elsewhere."""
        if not self._bars or total == 0:
            yield lambda steps: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=RichConsole(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda steps: progress.advance(task, steps)


def _print_table(problems: Sequence[Problem]) -> None:
    if not problems:
        return
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("", "file", "what", "fix"):
        table.add_column(heading, overflow="fold")
    for problem in problems[:_MOST_SHOWN]:
        cells = (problem.severity, problem.file or "(all)", problem.what, problem.fix)
        table.add_row(*(Text(cell) for cell in cells))
    console = RichConsole(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    if len(problems) > _MOST_SHOWN:
        console.print(f"... and {len(problems) - _MOST_SHOWN} more; --json lists all.")
