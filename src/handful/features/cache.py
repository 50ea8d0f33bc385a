"""Features on disk: one record per photo and network, never trusted without its checksum.

A record's name and content both hold its key, so one that is damaged, cut short, zero-filled after a power
loss, moved or written by another version is noticed and computed again. Records are published by renaming
a temporary file; several processes may share the folder and at worst compute the same record twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from handful.data.looks import THUMBNAIL_SIDE, Look
from handful.files import temporary_name

FORMAT_VERSION = 2
_MAGIC = b"handfeat"
_HEADER = struct.Struct("<8sI32s32sII")  # magic, version, space, photo, floats, bytes of text
_THUMBNAIL = (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)
_CHECKSUM = 16


@dataclass(frozen=True)
class Space:
    """Everything besides the photo that the features depend on.

    Attributes:
        weights: sha256 of the backbone's weights.
        size: (height, width) of the pixels.
        decoder: version of the decoder and resize.
        engine: name and numeric behaviour of the engine.
        view: which view of the photo ("original").
    """

    weights: str
    size: tuple[int, int]
    decoder: int
    engine: str
    view: str = "original"

    @property
    def digest(self) -> bytes:
        """sha256 over all fields, 32 bytes."""
        text = json.dumps([self.weights, self.size, self.decoder, self.engine, self.view, FORMAT_VERSION])
        return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Record:
    """The cached outcome of one photo.

    Attributes:
        vector: float32 (d,), pooled features.
        notes: what the decoder noted about the photo.
        look: its size, camera, time and thumbnail, so that a second run need not decode for them either.
    """

    vector: np.ndarray
    notes: tuple[str, ...]
    look: Look


class DamagedRecordError(Exception):
    """A record does not hold what its name promises."""


class FeatureCache:
    """Records of one space under a folder.

    Args:
        folder: shared by all spaces and processes.
        space: what the features depend on.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self._space = space.digest
        self._folder = folder / space.digest.hex()[:32]

    def path_of(self, photo: str) -> Path:
        """Where the record of a photo (hex sha256) lies."""
        return self._folder / photo[:2] / f"{photo}.feature"

    def read(self, photo: str) -> Record | None:
        """Return the record of a photo, None where there is none.

        Raises:
            DamagedRecordError: there is one, and it cannot be trusted.
        """
        try:
            data = self.path_of(photo).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DamagedRecordError(f"{self.path_of(photo)}: {error.strerror}") from error
        try:
            return _decode(data, self._space, bytes.fromhex(photo))
        except (ValueError, struct.error) as error:
            raise DamagedRecordError(f"{self.path_of(photo)}: {error}") from error

    def write(self, photo: str, record: Record) -> None:
        """Publish a record; raises OSError when the disk refuses."""
        path = self.path_of(photo)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        try:
            # No sync: a record lost to a power cut is noticed by its checksum and computed again.
            temporary.write_bytes(_encode(record, self._space, bytes.fromhex(photo)))
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _encode(record: Record, space: bytes, photo: bytes) -> bytes:
    told = {name: value for name, value in asdict(record.look).items() if name != "thumbnail"}
    text = json.dumps({"notes": record.notes, "look": told}).encode()
    vector = record.vector.astype("<f4").tobytes()
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, space, photo, len(vector) // 4, len(text))
    body = header + vector + text + record.look.thumbnail.tobytes()
    return body + hashlib.sha256(body).digest()[:_CHECKSUM]


def _decode(data: bytes, space: bytes, photo: bytes) -> Record:
    if len(data) < _HEADER.size + _CHECKSUM:
        raise ValueError(f"cut short, {len(data)} bytes")
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if hashlib.sha256(body).digest()[:_CHECKSUM] != checksum:
        raise ValueError("its checksum does not match")
    magic, version, its_space, its_photo, floats, length = _HEADER.unpack_from(body)
    if (magic, version) != (_MAGIC, FORMAT_VERSION):
        raise ValueError("written by another version")
    if (its_space, its_photo) != (space, photo):
        raise ValueError("it belongs to another photo or network")
    start = _HEADER.size + 4 * floats
    vector = np.frombuffer(body, "<f4", floats, _HEADER.size).astype(np.float32)
    text = json.loads(body[start : start + length])
    thumbnail = np.frombuffer(body, np.uint8, offset=start + length).reshape(_THUMBNAIL)
    return Record(vector, tuple(text["notes"]), Look(**text["look"], thumbnail=thumbnail))
