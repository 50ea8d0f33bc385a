"""Augmented views of a photo: crops that keep the object, small turns, light and colour.

View 0 of a photo is the photo as prediction sees it. Each other view is drawn from its own seed, made of the
photo's content and the view's number, so that no two views of a photo are alike, a later run draws the same,
and the order of the photos does not matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handful.data import images
from handful.errors import DataError
from handful.files import sha256_of_bytes

VIEWS_VERSION = 1  # raise it when the same rules draw other pixels
SOURCE_MARGIN = (
    1.15  # photos are decoded so much larger than the network's input: crops lose no detail to speak of
)
_ASPECT = 4 / 3  # widest change of a crop's aspect ratio
_MOST_TURN = 12.0  # degrees either way
_LIGHT, _COLOUR = 0.25, 0.25  # largest relative change of brightness and contrast, and of colourfulness


@dataclass(frozen=True)
class ViewRules:
    """What a view may change.

    Attributes:
        crop: cut out a rectangle and scale it up.
        least_area: of the photo that a crop keeps.
        rotate: turn by up to 12 degrees; corners are filled with the mean colour.
        colour: change brightness, contrast and colourfulness.
        flip: mirror left and right, half of the time.
    """

    crop: bool = True
    least_area: float = 0.6
    rotate: bool = True
    colour: bool = True
    flip: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the card and for keys."""
        return asdict(self)


@dataclass(frozen=True)
class ViewedPhoto:
    """A photo to draw views of: where it is, how the user would write it, the sha256 of its file."""

    path: Path
    name: str
    sha256: str


def views_of(photo: ViewedPhoto, size: tuple[int, int], rules: ViewRules, views: int) -> np.ndarray:
    """The views uint8 (views, h, w, 3) of a photo, the plain one first.

    Raises:
        ImageError: it cannot be read any more.
        DataError: it changed since its features were computed.
    """
    data = images.read_file(photo.path)
    if sha256_of_bytes(data) != photo.sha256:
        raise DataError(f"{photo.name} changed while it was used. Run the same command again.")
    plain = images.decode(data, photo.name, size).pixels
    if views == 1:
        return plain[None]
    larger = images.decode(data, photo.name, source_size(size, rules)).pixels
    drawn = [draw_view(larger, size, rules, photo.sha256, number) for number in range(1, views)]
    return np.stack([plain, *drawn])


def source_size(size: tuple[int, int], rules: ViewRules) -> tuple[int, int]:
    """The (height, width) to decode a photo at before a view is drawn from it."""
    if not rules.crop:
        return size
    return round(size[0] * SOURCE_MARGIN), round(size[1] * SOURCE_MARGIN)


def draw_view(
    pixels: np.ndarray, size: tuple[int, int], rules: ViewRules, photo: str, number: int
) -> np.ndarray:
    """Draw one view.

    Args:
        pixels: uint8 (h, w, 3), RGB, decoded at `source_size`.
        size: (height, width) of the view.
        rules: what may change.
        photo: sha256 of the photo's file.
        number: of the view, from 1 on.

    Returns:
        uint8 (*size, 3).
    """
    seed = int(sha256_of_bytes(f"{photo}/{number}/{VIEWS_VERSION}".encode())[:16], 16)
    rng = np.random.default_rng(seed)
    image = Image.fromarray(pixels)
    if rules.rotate:
        image = _turned(image, rng)
    box = _crop(image.size, rules.least_area, rng) if rules.crop else None
    image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    if rules.flip and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    view = np.asarray(image)
    return _relit(view, rng) if rules.colour else view


def _turned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    red, green, blue = (int(value) for value in np.asarray(image).mean(axis=(0, 1)))
    angle = rng.uniform(-_MOST_TURN, _MOST_TURN)
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(red, green, blue))


def _crop(size: tuple[int, int], least: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A rectangle (left, top, right, bottom) of at least that share of the area, anywhere in the photo."""
    width, height = size
    area = rng.uniform(least, 1)
    # Neither side may grow beyond the photo, or less than `least` would be left of the area.
    widest = min(_ASPECT, 1 / area)
    aspect = np.exp(rng.uniform(-np.log(widest), np.log(widest)))
    across, down = width * np.sqrt(area * aspect), height * np.sqrt(area / aspect)
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    return left, top, left + across, top + down


def _relit(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    brightness, contrast = rng.uniform(1 - _LIGHT, 1 + _LIGHT, 2).astype(np.float32)
    colour = np.float32(rng.uniform(1 - _COLOUR, 1 + _COLOUR))
    wide = view.astype(np.float32) * brightness
    grey = wide.mean(axis=2, keepdims=True)
    wide = grey + colour * (wide - grey)
    middle = grey.mean()
    wide = middle + contrast * (wide - middle)
    return np.clip(np.rint(wide), 0, 255).astype(np.uint8)
