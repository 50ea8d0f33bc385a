"""Walk through a photo file's parts: size, orientation, animation, and the parts that make the pixels.

The decoder behind `images.py` is shown only what makes the pixels: no EXIF, XMP, profiles, text chunks,
later frames or later pages. Three reasons. A broken or huge EXIF block cannot lose a good photo. Text,
profile and many-frame bombs never reach it. And Pillow warns about odd metadata through `warnings`, whose
state all threads share: what is not shown is not warned about, so nothing global has to be switched off.

Everything here reads headers; no pixel is decoded. Faults are raised as `Fault`, which `images.py` words
as an ImageError with the file's name.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handful.data import tiff_parts
from handful.data.faults import COPY_AGAIN, Fault, cut_off

ANIMATION = "animation: first frame used"
MOST_TEXT = 64 << 20  # bytes of text and profiles in a PNG, unpacked; real ones have at most a few MB
MOST_INFLATED = 100  # times its packed size, above 1 MB; text packs 2 to 20 times, zeros 1,000 times
MOST_PARTS = 200_000  # chunks in one file; real ones have at most some 20,000 (8 kB IDATs)


@dataclass(frozen=True)
class Container:
    """One photo's file, reduced to what makes its pixels.

    Attributes:
        data: the bytes to decode.
        width: pixels as stored, before orientation.
        height: pixels as stored, before orientation.
        orientation: EXIF orientation, 1..8; 1 when absent, broken, or applied by the decoder itself.
        notes: what to tell the user ("animation: first frame used").
        scans: passes over the picture; above 1 only for progressive JPEG.
        samples: colour samples held per pixel while a progressive JPEG is decoded; 0 for all else.
        depth: bits per sample where the decoder needs telling (PNG, TIFF); 8 otherwise.
        slow: the decoder for it is slow, so a smaller size limit applies (run-length BMP).
        exif: the file's EXIF block from its byte-order mark on, as it stands there; b"" where none is read.
    """

    data: bytes
    width: int
    height: int
    orientation: int = 1
    notes: tuple[str, ...] = ()
    scans: int = 1
    samples: float = 0.0
    depth: int = 8
    slow: bool = False
    exif: bytes = b""


def examine(kind: str, data: bytes) -> Container:
    """Read a file's structure.

    Args:
        kind: one of `headers.READABLE`.
        data: the whole file.

    Raises:
        Fault: truncated, damaged, or not a structure we read.
        struct.error, IndexError: a header ends too early; the caller words these.
    """
    return _EXAMINERS[kind](data)


# JPEG ------------------------------------------------------------------------------------------------

_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PIXEL_MARKERS = _FRAME_MARKERS | {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}  # tables, JFIF and Adobe headers


def _jpeg(data: bytes) -> Container:
    kept, frame, exif, notes = [data[:2]], b"", b"", []
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xDA:
            break
        body = data[start + 4 : end]
        if marker in _FRAME_MARKERS:
            frame = data[start + 1 : start + 2] + body
        if marker == 0xE1 and body[:6] == b"Exif\x00\x00" and tiff_parts.orientation_in(exif) == 1:
            exif = body[6:]
        if marker == 0xE2 and body[:4] == b"MPF\x00":
            notes.append("several pictures in one file: first used")
        if marker in _PIXEL_MARKERS:
            kept.append(data[start:end])
    else:
        raise cut_off(len(data))
    if len(frame) < 10:
        raise Fault("damaged: it has no frame header", COPY_AGAIN)
    return _jpeg_container(data, start, kept, frame, exif, notes)


def _jpeg_container(
    data: bytes, scan: int, kept: list[bytes], frame: bytes, exif: bytes, notes: list[str]
) -> Container:
    height, width = struct.unpack_from(">HH", frame, 2)
    samples = _samples_per_pixel(frame)
    # Huffman codes take two bits a block at the least. A file far shorter than its size claims would come out
    # grey without an error: libjpeg fills up when it meets the end marker too early.
    if frame[0] in (0xC0, 0xC1) and (len(data) - scan) * 8 < 2 * samples * width * height / 64:
        raise cut_off(len(data))
    # A decoder keeps the whole picture's coefficients where one scan does not hold all colours.
    several = frame[0] & 3 == 2 or data[scan + 4] < frame[7]
    return Container(
        b"".join([*kept, data[scan:]]),
        width,
        height,
        tiff_parts.orientation_in(exif),
        tuple(dict.fromkeys(notes)),
        scans=data.count(b"\xff\xda", scan) if several else 1,
        samples=samples if several else 0.0,
        exif=exif,
    )


def _samples_per_pixel(frame: bytes) -> float:
    """Colour samples per pixel: 1.5 for the usual 4:2:0, 3 for 4:4:4."""
    factors = [(frame[i] >> 4, frame[i] & 15) for i in range(8, len(frame), 3)]
    areas = [max(h * v, 1) for h, v in factors]
    return sum(areas) / max(areas)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to and including the first start of scan."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # stray bytes between segments: decoders skip them, and so do we
            position = data.find(b"\xff", position)
            if position < 0:
                return
            continue
        marker = data[position + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xD9 or end > len(data):
            return
        yield marker, position, end
        position = end


# PNG -------------------------------------------------------------------------------------------------

_PNG_PACKED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png(data: bytes) -> Container:
    kept, frames, exif, room = [data[:8]], 0, b"", MOST_TEXT
    for kind, start, end in _png_chunks(data):
        if kind in _PNG_KEPT:
            _check_crc(data, kind, start, end)
            kept.append(data[start - 8 : end + 4])
        elif kind == b"acTL":
            frames = int.from_bytes(data[start : start + 4], "big")
        elif kind == b"eXIf":
            exif = data[start:end]
        elif kind in _PNG_PACKED:
            room -= _unpacked_size(data[start:end], kind, room)
    if kept[1:] == [] or kept[1][4:8] != b"IHDR":
        raise Fault("damaged: its header chunk is missing", COPY_AGAIN)
    width, height, depth = struct.unpack_from(">IIB", kept[1], 8)
    notes = (ANIMATION,) if frames > 1 else ()
    whole = sum(map(len, kept)) == len(data)  # a large file is not copied for nothing
    shown = data if whole else b"".join(kept)
    turn = tiff_parts.orientation_in(exif)
    return Container(shown, width, height, turn, notes, depth=depth, exif=exif)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of each chunk's content up to IEND; check the order of animation parts."""
    position, sequence = 8, 0
    for _ in range(MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position) if position + 8 <= len(data) else (0, b"")
        start, end = position + 8, position + 8 + length
        if kind == b"" or end + 4 > len(data):
            raise cut_off(len(data), end + 16 if kind == b"IDAT" else None)
        if not kind.isalpha():
            raise Fault(f"damaged: a chunk is named {kind!r}", COPY_AGAIN)
        if kind in (b"fcTL", b"fdAT"):
            # fdAT 0 would be a frame without a control chunk before it.
            if int.from_bytes(data[start : start + 4], "big") != sequence or (
                kind == b"fdAT" and not sequence
            ):
                raise Fault("damaged: the parts of its animation are out of order", COPY_AGAIN)
            sequence += 1
        yield kind, start, end
        if kind == b"IEND":
            return
        position = end + 4
    raise Fault(f"has more than {MOST_PARTS:,} parts", "Open it in a photo program and save it again.")


