"""Fit the head, choose its penalty by folds, and keep honest out-of-fold logits.

For outer fold i the penalty is chosen on the rows outside i alone: fold j's rows are predicted by a fit that
saw neither i nor j. That fit serves the pair both ways (i's choice and j's), so K folds need K (K - 1) / 2
pair fits, not K (K - 1), and all of them go down the list of penalties together, each started from its
solution for the penalty before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from handful.errors import DataError
from handful.heads import logistic
from handful.heads.span import Span, into_span, out_of_span

# In nats of the objective. Losses of neighbouring penalties differ by 1e-3 and more.
_CHOOSING_TOLERANCE = 1e-5
# Kept fits: probabilities move by less than 1e-4 when this is divided by ten.
_KEPT_TOLERANCE = 1e-8
_WORSE_IN_A_ROW = 2  # penalties beyond the best that may fail to improve before the list is cut short


@dataclass(frozen=True)
class FittedHead:
    """A head, and what was learned on the way.

    Attributes:
        weights: float32 (d, k); logits = features @ weights + bias.
        bias: float32 (k,).
        penalty: the penalty of the final fit, in units of the mean cross-entropy.
        out_of_fold_logits: float32 (n, k); row i comes from a fit without i's fold, whose penalty was
            chosen without i's fold as well.
        folds: int (n,), the fold of each row.
        fold_penalties: float (K,), the penalty each outer fold chose.
        losses: {penalty: mean out-of-fold cross-entropy} of the penalties that were tried.
        steps: iterations of the final fit.
        converged: whether every kept fit reached its tolerance.
        chosen: False when there were too few photos to choose a penalty, so that the default was used.
    """

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    out_of_fold_logits: np.ndarray
    folds: np.ndarray
    fold_penalties: np.ndarray
    losses: dict[float, float]
    steps: int
    converged: bool
    chosen: bool


@dataclass(frozen=True)
class _Search:
    """One pass over folds, pairs of folds and penalties.

    Attributes:
        penalties: (p,) tried, strongest first.
        singles: (p, n) loss of each row under the fit without its fold; nan where the class was unseen.
        pairs: (p, K, n): [., i, r] the loss of row r under the fit without i's fold and r's own.
        starts: (p, r, k, K) the single-fold solutions, to start the kept fits from.
    """

    penalties: np.ndarray
    singles: np.ndarray
    pairs: np.ndarray
    starts: np.ndarray


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: tuple[float, ...],
    default_penalty: float,
    row_weights: np.ndarray | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> FittedHead:
    """Fit the final layer on frozen features.

    Args:
        features: float32 (n, d).
        labels: int (n,), each in [0, classes); every class occurs.
        folds: int (n,), fold of each row, 0 to K - 1, K at least 2.
        classes: k.
        penalties: what to try, strongest first.
        default_penalty: used where too few photos are there to choose.
        row_weights: float (n,), positive, for example to balance classes; None counts rows alike.
        advance: called with 1 after each penalty, for a progress bar of len(penalties) steps.

    Raises:
        DataError: shapes disagree, a class has no row, or a value is not finite.
    """
    _refuse_bad_input(features, labels, folds, classes)
    weights = np.ones(len(labels)) if row_weights is None else row_weights
    span = into_span(features)
    search = _search(span, labels, folds, weights, classes, penalties, advance)
    outer, chosen = _choose_per_fold(search, folds, default_penalty)
    losses = _mean_rows(search.singles)
    final = _strongest_good(search.penalties, search.singles) if chosen else default_penalty
    logits, kept = _out_of_fold(span, labels, folds, weights, classes, search, outer)
    last = _final_fit(span, labels, weights, classes, final, search)
    head, bias = out_of_span(span, last.coefficients[..., 0])
    return FittedHead(
        weights=head,
        bias=bias,
        penalty=final,
        out_of_fold_logits=logits,
        folds=folds,
        fold_penalties=outer,
        losses={float(p): float(v) for p, v in zip(search.penalties, losses, strict=True)},
        steps=int(last.steps[0]),
        converged=bool(kept.converged.all() and last.converged.all()),
        chosen=chosen,
    )


def _refuse_bad_input(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int) -> None:
    if not len(features) == len(labels) == len(folds):
        raise DataError(
            f"Received {len(features)} rows of features, {len(labels)} labels and {len(folds)} folds. "
            "A head needs one label and one fold per row."
        )
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing:
        raise DataError(f"Classes {missing} of {classes} have no photo. Add photos or leave the class out.")
    if not np.isfinite(features).all():
        raise DataError("Some features are not finite numbers. The backbone file is damaged: fetch it again.")


def _search(
    span: Span,
    labels: np.ndarray,
    folds: np.ndarray,
    weights: np.ndarray,
    classes: int,
    penalties: tuple[float, ...],
    advance: Callable[[int], None],
) -> _Search:
    """Fit all single folds and pairs of folds, penalty by penalty, until the loss has turned."""
    count = int(folds.max()) + 1
    left_out = [(i,) for i in range(count)] + list(combinations(range(count), 2))
    problem = _problem(span, labels, classes, np.float32)
    columns = _columns(folds, left_out, weights)
    solution = np.zeros((problem.rows.shape[1], classes, len(left_out)), dtype=np.float32)
    unseen = _unseen(labels, folds, left_out, classes)
    singles, pairs, starts = [], [], []
    for penalty in penalties:
        held = np.full(len(left_out), penalty)
        solution = logistic.fit(problem, columns, held, solution, _CHOOSING_TOLERANCE).coefficients
        single, pair = _losses(problem, solution, folds, left_out, unseen)
        singles.append(single)
        pairs.append(pair)
        starts.append(solution[..., :count])
        advance(1)
        if _has_turned(singles, pairs):
            break
    tried = np.array(penalties[: len(singles)])
    return _Search(tried, np.array(singles), np.array(pairs), np.array(starts))


def _problem(span: Span, labels: np.ndarray, classes: int, dtype: type) -> logistic.Problem:
    return logistic.Problem(span.rows.astype(dtype), labels, span.variance, classes)


def _columns(folds: np.ndarray, left_out: list[tuple[int, ...]], weights: np.ndarray) -> np.ndarray:
    """Row weights (n, m) of the fits, zero where a row's fold is left out, each column summing to one."""
    columns = np.stack([np.where(np.isin(folds, out), 0.0, weights) for out in left_out], axis=1)
    return columns / columns.sum(axis=0).clip(min=np.finfo(float).tiny)


