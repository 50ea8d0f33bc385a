"""Atomic writes, hashes and folders that are replaced whole: nothing is ever half-written.

Every write goes to a temporary name beside its target, is synced, and is renamed. A process killed
at any instant leaves the old content or the new, and at worst a stray temporary folder, which the next
write of the same target removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import shutil
import socket
import sys
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from glob import escape
from pathlib import Path

from handful.errors import ArtefactError, HandfulError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT}
_CANNOT_SYNC = {
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}  # folders on network file systems
_STRAY = re.compile(r"\..+\.(?P<host>[a-z0-9]+)\.(?P<owner>[0-9]+)-[0-9a-f]{8}\.[^.]+")


class WriteError(HandfulError):
    """The disk refused a write.

    Attributes:
        path: what was to be written.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Return the hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def temporary_name(target: Path) -> Path:
    """Return a name beside `target` that no other process uses, of this machine or another."""
    return target.with_name(f".{target.name}.{_host()}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


@cache
def _host() -> str:
    """This machine in a file name: a process number says nothing on another one that shares the disk."""
    name = socket.gethostname()
    readable = "".join(c for c in name.lower() if c.isascii() and c.isalnum())[:8]
    return readable + sha256_of_bytes(name.encode("utf-8", "surrogateescape"))[:6]


def write_atomically(target: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` to `target`: beside, synced, renamed.

    Args:
        target: the file to write; its folder is made if needed.
        data: the whole content.
        sync: wait until the disk has it. Leave it out only for records that carry their own
            checksum and can be computed again.

    Raises:
        WriteError: the disk is full, read-only or failing; it says whether the old file is untouched.
    """
    temporary = temporary_name(target)
    placed = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.replace(temporary, target)
        placed = True
        if sync:
            sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise write_error(target, error, len(data), placed=placed) from error


def write_error(target: Path, error: OSError, size: int | None = None, *, placed: bool = False) -> WriteError:
    """Word a failed write: where, how much, what to do.

    Args:
        target: what was to be written.
        error: what the system said.
        size: bytes needed, where known.
        placed: the new content stands in its place already; only its way to the disk is in doubt.
    """
    needed = f" ({size:,} bytes needed)" if size else ""
    if error.errno in _FULL:
        advice = "The disk is full: free some space and run the same command again."
    elif error.errno == errno.ENAMETOOLONG:
        advice = "Choose a shorter name."
    elif error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        advice = "The place cannot be written to: choose another folder or change its permissions."
    else:
        advice = "Check the disk and run the same command again."
    reason = error.strerror or str(error)
    if placed:
        before = "The new content is in place, but a power loss now could undo that."
    else:
        before = "What was there before is intact."
    return WriteError(f"Could not write {target}{needed}: {reason}. {advice} {before}", target)


def refuse_unwritable(target: Path) -> None:
    """Raise when nothing can be made at `target`: found at once, not after an hour of work.

    Makes and removes an empty folder in the nearest folder above that exists; leaves nothing behind.

    Raises:
        WriteError: the place cannot be written to, or the name is one that no file can have.
    """
    if os.path.islink(target):
        target = target.resolve()
    place = target.absolute().parent
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    probe = temporary_name(place / target.name)
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise write_error(target, error) from error


def sync_file(path: Path) -> None:
    """Wait until the disk has a file's content; opened for writing, for Windows syncs no other handle."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power loss, where the system can; Windows cannot."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it where links are not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def folder_in_the_making(target: Path, *, overwrite: bool, expected: Iterable[str] = ()) -> Iterator[Path]:
    """Give an empty folder to fill; put it in `target`'s place when the block ends well.

    The old folder, if there is one, stays whole until the new one is complete and synced; then the
    two change places in one step where the system can do that.

    Args:
        target: the folder to make.
        overwrite: replace one that is there.
        expected: names that must lie in the new folder before it is put in place.

    Raises:
        ArtefactError: `target` exists and `overwrite` is False, or an expected file went missing.
        WriteError: the disk refused a write; it says whether `target` is as it was.
    """
    if os.path.islink(target):
        target = target.resolve()  # the folder is replaced where it lies, the link stays
    refuse_existing(target, overwrite=overwrite)
    sweep(target)
    making = temporary_name(target)
    placed = False
    try:
        making.mkdir(parents=True)
        yield making
        for path in making.rglob("*"):
            if path.is_file():
                sync_file(path)
        sync_folder(making)
        refuse_existing(target, overwrite=overwrite)
        _refuse_incomplete(making, target, expected)
        put_in_place(making, target)
        placed = True
        sync_folder(target.parent)
    except OSError as error:
        raise write_error(target, error, placed=placed) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _refuse_incomplete(making: Path, target: Path, expected: Iterable[str]) -> None:
    missing = [name for name in expected if not (making / name).is_file()]
    if missing:
        raise ArtefactError(
            f"{target} was not written: {', '.join(missing)} went missing while it was made. "
            "Another program may clear files there: choose another place and run the same command again."
        )


def sweep(target: Path) -> None:
    """Remove what processes of this machine that no longer run left half-made for `target`."""
    for stray in target.parent.glob(f".{escape(target.name)}.{_host()}.*-*.*"):
        if stray.name.removeprefix(f".{target.name}.").count(".") == 2 and is_stray(stray):
            _remove(stray)


def sweep_below(folder: Path) -> None:
    """Remove what dead processes of this machine left half-made anywhere below `folder`."""
    for stray in list(folder.rglob(".*")):
        if is_stray(stray):
            _remove(stray)


def is_temporary(path: Path) -> bool:
    """Whether a name is one that `temporary_name` gives."""
    return _STRAY.fullmatch(path.name) is not None


def is_stray(path: Path) -> bool:
    """Whether a process of this machine that no longer runs left `path` half-made."""
    found = _STRAY.fullmatch(path.name)
    return found is not None and found["host"] == _host() and not _is_running(int(found["owner"]))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _is_running(process: int) -> bool:
    if sys.platform == "win32":
        return True  # os.kill would end the process there; a stray folder is the smaller harm
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Raise unless `target` is free, or may be replaced."""
    recover_folder(target)
    if os.path.exists(target) and not overwrite:  # Path.exists raises for names no file can have
        raise ArtefactError(
            f"{target} exists already and is left as it is. "
            "Choose another name with -o, or replace it with --overwrite (in Python: overwrite=True)."
        )


def put_in_place(made: Path, target: Path) -> None:
    """Move `made` to `target`; what stood there ends up under the name `made`.

    On Linux one system call exchanges the two, so that no instant lacks a whole `target`. Elsewhere
    the old one steps aside first; `recover_folder` brings it back after a kill between the two steps.
    """
    if not target.exists():
        os.rename(made, target)
        return
    if _exchange(made, target):
        return
    aside = _aside_name(target)
    os.rename(target, aside)
    os.rename(made, target)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Bring back a folder that stepped aside for a replacement which never came."""
    aside = _aside_name(target)
    if not os.path.exists(aside):
        return
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(aside, target)


def _aside_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step (Linux renameat2); False where that is not possible."""
    if sys.platform != "linux":
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    except (OSError, AttributeError):
        return False
    return result == 0
