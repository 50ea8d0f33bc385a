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
_PATIENCE = 3  # stops in a row without a lower held-out loss, behind which none is looked for


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
    watched: dict[int, np.ndarray], labels: np.ndarray, halves: np.ndarray, patience: int = _PATIENCE
) -> tuple[np.ndarray, list[int]]:
    """Score each half of the held-out photos at the stop that was best for the other half.

    So the best of several stops is used, and no photo is scored where its own label chose. Stops behind the
    end of one half's patience, which are there because the other still gained, are not considered for it.

    Args:
        watched: {step: logits (m, k)} of the held-out photos at each stop.
        labels: int (m,).
        halves: int (m,), 0 or 1; all of one kind where they cannot be parted: then the last stop counts.
        patience: stops in a row without a lower loss, behind which none is looked for.

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
        best, _ = _best([_loss(watched[step][other], labels[other]) for step in steps], patience)
        logits[own] = watched[steps[best]][own]
        chosen.append(steps[best])
    return logits, chosen


def _best(losses: list[float], patience: int) -> tuple[int, bool]:
    """Position of the lowest loss until `patience` in a row were no lower, and whether so many came."""
    best = 0
    for at, loss in enumerate(losses):
        if loss < losses[best]:
            best = at
        elif at - best >= patience:
            return best, True
    return best, False


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of logits (m, k), in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=1))
    return float((normal - shifted[np.arange(len(labels)), labels]).mean())


def stop_early(
    watched: dict[int, np.ndarray], labels: np.ndarray, halves: np.ndarray, patience: int = _PATIENCE
) -> bool:
    """Whether neither half has use for another stop: the loss of each has not fallen for `patience` stops.

    Each half's patience is judged from its own labels alone. That the run goes on as long as either has some
    left moves no choice, since `best_stops` judges the halves in the same way. Held-out photos that cannot be
    parted are scored at the last stop, which their labels must not choose: such a run is never ended early.

    Args: as for `best_stops`; `watched` may be empty.
    """
    steps = sorted(watched)
    return len(set(halves.tolist())) == 2 and all(
        _best([_loss(watched[step][halves == half], labels[halves == half]) for step in steps], patience)[1]
        for half in (0, 1)
    )
