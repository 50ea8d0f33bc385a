"""Look: what a photo's file and a thumbnail tell of it without a network, kept beside its features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from handful.data.images import Photo

THUMBNAIL_SIDE = 32


@dataclass(frozen=True)
class Look:
    """What one photo is like, its content apart.

    Attributes:
        width: of the original in pixels, upright.
        height: of the original in pixels, upright.
        format: "JPEG", "PNG", ...
        size: bytes of the file.
        camera: make and model as EXIF names them; "" when it does not.
        taken: when EXIF says it was taken, in seconds of the camera's own clock since 1970; None when it
            does not.
        thumbnail: uint8 (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), squashed as the network's input is.
    """

    width: int
    height: int
    format: str
    size: int
    camera: str
    taken: int | None
    thumbnail: np.ndarray = field(repr=False)


def look_of(photo: Photo, size: int) -> Look:
    """Collect the look of a decoded photo; `size` is its file's, in bytes."""
    thumbnail = thumbnail_of(photo.pixels)
    return Look(photo.width, photo.height, photo.format, size, photo.camera, photo.taken, thumbnail)


def thumbnail_of(pixels: np.ndarray) -> np.ndarray:
    """Average pixels uint8 (h, w, 3) down to uint8 (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)."""
    from PIL import Image

    small = Image.fromarray(pixels).resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small)
