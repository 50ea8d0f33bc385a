"""Reading: every photo of a manifest read and decoded to its end, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from handful.data import images
from handful.data.looks import Look, look_of
from handful.data.row import Row
from handful.errors import ImageError
from handful.files import sha256_of_bytes

_SIZE = (64, 64)  # small to keep memory low; the decoder reads to the end of the file all the same


@dataclass(frozen=True)
class Read:
    """What became of one row.

    Attributes:
        row: with its sha256, unless the file could not be read.
        look: None when the photo was refused.
        notes: what the decoder noted.
        refusal: why it was refused.
    """

    row: Row
    look: Look | None = None
    notes: tuple[str, ...] = ()
    refusal: ImageError | None = None


def read_rows(rows: Sequence[Row], workers: int) -> Iterator[Read]:
    """Yield each row read, in order; when the caller stops early, what has not begun is dropped."""
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="handful-check")
    try:
        yield from pool.map(_read, rows)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(row: Row) -> Read:
    """Read and decode one photo; a row that fails comes back without a sha256."""
    try:
        data = images.read_file(row.path)
        photo = images.decode(data, row.name, size=_SIZE)
    except ImageError as error:
        return Read(replace(row, sha256=None), refusal=error)
    return Read(replace(row, sha256=sha256_of_bytes(data)), look_of(photo, len(data)), photo.notes)
