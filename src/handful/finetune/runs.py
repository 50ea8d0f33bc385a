"""One run of a top, from its start or from where an earlier process left it, to its last stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from handful.config import Recipe
from handful.finetune.decision import stop_early
from handful.finetune.state import Journal, Position
from handful.finetune.top import Top, order_of_rows
from handful.finetune.trunk import KeptValues

_WATCHED_BATCH = 64
STOPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # shares of the steps at which a run is watched and committed
_COMMITS = (0.1, 0.2, 0.3, 0.4)  # shares at which it is committed only


@dataclass(frozen=True)
class Rows:
    """Photos of one run.

    Attributes:
        labels: int (n,) of all photos.
        weights: float32 (n,), how much each counts.
        trained: int (m,), rows to train on.
        watched: int (w,), held-out rows, seen plain and never trained on; empty in the last run.
        halves: int (w,), 0 or 1: each half of them chooses the stop at which the other is scored.
    """

    labels: np.ndarray
    weights: np.ndarray
    trained: np.ndarray
    watched: np.ndarray
    halves: np.ndarray


def run_top(
    name: str,
    top: Top,
    start: tuple[np.ndarray, np.ndarray],
    kept: KeptValues,
    rows: Rows,
    recipe: Recipe,
    journal: Journal,
    *,
    seed: int,
    until: float = 1.0,
    advance: Callable[[int], None],
) -> Position:
    """Train a top.

    Args:
        name: of the run, unique in the journal.
        top: what is trained.
        start: weights (d, k) and bias (k,) of the head it starts from.
        kept: the values at the cut.
        rows: what is trained on and what is watched.
        recipe: how.
        journal: where an interrupted run goes on from, and what every stop is committed to.
        seed: of the order of the photos.
        until: share of the steps after which to stop, of a schedule that is made for all of them.
        advance: called with the steps done.

    Returns:
        The position at the end, with the watched logits of every stop.
    """
    position = journal.position(name) or top.start(*start)
    top.restore(position)
    chosen, views = order_of_rows(rows.trained, kept.views, recipe.steps, recipe.batch, seed)
    advance(position.step)
    for stop, is_watched in _stops(recipe.steps, until):
        if stop <= position.step:
            continue
        if stop_early(position.watched, rows.labels[rows.watched], rows.halves):
            break
        for step in range(position.step, stop):
            batch = chosen[step]
            top.train(
                kept.take(batch, views[step]), rows.labels[batch], rows.weights[batch], step, recipe.steps
            )
            advance(1)
        watched = dict(position.watched)
        if is_watched and len(rows.watched):
            watched[stop] = top.logits(plain_values(kept, rows.watched))
        position = top.position(stop, watched)
        journal.reach(name, position)
    return position


def _stops(steps: int, until: float) -> list[tuple[int, bool]]:
    """Steps after which to commit, and whether the held-out photos are looked at there."""
    shares = [*((share, False) for share in _COMMITS), *((share, True) for share in STOPS)]
    return [(max(1, round(share * steps)), watched) for share, watched in shares if share <= until]


def plain_values(kept: KeptValues, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The values at the cut of the plain view of rows, float32, a batch at a time."""
    for first in range(0, len(rows), _WATCHED_BATCH):
        yield kept.take(rows[first : first + _WATCHED_BATCH], 0)
