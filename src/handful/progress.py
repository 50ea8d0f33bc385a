"""One way to speak: lines, warnings and progress bars, or nothing at all.

Rooms below the command line take a `Speaker` and never print. `Silent` is the default for Python
callers; the command line passes a `Console`. Warnings are kept by every speaker, so that a result can
record what the user was told.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

Advance = Callable[[int], None]


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
