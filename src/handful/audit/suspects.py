"""Suspects: photos whose label is probably wrong, ranked by what models that did not see them think."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from handful.errors import DataError
from handful.metrics.scores import softmax
from handful.plain import percent

_ROUNDS = 200  # of expectation and maximisation; the share of wrong labels no longer moves then
_STILL = 1e-9
_TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(1.5), 25))
_TINY = 1e-12
_FIRST = 0.05  # share of wrong labels to start from; where it ends does not depend on it


@dataclass(frozen=True)
class Suspect:
    """One photo, most suspicious first.

    Attributes:
        row: its position among the rows that were given.
        label: the label it has, an index.
        predicted: the most probable other label, an index.
        probability: of its label, by a model that did not see the photo.
        probability_of_predicted: of the other.
        wrong: how probable it is that the label is wrong.
        likely: whether that is more probable than not.
    """

    row: int
    label: int
    predicted: int
    probability: float
    probability_of_predicted: float
    wrong: float
    likely: bool


@dataclass(frozen=True)
class Suspects:
    """All rows ranked, and how many labels are likely wrong.

    Attributes:
        ranked: every row, most suspicious first.
        share: estimated share of wrong labels, in [0, 1].
        likely: how many rows are likely wrong.
        precision: share of those that are expected to be wrong; nan where there are none.
    """

    ranked: tuple[Suspect, ...]
    share: float
    likely: int
    precision: float

    def __iter__(self) -> Iterator[Suspect]:
        return iter(self.ranked)

    def as_dict(self, most: int = 50) -> dict[str, Any]:
        """Plain values, for JSON; the `most` most suspicious rows, and all likely ones."""
        shown = self.ranked[: max(most, self.likely)]
        return {
            "estimated_share": self.share,
            "likely": self.likely,
            "expected_precision": self.precision,
            "ranked": [asdict(suspect) for suspect in shown],
        }

    def __str__(self) -> str:
        if not self.likely:
            return "no label looks likely to be wrong; the most doubtful ones come first in the list"
        if self.likely == 1:
            return f"1 label is wrong with a probability of {percent(self.precision, 0)}"
        return f"{self.likely} labels are likely wrong, each with {percent(self.precision, 0)} on average"


def rank_suspects(probabilities: np.ndarray, labels: np.ndarray) -> Suspects:
    """Rank photos by how little models that did not see them believe in their label.

    The rank is the probability of the label ("self-confidence"), at the temperature below. On planted errors
    it finds as many as a margin does (benchmarks/trust.py suspects), and it needs no library.

    A label counts as likely wrong when that is more probable than not, if a share of all labels had been
    replaced by any other class. Wrong labels make a model less certain than it should be, so the share is
    estimated together with the temperature that takes that back: the two under which the labels are most
    probable. Hard photos that the model is rightly unsure of do not count.

    Args:
        probabilities: float (n, k), out-of-fold, k at least 2.
        labels: int (n,).

    Raises:
        DataError: shapes disagree, or there are fewer than two classes.

    Source: self-confidence, Northcutt, Jiang and Chuang 2021, "Confident learning", JAIR 70; the share by
    expectation-maximisation after Lawrence and Schölkopf 2001, "Estimating a kernel Fisher discriminant in
    the presence of label noise", ICML.
    """
    n, k = probabilities.shape
    if n != len(labels) or k < 2:
        raise DataError(
            f"Received probabilities of shape {probabilities.shape} and {len(labels)} labels. "
            "Expected (n, k) with k at least 2, and n labels."
        )
    rows = np.arange(n)
    own = probabilities[rows, labels].astype(np.float64)
    share, wrong, sharpened = _most_probable_share(probabilities.astype(np.float64), labels)
    others = probabilities.astype(np.float64)
    others[rows, labels] = -1
    likely = wrong > 0.5
    order = np.lexsort((own, sharpened))
    return Suspects(
        ranked=tuple(
            Suspect(
                row=int(row),
                label=int(labels[row]),
                predicted=int(others[row].argmax()),
                probability=float(own[row]),
                probability_of_predicted=float(others[row].max()),
                wrong=float(wrong[row]),
                likely=bool(likely[row]),
            )
            for row in order
        ),
        share=share,
        likely=int(likely.sum()),
        precision=float(wrong[likely].mean()) if likely.any() else float("nan"),
    )


def _most_probable_share(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The share of wrong labels, the probability of each being wrong, and its probability once sharpened."""
    logarithms = np.log(np.maximum(probabilities, _TINY))
    rows, best, found = np.arange(len(labels)), -np.inf, None
    for temperature in _TEMPERATURES:
        own = softmax(logarithms / temperature)[rows, labels].astype(np.float64)
        share, wrong, fit = _share_wrong(own, probabilities.shape[1])
        if fit > best:
            best, found = fit, (share, wrong, own)
    assert found is not None  # there are temperatures, and their fits are numbers
    return found


def _share_wrong(own: np.ndarray, classes: int) -> tuple[float, np.ndarray, float]:
    """The most probable share of wrong labels, how probable each is to be wrong (n,), and the log-likelihood.

    A label is right with probability 1 - share, and then as probable as the model says; otherwise it came by
    chance from one of the other classes.
    """
    share, wrong, total = _FIRST, np.zeros(len(own)), np.ones(len(own))
    for _ in range(_ROUNDS):
        by_mistake = share / (classes - 1) * (1 - own)
        total = np.maximum(by_mistake + (1 - share) * own, 1e-300)
        wrong = by_mistake / total
        moved, share = abs(float(wrong.mean()) - share), float(wrong.mean())
        if moved < _STILL:
            break
    return share, wrong, float(np.log(total).sum())
