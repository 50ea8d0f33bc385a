"""Prediction sets: the quantile is exact, and the coverage is what it says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from handful.audit.conformal import conformal_quantile, fit_prediction_sets
from handful.errors import ConfigError, DataError
from handful.metrics.scores import softmax


def _drawn(n: int, seed: int, classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(0, 1, (n, classes)) + 2 * np.eye(classes)[labels]
    return softmax(logits), labels, rng.permutation(n) % 10


def test_the_quantile_leaves_room_for_the_new_one() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))
    assert conformal_quantile(scores, 0.9) == 18  # ceil(0.9 * 20)
    assert conformal_quantile(scores, 0.95) == 19
    assert conformal_quantile(scores, 0.96) == math.inf
    assert conformal_quantile(scores[:0], 0.5) == math.inf


def test_members_of_a_group_count_as_one_row() -> None:
    scores = np.arange(1.0, 20.0)
    many = np.repeat(scores, np.arange(1, 20))
    groups = np.repeat(np.arange(19), np.arange(1, 20))
    assert conformal_quantile(many, 0.9, groups) == conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(many, 0.5, groups) == 10
    assert conformal_quantile(many, 0.5) == 14  # without groups the large ones count more


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_new_sets_hold_the_truth_as_often_as_stated(coverage: float) -> None:
    held = []
    for seed in range(150):
        found = fit_prediction_sets(*_drawn(100, seed), coverage=coverage)
        probabilities, labels, _ = _drawn(500, 1000 + seed)
        held.append(found.holds(probabilities)[np.arange(500), labels].mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.015)


def test_sets_grow_with_the_coverage_and_hold_the_most_probable_first() -> None:
    probabilities, labels, folds = _drawn(200, 0)
    small, large = (fit_prediction_sets(probabilities, labels, folds, coverage=c) for c in (0.7, 0.95))
    assert small.size < large.size
    sets = small.holds(probabilities)
    some = sets.any(axis=1)
    assert sets[some, probabilities[some].argmax(axis=1)].all()
    assert small.empty > 0


def test_what_is_measured_comes_from_rules_without_the_fold() -> None:
    probabilities, labels, folds = _drawn(300, 3)
    found = fit_prediction_sets(probabilities, labels, folds)
    true = probabilities[np.arange(300), labels]
    held = []
    for fold in range(10):
        rest = fit_prediction_sets(probabilities[folds != fold], labels[folds != fold], folds[folds != fold])
        held += (true[folds == fold] >= rest.least).tolist()
    assert found.measured.value == pytest.approx(np.mean(held), abs=1e-12)
    assert found.measured.low < 0.9 < found.measured.high
    assert 0 <= found.single <= 1


def test_too_few_photos_put_every_class_into_the_set() -> None:
    probabilities, labels, folds = _drawn(8, 0)
    found = fit_prediction_sets(probabilities, labels, folds)
    assert found.least == 0
    assert found.holds(probabilities).all()


def test_the_result_is_plain_and_told_in_a_line() -> None:
    found = fit_prediction_sets(*_drawn(100, 0))
    assert json.loads(json.dumps(found.as_dict()))["least_probability"] == found.least
    assert "90 % of the time" in str(found)
    assert "\n" not in str(found)


def test_wrong_input_is_refused() -> None:
    probabilities, labels, folds = _drawn(20, 0)
    with pytest.raises(ConfigError, match=r"coverage=1\.5.*between 0 and 1"):
        fit_prediction_sets(probabilities, labels, folds, coverage=1.5)
    with pytest.raises(DataError, match="20 rows of probabilities, 19 labels"):
        fit_prediction_sets(probabilities, labels[:-1], folds)
