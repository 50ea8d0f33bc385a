"""Tiny real photos in real folders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

MakePhoto = Callable[..., Path]


@pytest.fixture
def photo(tmp_path: Path) -> MakePhoto:
    """Draw a photo that is like no other: photo("cat/1.png"), or photo("cat/2.png", like=7)."""
    numbers = count(1000)

    def draw(name: str, like: int | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = next(numbers) if like is None else like
        image = Image.new("RGB", (24, 20), (number % 256, number // 256, 90))
        image.putpixel((3, 3), (255, 255, 255))
        kind = "JPEG" if path.suffix.lower() in {".jpg", ".jpeg"} else "PNG"
        with path.open("wb") as stream:
            image.save(stream, kind)
        return path

    return draw


@pytest.fixture
def pets(photo: MakePhoto, tmp_path: Path) -> Path:
    """A good data set: photos/cat and photos/dog with three photos each."""
    for name in ("cat", "dog"):
        for number in range(3):
            photo(f"photos/{name}/{number}.png")
    return tmp_path / "photos"
