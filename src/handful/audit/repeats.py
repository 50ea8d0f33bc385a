"""Repeated cross-validation: other deals of the same photos into folds, and all that they say together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from handful.audit.intervals import (
    balanced_units,
    cross_validated_interval,
    effective_trials,
    gain_from_all,
)
from handful.data.splitting import stratified_folds
from handful.errors import DataError
from handful.heads.fitting import CrossFitted
from handful.metrics import scores
from handful.metrics.intervals import Interval, exact_interval, units_per_class


@dataclass(frozen=True)
class Spread:
    """The lowest and the highest value of one score over the repeats."""

    lowest: float
    highest: float


@dataclass(frozen=True)
class CrossValidated:
    """What repeated cross-validation says of the model that was fitted on all photos.

    Scores are means over the repeats. They belong to fits on all folds but one, and so are a little too low;
    the upper limits of accuracy and balanced accuracy make room for that.

    Attributes:
        n: photos.
        independent: how many of them are independent: copies of one photo and photos of one group are one.
        folds: K.
        repeats: R; the first is the out-of-fold table of the result.
        accuracy: with the 95 % interval of the delivered model's accuracy.
        balanced_accuracy: mean recall of the classes, likewise.
        gain: by how much training on all photos is expected to raise the accuracy, in [-1, 1].
        recall: of each class, with a 95 % interval; nan where nothing was measured.
        precision: of each class, likewise.
        macro_f1: mean F1 of the classes.
        log_loss: mean -log(probability of the label), nats.
        brier: Brier score, 0 to 2.
        spread: {score: lowest and highest of the repeats}: what the luck of the seed does.
        method: how the numbers came about, for people to read and quote.
    """

    n: int
    independent: int
    folds: int
    repeats: int
    accuracy: Interval
    balanced_accuracy: Interval
    gain: float
    recall: tuple[Interval, ...]
    precision: tuple[Interval, ...]
    macro_f1: float
    log_loss: float
    brier: float
    spread: dict[str, Spread]
    method: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return asdict(self)


def further_folds(
    first: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, repeats: int, seed: int
) -> list[np.ndarray]:
    """Deal the rows into as many folds again, differently each time.

    Args:
        first: int (n,), the folds of the first repeat.
        labels: int (n,).
        groups: int (n,), rows that stay together.
        repeats: in all, the first included.
        seed: the same seed deals the same.

    Returns:
        At most `repeats` - 1 arrays int (n,). Fewer where so few photos, or groups so large, can be dealt in
        few ways only: a deal that is there already, or leaves a class out, tells nothing.
    """
    count = int(first.max()) + 1
    found = {_as_dealt(first): first}
    for own in np.random.SeedSequence(seed).generate_state(max(repeats - 1, 0)):
        with contextlib.suppress(
            DataError
        ):  # raised where this seed finds no deal with each class in two folds
            folds = stratified_folds(labels, count, int(own), groups)
            found.setdefault(_as_dealt(folds), folds)
    return list(found.values())[1:]


def _as_dealt(folds: np.ndarray) -> bytes:
    """The same for deals that differ in the folds' numbers alone."""
    _, first, inverse = np.unique(folds, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].tobytes()


