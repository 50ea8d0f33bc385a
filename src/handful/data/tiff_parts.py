"""The TIFF directory, by itself and inside EXIF: orientation, camera, time; a TIFF reduced to its first page.

A directory is a count, then entries of (tag, type, count, value or offset). `first_page` writes a new one at
the file's end that holds only what makes the pixels, and points the header at it; `containers.py` says why.
"""

from __future__ import annotations

import calendar
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from handful.data.faults import COPY_AGAIN, Fault, cut_off

_ORIENTATION = 274
_MAKE, _MODEL, _CHANGED, _EXIF, _TAKEN = 271, 272, 306, 34665, 36867
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_MOST_TEXT = 200  # bytes of a camera's name or a time; real ones have some thirty
# One value each (TIFF 6.0): a longer list is cut to its first value, as Pillow does with a warning.
_SINGLE = frozenset(
    {256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323, 332, 512, 513, 514, 515, 531}
)
_LISTS = frozenset({258, 273, 279, 320, 324, 325, 338, 339, 347, 519, 520, 521, 529, 530, 532})
_UNIT = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGER = {1: "B", 3: "H", 4: "I", 16: "Q"}
MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Page:
    """A TIFF's first page: the bytes to decode, the size as stored, and what the header says of it."""

    data: bytes
    width: int
    height: int
    orientation: int
    depth: int
    more: bool


@dataclass(frozen=True)
class _Layout:
    """Byte order and field widths: classic TIFF or BigTIFF."""

    order: str
    big: bool

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")


@dataclass(frozen=True)
class _Entry:
    tag: int
    type: int
    count: int
    value: bytes  # the field as stored: the value itself, or its offset

    @property
    def size(self) -> int:
        return self.count * _UNIT.get(self.type, 0)


def orientation_in(exif: bytes) -> int:
    """The orientation an EXIF block asks for.

    Args:
        exif: from the byte-order mark on ("II" or "MM").

    Returns:
        1..8; 1 when it is absent or the block is broken: a photo is never lost for its EXIF.
    """
    try:
        layout = _layout(exif)
        entries, _ = _directory(exif, layout)
    except (Fault, struct.error):
        return 1
    return _orientation(entries, layout)


def origin_in(exif: bytes) -> tuple[str, int | None]:
    """The camera an EXIF block names, and when the photo was taken.

    Args:
        exif: from the byte-order mark on ("II" or "MM").

    Returns:
        Make and model, "" when absent; seconds of the camera's own clock since 1970, None when absent. A
        broken block tells nothing: a photo is never lost for its EXIF.
    """
    try:
        layout = _layout(exif)
        found = {entry.tag: entry for entry in reversed(_directory(exif, layout)[0])}
        names = (_text(exif, found.get(tag), layout) for tag in (_MAKE, _MODEL))
        times = (_inner_text(exif, found, layout), _text(exif, found.get(_CHANGED), layout))
        return " ".join(filter(None, names)), next((t for t in map(_seconds, times) if t is not None), None)
    except (Fault, struct.error):
        return "", None


def _inner_text(exif: bytes, found: dict[int, _Entry], layout: _Layout) -> str:
    """When the photo was taken, from the directory that EXIF keeps beside the first."""
    if not (place := _number(found, _EXIF, layout)):
        return ""
    inner = {entry.tag: entry for entry in reversed(_directory(exif, layout, place)[0])}
    return _text(exif, inner.get(_TAKEN), layout)


