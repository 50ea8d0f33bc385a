"""Intervals after repeated cross-validation: what widens them, and which way."""

from __future__ import annotations

import numpy as np
import pytest

from handful.audit.intervals import (
    balanced_units,
    cross_validated_interval,
    effective_trials,
    gain_from_all,
)
from handful.metrics.intervals import exact_interval


def test_the_variance_is_that_of_nadeau_and_bengio() -> None:
    # 3 repeats of 5 folds over 100 photos: sigma^2 = 5 p (1 - p) / 100, times 1 / 15 + 1 / 4.
    share = 0.7
    variance = 5 * share * (1 - share) / 100 * (1 / 15 + 1 / 4)
    assert share * (1 - share) / effective_trials(100, 5, 3) == pytest.approx(variance)


def test_more_repeats_and_more_folds_tell_more_but_never_more_than_the_photos() -> None:
    trials = [
        effective_trials(60, folds, repeats) for folds, repeats in ((5, 1), (5, 4), (10, 4), (10, 1000))
    ]
    assert trials == sorted(trials)
    assert trials[-1] < 60


def test_an_expected_gain_moves_the_upper_limit_alone() -> None:
    plain = exact_interval(0.8, 50)
    moved = cross_validated_interval(0.8, 0.04, 50)
    assert (moved.value, moved.low) == (0.8, plain.low)
    assert moved.high == pytest.approx(exact_interval(0.84, 50).high)


def test_an_expected_loss_is_not_believed() -> None:
    assert cross_validated_interval(0.8, -0.1, 50) == exact_interval(0.8, 50)


def test_a_gain_beyond_one_hundred_percent_ends_there() -> None:
    assert cross_validated_interval(0.98, 0.1, 50).high == 1


def test_the_gain_is_right_where_error_falls_as_one_over_the_photos() -> None:
    folds, n = 5, 4
    error = 0.2 / np.array([(folds - 2) / folds, (folds - 1) / folds, 1])  # at 3, 4 and all 5 folds
    right = np.full(n, 1 - error[1])
    nested = np.full((folds, n), 1 - error[0])
    assert gain_from_all(right, nested, folds) == pytest.approx(np.full(n, error[1] - error[2]))


def test_the_gain_compares_each_photo_with_itself() -> None:
    right = np.array([1.0, 0.0, 1.0])
    nested = np.array([[np.nan, 1.0, np.nan], [1.0, np.nan, np.nan], [0.0, 0.0, np.nan], [1.0, 0.0, np.nan]])
    found = gain_from_all(right, nested, 4)
    assert found[:2] == pytest.approx([(1 - 2 / 3) / 2, (0 - 1 / 3) / 2])
    assert np.isnan(found[2])


def test_two_folds_cannot_tell_a_gain() -> None:
    assert gain_from_all(np.ones(3), np.zeros((2, 3)), 2) == pytest.approx(np.zeros(3))


def test_classes_of_one_size_count_as_all_their_photos() -> None:
    assert balanced_units(np.array([0.9, 0.9]), np.array([30.0, 30.0])) == pytest.approx(60)


def test_a_small_class_counts_for_much_and_more_so_when_it_is_hard() -> None:
    units = np.array([100.0, 10.0])
    even = balanced_units(np.array([0.8, 0.8]), units)
    hard = balanced_units(np.array([0.98, 0.6]), units)
    assert even == pytest.approx(4 / (1 / 100 + 1 / 10))
    assert hard == pytest.approx(0.79 * 0.21 / ((0.98 * 0.02 / 100 + 0.6 * 0.4 / 10) / 4))
    assert hard < even


def test_recalls_without_spread_are_judged_by_size_alone() -> None:
    assert balanced_units(np.array([1.0, 1.0]), np.array([5.0, 20.0])) == pytest.approx(4 / (1 / 5 + 1 / 20))
