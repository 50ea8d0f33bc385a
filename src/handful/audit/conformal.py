"""Prediction sets: every class that is probable enough, so that a stated share of sets holds the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.errors import ConfigError, DataError
from handful.metrics.intervals import Interval, wilson
from handful.plain import percent

DEFAULT_COVERAGE = 0.9


@dataclass(frozen=True)
class PredictionSets:
    """The rule for sets, and what it came to on photos it was not made from.

    Attributes:
        coverage: the share of sets that should hold the truth, in (0, 1).
        least: a class is in the set when its probability is at least this; 0 where there were too few photos,
            so that every set holds all classes.
        measured: share of out-of-fold rows whose set held the label, by rules made without their fold.
        size: mean number of classes in those sets.
        single: share of them that hold one class.
        empty: share that hold none: no class is probable enough, as for a photo of something else.
    """

    coverage: float
    least: float
    measured: Interval
    size: float
    single: float
    empty: float

    def holds(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes are in the set of each photo: probabilities float (n, k) to bool (n, k)."""
        return classes_in_sets(probabilities, self.least)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return {
            "coverage": self.coverage,
            "least_probability": self.least,
            "measured_coverage": self.measured.as_dict(),
            "mean_size": self.size,
            "single": self.single,
            "empty": self.empty,
        }

    def __str__(self) -> str:
        return (
            f"sets that hold the truth {percent(self.coverage, 0)} of the time: every class of at least "
            f"{percent(self.least)}, {self.size:.2f} classes on average; measured {self.measured}"
        )


def classes_in_sets(probabilities: np.ndarray, least: float) -> np.ndarray:
    """The rule itself: probabilities float (n, k) and `PredictionSets.least` to bool (n, k)."""
    return probabilities >= least


def fit_prediction_sets(
    probabilities: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    coverage: float = DEFAULT_COVERAGE,
    groups: np.ndarray | None = None,
) -> PredictionSets:
    """Find how probable a class must be to be in the set.

    A set is as large as it needs to be, and may be empty: always adding the most probable class would make
    the sets of a model that is right more often than `coverage` hold the truth more often than stated.

    Args:
        probabilities: float (n, k), out-of-fold, each fold at the temperature that the others ask for.
        labels: int (n,).
        folds: int (n,), 0 to K - 1; used for `measured` alone.
        coverage: share of sets that should hold the truth.
        groups: int (n,), rows that are not independent share a number; None: all are.

    Raises:
        ConfigError: the coverage is not between 0 and 1.
        DataError: shapes disagree.

    Source: least ambiguous sets, Sadinle, Lei and Wasserman 2019, JASA 114(525), with the scores of all folds
    in one list as in cross-conformal prediction (Vovk 2015, Annals of Mathematics and Artificial
    Intelligence 74). The list belongs to models with fewer photos than the delivered one, which errs on
    the side of larger sets. benchmarks/trust.py conformal measures the coverage of the delivered model.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"Received coverage={coverage}. Pass a share between 0 and 1, for example 0.9.")
    if not len(probabilities) == len(labels) == len(folds):
        raise DataError(
            f"Received {len(probabilities)} rows of probabilities, {len(labels)} labels, {len(folds)} folds. "
            "Sets need one label and one fold per row. Take all three from the same training."
        )
    units = np.arange(len(labels)) if groups is None else groups
    true = probabilities[np.arange(len(labels)), labels]
    least = np.empty(len(labels))
    for fold in np.unique(folds):
        rest = folds != fold
        least[~rest] = _least(true[rest], coverage, units[rest])
    held = probabilities >= least[:, None]
    sizes = held.sum(axis=1)
    # With one fold there are no photos that the rule was not made from: nothing was measured.
    independent = len(np.unique(units)) if len(np.unique(folds)) > 1 else 0
    right = float((true >= least).mean()) * independent
    return PredictionSets(
        coverage=coverage,
        least=_least(true, coverage, units),
        measured=wilson(right, independent),
        size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        empty=float((sizes == 0).mean()),
    )


def _least(true: np.ndarray, coverage: float, groups: np.ndarray) -> float:
    """The probability that the labels' own probabilities float (n,) reach in a share `coverage` of cases."""
    found = conformal_quantile(-true.astype(np.float64), coverage, groups)
    return -found if math.isfinite(found) else 0.0


def conformal_quantile(scores: np.ndarray, coverage: float, groups: np.ndarray | None = None) -> float:
    """The least score that a new one stays below or at with probability `coverage`.

    Args:
        scores: float (n,), higher is stranger.
        coverage: in (0, 1).
        groups: int (n,), rows that are not independent share a number; each group counts as one row.

    Returns:
        One of the scores; infinity when they are too few to tell: fewer than coverage / (1 - coverage).

    Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World; for groups Lee, Barber
    and Willett 2023, arXiv 2306.06342 (hierarchical conformal prediction).
    """
    units = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    weights = 1 / np.bincount(units)[units] if len(units) else np.empty(0)
    order = np.argsort(scores, kind="stable")
    total = np.cumsum(weights[order])
    independent = len(np.unique(units))
    rounding = 1e-9 * (independent + 1)
    enough = np.flatnonzero(total >= coverage * (independent + 1) - rounding)
    return float(scores[order[enough[0]]]) if len(enough) else math.inf