def _text(data: bytes, entry: _Entry | None, layout: _Layout) -> str:
    if entry is None or entry.type != 2 or not 0 < entry.size <= _MOST_TEXT:
        return ""
    start = struct.unpack(layout.offset, entry.value)[0] if entry.size > len(entry.value) else None
    raw = entry.value[: entry.size] if start is None else data[start : start + entry.size]
    text = raw.partition(b"\x00")[0].decode("ascii", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _seconds(text: str) -> int | None:
    """Seconds since 1970 of "2017:05:24 17:31:02"; None for zeros, blanks and what is no time."""
    match = _TIME.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    sound = year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60
    return calendar.timegm((year, month, day, hour, minute, second)) if sound else None


def first_page(data: bytes) -> Page:
    """Reduce a TIFF to its first page without metadata.

    Raises:
        Fault: truncated, damaged, or no size in it.
        struct.error: the header ends too early.
    """
    layout = _layout(data)
    entries, following = _directory(data, layout)
    found = {entry.tag: entry for entry in reversed(entries)}  # reversed: the first of twins counts
    width, height = _number(found, 256, layout), _number(found, 257, layout)
    if not width or not height:
        raise Fault("damaged: it does not say how large its picture is", COPY_AGAIN)
    if 50706 in found:
        raise Fault(
            "is a camera RAW file (DNG), which is not read", "Export it as JPEG or PNG and use that file."
        )
    _check_tiles(found, layout, width, height)
    _check_extent(data, found, layout)
    clean = _with_directory(data, layout, list(_pixel_entries(data, layout, found)))
    depth = _numbers(data, found.get(258), layout)[:1] or [1]
    return Page(clean, width, height, _orientation(entries, layout), depth[0], following != 0)


def _layout(data: bytes) -> _Layout:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise Fault("damaged: its byte order is not given", COPY_AGAIN)
    return _Layout(order, struct.unpack_from(order + "H", data, 2)[0] == 43)


def _directory(data: bytes, layout: _Layout, place: int | None = None) -> tuple[list[_Entry], int]:
    """Read a directory, the first by default: its entries and the offset of the next one (0 for none)."""
    position = place or struct.unpack_from(layout.offset, data, 8 if layout.big else 4)[0]
    if position + 8 > len(data):
        raise cut_off(len(data), position + 200)
    (count,) = struct.unpack_from(layout.count, data, position)
    position += struct.calcsize(layout.count)
    step = struct.calcsize(layout.entry)
    if count > MOST_ENTRIES:
        raise Fault(f"damaged: its directory claims {count:,} entries", COPY_AGAIN)
    if position + count * step > len(data):
        raise cut_off(len(data))
    entries = [_Entry(*struct.unpack_from(layout.entry, data, position + i * step)) for i in range(count)]
    end = position + count * step
    room = end + struct.calcsize(layout.offset) <= len(data)
    return entries, struct.unpack_from(layout.offset, data, end)[0] if room else 0


def _orientation(entries: list[_Entry], layout: _Layout) -> int:
    for entry in entries:
        if entry.tag == _ORIENTATION and entry.type == 3 and entry.count >= 1:
            value = struct.unpack_from(layout.order + "H", entry.value)[0]
            return value if 1 <= value <= 8 else 1
    return 1


def _number(found: dict[int, _Entry], tag: int, layout: _Layout) -> int:
    """One integer stored in the entry itself; 0 when it is absent or of another type."""
    entry = found.get(tag)
    if entry is None or entry.count < 1 or entry.type not in _INTEGER:
        return 0
    code = layout.order + _INTEGER[entry.type]
    return struct.unpack_from(code, entry.value)[0] if struct.calcsize(code) <= len(entry.value) else 0


def _numbers(data: bytes, entry: _Entry | None, layout: _Layout) -> list[int]:
    """All integers of an entry, inline or elsewhere in the file; [] when they cannot be read."""
    if entry is None or entry.type not in _INTEGER or entry.size > len(data):
        return []
    code = f"{layout.order}{entry.count}{_INTEGER[entry.type]}"
    if entry.size <= len(entry.value):
        return list(struct.unpack_from(code, entry.value))
    (offset,) = struct.unpack(layout.offset, entry.value)
    return list(struct.unpack_from(code, data, offset)) if offset + entry.size <= len(data) else []


def _check_tiles(found: dict[int, _Entry], layout: _Layout, width: int, height: int) -> None:
    """Tiles are padded to whole ones: a tile far larger than the picture is memory asked for, not a photo."""
    area = _number(found, 322, layout) * _number(found, 323, layout)
    if area > 4 * max(width * height, 1 << 20):
        raise Fault("damaged: its tiles are far larger than its picture", COPY_AGAIN)
    if _number(found, 277, layout) > 6:
        raise Fault("has more than six samples per pixel", "Export it as JPEG or PNG and use that file.")


def _check_extent(data: bytes, found: dict[int, _Entry], layout: _Layout) -> None:
    """Refuse a file that ends before its last strip or tile, with the length it should have."""
    for places, lengths in ((273, 279), (324, 325)):
        starts, sizes = (_numbers(data, found.get(tag), layout) for tag in (places, lengths))
        ends = [start + size for start, size in zip(starts, sizes, strict=False)]
        if starts and max(starts) >= len(data):
            raise cut_off(len(data), max(ends, default=max(starts)))


def _pixel_entries(data: bytes, layout: _Layout, found: dict[int, _Entry]) -> Iterator[_Entry]:
    """The entries that make the pixels; one whose values lie outside the file is left out."""
    total = 0
    for tag in sorted(found.keys() & (_SINGLE | _LISTS)):
        entry = found[tag]
        if tag in _SINGLE and entry.count > 1 and entry.type in _INTEGER:
            entry = _first_value(data, layout, entry)
        if entry.size > len(entry.value):
            (offset,) = struct.unpack(layout.offset, entry.value)
            total += entry.size
            if offset + entry.size > len(data) or total > len(data):
                continue
        if entry.size:
            yield entry


def _first_value(data: bytes, layout: _Layout, entry: _Entry) -> _Entry:
    unit = _UNIT[entry.type]
    if entry.size <= len(entry.value):
        return _Entry(entry.tag, entry.type, 1, entry.value)
    (offset,) = struct.unpack(layout.offset, entry.value)
    return _Entry(entry.tag, entry.type, 1, data[offset : offset + unit].ljust(len(entry.value), b"\x00"))


def _with_directory(data: bytes, layout: _Layout, entries: list[_Entry]) -> bytes:
    """The file with a new first and only directory at its end."""
    start = len(data) + len(data) % 2
    rows = [struct.pack(layout.entry, e.tag, e.type, e.count, e.value) for e in entries]
    directory = [struct.pack(layout.count, len(rows)), *rows, struct.pack(layout.offset, 0)]
    place = 8 if layout.big else 4
    head = data[:place] + struct.pack(layout.offset, start)
    return b"".join([head, memoryview(data)[len(head) :], b"\x00" * (len(data) % 2), *directory])
