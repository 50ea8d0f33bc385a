"""Fetch one file over HTTP: beside its place, checked, renamed. A partial file is never left as good."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from handful.errors import BackboneError
from handful.files import temporary_name, write_error
from handful.networks import safety
from handful.progress import Speaker

CONNECT_SECONDS = 5.0  # offline must show within seconds
_CHUNK = 256 * 1024
_DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}
_UNIT = 2**20  # the bar counts MB


def fetch_file(url: str, path: Path, *, what: str, expected: str | None, speaker: Speaker) -> None:
    """Fetch `url` to `path`.

    Args:
        url: http or https address.
        path: where the file goes; its folder is made if needed.
        what: its name for the user.
        expected: md5 (32 digits) or sha256 (64) of the content; None checks the HDF5 frame only.
        speaker: shows the bar.

    Raises:
        BackboneError: no answer within seconds, a broken transfer, a wrong hash, a full disk. The
            message gives address and path, to do it by hand.
    """
    try:
        response = _open_in_time(url)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # an error page is an open response too
        raise _failure(url, path, what, error) from error
    temporary = temporary_name(path)
    try:
        with response:
            _receive(response, temporary, path, what, expected, speaker)
    except http.client.HTTPException as error:
        raise _failure(url, path, what, error) from error
    except OSError as error:
        # A stalled or reset connection has no file name; a refusing disk has.
        if error.filename is not None or error.errno in _DISK_REFUSES:
            raise BackboneError(str(write_error(path, error))) from error
        raise _failure(url, path, what, error) from error
    except _WrongContentError as error:
        raise _failure(url, path, what, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


class _WrongContentError(Exception):
    """What arrived is not what was asked for."""


def _failure(url: str, path: Path, what: str, error: Exception) -> BackboneError:
    cause = getattr(error, "reason", None) or error
    reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return BackboneError(
        f"The weights of {what} could not be fetched: {reason}. Fetch {url} where there is a network and put "
        f"it at {path}, or use --backbone embedded, which needs none."
    )


def _open_in_time(url: str) -> Any:
    """Open the address within CONNECT_SECONDS, name lookup included (which sockets put no limit on)."""
    answers: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_open, args=(url, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=CONNECT_SECONDS + 1)
    except queue.Empty:
        raise TimeoutError(f"no answer within {CONNECT_SECONDS:.0f} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _open(url: str, answers: queue.Queue[Any]) -> None:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "handful"})
        answers.put(urllib.request.urlopen(request, timeout=CONNECT_SECONDS))
    except Exception as error:  # noqa: BLE001  # handed to the waiting thread, which raises it
        answers.put(error)


def _receive(
    response: Any, temporary: Path, path: Path, what: str, expected: str | None, speaker: Speaker
) -> None:
    total = int(response.headers.get("Content-Length") or 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256() if len(expected or "") == 64 else hashlib.md5(usedforsecurity=False)
    with temporary.open("wb") as stream, speaker.bar(f"fetching {what} (MB)", total // _UNIT) as advance:
        received = _copy(response, stream, digest, advance)
    if total and received != total:
        raise _WrongContentError(f"the connection ended after {received:,} of {total:,} bytes")
    if expected is not None and digest.hexdigest() != expected:
        raise _WrongContentError(f"the hash is {digest.hexdigest()}, expected {expected}")
    damage = safety.hdf5_damage(temporary)
    if damage is not None:
        raise _WrongContentError(f"what arrived is no weights file ({damage})")
    temporary.replace(path)


def _copy(response: Any, stream: IO[bytes], digest: Any, advance: Any) -> int:
    received = 0
    while chunk := response.read(_CHUNK):
        stream.write(chunk)
        digest.update(chunk)
        advance((received + len(chunk)) // _UNIT - received // _UNIT)
        received += len(chunk)
    return received
