"""What a photo's file tells besides its pixels: camera, time, size, thumbnail."""

from __future__ import annotations

import calendar
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.data import images
from handful.data.looks import look_of, thumbnail_of
from handful.data.tiff_parts import origin_in

TAKEN = calendar.timegm((2017, 5, 24, 17, 31, 2))


def exif(taken: str = "2017:05:24 17:31:02", changed: str = "", model: str = "X 5") -> Image.Exif:
    block = Image.Exif()
    block[271], block[272] = "Acme", model
    if changed:
        block[306] = changed
    if taken:
        block.get_ifd(0x8769)[36867] = taken
    return block


def saved(kind: str, block: Image.Exif, **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 100, 50)).save(stream, kind, exif=block, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
def test_camera_and_time_are_read_from_every_format_that_holds_them(kind: str) -> None:
    data = saved(kind, exif(changed="2017:05:24 17:31:02"))
    look = look_of(images.decode(data, "photo", (64, 64)), len(data))
    assert (look.camera, look.taken) == ("Acme X 5", TAKEN)
    assert (look.width, look.height, look.format, look.size) == (60, 40, kind, len(data))
    assert look.thumbnail.shape == (32, 32, 3)
    assert np.abs(look.thumbnail.astype(int) - (200, 100, 50)).max() < 12


@pytest.mark.parametrize(
    ("taken", "changed", "expected"),
    [
        ("", "2017:05:24 17:31:02", TAKEN),
        ("2017:05:24 17:31:02", "2020:01:01 00:00:00", TAKEN),
        ("0000:00:00 00:00:00", "", None),
        ("    :  :     :  :  ", "2017:05:24 17:31:02", TAKEN),
        ("2017:13:40 17:31:02", "", None),
        ("yesterday", "", None),
        ("", "", None),
    ],
)
def test_a_time_that_is_none_is_none(taken: str, changed: str, expected: int | None) -> None:
    data = saved("JPEG", exif(taken, changed))
    assert images.decode(data, "photo.jpg").taken == expected


def test_a_name_is_one_line_of_printable_text() -> None:
    assert images.decode(saved("JPEG", exif(model="a\nb\x1b[31m  c ")), "p.jpg").camera == "Acme a b [31m c"
    assert images.decode(saved("JPEG", exif(model="x" * 5000)), "p.jpg").camera == "Acme"


def test_without_exif_nothing_is_told() -> None:
    photo = images.from_array(np.zeros((20, 20, 3), np.uint8))
    assert (photo.camera, photo.taken) == ("", None)
    data = saved("JPEG", Image.Exif())
    assert (images.decode(data, "p").camera, images.decode(data, "p").taken) == ("", None)


def test_a_broken_block_tells_nothing_and_never_fails() -> None:
    block = exif().tobytes().removeprefix(b"Exif\x00\x00")
    assert origin_in(block) == ("Acme X 5", TAKEN)
    rng = np.random.default_rng(0)
    for length in range(len(block)):
        origin_in(block[:length])
    for _ in range(2000):
        damaged = bytearray(block)
        for at in rng.integers(0, len(block), 3):
            damaged[at] = rng.integers(0, 256)
        camera, taken = origin_in(bytes(damaged))
        assert isinstance(camera, str)
        assert taken is None or isinstance(taken, int)


def test_turning_a_photo_by_exif_turns_its_look(tmp_path: Path) -> None:
    block = exif()
    block[274] = 6
    look = look_of(images.decode(saved("JPEG", block), "p.jpg", (64, 64)), 1)
    assert (look.width, look.height) == (40, 60)


def test_thumbnails_are_averages() -> None:
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, 48:] = 200
    small = thumbnail_of(pixels)
    assert (small[:, :16] == 0).all()
    assert (small[:, 16:] == 200).all()
