"""Any Pillow image to 8-bit RGB pixels, resized or not. The rules are in the docstring of `images.py`.

Large pictures are converted band by band, so that beside Pillow's own copy only a few megabytes are held. The
result is bit for bit that of converting and resizing at once: Pillow resizes along rows first, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from handful.data.faults import Fault

_BAND = 4_000_000  # pixels converted at once
_WIDE = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
Convert = Callable[[Image.Image], Image.Image]


def to_rgb(
    image: Image.Image, size: tuple[int, int] | None, depth: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode, convert and resize.

    Args:
        image: of any mode, loaded or not.
        size: (h, w) to squash it to, or None.
        depth: bits per sample of the file; tells 12-bit values from 16-bit ones.

    Returns:
        uint8 (h, w, 3) RGB, writable and C-contiguous, and notes.

    Raises:
        Fault: floating-point pixels that are not finite.
        Exception: whatever Pillow raises on a damaged file.
    """
    image.load()
    convert, notes = _conversion(image, depth)
    if size is None:
        return _whole(image, convert), notes
    height, width = size
    rows = _resized_rows(image, convert, width)
    small = rows.resize((width, height), Image.Resampling.BILINEAR).convert("RGB")
    return np.array(small), notes


def _whole(image: Image.Image, convert: Convert) -> np.ndarray:
    out = np.empty((image.height, image.width, 3), np.uint8)
    for top, band in _bands(image):
        out[top : top + band.height] = np.asarray(convert(band).convert("RGB"))
    return out


def _resized_rows(image: Image.Image, convert: Convert, width: int) -> Image.Image:
    """The image in L or RGB, its rows resized to `width` unless it fits in one band anyway."""
    if image.width * image.height <= _BAND:
        return convert(image)
    out: Image.Image | None = None
    for top, band in _bands(image):
        rows = convert(band).resize((width, band.height), Image.Resampling.BILINEAR)
        out = out or Image.new(rows.mode, (width, image.height))
        out.paste(rows, (0, top))
    assert out is not None
    return out


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (top row, band) from top to bottom; a small image is its own only band."""
    rows = max(_BAND // image.width, 1)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _conversion(image: Image.Image, depth: int) -> tuple[Convert, tuple[str, ...]]:
    """Choose how to bring this image's bands to L or RGB, and say when values were stretched."""
    if image.mode in _WIDE:
        return _wide_conversion(image, depth)
    if image.has_transparency_data:
        return _onto_white, ()
    if image.mode in ("L", "RGB"):
        return lambda band: band, ()
    return lambda band: band.convert("RGB"), ()


def _onto_white(band: Image.Image) -> Image.Image:
    clear = band.convert("RGBA")
    white = Image.new("RGB", band.size, (255, 255, 255))
    white.paste(clear, mask=clear.getchannel("A"))
    return white


def _wide_conversion(image: Image.Image, depth: int) -> tuple[Convert, tuple[str, ...]]:
    """More than 8 bits per value, one channel: shift, scale, or stretch, by what the values need."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        return lambda band: _grey(np.asarray(band) >> (4 if depth == 12 else 8), band, transparent), ()
    low, high = _extremes(image)
    if image.mode == "I" and low >= 0 and high <= 65535:
        return lambda band: _grey(np.asarray(band) >> 8, band, transparent), ()
    if image.mode == "F" and low >= 0 and high <= 255:
        scale = 255.0 if high <= 1 else 1.0
        return lambda band: _grey(np.rint(np.asarray(band) * scale), band, None), ()
    span = max(high - low, 1e-30)
    note = f"values from {low:g} to {high:g} were stretched to 0..255"
    return lambda band: _grey(np.rint((np.asarray(band, np.float64) - low) * (255 / span)), band, None), (
        note,
    )


def _extremes(image: Image.Image) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for _, band in _bands(image):
        values = np.asarray(band)
        if not np.isfinite(values).all():
            raise Fault("holds pixels that are not numbers (nan or infinite)", "Export it as JPEG or PNG.")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def _grey(levels: np.ndarray, band: Image.Image, transparent: object) -> Image.Image:
    """Levels 0..255 as an L image; the transparent value, given as stored, becomes white."""
    grey = levels.astype(np.uint8)
    if isinstance(transparent, int):
        grey[np.asarray(band) == transparent] = 255
    return Image.fromarray(grey)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Apply an EXIF orientation.

    Args:
        pixels: (h, w, 3) as stored.
        turn: 1..8.

    Returns:
        The same values, C-contiguous; (w, h, 3) for 5 to 8.
    """
    if turn == 1:
        return pixels
    return np.ascontiguousarray(_TURNS[turn](pixels))


_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: p.transpose(1, 0, 2)[::-1],
}
