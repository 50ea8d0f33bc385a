"""The values at a cut: what was computed is kept, what was not is computed, and no damage is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.errors import DataError
from handful.files import WriteError, sha256_of_file
from handful.finetune.views import ViewedPhoto, ViewRules, views_of
from handful.networks.quiet import import_keras

import_keras()

from handful.finetune import trunk  # noqa: E402  # Keras is imported quietly first
from handful.finetune.trunk import KeptValues  # noqa: E402

SIZE, RULES, VIEWS = (8, 8), ViewRules(), 3
VALUES = 8 * 8 * 3


class Stop(BaseException):
    """As Ctrl-C."""


class Pixels:
    """A trunk that gives the pixels themselves; it stops after so many photos."""

    def __init__(self, photos: int = 1000) -> None:
        self.left = photos

    def run(self, pixels: np.ndarray) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            raise Stop
        return pixels.reshape(len(pixels), -1).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ViewedPhoto]:
    """Ten photos, kept four at a time."""
    monkeypatch.setattr(trunk, "_CHUNK", 4)
    rng = np.random.default_rng(0)
    found = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)
        found.append(ViewedPhoto(path, path.name, sha256_of_file(path)))
    return found


def kept(folder: Path, photos: list[ViewedPhoto], dtype: type[np.floating] = np.float32) -> KeptValues:
    return KeptValues(folder, photos, VIEWS, VALUES, dtype)


def fill(values: KeptValues, trunk: Pixels) -> None:
    values.fill(trunk, SIZE, RULES, workers=1, advance=lambda steps: None)


def expected(photo: ViewedPhoto) -> np.ndarray:
    return views_of(photo, SIZE, RULES, VIEWS).reshape(VIEWS, -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_every_view_is_where_it_belongs(
    dtype: type[np.floating], photos: list[ViewedPhoto], tmp_path: Path
) -> None:
    values = kept(tmp_path / "kept", photos, dtype)
    fill(values, Pixels())
    assert values.missing == 0
    rows, views = np.array([3, 9, 3]), np.array([0, 2, 1])
    taken = values.take(rows, views)
    assert taken.dtype == np.float32
    assert (
        taken == np.stack([expected(photos[row])[view] for row, view in zip(rows, views, strict=True)])
    ).all()
    assert (values.take(rows, 0) == np.stack([expected(photos[row])[0] for row in rows])).all()


@pytest.mark.parametrize(("stopped_after", "left"), [(0, 10), (3, 10), (4, 6), (9, 2)])
def test_a_run_that_was_stopped_goes_on_behind_the_last_chunk(
    stopped_after: int, left: int, photos: list[ViewedPhoto], tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        fill(kept(tmp_path / "kept", photos), Pixels(stopped_after))
    again = kept(tmp_path / "kept", photos)
    assert again.missing == left
    fill(again, Pixels(left))
    assert (again.take(np.arange(10), 0) == np.stack([expected(photo)[0] for photo in photos])).all()


@pytest.mark.parametrize("damage", ["record", "size", "views", "dtype"])
def test_what_is_not_as_recorded_is_computed_again(
    damage: str, photos: list[ViewedPhoto], tmp_path: Path
) -> None:
    fill(kept(tmp_path / "kept", photos), Pixels())
    if damage == "record":
        (tmp_path / "kept" / "values.json").write_text("{")
    elif damage == "size":
        with (tmp_path / "kept" / "values.bin").open("r+b") as stream:
            stream.truncate(100)
    views, dtype = (2 if damage == "views" else VIEWS), (np.float16 if damage == "dtype" else np.float32)
    assert KeptValues(tmp_path / "kept", photos, views, VALUES, dtype).missing == 10


def test_a_photo_that_changed_meanwhile_stops_it(photos: list[ViewedPhoto], tmp_path: Path) -> None:
    Image.new("RGB", (12, 10)).save(photos[5].path)
    with pytest.raises(DataError, match=r"5\.png changed while it was used"):
        fill(kept(tmp_path / "kept", photos), Pixels())


def test_a_disk_without_room_is_found_before_anything_is_computed(
    photos: list[ViewedPhoto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(WriteError, match="The disk is full"):
        kept(tmp_path / "kept", photos)