def repeat(
    first: CrossFitted,
    labels: np.ndarray,
    groups: np.ndarray,
    fit: Callable[[np.ndarray], CrossFitted],
    *,
    repeats: int,
    seed: int,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[CrossFitted]:
    """Cross-validate again on other folds.

    Args:
        first: the first repeat, whose logits are the out-of-fold table.
        labels: int (n,).
        groups: int (n,), rows that stay together.
        fit: folds int (n,) -> CrossFitted, everything that is chosen being chosen inside the training folds.
        repeats: in all, the first included.
        seed: decides the folds.
        advance: called with 1 after each further repeat, for a bar of `repeats` - 1 steps or fewer.

    Returns:
        All repeats, the first first.
    """
    done = [first]
    for folds in further_folds(first.folds, labels, groups, repeats=repeats, seed=seed):
        done.append(fit(folds))
        advance(1)
    return done


def cross_validated(repeats: Sequence[CrossFitted], labels: np.ndarray, groups: np.ndarray) -> CrossValidated:
    """Score all repeats together.

    Args:
        repeats: one or more, of one number of folds.
        labels: int (n,).
        groups: int (n,), photos that are not independent of each other share a number; each counts once.
    """
    scored = [_Scored(one, labels) for one in repeats]
    counted = _Counted.of(scored, labels, groups, folds=int(repeats[0].folds.max()) + 1)
    gain = np.mean([one.gain for one in scored], axis=0)
    return CrossValidated(
        n=len(labels),
        independent=counted.independent,
        folds=counted.folds,
        repeats=counted.repeats,
        accuracy=cross_validated_interval(
            _mean("accuracy", scored), float(gain.mean()), counted.trials(counted.independent)
        ),
        balanced_accuracy=cross_validated_interval(
            _mean("balanced_accuracy", scored), _class_mean(gain, labels), counted.trials(counted.balanced)
        ),
        gain=float(gain.mean()),
        recall=counted.recall_intervals(),
        precision=counted.precision_intervals(),
        macro_f1=_mean("macro_f1", scored),
        log_loss=_mean("log_loss", scored),
        brier=_mean("brier", scored),
        spread={name: _spread(name, scored) for name in _SCORES},
        method=_method(counted.folds, counted.repeats),
    )


_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier")


class _Scored:
    """The scores of one repeat, and float (n,) what each photo's is expected to gain from all photos."""

    def __init__(self, one: CrossFitted, labels: np.ndarray) -> None:
        predicted = one.logits.argmax(axis=1)
        probabilities = scores.softmax(one.logits)
        self.confusion = scores.confusion_matrix(labels, predicted, one.logits.shape[1])
        self.accuracy = scores.accuracy(self.confusion)
        self.balanced_accuracy = scores.balanced_accuracy(self.confusion)
        self.macro_f1 = scores.macro_f1(self.confusion)
        self.log_loss = scores.log_loss(probabilities, labels)
        self.brier = scores.brier_score(probabilities, labels)
        nested = np.where(one.nested >= 0, one.nested == labels, np.nan)
        gain = gain_from_all(predicted == labels, nested, len(one.nested))
        self.gain = np.nan_to_num(gain)  # where nothing can tell, none is claimed


@dataclass(frozen=True)
class _Counted:
    """What was counted, and how far it can be relied on.

    Attributes:
        confusion: float (k, k), mean over the repeats.
        units: float (k,), independent photos of each class.
        independent: of all.
        folds: K.
        repeats: R.
    """

    confusion: np.ndarray
    units: np.ndarray
    independent: int
    folds: int
    repeats: int

    @classmethod
    def of(cls, scored: Sequence[_Scored], labels: np.ndarray, groups: np.ndarray, *, folds: int) -> _Counted:
        confusion = np.mean([one.confusion for one in scored], axis=0)
        units = units_per_class(labels, groups, len(confusion)).astype(np.float64)
        return cls(confusion, units, len(np.unique(groups)), folds, len(scored))

    def trials(self, independent: float) -> float:
        return effective_trials(independent, self.folds, self.repeats)

    @property
    def balanced(self) -> float:
        """Independent photos behind the mean recall; no more than all of them: classes may share groups."""
        there = self.units > 0
        units = balanced_units(scores.recalls(self.confusion)[there], self.units[there])
        return min(units, float(self.independent))

    def recall_intervals(self) -> tuple[Interval, ...]:
        return self._each(scores.recalls(self.confusion), self.units)

    def precision_intervals(self) -> tuple[Interval, ...]:
        predicted = self.confusion.sum(axis=0)
        return self._each(
            scores.precisions(self.confusion), predicted * self.independent / self.confusion.sum()
        )

    def _each(self, shares: np.ndarray, units: np.ndarray) -> tuple[Interval, ...]:
        pairs = zip(shares.tolist(), units.tolist(), strict=True)
        return tuple(exact_interval(share, self.trials(own)) for share, own in pairs)


def _mean(name: str, scored: Sequence[_Scored]) -> float:
    return float(np.mean([getattr(one, name) for one in scored]))


def _spread(name: str, scored: Sequence[_Scored]) -> Spread:
    values = [float(getattr(one, name)) for one in scored]
    return Spread(min(values), max(values))


def _class_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the means of float (n,) values in each."""
    return float(np.mean([values[labels == label].mean() for label in np.unique(labels)]))


def _method(folds: int, repeats: int) -> str:
    times = "once" if repeats == 1 else f"{repeats} times on other folds"
    return (
        f"stratified, grouped {folds}-fold cross-validation, {times}, everything that is chosen being chosen "
        "inside the training folds; 95 % intervals for the model fitted on all photos: exact limits "
        "(Clopper and Pearson 1934) at the effective number of photos by the variance of Nadeau and Bengio "
        "(2003), the upper one with the gain from training on all photos (Bates, Hastie and Tibshirani 2024)"
    )
