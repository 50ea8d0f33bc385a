"""Rounds of held-out photos, and how a candidate did in them: in numbers, in words, in the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.config import DEFAULT_PENALTY, PENALTIES, TUNING_ROUNDS, TrainConfig
from handful.data.names import counted
from handful.finetune.decision import Compared, Verdict, rounds_of
from handful.finetune.material import Material
from handful.heads.fitting import fit_head
from handful.metrics.intervals import Interval, wilson

if TYPE_CHECKING:
    from handful.finetune.cuts import Cut


@dataclass(frozen=True)
class Round:
    """One group of held-out photos, and the frozen head fitted on all others.

    Attributes:
        held: int (m,), rows.
        rest: int (n - m,), rows.
        weights: float32 (d, k).
        bias: float32 (k,).
        halves: int (m,), 0 or 1 by fold: each half is scored at the stop that was best for the other.
    """

    held: np.ndarray
    rest: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    halves: np.ndarray


@dataclass(frozen=True)
class Trial:
    """How one candidate did.

    Attributes:
        cut: where it was cut.
        trained_weights: how many weights move.
        against: what it was compared with, in words.
        before: logits of what it was compared with, round by round.
        logits: its own.
        compared: all rounds together.
        answer: of the last look.
        until: share of the steps at which its runs were best, the middle one.
        training: accuracy on the photos trained on, over the rounds.
    """

    cut: Cut
    trained_weights: int
    against: str
    before: list[np.ndarray]
    logits: list[np.ndarray]
    compared: Compared
    answer: Verdict
    until: float
    training: float


def hold_out(material: Material, config: TrainConfig) -> list[Round]:
    """Hold out each third of the photos once, by folds, and fit the frozen head on the others.

    Its penalty is chosen by the folds of those others alone; the default where a single fold is left.
    """
    head, rounds = material.head, []
    for folds in rounds_of(head.folds, TUNING_ROUNDS):
        out = np.isin(head.folds, folds)
        held, rest = np.flatnonzero(out), np.flatnonzero(~out)
        if len(set(material.labels[rest].tolist())) < material.classes:
            continue  # a class of very few photos, all held out: nothing could be said about it
        left = np.unique(head.folds[rest], return_inverse=True)[1]
        fitted = fit_head(
            material.features[rest], material.labels[rest], left if left.any() else np.arange(len(rest)) % 2,
            classes=material.classes, penalties=PENALTIES if left.any() else (DEFAULT_PENALTY,),
            default_penalty=DEFAULT_PENALTY, balanced=config.class_weight == "balanced",
        )  # fmt: skip
        halves = np.searchsorted(folds, head.folds[held]) % 2
        rounds.append(Round(held, rest, fitted.weights, fitted.bias, halves))
    return rounds


def words_of(trial: Trial) -> str:
    """How a candidate did, in one line with its interval, its number of photos and the chance."""
    found, cut = trial.compared, trial.cut
    before = wilson(found.right_before, found.photos)
    now = wilson(found.right, found.photos)
    blocks = counted(cut.blocks, "block")
    return (
        f"fine-tuning the last {blocks} gets {_told(now)} of {found.photos} held-out photos right, "
        f"{trial.against} {_told(before)} ({found.won} gained, {found.lost} lost, p = {found.chance:.2g})"
    )


def _told(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def trial_entry(trial: Trial) -> dict[str, Any]:
    """A trial for the card."""
    found = trial.compared
    return {
        "cut": trial.cut.layer,
        "blocks": trial.cut.blocks,
        "trained_weights": trial.trained_weights,
        "against": trial.against,
        "n": found.photos,
        "accuracy": wilson(found.right, found.photos).as_dict(),
        "accuracy_before": wilson(found.right_before, found.photos).as_dict(),
        "training_accuracy": trial.training,
        "won": found.won,
        "lost": found.lost,
        "p": found.chance,
        "answer": trial.answer,
        "until": trial.until,
    }
