"""Scores and intervals against values worked out elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from handful.metrics import intervals, scores


def test_scores_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, predicted = random.integers(4, size=100), random.integers(4, size=100)
    confusion = scores.confusion_matrix(labels, predicted, 4)
    assert np.array_equal(confusion, reference.confusion_matrix(labels, predicted))
    assert scores.accuracy(confusion) == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores.balanced_accuracy(confusion) == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted)
    )
    precision, recall, _, _ = reference.precision_recall_fscore_support(labels, predicted)
    assert scores.recalls(confusion) == pytest.approx(recall)
    assert scores.precisions(confusion) == pytest.approx(precision)


def test_log_loss_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    probabilities = scores.softmax(random.normal(size=(50, 3)))
    labels = random.integers(3, size=50)
    assert scores.log_loss(probabilities, labels) == pytest.approx(
        reference.log_loss(labels, probabilities, labels=[0, 1, 2]), rel=1e-5
    )


def test_softmax_rows_sum_to_one_whatever_the_size() -> None:
    rows = scores.softmax(np.array([[1e4, -1e4, 0], [0, 0, 0]]))
    assert rows.sum(axis=1) == pytest.approx(1)
    assert rows.dtype == np.float32


def test_a_class_without_photos_has_no_recall_and_does_not_count() -> None:
    confusion = np.array([[3, 1], [0, 0]])
    assert math.isnan(scores.recalls(confusion)[1])
    assert scores.balanced_accuracy(confusion) == 0.75


@pytest.mark.parametrize(
    # The published examples: Newcombe 1998, table I, method 3.
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_limits(right: int, n: int, low: float, high: float) -> None:
    found = intervals.wilson(right, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_36_of_40_is_anything_from_77_to_96_percent() -> None:
    assert str(intervals.wilson(36, 40)) == "90.0 % (95 % interval 76.9 to 96.0 %)"


def test_the_balanced_interval_covers_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    true, counts = np.array([0.95, 0.8, 0.6]), np.array([40, 15, 10])
    hits = 0
    for _ in range(2000):
        right = random.binomial(counts, true)
        confusion = np.zeros((3, 3), dtype=int)
        np.fill_diagonal(confusion, right)
        confusion[[0, 1, 2], [1, 2, 0]] = counts - right
        found = intervals.balanced_accuracy_interval(confusion)
        hits += found.low <= true.mean() <= found.high
    assert 0.935 < hits / 2000 < 0.985


def test_nothing_scored_is_not_a_number() -> None:
    assert math.isnan(intervals.accuracy_interval(np.zeros((2, 2), dtype=int)).value)


def test_the_commonest_confusion_is_found() -> None:
    assert scores.commonest_confusion(np.array([[5, 1], [3, 2]])) == (1, 0, 3)
    assert scores.commonest_confusion(np.diag([2, 2])) is None


def test_copies_count_once_in_an_interval() -> None:
    one = intervals.accuracy_interval(np.diag([10, 10]))
    copied = intervals.accuracy_interval(np.diag([200, 200]), independent=20)
    assert (copied.low, copied.high) == pytest.approx((one.low, one.high))
    grouped = intervals.balanced_accuracy_interval(np.diag([200, 200]), independent=np.array([10, 10]))
    alone = intervals.balanced_accuracy_interval(np.diag([10, 10]))
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))


def test_f1_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(2)
    labels, predicted = random.integers(4, size=100), random.integers(4, size=100)
    confusion = scores.confusion_matrix(labels, predicted, 4)
    _, _, f1, _ = reference.precision_recall_fscore_support(labels, predicted)
    assert scores.f1_scores(confusion) == pytest.approx(f1)
    assert scores.macro_f1(confusion) == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_a_class_that_neither_occurs_nor_is_predicted_has_no_f1() -> None:
    confusion = np.array([[3, 1, 0], [1, 5, 0], [0, 0, 0]])
    assert math.isnan(scores.f1_scores(confusion)[2])
    assert scores.macro_f1(confusion) == pytest.approx((6 / 8 + 10 / 12) / 2)
    assert math.isnan(scores.macro_f1(np.zeros((2, 2), dtype=int)))


def test_the_brier_score_is_summed_over_classes() -> None:
    probabilities = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]], dtype=np.float32)
    assert scores.brier_score(probabilities, np.array([0, 0, 1])) == pytest.approx((0 + 0.5 + 2) / 3)
