"""Learning curve: how accuracy grew with the photos there are, and what more of them would bring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from handful.data.splitting import stratified_folds
from handful.errors import DataError
from handful.heads import logistic
from handful.heads.span import into_span
from handful.metrics.intervals import Interval, units_per_class
from handful.plain import percent

_PARTS = 10  # a subset is some of so many parts, so that its photos are stratified and groups stay whole
_TAKEN = (2, 3, 4, 5, 7, 9)  # parts trained on; the others are scored
_ENOUGH = 3  # subset sizes with which a curve can be fitted
_DEALS, _TURNS = 3, 4  # dealings into parts, and subsets of each size from one dealing
# Small subsets are separable, and held by their penalty alone: it is reached from strong ones, step by step,
# and kept where the choice of a penalty matters little.
_PATH = (10.0, 1.0)
_WEAKEST, _STRONGEST = 0.1, 1.0
_TOLERANCE = 1e-5  # nats; a label here and there does not move the curve
_RESAMPLES = 400
_STEEPEST = 1.5  # exponent that a few noisy points may claim at most
_FLOOR = 0.5  # of the lowest error: the most that is taken for an error no photos will mend
_LEVEL = 0.9  # of the forecasts' intervals
_AHEAD = (1, 2, 4)  # times the photos there are
_TINY = 1e-12


@dataclass(frozen=True)
class Point:
    """Accuracy of heads fitted on subsets of one size, on the photos outside them."""

    photos: float
    accuracy: float


@dataclass(frozen=True)
class Need:
    """One class, and what a further photo of it is worth.

    Attributes:
        label: the class, an index.
        photos: how many it has.
        recall: share of its photos that the largest subsets recognised.
        gain: expected number of its photos in a hundred that are recognised in addition, per photo added.
    """

    label: int
    photos: int
    recall: float
    gain: float


@dataclass(frozen=True)
class LearningCurve:
    """Measured points, a curve through them, and where it leads.

    Attributes:
        points: by rising number of photos.
        photos: how many there are now.
        forecasts: {number of photos: accuracy expected with so many, the ends of a 90 % interval beside it}.
        needs: the classes, the one that gains most from a further photo first.
    """

    points: tuple[Point, ...]
    photos: int
    forecasts: dict[int, Interval]
    needs: tuple[Need, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "points": [asdict(point) for point in self.points],
            "photos": self.photos,
            "forecasts": {str(n): found.as_dict() for n, found in self.forecasts.items()},
            "forecast_level": 0.9,
            "needs": [asdict(need) for need in self.needs],
        }

    def __str__(self) -> str:
        twice = self.forecasts[2 * self.photos]
        return f"with twice the photos expect {100 * twice.low:.0f} to {percent(twice.high, 0)}"


def learning_curve(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    penalty: float,
    groups: np.ndarray | None = None,
    balanced: bool = False,
    seed: int = 0,
) -> LearningCurve | None:
    """Fit heads on stratified subsets of growing size and follow the error on the photos outside them.

    Args:
        features: float32 (n, d).
        labels: int (n,), each in [0, classes).
        classes: k.
        penalty: of the delivered head (`FittedHead.penalty`); all subsets use it.
        groups: int (n,), rows that stay together; None: each by itself.
        balanced: count each class alike, as the delivered head does.
        seed: of the subsets and the resampling.

    Returns:
        None where there are too few photos: a class does not fill three subset sizes, or groups of several
        classes cannot be dealt into parts that each hold some of every class.

    Raises:
        DataError: shapes disagree.

    Source: error as an inverse power law of the number of photos, Mukherjee et al. 2003, Journal of
    Computational Biology 10(2), and Figueroa et al. 2012, BMC Medical Informatics and Decision Making 12:8.
    """
    if not len(features) == len(labels):
        raise DataError(
            f"Received {len(features)} rows of features and {len(labels)} labels. A curve needs one per row."
        )
    units = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    apart = units_per_class(labels, units, classes)
    parts = int(min(_PARTS, apart.min()))
    taken = [count for count in _TAKEN if count < parts]
    if len(taken) < _ENOUGH:
        return None
    try:
        dealt = [stratified_folds(labels, parts, seed + number, units) for number in range(_DEALS)]
    except DataError:  # groups that hold several classes block each other
        return None
    outcome = _Outcome.empty(len(labels), len(taken))
    rows = into_span(features).rows.astype(np.float32)
    for number, folds in enumerate(dealt):
        order, deal = _deal(rows, labels, folds, features.shape[1])
        rng = np.random.default_rng([seed, number])
        subsets = [
            (size, rng.permutation(parts)[:count]) for size, count in enumerate(taken) for _ in range(_TURNS)
        ]
        predicted = deal.fit([subset for _, subset in subsets], penalty, balanced=balanced, classes=classes)
        for column, (size, subset) in enumerate(subsets):
            outside = ~np.isin(deal.parts, subset)
            outcome.add(order[outside], predicted[outside, column] == deal.labels[outside], size)
    return _followed(outcome, np.array(taken) / parts, labels, units, seed)


@dataclass
class _Outcome:
    """How often each photo was recognised, and scored, by subset size: float (n, s) each."""

    right: np.ndarray
    scored: np.ndarray

    @classmethod
    def empty(cls, photos: int, sizes: int) -> _Outcome:
        return cls(np.zeros((photos, sizes)), np.zeros((photos, sizes)))

    def add(self, rows: np.ndarray, right: np.ndarray, size: int) -> None:
        self.right[rows, size] += right
        self.scored[rows, size] += 1

    def errors(self, weights: np.ndarray) -> np.ndarray:
        """Error at each size with photos weighted (b, n): float (b, s)."""
        return 1 - (weights @ self.right) / np.maximum(weights @ self.scored, 1)


@dataclass(frozen=True)
class _Deal:
    """Photos dealt into parts and sorted by part.

    Attributes:
        rows: float32 (n, r + 1), see `span.Span`.
        labels: int (n,).
        parts: int (n,), ascending.
        width: number of features before they were rotated into their span.
    """

    rows: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    width: int

    def fit(self, subsets: list[np.ndarray], penalty: float, *, balanced: bool, classes: int) -> np.ndarray:
        """Labels int (n, m) predicted by one head per subset of the parts."""
        counted = [np.isin(self.parts, subset) for subset in subsets]
        weights = np.stack([self._weights(rows, balanced) for rows in counted], axis=1)
        units = np.array([self._unit(rows) for rows in counted])
        problem = logistic.Problem(self.rows, self.labels, classes, self.parts)
        found = np.zeros((self.rows.shape[1], classes, len(subsets)), dtype=np.float32)
        for strength in (*_PATH, min(max(penalty, _WEAKEST), _STRONGEST)):
            found = logistic.fit(problem, weights, strength * units, found, _TOLERANCE).coefficients
        return problem.logits(found).argmax(axis=1)

    def _weights(self, counted: np.ndarray, balanced: bool) -> np.ndarray:
        weights = counted.astype(np.float64)
        if balanced:
            weights /= np.maximum(np.bincount(self.labels[counted], minlength=self.labels.max() + 1), 1)[
                self.labels
            ]
        return weights / weights.sum()

    def _unit(self, counted: np.ndarray) -> float:
        """Mean square of the subset's features about their mean, by which a penalty is measured."""
        rows = self.rows[counted, :-1].astype(np.float64)
        centred = rows - rows.mean(axis=0)
        return max(float((centred**2).sum()) / len(rows) / self.width, _TINY)


