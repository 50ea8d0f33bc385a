"""Suspects: planted wrong labels come first, and clean data has next to none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handful.audit.suspects import rank_suspects
from handful.errors import DataError
from handful.metrics.scores import softmax


def _planted(
    share: float, seed: int = 0, n: int = 400, classes: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities for the true classes, the labels as given, and which of them are wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, n)
    logits = rng.normal(0, 1, (n, classes))
    logits += 2.5 * np.eye(classes)[true]
    wrong = rng.permutation(n)[: round(share * n)]
    labels = true.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return (
        softmax(2.5 * logits),
        labels,
        wrong,
    )  # unit noise: the classes are told apart by 2.5 times the logits


def test_planted_errors_come_first() -> None:
    probabilities, labels, wrong = _planted(0.1)
    found = rank_suspects(probabilities, labels)
    first = [suspect.row for suspect in found.ranked[:60]]
    assert np.isin(wrong, first).mean() > 0.9
    assert sorted(suspect.row for suspect in found) == list(range(400))
    shares = [suspect.wrong for suspect in found]
    assert shares == sorted(shares, reverse=True)


def test_likely_ones_are_wrong_as_often_as_stated() -> None:
    right, flagged, stated = 0, 0, []
    for seed in range(10):
        probabilities, labels, wrong = _planted(0.1, seed)
        found = rank_suspects(probabilities, labels)
        likely = [suspect.row for suspect in found if suspect.likely]
        assert len(likely) == found.likely
        right, flagged = right + int(np.isin(likely, wrong).sum()), flagged + len(likely)
        stated.append(found.precision)
        assert found.share == pytest.approx(0.1, abs=0.04)
    assert flagged > 200
    assert right / flagged == pytest.approx(np.mean(stated), abs=0.06)


def test_clean_labels_are_not_accused() -> None:
    found = [rank_suspects(*_planted(0.0, seed)[:2]) for seed in range(10)]
    assert sum(one.likely for one in found) <= 12  # of 4,000
    assert max(one.share for one in found) < 0.02


@pytest.mark.parametrize("blunt", [1.0, 2.0])
def test_the_share_is_found_though_wrong_labels_made_the_model_unsure(blunt: float) -> None:
    probabilities, labels, _ = _planted(0.1)
    shares = rank_suspects(softmax(np.log(probabilities) / blunt), labels)
    assert shares.share == pytest.approx(0.1, abs=0.03)
    assert shares.likely > 25


def test_a_row_names_both_labels_and_their_probabilities() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.3, 0.3, 0.4]], dtype=np.float32)
    found = rank_suspects(probabilities, np.array([0, 2, 2]))
    first = found.ranked[0]
    assert (first.row, first.label, first.predicted) == (1, 2, 1)
    assert first.probability == pytest.approx(0.05)
    assert first.probability_of_predicted == pytest.approx(0.9)
    assert [suspect.row for suspect in found] == [1, 2, 0]
    assert found.ranked[2].predicted == 1  # the best other class, not the label itself


def test_the_result_is_plain_and_told_in_a_line() -> None:
    found = rank_suspects(*_planted(0.1)[:2])
    plain = json.loads(json.dumps(found.as_dict(most=3)))
    assert len(plain["ranked"]) == found.likely > 3
    assert f"{found.likely} labels are likely wrong" in str(found)
    clean = rank_suspects(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    assert "no label looks likely" in str(clean)
    assert len(clean.as_dict()["ranked"]) == 2


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(3, 2\) and 2 labels"):
        rank_suspects(np.full((3, 2), 0.5), np.array([0, 1]))
    with pytest.raises(DataError, match="k at least 2"):
        rank_suspects(np.ones((2, 1)), np.array([0, 0]))
