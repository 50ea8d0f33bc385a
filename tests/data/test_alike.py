"""The same picture again, and pictures that only look like it."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from handful.data.alike import find_alike
from handful.data.looks import THUMBNAIL_SIDE, thumbnail_of


def scene(seed: int) -> Image.Image:
    """Draw a picture of soft blobs and some detail; no two seeds draw alike."""
    rng = np.random.default_rng(seed)
    soft, detail = (
        Image.fromarray(rng.integers(0, 256, (rows, rows, 3), dtype=np.uint8)).resize(
            (240, 180), Image.Resampling.BICUBIC
        )
        for rows in (5, 20)
    )
    return Image.blend(soft, detail, 0.3)


def saved(image: Image.Image, quality: int = 90) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def thumbnails(*images: Image.Image) -> np.ndarray:
    return np.stack([thumbnail_of(np.asarray(image.resize((96, 96)))) for image in images])


def pairs(*images: Image.Image) -> list[list[int]]:
    return find_alike(thumbnails(*images)).pairs.tolist()


CHANGES = {
    "re-saved": lambda image: saved(image, 60),
    "resized to half": lambda image: image.resize((120, 90)),
    "cropped at the left and top": lambda image: image.crop((12, 9, 240, 180)),
    "cropped all round": lambda image: image.crop((12, 9, 228, 171)),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darkened": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "all at once": lambda image: saved(
        ImageEnhance.Brightness(image.crop((0, 9, 228, 180)).resize((120, 90))).enhance(1.1), 60
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(change: str) -> None:
    others = [scene(seed) for seed in range(20)]
    assert pairs(*others, CHANGES[change](scene(7))) == [[7, 20]]


def with_disc(x: int, y: int) -> Image.Image:
    image = scene(1)
    ImageDraw.Draw(image).ellipse((x - 25, y - 25, x + 25, y + 25), fill=(230, 200, 180))
    return image


def test_the_same_background_with_something_else_before_it_is_no_copy() -> None:
    assert pairs(with_disc(80, 90), with_disc(160, 90)) == []
    assert pairs(with_disc(80, 90), saved(with_disc(80, 90), 60)) == [[0, 1]]


def test_the_same_shapes_in_other_colours_are_no_copy() -> None:
    pixels = np.asarray(scene(3))
    red, green = pixels.copy(), pixels.copy()
    red[..., 1:] //= 4
    green[..., ::2] //= 4
    assert pairs(Image.fromarray(red), Image.fromarray(green)) == []


def test_plain_pictures_are_not_compared() -> None:
    blank = [Image.new("RGB", (50, 40), (level, level, level)) for level in (30, 31, 200, 255)]
    dotted = [image.copy() for image in blank]
    for image in dotted:
        image.putpixel((3, 3), (255, 255, 255))
    assert pairs(*blank, *dotted) == []


def test_fifty_copies_of_one_picture_are_one_cluster() -> None:
    copies = [saved(scene(0).crop((n % 7, n % 5, 240, 180)), 50 + n % 40) for n in range(50)]
    clusters = find_alike(thumbnails(*(scene(seed) for seed in range(1, 6)), *copies)).clusters
    assert len(set(clusters[5:].tolist())) == 1
    assert len(set(clusters.tolist())) == 6


def test_each_pair_is_told_once_with_its_correlation() -> None:
    copies = [saved(scene(0), quality) for quality in (90, 80, 70, 60, 50, 40)]
    found = find_alike(thumbnails(*copies))
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs) == len(found.correlation)
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()
    assert found.correlation.min() > 0.99


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_photos_are_no_trouble(n: int) -> None:
    found = find_alike(np.zeros((n, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), np.uint8))
    assert (found.pairs.shape, found.clusters.tolist()) == ((0, 2), list(range(n)))


def test_three_thousand_photos_take_seconds() -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (3000, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), dtype=np.uint8)
    start = time.process_time()
    assert len(find_alike(many).pairs) == 0
    assert time.process_time() - start < 30
