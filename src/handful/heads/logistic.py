"""Many penalised multinomial logistic regressions at once, on shared rows.

Folds and penalties differ only in which rows count and how much the coefficients are held back, so their
fits share every matrix product: m fits are columns of one product instead of m small ones. The solver is
L-BFGS (Nocedal and Wright 2006, Numerical Optimization, algorithm 7.5) in coordinates scaled by an estimate
of each class's curvature: the rotated features differ in size by orders of magnitude.

For fit j the objective is
    sum_i w_ij * cross_entropy(softmax(x_i W_j), y_i) + penalty_j / 2 * |W_j without bias|^2,
with weights w_ij that sum to one over i; rows left out have weight zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MEMORY = 6  # pairs of steps and gradient changes kept
_MOST_STEPS = 500
_MOST_HALVINGS = 20
_ROUNDING = 32  # a tolerance below so many units in the last place of the objective cannot be met
_SUFFICIENT = 1e-4  # share of the promised decrease a step must bring (Armijo)


@dataclass(frozen=True)
class Fits:
    """What m fits came to.

    Attributes:
        coefficients: (r, k, m), the last row is the bias.
        steps: int (m,), iterations each took.
        converged: bool (m,), estimated distance to the minimum within the tolerance.
    """

    coefficients: np.ndarray
    steps: np.ndarray
    converged: np.ndarray


@dataclass
class _State:
    """Where the unfinished fits stand; the last axis of every array is the fit."""

    which: np.ndarray  # positions of these fits among all
    weights: np.ndarray  # (n, m) row weights
    penalty: np.ndarray  # (m,)
    scale: np.ndarray  # (r, k, m): coefficients = scale * point
    point: np.ndarray
    value: np.ndarray  # (m,)
    gradient: np.ndarray  # in scaled coordinates
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]

    def keep(self, kept: np.ndarray) -> None:
        """Drop the fits that are done."""
        self.which, self.value, self.penalty = self.which[kept], self.value[kept], self.penalty[kept]
        self.weights = self.weights[:, kept]
        self.scale, self.point = self.scale[..., kept], self.point[..., kept]
        self.gradient = self.gradient[..., kept]
        self.pairs = [(s[..., kept], g[..., kept], c[kept]) for s, g, c in self.pairs]


class Problem:
    """Shared rows and labels of all fits.

    Args:
        rows: (n, r), the last column ones; its dtype is the precision of all arithmetic.
        labels: int (n,), each in [0, classes).
        classes: k.
        blocks: int (n,), sorted: rows of one block count or do not count together in every fit (folds), so
            that a fit skips whole blocks. With five folds that saves a third of the work.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, classes: int, blocks: np.ndarray) -> None:
        self.rows = rows
        self.labels = labels
        self.classes = classes
        edges = [*np.flatnonzero(np.diff(blocks)) + 1, len(rows)]
        starts = [0, *edges[:-1]]
        self._parts = [_Part(rows[a:b], labels[a:b], slice(a, b)) for a, b in zip(starts, edges, strict=True)]

    def probabilities(self, coefficients: np.ndarray) -> np.ndarray:
        """Softmax probabilities (n, k, m) of coefficients (r, k, m)."""
        logits = self.logits(coefficients)
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    def logits(self, coefficients: np.ndarray) -> np.ndarray:
        """Logits (n, k, m) of coefficients (r, k, m)."""
        r, k, m = coefficients.shape
        return (self.rows @ coefficients.reshape(r, k * m)).reshape(-1, k, m)

    def value_and_gradient(
        self, coefficients: np.ndarray, weights: np.ndarray, penalty: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Objective (m,) and gradient (r, k, m) at coefficients (r, k, m)."""
        held = coefficients[:-1]
        value = 0.5 * penalty * _dot(held, held)
        gradient = np.zeros_like(coefficients)
        gradient[:-1] = penalty * held
        for part in self._parts:
            counting = np.flatnonzero(weights[part.place.start])
            if not len(counting):
                continue
            every = len(counting) == len(penalty)
            chosen = coefficients if every else np.take(coefficients, counting, axis=2)
            loss, slope = part.loss_and_gradient(chosen, weights[part.place][:, counting])
            value[counting] += loss
            if every:
                gradient += slope
            else:
                gradient[..., counting] += slope
        return value, gradient

    def curvature_scale(self, start: np.ndarray, weights: np.ndarray, penalty: np.ndarray) -> np.ndarray:
        """Inverse square root of a diagonal estimate of the Hessian at `start`, (r, k, m).

        Entry (j, c): mean square of coordinate j times mean of p_c (1 - p_c), both over the counted rows,
        plus the penalty.
        """
        spread = self.probabilities(start)
        spread *= 1 - spread
        per_class = np.einsum("nm,nkm->km", weights, spread)
        squares = (self.rows**2).T @ weights
        curvature = squares[:, None, :] * np.maximum(per_class, 1e-6) + np.finfo(self.rows.dtype).eps
        curvature[:-1] += penalty
        return (1 / np.sqrt(curvature)).astype(self.rows.dtype)


class _Part:
    """Rows that count together: their share of the loss and of the gradient."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray, place: slice) -> None:
        self.rows, self.labels, self.place = rows, labels, place
        self._columns = np.ascontiguousarray(rows.T)
        self._order = np.arange(len(rows))

    def loss_and_gradient(
        self, coefficients: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted cross-entropy (m,) and its gradient (r, k, m); weights (rows, m)."""
        r, k, m = coefficients.shape
        logits = (self.rows @ coefficients.reshape(r, k * m)).reshape(-1, k, m)
        logits -= logits.max(axis=1, keepdims=True)
        true = logits[self._order, self.labels]
        np.exp(logits, out=logits)
        total = logits.sum(axis=1)
        loss = (weights * (np.log(total) - true)).sum(axis=0)
        logits *= (weights / total)[:, None, :]
        logits[self._order, self.labels] -= weights
        return loss, (self._columns @ logits.reshape(-1, k * m)).reshape(r, k, m)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("rkm,rkm->m", one, other)


def fit(
    problem: Problem, weights: np.ndarray, penalty: np.ndarray, start: np.ndarray, tolerance: float
) -> Fits:
    """Minimise m objectives from `start`.

    Args:
        problem: shared rows and labels.
        weights: (n, m), non-negative, each column sums to one.
        penalty: (m,), positive.
        start: (r, k, m), for example the solution for the next stronger penalty.
        tolerance: estimated distance of the objective to its minimum, in nats, at which a fit counts as
            converged: half the squared gradient in scaled coordinates, the Newton decrement if the scaling
            were the exact Hessian. A bound on the plain gradient would stop weakly penalised fits early,
            which acts as a penalty of its own and spoils the choice.
    """
    dtype = problem.rows.dtype
    weights, penalty = weights.astype(dtype), penalty.astype(dtype)
    found = start.astype(dtype)
    steps = np.full(len(penalty), _MOST_STEPS)
    converged = np.zeros(len(penalty), dtype=bool)
    state = _begin(problem, weights, penalty, found)
    for step in range(_MOST_STEPS):
        precision = _ROUNDING * np.finfo(dtype).eps * np.abs(state.value)
        done = 0.5 * _dot(state.gradient, state.gradient) <= np.maximum(tolerance, precision)
        converged[state.which[done]] = True
        if _retire(state, done, found, steps, step):
            break
        stuck = _advance(problem, state)
        if _retire(state, stuck, found, steps, step):
            break
    found[..., state.which] = state.scale * state.point
    return Fits(found, steps, converged)


def _begin(problem: Problem, weights: np.ndarray, penalty: np.ndarray, start: np.ndarray) -> _State:
    scale = problem.curvature_scale(start, weights, penalty)
    value, gradient = problem.value_and_gradient(start, weights, penalty)
    which = np.arange(len(penalty))
    return _State(which, weights, penalty, scale, start / scale, value, gradient * scale, [])


def _retire(state: _State, done: np.ndarray, found: np.ndarray, steps: np.ndarray, step: int) -> bool:
    """Write the finished fits down and drop them; True when none is left."""
    if not done.any():
        return False
    found[..., state.which[done]] = (state.scale * state.point)[..., done]
    steps[state.which[done]] = step
    state.keep(~done)
    return not len(state.which)


def _advance(problem: Problem, state: _State) -> np.ndarray:
    """Take one step in every fit; True where no step lowers the objective any more (rounding)."""
    direction = -_two_loops(state)
    slope = _dot(direction, state.gradient)
    length = np.ones_like(state.value)
    slack = 4 * np.finfo(state.value.dtype).eps * np.abs(state.value)
    short = np.zeros(len(length), dtype=bool)
    point, value, gradient = state.point, state.value, state.gradient
    for _ in range(_MOST_HALVINGS):
        point = state.point + length * direction
        value, gradient = problem.value_and_gradient(state.scale * point, state.weights, state.penalty)
        short = ~(value <= state.value + _SUFFICIENT * length * slope + slack)
        if not short.any():
            break
        length = np.where(short, length / 2, length)
    _remember(
        state,
        np.where(short, state.point, point),
        np.where(short, state.value, value),
        np.where(short, state.gradient, gradient * state.scale),
    )
    return short


def _remember(state: _State, point: np.ndarray, value: np.ndarray, gradient: np.ndarray) -> None:
    step, change = point - state.point, gradient - state.gradient
    product = _dot(step, change)
    usable = product > np.finfo(product.dtype).tiny * 1e6
    inverse = np.where(usable, 1 / np.where(usable, product, 1), 0).astype(product.dtype)
    state.pairs = [*state.pairs[-(_MEMORY - 1) :], (step, change, inverse)]
    state.point, state.value, state.gradient = point, value, gradient


def _two_loops(state: _State) -> np.ndarray:
    """Inverse Hessian estimate times gradient, from the remembered pairs."""
    result = state.gradient.copy()
    shares = []
    for step, change, inverse in reversed(state.pairs):
        share = inverse * _dot(step, result)
        result -= share * change
        shares.append(share)
    if state.pairs:
        _, change, inverse = state.pairs[-1]
        size = inverse * _dot(change, change)
        result *= np.where(size > 0, 1 / np.where(size > 0, size, 1), 1).astype(result.dtype)
    for (step, change, inverse), share in zip(state.pairs, reversed(shares), strict=True):
        result += (share - inverse * _dot(change, result)) * step
    return result
