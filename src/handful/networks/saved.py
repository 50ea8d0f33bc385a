"""Keras networks on disk, for what LiteRT cannot run: written once, found again by their hash.

A file's name holds its own hash, and a file is never written over: whoever holds a path holds that network,
whatever other processes do meanwhile. The record beside it says which file is to be used.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from handful.files import sha256_of_file, temporary_name, write_atomically, write_error
from handful.networks.weights import Source
from handful.progress import Speaker

SAVED_VERSION = 1  # raise it when building changes what a network computes or gives
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Saved:
    """A .keras network on disk, checked.

    Attributes:
        path: the file: pixels (b, size, size, 3), 0 to 255 -> pooled vector, feature map.
        sha256: of the file.
    """

    path: Path
    sha256: str


def saved(source: Source, folder: Path, save: Callable[[Path], None], speaker: Speaker) -> Saved:
    """Give the .keras file of a backbone, from disk or written now.

    Args:
        source: what `weights.locate` found, with the size to use.
        folder: where networks are kept.
        save: writes the network to the path it is given.
        speaker: is told when a kept one is damaged.

    Raises:
        HandfulError: the disk refused.
    """
    name = f"{source.architecture}-{source.sha256[:16]}-{source.size}-{source.preprocessing}-v{SAVED_VERSION}"
    record = folder / f"{name}.keras.json"
    return _kept(folder, name, record, speaker) or _written(folder, name, record, save)


def _path(folder: Path, name: str, digest: str) -> Path:
    return folder / f"{name}-{digest[:16]}.keras"


def _kept(folder: Path, name: str, record: Path, speaker: Speaker) -> Saved | None:
    digest = _recorded(record)
    if digest is None:
        return None
    path = _path(folder, name, digest)
    if not path.is_file():
        return None
    if sha256_of_file(path) == digest:
        return Saved(path, digest)
    speaker.warn(f"the network {path} is damaged; it is written again")
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _recorded(record: Path) -> str | None:
    """Read the hash in a record; None if it is missing or damaged."""
    try:
        with record.open("rb") as stream:
            digest = json.loads(stream.read(_LARGEST))["sha256"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _written(folder: Path, name: str, record: Path, save: Callable[[Path], None]) -> Saved:
    """Publish the network first, its record last, so that a record vouches for a whole file."""
    making = temporary_name(folder / name).with_suffix(".keras")
    try:
        save(making)
        digest = sha256_of_file(making)
        path = _path(folder, name, digest)
        os.replace(making, path)
    except OSError as error:
        raise write_error(making, error) from error
    finally:
        making.unlink(missing_ok=True)
    write_atomically(record, json.dumps({"version": SAVED_VERSION, "sha256": digest}).encode())
    return Saved(path, digest)
