"""What stands beside the result, on the same folds."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from handful.audit.baselines import (
    WORDS,
    Rows,
    baselines,
    from_pixels,
    from_scratch,
    majority,
    nearest,
    raw_pixels,
)
from handful.audit.intervals import effective_trials
from handful.config import DEFAULT_PENALTY, PENALTIES
from handful.data.splitting import stratified_folds
from handful.heads.fitting import cross_fit
from handful.metrics.intervals import exact_interval

FIT = partial(cross_fit, classes=2, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY)


def shades(n: int = 40) -> Rows:
    """Dark photos of class 0, bright ones of class 1; features that say nothing."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    thumbnails = random.integers(0, 120, (n, 32, 32, 3)) + 100 * labels[:, None, None, None]
    features = random.normal(size=(n, 12)).astype(np.float32)
    folds = stratified_folds(labels, 5, 0)
    return Rows(features, thumbnails.astype(np.uint8), labels, np.arange(n), folds, 2)


def test_the_majority_is_that_of_the_other_folds() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2])
    folds = np.array([0, 0, 1, 1, 1, 1])
    assert majority(labels, folds, 3).tolist() == [1, 1, 0, 0, 0, 0]


def test_the_nearest_photo_is_never_of_the_own_fold() -> None:
    features = np.array([[1, 0], [1, 0.01], [0, 1], [0.1, 1], [1, 0.1]], dtype=np.float32)
    labels = np.array([0, 1, 1, 1, 0])
    folds = np.array([0, 0, 0, 1, 1])
    # Row 0's twin, row 1, shares its fold: row 4 is the nearest that counts.
    assert nearest(features, labels, folds).tolist() == [0, 0, 1, 1, 1]


def test_nearness_ignores_the_length_of_features() -> None:
    features = np.array([[5, 1], [100, 1], [1, 100], [1, 5]], dtype=np.float32)
    labels, folds = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    assert nearest(features, labels, folds).tolist() == labels.tolist()


def test_nearness_is_about_the_mean_of_the_training_photos() -> None:
    features = 100 + np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1]], dtype=np.float32)
    labels, folds = np.array([0, 1, 0, 1]), np.arange(4)
    assert nearest(features, labels, folds).tolist() == labels.tolist()


def test_raw_pixels_are_means_of_the_thumbnail_in_zero_to_one() -> None:
    thumbnail = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    thumbnail[0, 0, 0, 0] = 255
    thumbnail[0, 30:, 30:, 2] = 255
    pixels = raw_pixels(thumbnail).reshape(16, 16, 3)
    assert pixels[0, 0].tolist() == [0.25, 0, 0]
    assert pixels[15, 15].tolist() == [0, 0, 1]
    assert pixels.sum() == 1.25


def test_a_side_that_sixteen_does_not_divide_is_averaged_too() -> None:
    assert raw_pixels(np.full((2, 37, 37, 3), 51, dtype=np.uint8)) == pytest.approx(0.2)


def test_classes_that_differ_by_brightness_are_told_by_their_pixels() -> None:
    rows = shades()
    assert (from_pixels(rows, FIT) == rows.labels).all()


def test_each_baseline_has_its_scores_with_intervals_and_its_words() -> None:
    steps: list[int] = []
    found = {one.name: one for one in baselines(shades(), FIT, advance=steps.append)}
    assert list(found) == ["majority", "pixels", "nearest"]
    assert steps == [1, 1, 1]
    assert found["pixels"].accuracy.value == found["pixels"].balanced_accuracy.value == 1
    assert found["majority"].accuracy.value <= 0.5
    assert 0.2 < found["nearest"].accuracy.value < 0.8
    for name, one in found.items():
        assert one.what == WORDS[name]
        assert one.accuracy == exact_interval(one.accuracy.value, effective_trials(40, 5, 1))
        assert json.loads(json.dumps(one.as_dict()))["accuracy"]["value"] == one.accuracy.value


def test_copies_of_one_photo_count_once() -> None:
    rows = shades()
    alone = baselines(rows, FIT)[2]
    bound = baselines(
        Rows(rows.features, rows.thumbnails, rows.labels, np.arange(40) // 4, rows.folds, 2), FIT
    )[2]
    assert bound.accuracy.value == alone.accuracy.value
    assert bound.accuracy.low < alone.accuracy.low


def test_without_the_network_from_scratch_tensorflow_is_not_imported() -> None:
    code = "import sys, handful.audit.baselines; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_network_from_scratch_stands_beside_the_others() -> None:
    found = from_scratch(shades(), seed=0)
    assert found.name == "scratch"
    assert found.accuracy.value > 0.8