def _unpacked_size(chunk: bytes, kind: bytes, room: int) -> int:
    """Bytes that a deflated text or profile takes; Fault when `room` or `MOST_INFLATED` is passed.

    The text is not used. It is measured because a file that hides a bomb is not one to pass on.
    """
    start = chunk.find(b"\x00") + 1
    packed = chunk[start + 1] == 1 if kind == b"iTXt" and start + 1 < len(chunk) else kind != b"iTXt"
    if kind == b"iTXt":
        start = chunk.find(b"\x00", chunk.find(b"\x00", start + 2) + 1) + 1
    else:
        start += 1
    if not packed:
        return len(chunk)
    room = min(room, max(1 << 20, MOST_INFLATED * len(chunk)))
    try:
        size = len(zlib.decompressobj().decompress(chunk[start:], room + 1))
    except zlib.error:  # broken text does not spoil the picture
        return len(chunk)
    if size > room:
        raise Fault(
            f"hides text or a profile that unpacks to more than {room:,} bytes",
            "Open it in a photo program and save it again.",
        )
    return size


def _check_crc(data: bytes, kind: bytes, start: int, end: int) -> None:
    stored = int.from_bytes(data[end : end + 4], "big")
    if zlib.crc32(memoryview(data)[start - 4 : end]) != stored:
        raise Fault(f"damaged: the checksum of its {kind.decode()} part is wrong", COPY_AGAIN)


# GIF -------------------------------------------------------------------------------------------------


