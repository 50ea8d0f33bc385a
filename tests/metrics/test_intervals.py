"""Exact limits of proportions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from handful.metrics.intervals import exact_interval, wilson


@pytest.mark.parametrize(
    # The published examples: Newcombe 1998, table I, method 5.
    ("right", "n", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_exact_limits_are_the_published_ones(right: int, n: int, low: float, high: float) -> None:
    found = exact_interval(right / n, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_they_hold_the_truth_at_least_as_often_as_they_say_near_one() -> None:
    right = np.random.default_rng(0).binomial(40, 0.989, size=4000)
    exact, score = np.unique(right, return_counts=True), {}
    for name, interval in (
        ("exact", lambda x: exact_interval(x / 40, 40)),
        ("wilson", lambda x: wilson(x, 40)),
    ):
        limits = [interval(int(x)) for x in exact[0]]
        score[name] = sum(c for c, i in zip(exact[1], limits, strict=True) if i.low <= 0.989 <= i.high) / 4000
    assert score["exact"] > 0.95 > score["wilson"]


def test_fewer_trials_make_a_wider_interval_about_the_same_share() -> None:
    many, few = exact_interval(0.8, 60), exact_interval(0.8, 41.3)
    assert few.low < many.low < many.value == few.value == 0.8 < many.high < few.high


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_or_all_wrong_ends_at_the_edge(share: float) -> None:
    found = exact_interval(share, 12.5)
    edge, other = (found.low, found.high) if share == 0 else (found.high, found.low)
    assert edge == share
    assert 0.2 < abs(other - share) < 0.3


@pytest.mark.parametrize(("share", "trials"), [(0.5, 0), (math.nan, 10)])
def test_nothing_measured_is_not_a_number(share: float, trials: float) -> None:
    assert math.isnan(exact_interval(share, trials).low)
