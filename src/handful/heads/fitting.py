"""Fit the head, choose its penalty by folds, and keep honest out-of-fold logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handful.errors import DataError
from handful.heads import logistic
from handful.heads.choosing import (
    Search,
    Task,
    choose_per_fold,
    mean_rows,
    search_penalties,
    strongest_good,
)
from handful.heads.span import into_span, out_of_span

_SCORED_TOLERANCE = 3e-7  # a test holds what is left to converge below 1e-2 of a probability
_FINAL_TOLERANCE = 1e-7


@dataclass(frozen=True)
class CrossFitted:
    """What one deal of the rows into folds tells, the penalty chosen inside the training folds.

    Attributes:
        logits: float32 (n, k); row i comes from a fit without i's fold, whose penalty was chosen without
            i's fold as well.
        nested: int16 (K, n); [i, r] is the class predicted for row r by the fit that saw neither fold i nor
            r's own, at the penalty fold i chose; -1 where r lies in fold i or the fit saw no row of r's
            class. The inner level of nested cross-validation, left over from choosing the penalties.
        folds: int (n,), the fold of each row.
        penalties: float (K,), the penalty each outer fold chose.
        converged: whether every kept fit reached its tolerance.
        chosen: False when there were too few photos to choose a penalty, so that the default was used.
    """

    logits: np.ndarray
    nested: np.ndarray
    folds: np.ndarray
    penalties: np.ndarray
    converged: bool
    chosen: bool


@dataclass(frozen=True)
class FittedHead:
    """A head, and what was learned on the way.

    Attributes:
        weights: float32 (d, k); logits = features @ weights + bias.
        bias: float32 (k,).
        penalty: the penalty of the final fit, in units of the mean cross-entropy.
        cross_fitted: its cross-validation, see `CrossFitted`.
        losses: {penalty: mean out-of-fold cross-entropy} of the penalties that were tried.
        steps: iterations of the final fit.
        converged: whether every kept fit reached its tolerance.
    """

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    cross_fitted: CrossFitted
    losses: dict[float, float]
    steps: int
    converged: bool

    @property
    def out_of_fold_logits(self) -> np.ndarray:
        """Float32 (n, k), see `CrossFitted.logits`."""
        return self.cross_fitted.logits

    @property
    def folds(self) -> np.ndarray:
        """Int (n,), the fold of each row."""
        return self.cross_fitted.folds

    @property
    def fold_penalties(self) -> np.ndarray:
        """Float (K,), the penalty each outer fold chose."""
        return self.cross_fitted.penalties

    @property
    def chosen(self) -> bool:
        """False when there were too few photos to choose a penalty, so that the default was used."""
        return self.cross_fitted.chosen


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: tuple[float, ...],
    default_penalty: float,
    balanced: bool = False,
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
        balanced: weigh each row by the inverse of its class's size among the rows a fit counts.
        advance: called with 1 after each penalty, for a progress bar of len(penalties) steps.

    Raises:
        DataError: shapes disagree, a class has no row, or a value is not finite.
    """
    _refuse_bad_input(features, labels, folds, classes)
    task, order = _task(features, labels, folds, classes, balanced)
    search, crossed = _cross_fit(task, order, penalties, default_penalty, advance)
    final = strongest_good(search.penalties, search.singles) if crossed.chosen else default_penalty
    last = _final_fit(task, search, final)
    weights, bias = out_of_span(task.span, last.coefficients[..., 0])
    losses = mean_rows(search.singles)
    return FittedHead(
        weights=weights,
        bias=bias,
        penalty=final,
        cross_fitted=crossed,
        losses={float(p): float(v) for p, v in zip(search.penalties, losses, strict=True)},
        steps=int(last.steps[0]),
        converged=bool(crossed.converged and last.converged.all()),
    )


def cross_fit(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    classes: int,
    penalties: tuple[float, ...],
    default_penalty: float,
    balanced: bool = False,
) -> CrossFitted:
    """Cross-validate as `fit_head` does, without fitting the head itself: for further deals into folds.

    Args and Raises: as for `fit_head`.
    """
    _refuse_bad_input(features, labels, folds, classes)
    task, order = _task(features, labels, folds, classes, balanced)
    return _cross_fit(task, order, penalties, default_penalty, lambda steps: None)[1]


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


def _task(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int, balanced: bool
) -> tuple[Task, np.ndarray]:
    """The rows sorted by fold, and the order int (n,) that sorts them."""
    order = np.argsort(folds, kind="stable")
    return Task(into_span(features[order]), labels[order], folds[order], classes, balanced), order


def _cross_fit(
    task: Task,
    order: np.ndarray,
    penalties: tuple[float, ...],
    default_penalty: float,
    advance: Callable[[int], None],
) -> tuple[Search, CrossFitted]:
    problem = task.problem(np.float32)
    search = search_penalties(task, problem, penalties, advance)
    outer, chosen = choose_per_fold(search, default_penalty)
    logits, converged = _out_of_fold(task, problem, search, outer)
    back = np.argsort(order)
    return search, CrossFitted(
        logits=logits[back],
        nested=search.nested_at(outer)[:, back],
        folds=task.folds[back],
        penalties=outer,
        converged=converged,
        chosen=chosen,
    )


def _out_of_fold(
    task: Task, problem: logistic.Problem, search: Search, outer: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Logits float32 (n, k) of each row under the fit without its fold, at that fold's own penalty."""
    columns, units = task.columns([(i,) for i in range(len(outer))])
    starts = [search.starts[search.nearest(penalty)][..., i] for i, penalty in enumerate(outer)]
    fits = logistic.fit(problem, columns, outer * units, np.stack(starts, axis=-1), _SCORED_TOLERANCE)
    logits = problem.logits(fits.coefficients)[np.arange(len(task.folds)), :, task.folds]
    logits -= logits.mean(axis=1, keepdims=True)
    return logits, bool(fits.converged.all())


def _final_fit(task: Task, search: Search, final: float) -> logistic.Fits:
    """The fit on all rows that is delivered."""
    columns, units = task.columns([()])
    start = search.starts[search.nearest(final)].mean(axis=-1, keepdims=True)
    return logistic.fit(task.problem(np.float64), columns, final * units, start, _FINAL_TOLERANCE)
