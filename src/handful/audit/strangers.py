"""Strangers: photos of none of the classes, told by their distance from all training photos."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from handful.audit.conformal import conformal_quantile
from handful.errors import ConfigError, DataError
from handful.plain import percent

DEFAULT_RATE = 0.05
MOST_KEPT = 2000  # training photos whose features are stored; a random part of more
_ENERGY_SHARE = 0.5  # of the energy's standard deviation, against one of the distance's
_TINY = 1e-12
_BLOCK = 1024  # rows compared at once, to bound memory
_CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Strangers:
    """What it takes to say "none of these".

    Attributes:
        bank: float16 (m, d), training features of length one.
        scale: float32 (4,): mean and standard deviation of the logarithm of the distance, then of the energy,
            over the training photos.
        threshold: a score above it is a stranger's.
        rate: share of photos of the known classes that are taken for strangers. Larger than asked for where
            there are too few photos to tell it.
        scores: float (n,), of the training photos, each compared with the others.
    """

    bank: np.ndarray
    scale: np.ndarray
    threshold: float
    rate: float
    scores: np.ndarray = field(repr=False)

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """How strange photos are, float64 (n,); higher is stranger, 0 is usual for training photos.

        Args:
            features: float32 (n, d), as the head gets them.
            logits: float (n, k), of the delivered head, at temperature one.
        """
        return _combined(_nearest(_directions(features), self._wide), _energy(logits), self.scale)

    def are_strangers(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Which photos are of none of the classes, bool (n,)."""
        return self.score(features, logits) > self.threshold

    @cached_property
    def _wide(self) -> np.ndarray:
        return self.bank.astype(np.float64)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that prediction needs, to be stored (`numpy.savez`); `from_arrays` takes it back."""
        return {
            "bank": self.bank,
            "scale": self.scale,
            "limits": np.array([self.threshold, self.rate], np.float32),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Strangers:
        """Open what `arrays` gave; the scores of the training photos are not kept."""
        threshold, rate = arrays["limits"].tolist()
        return Strangers(arrays["bank"], arrays["scale"], threshold, round(rate, 6), np.empty(0))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return {
            "method": "nearest neighbour and energy",
            "threshold": self.threshold,
            "rate": self.rate,
            "photos_kept": len(self.bank),
        }

    def __str__(self) -> str:
        return f'"none of these" can be told; {percent(self.rate, 0)} of photos that do belong are refused'


def fit_strangers(
    features: np.ndarray,
    logits: np.ndarray,
    *,
    rate: float = DEFAULT_RATE,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Strangers:
    """Learn what photos of the known classes look like, and from where on a photo is a stranger.

    The score adds two published ones: how far the nearest training photo is (one minus the cosine of the
    features, as a logarithm), and half as much the energy of the logits. Each is measured in standard
    deviations over training photos that were left out of what they are compared with, and the threshold is
    set on the same.

    Args:
        features: float32 (n, d) of the training photos, n at least 2.
        logits: float (n, k), out-of-fold, at temperature one.
        rate: share of photos of the known classes that may be taken for strangers, in (0, 1).
        groups: int (n,), copies and photos of one group share a number: they are no neighbours of each other,
            and count once for the threshold. None: all are independent.
        seed: of the choice of photos that are kept where there are more than `MOST_KEPT`.

    Raises:
        ConfigError: the rate is not between 0 and 1.
        DataError: shapes disagree, or all photos belong to one group.

    Source: nearest neighbour, Sun et al. 2022, arXiv 2204.06507; energy, Liu et al. 2020, arXiv 2010.03759;
    adding a distance and the energy, Wang et al. 2022, arXiv 2203.10807 (ViM). benchmarks/trust.py strangers
    compares them.
    """
    if not 0 < rate < 1:
        raise ConfigError(f"Received rate={rate}. Pass a share between 0 and 1, for example 0.05.")
    units = np.arange(len(features)) if groups is None else np.unique(groups, return_inverse=True)[1]
    independent = len(np.unique(units))
    if len(features) != len(logits) or independent < 2:
        raise DataError(
            f"Received {len(features)} rows of features in {independent} groups and {len(logits)} of logits. "
            "Expected as many of each, of at least two groups."
        )
    directions = _directions(features)
    kept = np.sort(np.random.default_rng(seed).permutation(len(features))[:MOST_KEPT])
    bank = directions[kept].astype(np.float16)
    distance = _nearest(directions, bank.astype(np.float64), units, units[kept])
    energy = _energy(logits)
    usual = np.log(distance)
    found = [usual.mean(), usual.std() + _TINY, energy.mean(), energy.std() + _TINY]
    scale = np.array(found, np.float32)  # as it is stored, so that the stored rule gives the same answer
    scores = _combined(distance, energy, scale)
    threshold, told = _threshold(scores, rate, units)
    return Strangers(bank, scale, threshold, told, scores)


def _threshold(scores: np.ndarray, rate: float, units: np.ndarray) -> tuple[float, float]:
    """The threshold and the rate it stands for: too few photos can tell no small rate."""
    found = conformal_quantile(scores, 1 - rate, units)
    if math.isfinite(found):
        return float(np.float32(found)), rate
    return float(np.float32(scores.max())), 1 / (len(np.unique(units)) + 1)


def _directions(features: np.ndarray) -> np.ndarray:
    """Rows of length one, float64: a row gets the same answer alone and among others."""
    wide = features.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), _TINY)


def _nearest(
    rows: np.ndarray, bank: np.ndarray, units: np.ndarray | None = None, of_bank: np.ndarray | None = None
) -> np.ndarray:
    """One minus the cosine to the nearest row of the bank that is of another unit, float64 (n,)."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine = rows[block] @ bank.T
        if units is not None and of_bank is not None:
            cosine[units[block, None] == of_bank[None]] = -1
        found[block] = 1 - cosine.max(axis=1)
    return np.maximum(found, 1e-6)  # float16 rounds at about this; the logarithm needs a positive number


