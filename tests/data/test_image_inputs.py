"""The other ways into the decoder: files on disk with all their mishaps, arrays, and Pillow images."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.data.images import Photo, decode, from_array, from_pil, load, read_file
from handful.errors import ImageError

SIZE = (8, 12)


def gradient(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) % 256], axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[274] = orientation
    return block.tobytes()


# Files -------------------------------------------------------------------------------------------------


def test_files_that_are_no_regular_files_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    reasons = {
        "folder.jpg": "is a folder",
        "pipe.jpg": "pipe, socket or device",
        "empty.jpg": "is empty",
        "broken.jpg": "link to a file that is missing",
        "loop.jpg": "leads back to itself",
        "missing.jpg": "does not exist",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError, match=reason):
            read_file(tmp_path / name)
    with pytest.raises(ImageError, match="pipe, socket or device"):
        read_file(Path("/dev/zero"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageError, match="no permission"):
        read_file(path)


def test_permission_errors_are_worded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")

    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(ImageError, match="no permission"):
        read_file(path)


def test_odd_names_are_read(tmp_path: Path) -> None:
    for name in (b"-rf.png", b"\xff\xfe.png", "\N{CAT}\n.png".encode(), b"CON.png"):
        path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
        Path(path).write_bytes(encoded(gradient(), "PNG"))
        assert load(Path(path), SIZE).notes == ()
    with pytest.raises(ImageError, match="cannot be read"):
        read_file(tmp_path / ("x" * 300))
    with pytest.raises(ImageError, match="cannot be read"):
        read_file(Path("a\0b.jpg"))


# Arrays and Pillow images ------------------------------------------------------------------------------


def test_arrays_of_each_type_follow_the_rule() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.repeat(grey[..., None], 3, axis=2)
    for array in (grey, grey[..., None], expected, grey.astype(np.float32), grey.astype(np.int64)):
        np.testing.assert_array_equal(from_array(array).pixels, expected)
    np.testing.assert_array_equal(from_array(grey > 7).pixels[..., 0], (grey > 7) * 255)
    clear = np.dstack([expected, np.zeros_like(grey)])
    assert (from_array(clear).pixels == 255).all()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((4, 4), 0.5), "from 0 to 1"),
        (np.full((4, 4), 300.0), "from 300 to 300"),
        (np.full((4, 4), -1), "from -1 to -1"),
        (np.full((4, 4), np.nan), "nan"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"shape \(2, 4, 4, 3\)"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.zeros((4, 4), complex), "type complex128"),
        ("a string", r"shape \(\)"),
        (None, r"shape \(\)"),
    ],
)
def test_arrays_that_could_be_misread_are_refused(array: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        from_array(array)


def test_from_pil_turns_by_exif_and_leaves_the_image_alone() -> None:
    image = Image.open(io.BytesIO(encoded(gradient(), "JPEG", exif=exif(6))))
    photo = from_pil(image)
    assert (photo.width, photo.height) == (40, 60)
    assert image.size == (60, 40)
    np.testing.assert_array_equal(photo.pixels, decode(encoded(gradient(), "JPEG", exif=exif(6)), "a").pixels)


def test_from_pil_words_what_it_cannot_take() -> None:
    wrong: Any = "cat.jpg"
    with pytest.raises(ImageError, match="is a str, not a Pillow image"):
        from_pil(wrong)
    cut = Image.open(io.BytesIO(encoded(gradient(400, 400), "JPEG")[:-900]))
    with pytest.raises(ImageError, match="image"):
        from_pil(cut)


def test_a_photo_cannot_be_changed() -> None:
    photo = Photo(gradient(), 60, 40, "PNG")
    with pytest.raises(AttributeError):
        photo.width = 3  # pyright: ignore[reportAttributeAccessIssue]  - that it is refused is the test
