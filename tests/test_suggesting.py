"""What to label next: doubtful photos, each of another kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handful.audit.to_label import rank_to_label
from handful.classifier import Classifier
from handful.errors import DataError
from handful.progress import Silent
from handful.suggesting import suggest_photos


def _clusters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Six clusters of ten; the model is unsure about the last three alone."""
    rng = np.random.default_rng(seed)
    places = 5 * np.eye(6, 12)
    features = (np.repeat(places, 10, axis=0) + rng.normal(0, 0.1, (60, 12))).astype(np.float32)
    sure = np.repeat([0.99, 0.99, 0.99, 0.5, 0.5, 0.5], 10) + rng.uniform(0, 0.005, 60)
    return features, np.stack([sure, 1 - sure], axis=1).astype(np.float32)


def test_doubtful_photos_of_different_kinds_come_first() -> None:
    features, probabilities = _clusters()
    for seed in range(10):
        first = rank_to_label(features, probabilities, 3, seed)
        assert sorted(first // 10) == [3, 4, 5]


def test_the_order_holds_every_photo_once() -> None:
    features, probabilities = _clusters()
    order = rank_to_label(features, probabilities, 100)
    assert sorted(order) == list(range(60))
    np.testing.assert_array_equal(order[:7], rank_to_label(features, probabilities, 7))


def test_the_distances_are_those_of_the_gradients() -> None:
    features, probabilities = _clusters()
    wide = features - features.mean(axis=0)
    wide = np.hstack([wide / np.sqrt((wide**2).sum(axis=1).mean()), np.ones((60, 1))])
    slopes = probabilities - np.eye(2)[probabilities.argmax(axis=1)]
    gradients = np.einsum("nk,nd->nkd", slopes, wide).reshape(60, -1)
    first = int((gradients**2).sum(axis=1).argmax())
    assert rank_to_label(features, probabilities, 1)[0] == first
    from_nothing = (gradients**2).sum(axis=1)
    far = np.minimum(((gradients - gradients[first]) ** 2).sum(axis=1), from_nothing)
    drawn = np.array([rank_to_label(features, probabilities, 2, seed)[1] for seed in range(400)])
    shares = [np.isin(drawn, range(10 * c, 10 * c + 10)).mean() for c in range(6)]
    np.testing.assert_allclose(shares, far.reshape(6, 10).sum(axis=1) / far.sum(), atol=0.08)


def test_photos_that_are_all_alike_still_get_an_order() -> None:
    order = rank_to_label(np.ones((5, 3), np.float32), np.tile([1.0, 0.0], (5, 1)), 5)
    assert sorted(order) == list(range(5))
    assert len(rank_to_label(np.ones((0, 3), np.float32), np.ones((0, 2)), 5)) == 0


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="3 rows of features and 2 of probabilities"):
        rank_to_label(np.ones((3, 2)), np.ones((2, 2)), 1)


def test_files_are_suggested_once_and_none_the_model_was_trained_on(
    trained_once: Path, colours: Path, draw: Callable[..., Path], tmp_path: Path
) -> None:
    new = draw(tmp_path / "new", each=3, first=50)
    (tmp_path / "new" / "copy.png").write_bytes((new / "red" / "red_050.png").read_bytes())
    (tmp_path / "new" / "page.jpg").write_text("<html>")
    model = Classifier.load(trained_once)
    found = suggest_photos(model, [new, colours / "red"], 4, speaker=Silent())
    assert len(found.photos) == 4
    assert (found.looked_at, found.trained_on, found.skipped) == (9, 10, 1)
    for one in found.photos:
        assert one.label == model.predict(one.file).label
        assert str(new) in one.file
    assert any("page.jpg" in problem.file for problem in found.problems)
    assert found.as_dict()["photos"][0]["file"] == found.photos[0].file


def test_nothing_to_suggest_is_the_users_mistake(trained_once: Path, colours: Path, tmp_path: Path) -> None:
    model = Classifier.load(trained_once)
    with pytest.raises(DataError, match=r"None of 10 photos can be suggested: 0 .* trained on 10"):
        suggest_photos(model, [colours / "red"], 4, speaker=Silent())
    with pytest.raises(DataError, match="There is no photo"):
        suggest_photos(model, [tmp_path], 4, speaker=Silent())
