"""Open a photo's reduced bytes with the one decoder class of its format.

The classes are called directly instead of through `Image.open`: that would load every plugin Pillow has, try
them by guess, and warn about large pictures through `warnings`, whose state all threads share. Sizes are
checked in `images.py`.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from handful.data.containers import Container, examine
from handful.data.faults import Fault
from handful.data.tiff_parts import orientation_in
from handful.errors import MissingExtraError
from handful.extras import require


def open_image(kind: str, container: Container) -> tuple[Image.Image, int]:
    """Open, without decoding pixels yet (HEIC apart).

    Args:
        kind: one of `headers.READABLE`.
        container: from `containers.examine`.

    Returns:
        The image as stored, and the orientation (1..8) still to be applied.

    Raises:
        Fault: HEIC without its extra; Pillow set to fill cut-off files; a size that contradicts the header.
        Exception: whatever Pillow raises on a damaged file.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        # A switch of the whole process; turning it off from here would race with other threads.
        raise Fault(
            "not decoded: Pillow is set to fill cut-off files with grey",
            "Set PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False: grey areas would be learned.",
        )
    if kind == "HEIC":
        return _open_heic(container), 1
    image = _class_of(kind)(io.BytesIO(container.data))
    if image.width * image.height > max(container.width * container.height, 1):
        raise Fault(
            f"damaged: two sizes are given, {container.width} x {container.height} and {image.width} x "
            f"{image.height} pixels",
            "Open it in a photo program and save it again.",
        )
    if kind == "PNG":
        _scale_transparency(image, container.depth)
    turn = container.orientation
    if (
        kind == "AVIF" and "exif" in image.info
    ):  # written by Pillow from the file's own turn; EXIF was left out
        turn = orientation_in(image.info["exif"].removeprefix(b"Exif\x00\x00"))
    return image, turn


def expected_bytes(kind: str, data: bytes) -> int | None:
    """About how long a cut-off file should be, for the message; None when nothing tells.

    A BMP says it. A baseline JPEG is decoded at 1/8 with its end marked: what is missing comes out as one
    even colour below the last rows there were. Their share tells the length, roughly: skies take fewer bytes.
    """
    if kind == "BMP":
        return int.from_bytes(data[2:6], "little")
    if kind != "JPEG":
        return None
    try:
        image: Any = _class_of(kind)(io.BytesIO(examine(kind, data).data + b"\xff\xd9"))
        image.draft(None, (1, 1))
        grey = np.asarray(image.convert("L"))
    except Exception:  # noqa: BLE001 - this only words a message about a file already refused
        return None
    filled = np.flatnonzero((grey != grey[-1, -1]).any(axis=1))
    share = (filled[-1] + 1) / len(grey) if len(filled) else 0.0
    if "progressive" in image.info or not 0 < share < 1:
        return None
    exact = len(data) / share
    return int(round(exact, 1 - int(np.log10(exact))))


def _class_of(kind: str) -> Any:
    """The Pillow class of a format, imported when first used."""
    if kind == "JPEG":
        from PIL.JpegImagePlugin import JpegImageFile as Opener
    elif kind == "PNG":
        from PIL.PngImagePlugin import PngImageFile as Opener
    elif kind == "GIF":
        from PIL.GifImagePlugin import GifImageFile as Opener
    elif kind == "BMP":
        from PIL.BmpImagePlugin import BmpImageFile as Opener
    elif kind == "WebP":
        from PIL.WebPImagePlugin import WebPImageFile as Opener
    elif kind == "TIFF":
        from PIL.TiffImagePlugin import TiffImageFile as Opener
    else:
        from PIL.AvifImagePlugin import AvifImageFile as Opener
    return Opener


def _open_heic(container: Container) -> Image.Image:
    """Decode a HEIC; its decoder turns the picture upright by itself."""
    try:
        heif = require("pillow_heif", "heic", "Reading HEIC photos (iPhone)")
    except MissingExtraError as error:
        raise Fault(
            "is an iPhone HEIC photo, which needs the package 'pillow_heif'",
            "Install it with: pip install 'handful[heic]', or export the photo as JPEG.",
        ) from error
    return heif.open_heif(container.data, convert_hdr_to_8bit=True).to_pillow()


def _scale_transparency(image: Image.Image, depth: int) -> None:
    """Bring the transparent value of a grey or RGB PNG to the 8 bits its pixels were brought to.

    Pillow scales the pixels of 1, 2, 4 and 16 bits but leaves this value as the file has it.
    """
    value = image.info.get("transparency")
    if isinstance(value, int) and image.mode in ("1", "L"):
        image.info["transparency"] = value * 255 // ((1 << depth) - 1)
    if isinstance(value, tuple) and depth == 16:
        image.info["transparency"] = tuple(v >> 8 for v in value)