def _unseen(
    labels: np.ndarray, folds: np.ndarray, left_out: list[tuple[int, ...]], classes: int
) -> np.ndarray:
    """bool (n, m): the fit has no photo of the row's class, so its loss says nothing about the penalty."""
    seen = np.stack(
        [np.bincount(labels[~np.isin(folds, out)], minlength=classes) > 0 for out in left_out], axis=1
    )
    return ~seen[labels]


def _losses(
    problem: logistic.Problem,
    solution: np.ndarray,
    folds: np.ndarray,
    left_out: list[tuple[int, ...]],
    unseen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Left-out losses: (n,) under the fit without the row's fold, (K, n) without one fold more."""
    rows = np.arange(len(folds))
    count = int(folds.max()) + 1
    true = problem.probabilities(solution)[rows, problem.labels]
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


def _mean_rows(losses: np.ndarray) -> np.ndarray:
    """Mean over the last axis without nan; nan where nothing is left, and no warning."""
    counted = np.isfinite(losses)
    total = np.where(counted, losses, 0).sum(axis=-1)
    number = counted.sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _has_turned(singles: list[np.ndarray], pairs: list[np.ndarray]) -> bool:
    """True when neither the whole nor any outer fold has improved for the last few penalties."""
    if len(singles) <= _WORSE_IN_A_ROW:
        return False
    whole = np.stack([_mean_rows(np.array(singles)), *_mean_rows(np.array(pairs)).T])
    whole = whole[np.isfinite(whole).all(axis=1)]
    return bool((whole.argmin(axis=1) < len(singles) - _WORSE_IN_A_ROW).all())


def _strongest_good(penalties: np.ndarray, losses: np.ndarray) -> float:
    """The strongest penalty that is not worse than the best by more than its noise.

    Args:
        penalties: (p,), strongest first.
        losses: (p, n) of each left-out row; nan where a row says nothing.

    The noise is one standard error of the paired difference over rows, so that penalties the data cannot tell
    apart are settled in favour of the less certain model. Source: the one-standard-error rule of Breiman et
    al. 1984 (Classification and Regression Trees, section 3.4.3), on paired differences.
    """
    told = np.asarray(np.isfinite(losses).all(axis=0))
    losses = losses[:, told]
    best = losses[int(losses.mean(axis=1).argmin())]
    apart = losses - best
    noise = apart.std(axis=1) / np.sqrt(losses.shape[1])
    return float(penalties[int(np.argmax(apart.mean(axis=1) <= noise))])


def _choose_per_fold(search: _Search, folds: np.ndarray, default: float) -> tuple[np.ndarray, bool]:
    """The penalty of each outer fold, by rows outside it; the default where no such row can tell."""
    told = np.isfinite(search.pairs.sum(axis=0)).sum(axis=1)  # (K,) rows that say something to each fold
    if (told == 0).any():
        return np.full(len(told), default), False
    return np.array([_strongest_good(search.penalties, rows) for rows in search.pairs.swapaxes(0, 1)]), True


def _nearest_start(search: _Search, penalty: float) -> int:
    return int(np.abs(np.log(search.penalties) - np.log(penalty)).argmin())


def _out_of_fold(
    span: Span,
    labels: np.ndarray,
    folds: np.ndarray,
    weights: np.ndarray,
    classes: int,
    search: _Search,
    outer: np.ndarray,
) -> tuple[np.ndarray, logistic.Fits]:
    """Logits float32 (n, k) of each row under the fit without its fold, at that fold's own penalty."""
    count = len(outer)
    problem = _problem(span, labels, classes, np.float64)
    columns = _columns(folds, [(i,) for i in range(count)], weights)
    start = np.stack([search.starts[_nearest_start(search, p)][..., i] for i, p in enumerate(outer)], axis=-1)
    fits = logistic.fit(problem, columns, outer, start, _KEPT_TOLERANCE)
    logits = problem.logits(fits.coefficients)[np.arange(len(folds)), :, folds]
    logits -= logits.mean(axis=1, keepdims=True)
    return logits.astype(np.float32), fits


def _final_fit(
    span: Span, labels: np.ndarray, weights: np.ndarray, classes: int, penalty: float, search: _Search
) -> logistic.Fits:
    """The fit on all rows that is delivered."""
    problem = _problem(span, labels, classes, np.float64)
    start = search.starts[_nearest_start(search, penalty)].mean(axis=-1, keepdims=True)
    column = (weights / weights.sum())[:, None]
    return logistic.fit(problem, column, np.array([penalty]), start, _KEPT_TOLERANCE)