def _energy(logits: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the sum of the exponentials of logits whose mean is taken off, float64 (n,)."""
    wide = logits.astype(np.float64)
    wide -= wide.mean(axis=1, keepdims=True)
    top = wide.max(axis=1)
    return -(top + np.log(np.exp(wide - top[:, None]).sum(axis=1)))


def _combined(distance: np.ndarray, energy: np.ndarray, scale: np.ndarray) -> np.ndarray:
    far = (np.log(distance) - scale[0]) / scale[1]
    return far + _ENERGY_SHARE * (energy - scale[2]) / scale[3]


@dataclass(frozen=True)
class Abstention:
    """What abstaining from a part of the photos brings, on photos of the known classes.

    Attributes:
        by: "confidence" (answer when the highest probability is at least `threshold`) or "strangeness"
            (answer when the score is at most `threshold`).
        threshold: as said.
        answered: share of photos that get an answer.
        error: share of the answers that are wrong; nan without answers.
    """

    by: str
    threshold: float
    answered: float
    error: float


def abstentions(probabilities: np.ndarray, labels: np.ndarray, strangeness: np.ndarray) -> list[Abstention]:
    """Coverage and error at several thresholds, by confidence and by strangeness.

    Args:
        probabilities: float (n, k), out-of-fold, calibrated across folds; n at least 1.
        labels: int (n,).
        strangeness: float (n,), `Strangers.scores`.
    """
    right = probabilities.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1)
    limits = [conformal_quantile(strangeness, 1 - rate) for rate in _RATES]
    return [
        *(_abstaining("confidence", least, confidence >= least, right) for least in _CONFIDENCES),
        *(_abstaining("strangeness", most, strangeness <= most, right) for most in limits if most < math.inf),
    ]


def _abstaining(by: str, threshold: float, answered: np.ndarray, right: np.ndarray) -> Abstention:
    error = float(1 - right[answered].mean()) if answered.any() else float("nan")
    return Abstention(by, threshold, float(answered.mean()), error)
