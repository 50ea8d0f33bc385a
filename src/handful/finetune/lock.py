"""One run at a time in a folder: a lock that ends with its process, however that ends.

The system's own lock (flock) where it has one; where it has none, as on Windows and on some network disks, a
file named after the process. There, a process that was killed may be taken for a running one, on Windows
always; then the next run finds the folder held and keeps to one of its own.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from handful.files import is_stray, is_temporary, temporary_name, write_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_NAME = "lock"
_TRIES = 5  # another run may remove the folder between two steps, but hardly as often as that


class Lock:
    """Held from `take_lock` until it is released, or nothing refers to it any more, or the process ends."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        self._end = weakref.finalize(self, let_go)

    def release(self) -> None:
        """Let other runs have the folder; a second time it does nothing."""
        self._end()


def take_lock(folder: Path) -> Lock | None:
    """Make a folder and hold it alone; None where another run, of this process or another, holds it.

    Raises:
        WriteError: the folder cannot be made or written to.
    """
    path = folder / _NAME
    try:
        for _ in range(_TRIES):
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the run that held it has just removed it
                return _flock(path) if fcntl else _named(path)
        return None
    except OSError as error:
        raise write_error(path, error) from error


def _flock(path: Path) -> Lock | None:
    """The system's lock on a file; raises FileNotFoundError when the file went while it was taken."""
    assert fcntl
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_ino != path.stat().st_ino:
            raise FileNotFoundError(path)
    except BlockingIOError:
        os.close(file)
        return None
    except FileNotFoundError:
        os.close(file)
        raise
    except OSError:  # this disk has no locks
        os.close(file)
        return _named(path)
    return Lock(lambda: os.close(file))


def _named(path: Path) -> Lock | None:
    """A file named after this process, beside which no running process has one."""
    own = temporary_name(path)
    own.touch()
    others = (other for other in path.parent.glob(f".{path.name}.*") if other != own and is_temporary(other))
    if any(not is_stray(other) for other in others):
        own.unlink(missing_ok=True)  # two that come at once both give way
        return None
    return Lock(lambda: own.unlink(missing_ok=True))
