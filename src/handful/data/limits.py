"""What is too large to decode, told from the header before any pixel is: bombs, and the rare honest giant."""

from __future__ import annotations

from handful.data.containers import Container
from handful.data.faults import COPY_AGAIN, OPEN_AND_SAVE, SMALLER, Fault

MOST_BYTES = 512 << 20  # a file; a 64-megapixel 16-bit TIFF has 384 MB
MOST_SIDE = 65_535  # pixels; also the most a JPEG can have
# Megapixels by format, so that decoding takes below 300 MB beside the file's own bytes. Bytes per pixel,
# measured with Pillow 13: PNG, BMP, TIFF 4 to 5; GIF 2; AVIF 9; WebP 15 (two canvases, two copies); HEIC 7,
# where the iPhone's 48 megapixels pass all the same, at 340 MB. A JPEG is reduced while it is decoded.
MOST_PIXELS = {"JPEG": 200, "PNG": 51, "GIF": 64, "BMP": 64, "TIFF": 51, "WebP": 18, "AVIF": 20, "HEIC": 51}
MOST_DECODED = 64  # megapixels of a JPEG after reduction
MOST_SLOW = 4  # megapixels of a run-length BMP, which Pillow unpacks in Python
MOST_COEFFICIENTS = 200 << 20  # bytes a progressive JPEG keeps until its last scan: 64 megapixels of 4:2:0
MOST_SCANS = 100  # of a progressive JPEG; cameras and programs write 10 to 15
MOST_SCANNED = 1000  # megapixels times scans


def check_limits(kind: str, container: Container, size: tuple[int, int] | None) -> None:
    """Refuse by header what would take too much memory or time.

    Args:
        kind: one of `headers.READABLE`.
        container: from `containers.examine`.
        size: the (h, w) asked for; None counts the whole picture, also of a JPEG.

    Raises:
        Fault: too large, too many passes, or no size at all.
    """
    width, height = container.width, container.height
    if width < 1 or height < 1:
        raise Fault(f"damaged: its header says {width} x {height} pixels", COPY_AGAIN)
    if max(width, height) > MOST_SIDE:
        raise Fault(f"is too large: {width:,} x {height:,} pixels, at most {MOST_SIDE:,} a side", SMALLER)
    most = MOST_SLOW if container.slow else MOST_PIXELS[kind]
    check_pixels(width * height, most if size is not None else min(most, MOST_DECODED))
    if 2 * container.samples * width * height > MOST_COEFFICIENTS:
        raise Fault(
            f"is too large for a progressive JPEG: {width:,} x {height:,} pixels",
            "Save it as an ordinary (baseline) JPEG, or smaller.",
        )
    if container.scans > MOST_SCANS or (
        container.scans > 20 and container.scans * width * height > MOST_SCANNED * 1e6
    ):
        raise Fault(
            f"is built of {container.scans:,} passes over {width:,} x {height:,} pixels", OPEN_AND_SAVE
        )


def check_pixels(pixels: int, most: float) -> None:
    """Refuse more than `most` million pixels. Raises Fault."""
    if pixels > most * 1e6:
        raise Fault(f"is too large: {pixels / 1e6:,.0f} megapixels, at most {most:,}", SMALLER)