def _deal(rows: np.ndarray, labels: np.ndarray, parts: np.ndarray, width: int) -> tuple[np.ndarray, _Deal]:
    """The order that sorts photos by part, and the photos in it."""
    order = np.argsort(parts, kind="stable")
    return order, _Deal(rows[order], labels[order], parts[order], width)


def _followed(
    outcome: _Outcome, shares: np.ndarray, labels: np.ndarray, units: np.ndarray, seed: int
) -> LearningCurve:
    """The curve through what was measured, drawn again and again from other photos."""
    n = len(labels)
    rng = np.random.default_rng(seed)
    total = int(units.max()) + 1
    often = np.stack(
        [np.bincount(rng.integers(total, size=total), minlength=total) for _ in range(_RESAMPLES)]
    )
    measured = outcome.errors(np.ones((1, n)))[0]
    shape = np.maximum(outcome.errors(often[:, units]), 0.5 / n)
    wrong = total * float(measured.mean())
    # Two things are left open: which photos were scored, drawn again above, and which the next model happens
    # to be trained on. The second is taken to be as large as what so many photos leave open, by Beta with
    # Jeffreys' prior, which holds where hardly any was wrong; a forecast that leaves it out is too narrow.
    level = rng.beta(wrong + 0.5, total - wrong + 0.5, (_RESAMPLES, 1))
    errors = np.minimum(shape * level / max(float(measured.mean()), 0.5 / n), 1)
    ahead = 1 - _power_law(errors, shares, np.array(_AHEAD, dtype=np.float64), rng)
    tail = (1 - _LEVEL) / 2
    low, middle, high = np.quantile(ahead, [tail, 0.5, 1 - tail], axis=0)
    return LearningCurve(
        points=tuple(
            Point(float(share * n), float(1 - error)) for share, error in zip(shares, measured, strict=True)
        ),
        photos=n,
        forecasts={
            times * n: Interval(float(middle[at]), float(low[at]), float(high[at]))
            for at, times in enumerate(_AHEAD)
        },
        needs=_needs(outcome, shares, labels),
    )


def _power_law(
    errors: np.ndarray, shares: np.ndarray, ahead: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Errors float (b, m) at `ahead` by a power law through errors float (b, s) at `shares` of the photos.

    error(x) = a + b x^-c, the last two by least squares in logarithms. The floor a cannot be told from a few
    points, so each of the b curves has one drawn at random, from none to `_FLOOR` of the lowest error: what
    is not known widens the forecast.
    """
    floor = _FLOOR * rng.random((len(errors), 1)) * errors.min(axis=1, keepdims=True)
    over, at = np.log(errors - floor), np.log(shares)
    apart = at - at.mean()
    level = over.mean(axis=1, keepdims=True)
    exponent = np.clip(-(over - level) @ apart / (apart @ apart), 0, _STEEPEST)[:, None]
    return floor + np.exp(level - exponent * (np.log(ahead) - at.mean()))


def _needs(outcome: _Outcome, shares: np.ndarray, labels: np.ndarray) -> tuple[Need, ...]:
    """Classes by what one more photo brings: the slope b c n^(-c - 1) of the power law without a floor.

    The exponent is that of all classes together; few photos of a class cannot tell its own.
    """
    counts = np.bincount(labels)
    errors = outcome.errors((labels[None] == np.arange(len(counts))[:, None]).astype(np.float64))
    common = np.log(np.maximum(outcome.errors(np.ones((1, len(labels))))[0], 0.5 / len(labels)))
    exponent = float(np.clip(-np.polyfit(np.log(shares), common, 1)[0], 0, _STEEPEST))
    last = errors[:, -1] * shares[-1] ** exponent
    found = [
        Need(
            label,
            int(counts[label]),
            float(1 - errors[label, -1]),
            float(100 * last[label] * exponent / counts[label]),
        )
        for label in range(len(counts))
    ]
    return tuple(sorted(found, key=lambda need: (-need.gain, need.recall, need.label)))
