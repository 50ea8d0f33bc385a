"""Whether fine-tuning pays: the frozen head and a fine-tuned top, scored on the same photos that neither saw.

The photos are held out in rounds, each a group of the cross-validation's folds. After each round the exact
sign test counts the photos on which the two disagree: `won`, which only the fine-tuned top gets right,
against `lost`, which only the frozen head does. Accuracy decides and not the loss: the penalised head is less
certain of itself on purpose, so that its loss would fall by sharpening alone.

Looking several times would find a gain that is not there more often, so each look gets its share of the error
(Bonferroni). Source of the test: McNemar 1947, Psychometrika 12(2), in its exact binomial form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["better", "no better", "unclear"]
ERROR_RATE = 0.05  # of calling a top better that is not, over all looks together


@dataclass(frozen=True)
class Compared:
    """Two models on the same photos.

    Attributes:
        photos: how many.
        won: photos that only the candidate gets right.
        lost: photos that only the one before gets right.
        right: photos that the candidate gets right.
        looks: how many rounds there may be.
    """

    photos: int
    won: int
    lost: int
    right: int
    looks: int

    @property
    def right_before(self) -> int:
        """Photos that the one before gets right."""
        return self.right - self.won + self.lost

    @property
    def chance(self) -> float:
        """Probability of so many wins among the disagreements, or more, if neither were better."""
        return sign_test(self.won, self.lost)


def compare(labels: np.ndarray, before: np.ndarray, candidate: np.ndarray, looks: int) -> Compared:
    """Count where two models disagree.

    Args:
        labels: int (m,).
        before: logits (m, k) of the model to beat.
        candidate: logits (m, k) of the other.
        looks: how many rounds there may be.
    """
    right = before.argmax(axis=1) == labels
    now = candidate.argmax(axis=1) == labels
    won, lost = int((now & ~right).sum()), int((right & ~now).sum())
    return Compared(len(labels), won, lost, int(now.sum()), looks)


def sign_test(won: int, lost: int) -> float:
    """One-sided exact p value: P(X >= won), X binomial with won + lost fair throws."""
    total = won + lost
    return sum(math.comb(total, k) for k in range(won, total + 1)) / 2**total


def verdict(found: Compared, rounds: int) -> Verdict:
    """Judge after a round.

    "better": the chance is below this look's share of `ERROR_RATE`. "no better": this was the last look; or
    nothing is gained so far; or twice as many wins in the rounds that are left, with no further loss, would
    not be enough. Else "unclear": another round can tell.

    Args:
        found: all rounds so far together.
        rounds: how many of them there were.
    """
    share = ERROR_RATE / found.looks
    if found.chance <= share:
        return "better"
    left = found.looks - rounds
    if not left or found.won <= found.lost:
        return "no better"
    hoped = found.won + math.ceil(2 * found.won * left / rounds)
    return "unclear" if sign_test(hoped, found.lost) <= share else "no better"


def can_win(errors: int, looks: int) -> bool:
    """Whether a top that mends every one of these errors, and makes none, would be called better."""
    return sign_test(errors, 0) <= ERROR_RATE / looks


def rounds_of(folds: np.ndarray, most: int) -> list[np.ndarray]:
    """Group cross-validation's folds into rounds that together hold each photo once.

    Args:
        folds: int (n,), 0 to K - 1.
        most: rounds to make at most; fewer where there are fewer folds.

    Returns:
        For each round the folds it holds out, int; about as many photos in each.
    """
    count = int(folds.max()) + 1
    return [np.array(part) for part in np.array_split(np.arange(count), min(most, count))]


def best_stops(
    watched: dict[int, np.ndarray], labels: np.ndarray, halves: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """Score each half of the held-out photos at the stop that was best for the other half.

    So the best of several stops is used, and no photo is scored where its own label chose.

    Args:
        watched: {step: logits (m, k)} of the held-out photos at each stop.
        labels: int (m,).
        halves: int (m,), 0 or 1; all of one kind where they cannot be parted: then the last stop counts.

    Returns:
        logits (m, k), and the stops that were chosen.
    """
    steps = sorted(watched)
    logits = watched[steps[-1]].copy()
    chosen = []
    if len(set(halves.tolist())) < 2:
        return logits, [steps[-1]]
    for half in (0, 1):
        own, other = halves == half, halves != half
        best = min(steps, key=lambda step: _loss(watched[step][other], labels[other]))
        logits[own] = watched[best][own]
        chosen.append(best)
    return logits, chosen


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of logits (m, k), in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=1))
    return float((normal - shifted[np.arange(len(labels)), labels]).mean())


def stop_early(watched: dict[int, np.ndarray], labels: np.ndarray, patience: int) -> bool:
    """Whether the held-out loss has not improved for `patience` stops; False before the first."""
    if not watched:
        return False
    losses = [_loss(watched[step], labels) for step in sorted(watched)]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience
