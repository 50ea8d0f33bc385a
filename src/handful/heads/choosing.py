"""Choose the penalty of each outer fold without its rows, from fits without one fold and without two.

For outer fold i the penalty is chosen on the rows outside i alone: fold j's rows are predicted by a fit that
saw neither i nor j. That fit serves the pair both ways (i's choice and j's), so K folds need K (K - 1) / 2
pair fits, not K (K - 1), and all of them go down the list of penalties together, each started from its
solution for the penalty before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from handful.heads import logistic
from handful.heads.span import Span

# In nats of the objective; losses of neighbouring penalties differ by 1e-3 and more.
_CHOOSING_TOLERANCE = 1e-4
_AHEAD = 1.0  # of a step along the path of penalties, to start the next fit from: fewer iterations
_IDLE = 2  # penalties in a row without a gain worth having, after which a choice looks no further
_WORTH = 0.5  # standard errors of the paired gain that make it worth having
_TINY = 1e-12


@dataclass(frozen=True)
class Task:
    """Rows in span coordinates, sorted by fold, and how they count.

    Attributes:
        span: see `span.Span`.
        labels: int (n,).
        folds: int (n,), ascending.
        classes: k.
        balanced: count each class alike.
    """

    span: Span
    labels: np.ndarray
    folds: np.ndarray
    classes: int
    balanced: bool

    @property
    def fold_count(self) -> int:
        return int(self.folds[-1]) + 1

    def problem(self, dtype: type) -> logistic.Problem:
        rows = self.span.rows.astype(dtype)
        return logistic.Problem(rows, self.labels, self.classes, self.folds)

    def columns(self, left_out: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """Row weights (n, m) of fits without some folds, and the unit of each one's penalty (m,).

        Both come from the rows a fit counts and from nothing else: class sizes where classes count alike,
        and the mean square of the rows about their own mean, by which the penalty is measured.
        """
        counted = [~np.isin(self.folds, out) for out in left_out]
        sums = np.stack([self.span.rows[self.folds == fold].sum(axis=0) for fold in range(self.fold_count)])
        squares = (self.span.rows**2).sum(axis=1) - 1  # without the bias's column of ones
        kept = [np.delete(np.arange(self.fold_count), out) for out in left_out]
        units = [self._unit(squares[rows], sums[folds]) for rows, folds in zip(counted, kept, strict=True)]
        return np.stack([self._weights(rows) for rows in counted], axis=1), np.array(units)

    def _weights(self, counted: np.ndarray) -> np.ndarray:
        weights = counted.astype(np.float64)
        if self.balanced:
            sizes = np.bincount(self.labels[counted], minlength=self.classes)
            weights /= np.maximum(sizes, 1)[self.labels]
        return weights / weights.sum().clip(min=_TINY)

    def _unit(self, squares: np.ndarray, sums: np.ndarray) -> float:
        """Mean square of the counted rows' features about their mean; one where no row is left (two folds).

        In the span's own scale the features' mean square over all rows is one, so squares add up to d a row.
        """
        if not len(squares):
            return 1.0
        centre = sums.sum(axis=0)[:-1] / len(squares)
        return max((float(squares.mean()) - float(centre @ centre)) / len(self.span.centre), _TINY)


@dataclass(frozen=True)
class Search:
    """One pass over folds, pairs of folds and penalties.

    Attributes:
        penalties: (p,) tried, strongest first.
        singles: (p, n) loss of each row under the fit without its fold; nan where the class was unseen.
        pairs: (p, K, n): [., i, r] the loss of row r under the fit without i's fold and r's own.
        nested: int16 (p, K, n), the classes those fits predict; -1 where r lies in fold i, and where the fit
            saw no row of r's class.
        starts: (p, r, k, K) the single-fold solutions, to start the kept fits from.
    """

    penalties: np.ndarray
    singles: np.ndarray
    pairs: np.ndarray
    nested: np.ndarray
    starts: np.ndarray

    def nearest(self, penalty: float) -> int:
        """Position of the tried penalty closest to this one."""
        return int(np.abs(np.log(self.penalties) - np.log(penalty)).argmin())

    def nested_at(self, outer: np.ndarray) -> np.ndarray:
        """What the fits without pairs of folds predict at the penalty of each outer fold, int16 (K, n)."""
        return np.stack([self.nested[self.nearest(penalty), i] for i, penalty in enumerate(outer)])


def search_penalties(
    task: Task, problem: logistic.Problem, penalties: tuple[float, ...], advance: Callable[[int], None]
) -> Search:
    """Fit all single folds and pairs of folds, penalty by penalty, until every loss has turned."""
    count = task.fold_count
    left_out = [*((i,) for i in range(count)), *combinations(range(count), 2)]
    columns, units = task.columns(left_out)
    unseen = _unseen(task, left_out)
    solution = np.zeros((problem.rows.shape[1], task.classes, len(left_out)), dtype=np.float32)
    before = solution
    singles, pairs, nested, starts = [], [], [], []
    for penalty in penalties:
        # The path is smooth in the logarithm of the penalty: going on as before is the better start.
        start = solution + _AHEAD * (solution - before)
        before = solution
        solution = logistic.fit(problem, columns, penalty * units, start, _CHOOSING_TOLERANCE).coefficients
        probabilities = problem.probabilities(solution)
        single, pair = _losses(probabilities, problem.labels, task.folds, left_out, unseen)
        singles.append(single)
        pairs.append(pair)
        nested.append(_predicted(probabilities, task.folds, left_out, unseen))
        starts.append(solution[..., :count])
        advance(1)
        if _all_have_turned(np.array(singles), np.array(pairs)):
            break
    tried = np.array(penalties[: len(singles)])
    return Search(tried, np.array(singles), np.array(pairs), np.array(nested), np.array(starts))


def _unseen(task: Task, left_out: Sequence[tuple[int, ...]]) -> np.ndarray:
    """bool (n, m): the fit has no photo of the row's class, so its loss says nothing about the penalty."""
    seen = [
        np.bincount(task.labels[~np.isin(task.folds, out)], minlength=task.classes) > 0 for out in left_out
    ]
    return ~np.stack(seen, axis=1)[task.labels]