def _gif(data: bytes) -> Container:
    """Keep the header, the first frame and its own control block; later frames are never walked."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = header = 13 + ((3 << ((flags & 7) + 1)) if flags & 0x80 else 0)
    control = b""
    while data[position : position + 1] == b"!":
        end = _after_blocks(data, position + 2)
        if data[position + 1] == 0xF9:
            control = data[position:end]
        position = end
    if position >= len(data):
        raise cut_off(len(data))
    if data[position : position + 1] != b",":
        raise Fault("damaged: it holds no picture", COPY_AGAIN)
    left, top, wide, high, local = struct.unpack_from("<HHHHB", data, position + 1)
    pixels = position + 11 + ((3 << ((local & 7) + 1)) if local & 0x80 else 0)
    end = _after_blocks(data, pixels)
    again = _next_frame(data, end)
    only = b"".join([data[:header], control, data[position:end], b";"])
    return Container(
        only, max(width, left + wide), max(height, top + high), notes=(ANIMATION,) if again else ()
    )


def _after_blocks(data: bytes, position: int) -> int:
    """The position after a row of length-prefixed blocks ended by an empty one."""
    while True:
        if position >= len(data):
            raise cut_off(len(data))
        length = data[position]
        position += 1 + length
        if length == 0:
            return position


def _next_frame(data: bytes, position: int) -> bool:
    """Whether another picture follows; at most a few control blocks are looked at."""
    for _ in range(16):
        if data[position : position + 1] != b"!":
            break
        try:
            position = _after_blocks(data, position + 2)
        except Fault:
            return False
    return data[position : position + 1] == b","


# BMP, WebP, AVIF and HEIC ----------------------------------------------------------------------------


def _bmp(data: bytes) -> Container:
    header = struct.unpack_from("<I", data, 14)[0]
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return Container(data, width, height)
    width, height = struct.unpack_from("<ii", data, 18)
    compression = struct.unpack_from("<I", data, 30)[0]
    return Container(data, width, abs(height), slow=compression in (1, 2))


def _webp(data: bytes) -> Container:
    declared = int.from_bytes(data[4:8], "little") + 8
    if declared > len(data) + 1:  # + 1: some writers count a padding byte that they leave out
        raise cut_off(len(data), declared)
    exif, animated = b"", False
    for kind, start, end in _riff_chunks(data):
        if kind == b"EXIF":
            exif = data[start:end].removeprefix(b"Exif\x00\x00")
        animated = animated or kind == b"ANIM"
    width, height = _webp_size(data)
    turn = tiff_parts.orientation_in(exif)
    return Container(data, width, height, turn, (ANIMATION,) if animated else (), exif=exif)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    bits = struct.unpack_from("<I", data, 21)[0]
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position = 12
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, position + 8 + length
        position += 8 + length + (length & 1)


def _boxes(data: bytes) -> Container:
    """AVIF and HEIC: the largest size in the `meta` box; its EXIF entries are renamed, so not read.

    In these formats the turn is in `irot` and `imir`, which the decoders apply or report; the standard says
    that EXIF orientation is not to be applied as well.
    """
    start = data.find(b"meta", 0, 1 << 16) - 4
    if start < 0:
        raise Fault("damaged: it has no description of its picture", COPY_AGAIN)
    end = start + int.from_bytes(data[start : start + 4], "big")
    if end > len(data):
        raise cut_off(len(data))
    sizes = list(_box_sizes(data, start, end))
    if not sizes:
        raise Fault("damaged: it does not say how large its picture is", COPY_AGAIN)
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    clean = b"".join([data[:start], data[start:end].replace(b"Exif", b"skip"), data[end:]])
    notes = (ANIMATION,) if data[8:12] in (b"avis", b"msf1", b"hevc") else ()
    return Container(clean, width, height, notes=notes)


def _box_sizes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    position = data.find(b"ispe", start, end)
    while position >= 0 and position + 16 <= len(data):
        yield struct.unpack_from(">II", data, position + 8)
        position = data.find(b"ispe", position + 4, end)


# TIFF ------------------------------------------------------------------------------------------------


def _tiff(data: bytes) -> Container:
    page = tiff_parts.first_page(data)
    notes = ("several pages: first used",) if page.more else ()
    return Container(page.data, page.width, page.height, page.orientation, notes, depth=page.depth, exif=data)


_EXAMINERS: dict[str, Callable[[bytes], Container]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
    "AVIF": _boxes,
    "HEIC": _boxes,
}
