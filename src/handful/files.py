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
import shutil
import sys
import uuid
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from handful.errors import ArtefactError, HandfulError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT}


def sha256_of_file(path: Path) -> str:
    """Return the hex sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Return the hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def temporary_name(target: Path) -> Path:
    """Return a name beside `target` that no other process uses."""
    return target.with_name(f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(target: Path, data: bytes, *, sync: bool = True) -> None:
    """Write `data` to `target`: beside, synced, renamed.

    Args:
        target: the file to write; its folder is made if needed.
        data: the whole content.
        sync: wait until the disk has it. Leave it out only for records that carry their own
            checksum and can be computed again.

    Raises:
        HandfulError: the disk is full, read-only or failing; the old file is untouched.
    """
    temporary = temporary_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        os.replace(temporary, target)
        if sync:
            sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise write_error(target, error, len(data)) from error


def write_error(target: Path, error: OSError, size: int | None = None) -> HandfulError:
    """Word a failed write: where, how much, what to do."""
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
    return HandfulError(
        f"Could not write {target}{needed}: {reason}. {advice} What was there before is intact."
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power loss, where the system can (not on Windows)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it where links are not possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def folder_in_the_making(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to fill; put it in `target`'s place when the block ends well.

    The old folder, if there is one, stays whole until the new one is complete and synced; then the
    two change places in one step where the system can do that.

    Raises:
        ArtefactError: `target` exists and `overwrite` is False.
        HandfulError: the disk refused a write; `target` is as it was.
    """
    if os.path.islink(target):
        target = target.resolve()  # the folder is replaced where it lies, the link stays
    refuse_existing(target, overwrite=overwrite)
    sweep(target)
    making = temporary_name(target)
    try:
        making.mkdir(parents=True)
        yield making
        for path in making.rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
        sync_folder(making)
        refuse_existing(target, overwrite=overwrite)
        put_in_place(making, target)
        sync_folder(target.parent)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def sweep(target: Path) -> None:
    """Remove what processes that no longer run left half-made for `target`, files and folders."""
    for stray in target.parent.glob(f".{escape(target.name)}.*-*.*"):
        owner = stray.name.removeprefix(f".{target.name}.").partition("-")[0]
        if not owner.isdecimal() or _is_running(int(owner)):
            continue
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                stray.unlink()


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
            "Choose another name with -o, or pass --overwrite to replace it."
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