def _losses(
    probabilities: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    left_out: Sequence[tuple[int, ...]],
    unseen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Left-out losses: (n,) under the fit without the row's fold, (K, n) without one fold more."""
    rows = np.arange(len(folds))
    count = int(folds[-1]) + 1
    true = probabilities[rows, labels]
    loss = -np.log(np.maximum(true, 1e-12))
    loss[unseen] = np.nan
    single = loss[rows, folds]
    pair = np.full((count, len(folds)), np.nan)
    for column, out in enumerate(left_out):
        if len(out) == 2:
            one, other = out
            pair[one, folds == other] = loss[folds == other, column]
            pair[other, folds == one] = loss[folds == one, column]
    return single, pair


def _predicted(
    probabilities: np.ndarray, folds: np.ndarray, left_out: Sequence[tuple[int, ...]], unseen: np.ndarray
) -> np.ndarray:
    """Classes int16 (K, n) that the fits without a pair of folds predict for its rows, as in `Search`."""
    found = np.full((int(folds[-1]) + 1, len(folds)), -1, dtype=np.int16)
    for column, out in enumerate(left_out):
        if len(out) == 2:
            for one, other in (out, out[::-1]):
                inside = (folds == other) & ~unseen[:, column]
                found[one, inside] = probabilities[inside, :, column].argmax(axis=1)
    return found


def mean_rows(losses: np.ndarray) -> np.ndarray:
    """Mean over the last axis without nan; nan where nothing is left, and no warning."""
    counted = np.isfinite(losses)
    total = np.where(counted, losses, 0).sum(axis=-1)
    number = counted.sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _looked_at(losses: np.ndarray) -> tuple[int, bool]:
    """How many penalties one choice looks at, from losses (p, n), and whether it is done with that.

    A choice looks no further once two penalties running have not improved the loss by more than half its
    noise. It sees its own rows alone, so another fold's labels cannot lengthen its list.
    """
    told = np.asarray(np.isfinite(losses).all(axis=0))
    losses = losses[:, told]
    best, idle = 0, 0
    for at in range(1, len(losses)):
        gain = losses[best] - losses[at]
        if not gain.size:
            return 1, True
        worth_having = gain.mean() > _WORTH * gain.std() / np.sqrt(gain.size)
        idle = 0 if worth_having else idle + 1
        best = at if gain.mean() > 0 else best
        if idle == _IDLE:
            return at + 1, True
    return len(losses), False


def _all_have_turned(singles: np.ndarray, pairs: np.ndarray) -> bool:
    """True when neither the final choice nor any outer fold's looks at further penalties."""
    return all(_looked_at(losses)[1] for losses in (singles, *pairs.swapaxes(0, 1)))


def strongest_good(penalties: np.ndarray, losses: np.ndarray) -> float:
    """The strongest penalty that is not worse than the best by more than its noise.

    Args:
        penalties: (p,), strongest first.
        losses: (p, n) of each left-out row; nan where a row says nothing.

    The noise is one standard error of the paired difference over rows, so that penalties the data cannot tell
    apart are settled in favour of the less certain model. Source: the one-standard-error rule of Breiman et
    al. 1984 (Classification and Regression Trees, section 3.4.3), on paired differences.
    """
    told = np.asarray(np.isfinite(losses).all(axis=0))
    losses = losses[: _looked_at(losses)[0], told]
    best = losses[int(losses.mean(axis=1).argmin())]
    apart = losses - best
    noise = apart.std(axis=1) / np.sqrt(losses.shape[1])
    return float(penalties[int(np.argmax(apart.mean(axis=1) <= noise))])


def choose_per_fold(search: Search, default: float) -> tuple[np.ndarray, bool]:
    """The penalty of each outer fold, by rows outside it; the default where no such row can tell."""
    told = np.isfinite(search.pairs.sum(axis=0)).sum(axis=1)  # (K,) rows that say something to each fold
    if (told == 0).any():
        return np.full(len(told), default), False
    return np.array([strongest_good(search.penalties, rows) for rows in search.pairs.swapaxes(0, 1)]), True
