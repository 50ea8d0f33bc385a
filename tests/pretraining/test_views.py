"""Photos are read whole, and view v is the same pixels in every run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def photos(script: Script, drawn: Path) -> Any:
    return script("photos").read(drawn, 64)


def test_every_photo_is_read_with_its_class(photos: Any) -> None:
    assert photos.pixels.shape == (24, 64, 64, 3)
    assert photos.classes == ("dented", "fine", "scratched", "stained")
    assert np.bincount(photos.labels).tolist() == [6, 6, 6, 6]
    assert len(np.unique(photos.pixels.reshape(24, -1), axis=0)) == 24


def test_photos_one_folder_deeper_are_read_too(
    script: Script, drawn: Path, photos: Any, tmp_path: Path
) -> None:
    shutil.copytree(drawn / "fine", tmp_path / "n01" / "images")
    deeper = script("photos").read(tmp_path, 64)
    assert deeper.classes == ("n01",)
    np.testing.assert_array_equal(deeper.pixels, photos.pixels[photos.labels == 1])


def test_a_file_that_is_no_photo_is_named(script: Script, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x.jpg").write_bytes(b"no photo")
    with pytest.raises(SystemExit, match=r"x\.jpg cannot be read"):
        script("photos").read(tmp_path, 64)


def test_a_folder_without_photos_is_named(script: Script, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no class folders with photos"):
        script("photos").read(tmp_path, 64)


def test_what_is_watched_is_never_learned_from(script: Script, photos: Any) -> None:
    learned, watched = script("photos").apart(photos, 3)
    assert (np.bincount(learned.labels).tolist(), np.bincount(watched.labels).tolist()) == ([4] * 4, [2] * 4)
    both = np.concatenate([learned.pixels, watched.pixels]).reshape(24, -1)
    assert len(np.unique(both, axis=0)) == 24


def test_no_photos_to_watch_is_said(script: Script, photos: Any) -> None:
    _, watched = script("photos").apart(photos, 50)
    with pytest.raises(SystemExit, match="too few photos a class"):
        script("views").plan(watched, 10, 0.5, 0)


def test_the_same_seed_plans_the_same_views_and_another_others(script: Script, photos: Any) -> None:
    plan = script("views").plan
    one, same, other = plan(photos, 60, 0.5, 1), plan(photos, 60, 0.5, 1), plan(photos, 60, 0.5, 2)
    np.testing.assert_array_equal(one.parts, same.parts)
    assert (one.parts != other.parts).any()
    np.testing.assert_array_equal(one.pixels(3, 96), same.pixels(3, 96))


def test_each_photo_comes_up_once_before_any_comes_again(script: Script, photos: Any) -> None:
    parts = script("views").plan(photos, 48, 0.0, 1).parts
    assert sorted(parts[:24, 0]) == sorted(parts[24:, 0]) == list(range(24))
    assert (parts == parts[:, :1]).all()


def test_a_collage_is_four_photos_and_a_whole_photo_one(script: Script, photos: Any) -> None:
    views = script("views")
    parts = np.array([[0, 1, 2, 3], [5, 5, 5, 5]])
    plan = views.Plan(photos, parts)
    collage = plan.pixels(0, 128)
    quarters = collage[:64, :64], collage[:64, 64:], collage[64:, :64], collage[64:, 64:]
    for row, quarter in enumerate(quarters):
        np.testing.assert_array_equal(quarter, photos.pixels[row])
    np.testing.assert_array_equal(plan.pixels(1, 64), photos.pixels[5])
    assert plan.pixels(1, 96).shape == (96, 96, 3)


def test_jitter_is_drawn_from_its_generator_alone(script: Script, photos: Any) -> None:
    jitter = script("views").jitter
    before = photos.pixels[0].copy()
    one, same, other = (jitter(photos.pixels[0], np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 1
    assert (one.shape, one.dtype) == ((64, 64, 3), np.float32)
    assert one.min() >= 0
    assert one.max() <= 255
    np.testing.assert_array_equal(photos.pixels[0], before)
