"""Calibration: one temperature from out-of-fold logits, kept where it helps rows it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handful.errors import DataError
from handful.metrics.calibration import Reliability, calibration_error_interval, reliability
from handful.metrics.intervals import Interval
from handful.metrics.scores import log_loss, softmax
from handful.plain import percent

# What is tried, fine enough that a parabola through three neighbours finds the lowest point between them.
_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 161))
_FLAT = 1e-12
_ONE = 80  # the position of temperature 1
# Temperatures near one are expected: without this, a model that has made no mistake yet on a handful of
# photos would be told to be certain.
_EXPECTED_SPREAD = 0.15  # standard deviation of log temperature


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it does.

    Each row is scored at a temperature that its fold had no part in. Whether to use any is decided by all
    rows, so that neither log loss nor error is above what it was before.

    Attributes:
        temperature: divide logits by it before softmax; 1 where another did not help.
        fold_temperatures: float (K,), the temperature each fold's rows were scored with.
        before: calibration error of the plain probabilities, with its 95 % interval.
        after: the same with temperatures fitted on the other folds; `before` where it is 1.
        log_loss_before: nats.
        log_loss_after: nats; as `after`.
        diagram_before: reliability of the plain probabilities.
        diagram_after: reliability after; as `after`.
        probabilities: float32 (n, k), out-of-fold, by `fold_temperatures`.
    """

    temperature: float
    fold_temperatures: np.ndarray
    before: Interval
    after: Interval
    log_loss_before: float
    log_loss_after: float
    diagram_before: Reliability
    diagram_after: Reliability
    probabilities: np.ndarray = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card; without the rows."""
        return {
            "temperature": self.temperature,
            "fold_temperatures": self.fold_temperatures.tolist(),
            "error_before": self.before.as_dict(),
            "error_after": self.after.as_dict(),
            "log_loss_before": self.log_loss_before,
            "log_loss_after": self.log_loss_after,
            "diagram_before": self.diagram_before.as_dict(),
            "diagram_after": self.diagram_after.as_dict(),
        }

    def __str__(self) -> str:
        error = f"{percent(self.after.value)} ({100 * self.after.low:.1f} to {percent(self.after.high)})"
        if self.temperature == 1:
            return f"calibration error {error}; no temperature made it better"
        return (
            f"calibration error {error} at temperature {self.temperature:.2f}, "
            f"{percent(self.before.value)} without"
        )


def calibrate(
    logits: np.ndarray, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> Calibration:
    """Find the temperature that makes probabilities honest, and how honest they are with it.

    The temperature of all rows is used when temperatures that were each fitted without a fold lower the log
    loss of that fold, and the calibration error does not rise; otherwise it stays 1.

    Args:
        logits: float (n, k), out-of-fold.
        labels: int (n,), each in [0, k).
        folds: int (n,), the fold of each row, 0 to K - 1; at least two.
        groups: int (n,), rows that are not independent share a number; None: all are.
        seed: of the resampling behind the intervals.

    Raises:
        DataError: shapes disagree.

    Source: temperature scaling, Guo et al. 2017, arXiv 1706.04599, section 4.2; with a normal prior on the
    logarithm of the temperature.
    """
    if not len(logits) == len(labels) == len(folds):
        raise DataError(
            f"Received {len(logits)} rows of logits, {len(labels)} labels and {len(folds)} folds. "
            "Calibration needs one label and one fold per row. Take all three from the same training."
        )
    losses = _losses(logits.astype(np.float64), labels)
    each = np.array([losses[:, folds == fold].sum(axis=1) for fold in range(int(folds.max()) + 1)])
    temperature = _chosen(each)
    of_folds = np.ones(len(each))
    if temperature != 1:
        of_folds = np.array([_chosen(np.delete(each, fold, axis=0)) for fold in range(len(each))])
    plain, scaled = softmax(logits), softmax(logits / of_folds[folds, None])
    before = _judge(plain, labels, groups, seed)
    after = before if temperature == 1 else _judge(scaled, labels, groups, seed)
    if after[0].value > before[0].value:  # a lower log loss that came from something else than calibration
        temperature, of_folds, scaled, after = 1.0, np.ones(len(each)), plain, before
    return Calibration(
        temperature=temperature,
        fold_temperatures=of_folds,
        before=before[0],
        after=after[0],
        log_loss_before=log_loss(plain, labels),
        log_loss_after=log_loss(scaled, labels),
        diagram_before=before[1],
        diagram_after=after[1],
        probabilities=scaled,
    )


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy (t, n) of each row at each temperature that is tried."""
    logits = logits - logits.max(axis=1, keepdims=True)
    true = logits[np.arange(len(labels)), labels]
    return np.stack([np.log(np.exp(logits / t).sum(axis=1)) - true / t for t in _TEMPERATURES])


def _chosen(each: np.ndarray) -> float:
    """The temperature of losses (K, t) by fold; 1 unless those fitted without a fold lower its loss."""
    held_out = [each[fold, _lowest(np.delete(each, fold, axis=0))] for fold in range(len(each))]
    if sum(held_out) >= each[:, _ONE].sum():
        return 1.0
    return float(np.exp(_between(np.log(_TEMPERATURES), _objective(each))))


def _objective(each: np.ndarray) -> np.ndarray:
    """Negative log posterior (t,) of each temperature."""
    return each.sum(axis=0) + 0.5 * (np.log(_TEMPERATURES) / _EXPECTED_SPREAD) ** 2


def _lowest(each: np.ndarray) -> int:
    return int(_objective(each).argmin())


def _between(points: np.ndarray, values: np.ndarray) -> float:
    """Where the parabola through the lowest of evenly spaced points and its neighbours is lowest."""
    at = int(values.argmin())
    if at in (0, len(points) - 1):
        return float(points[at])
    left, middle, right = values[at - 1 : at + 2]
    bend = max(left - 2 * middle + right, _FLAT)
    return float(points[at] + 0.5 * (points[1] - points[0]) * (left - right) / bend)


def _judge(
    probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, seed: int
) -> tuple[Interval, Reliability]:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return calibration_error_interval(confidence, right, groups, seed), reliability(confidence, right)
