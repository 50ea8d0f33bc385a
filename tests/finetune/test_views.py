"""Views: never the same twice, the same again in the next run, and the object stays in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.data import images
from handful.errors import DataError
from handful.files import sha256_of_file
from handful.finetune.views import ViewedPhoto, ViewRules, _crop, draw_view, source_size, views_of

SIZE = (48, 64)
NONE = ViewRules(crop=False, rotate=False, colour=False, flip=False)


@pytest.fixture
def photo(tmp_path: Path) -> ViewedPhoto:
    rng = np.random.default_rng(0)
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    return ViewedPhoto(path, "photo.png", sha256_of_file(path))


def test_no_two_views_are_alike_and_the_first_is_what_prediction_sees(photo: ViewedPhoto) -> None:
    views = views_of(photo, SIZE, ViewRules(), 8)
    assert views.shape == (8, *SIZE, 3)
    assert views.dtype == np.uint8
    assert len({view.tobytes() for view in views}) == 8
    assert (views[0] == images.load(photo.path, SIZE).pixels).all()


def test_the_same_views_are_drawn_again_whatever_else_is_drawn(photo: ViewedPhoto) -> None:
    again = views_of(photo, SIZE, ViewRules(), 3)
    assert (views_of(photo, SIZE, ViewRules(), 8)[:3] == again).all()
    other = replace(photo, sha256="0" * 64)
    pixels = images.load(photo.path, source_size(SIZE, ViewRules())).pixels
    assert (draw_view(pixels, SIZE, ViewRules(), photo.sha256, 1) == again[1]).all()
    assert (draw_view(pixels, SIZE, ViewRules(), other.sha256, 1) != again[1]).any()


def test_crops_keep_the_area_they_promise_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(500):
        left, top, right, bottom = _crop((200, 100), 0.6, rng)
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 100
        kept.append((right - left) * (bottom - top) / 20_000)
    assert min(kept) >= 0.6 - 1e-9
    assert min(kept) < 0.65
    assert max(kept) > 0.95


def test_nothing_changes_where_nothing_may(photo: ViewedPhoto) -> None:
    pixels = images.load(photo.path, SIZE).pixels
    assert source_size(SIZE, NONE) == SIZE
    assert (draw_view(pixels, SIZE, NONE, photo.sha256, 1) == pixels).all()


@pytest.mark.parametrize("kind", ["crop", "rotate", "colour"])
def test_each_kind_of_change_can_be_asked_for_alone(kind: str, photo: ViewedPhoto) -> None:
    rules = replace(NONE, **{kind: True})
    pixels = images.load(photo.path, SIZE).pixels
    assert (draw_view(pixels, SIZE, rules, photo.sha256, 1) != pixels).any()


def test_flips_only_come_where_they_are_allowed(photo: ViewedPhoto) -> None:
    pixels = images.load(photo.path, SIZE).pixels
    rules = replace(NONE, flip=True)
    drawn = [draw_view(pixels, SIZE, rules, photo.sha256, number) for number in range(1, 21)]
    mirrored = [bool((view == pixels[:, ::-1]).all()) for view in drawn]
    plain = [bool((view == pixels).all()) for view in drawn]
    assert any(mirrored)
    assert any(plain)
    assert all(one or other for one, other in zip(mirrored, plain, strict=True))


def test_a_photo_that_changed_since_is_refused(photo: ViewedPhoto) -> None:
    Image.new("RGB", (90, 120)).save(photo.path)
    with pytest.raises(DataError, match=r"photo\.png changed while it was used"):
        views_of(photo, SIZE, ViewRules(), 2)
