"""Calibration error against outcomes whose true probability is known."""

from __future__ import annotations

import numpy as np
import pytest

from handful.metrics.calibration import calibration_error, calibration_error_interval, reliability


def _outcomes(n: int, off: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and outcomes that come true less often by `off`."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, n)
    return confidence, rng.random(n) < confidence - off


@pytest.mark.parametrize("off", [0.1, 0.3])
def test_the_error_is_the_distance_of_confidence_and_truth(off: float) -> None:
    assert calibration_error(*_outcomes(20_000, off)) == pytest.approx(off, abs=0.01)


def test_honest_confidences_have_next_to_no_error_even_when_few() -> None:
    found = [calibration_error(*_outcomes(100, 0, seed)) for seed in range(40)]
    assert np.mean(found) < 0.06  # ten bins of ten would be off by about 0.1 by chance
    assert calibration_error(*_outcomes(20_000, 0)) < 0.01


def test_the_order_of_rows_does_not_matter() -> None:
    confidence, right = _outcomes(200, 0.1)
    order = np.random.default_rng(1).permutation(200)
    assert calibration_error(confidence[order], right[order]) == calibration_error(confidence, right)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    found = [calibration_error_interval(*_outcomes(300, 0.15, seed)) for seed in range(60)]
    assert np.mean([one.low <= 0.15 <= one.high for one in found]) >= 0.85
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found)
    assert np.mean([one.high - one.low for one in found]) < 0.15


def test_rows_of_one_group_count_as_one() -> None:
    confidence, right = _outcomes(60, 0.15)
    alone = calibration_error_interval(confidence, right)
    copies = calibration_error_interval(
        np.repeat(confidence, 5), np.repeat(right, 5), np.repeat(np.arange(60), 5)
    )
    as_if_new = calibration_error_interval(np.repeat(confidence, 5), np.repeat(right, 5))
    width = alone.high - alone.low
    assert copies.high - copies.low > 0.6 * width
    assert as_if_new.high - as_if_new.low < 0.8 * (copies.high - copies.low)


def test_a_reliability_diagram_has_equally_many_in_each_bin() -> None:
    confidence, right = _outcomes(1000, 0.2)
    found = reliability(confidence, right, 10)
    assert found.count.tolist() == [100] * 10
    assert (np.diff(found.confidence) > 0).all()
    assert np.mean(found.confidence - found.accuracy) == pytest.approx(0.2, abs=0.04)
    assert list(found.as_dict()) == ["confidence", "accuracy", "count"]


def test_fewer_rows_than_bins_are_a_bin_each() -> None:
    found = reliability(np.array([0.9, 0.6, 0.7]), np.array([True, False, True]), 10)
    assert found.confidence.tolist() == [0.6, 0.7, 0.9]
    assert found.accuracy.tolist() == [0, 1, 1]
    assert calibration_error_interval(np.array([0.7]), np.array([True])).value == pytest.approx(0.3)
