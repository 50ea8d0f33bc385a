"""What stands beside the result: cheaper answers on the same folds, so that one sees what transfer bought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from handful.audit.intervals import balanced_units, effective_trials
from handful.heads.fitting import CrossFitted
from handful.metrics import scores
from handful.metrics.intervals import Interval, exact_interval, units_per_class

_PIXEL_SIDE = 16  # of the thumbnails that raw pixels are taken from
_CHUNK = 1024  # rows compared with all others at once: memory stays flat

WORDS = {
    "majority": "always the commonest class of the training folds",
    "pixels": f"the same kind of layer on raw pixels, {_PIXEL_SIDE} x {_PIXEL_SIDE}",
    "nearest": "the class of the nearest training photo, by the backbone's features",
    "scratch": "a small network trained from nothing for a fixed number of steps",
}


@dataclass(frozen=True)
class Baseline:
    """A cheaper answer, cross-validated on the folds of the result.

    Attributes:
        name: a key of `WORDS`.
        what: in words.
        accuracy: with a 95 % interval, from one deal into folds.
        balanced_accuracy: mean recall of the classes, likewise.
    """

    name: str
    what: str
    accuracy: Interval
    balanced_accuracy: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return asdict(self)


@dataclass(frozen=True)
class Rows:
    """What is cross-validated.

    Attributes:
        features: float32 (n, d).
        thumbnails: uint8 (n, side, side, 3), the whole photo, side at least 16.
        labels: int (n,).
        groups: int (n,), photos that are not independent of each other share a number.
        folds: int (n,), those of the result.
        classes: k.
    """

    features: np.ndarray
    thumbnails: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    classes: int


def baselines(
    rows: Rows,
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray], CrossFitted],
    *,
    advance: Callable[[int], None] = lambda steps: None,
) -> tuple[Baseline, ...]:
    """Cross-validate what the result is compared with.

    Args:
        rows: the training photos.
        fit: (features, labels, folds) -> CrossFitted, as the result was fitted.
        advance: called with 1 after each baseline, for a bar of 3 steps.
    """
    answers: dict[str, Callable[[], np.ndarray]] = {
        "majority": lambda: majority(rows.labels, rows.folds, rows.classes),
        "pixels": lambda: from_pixels(rows, fit),
        "nearest": lambda: nearest(rows.features, rows.labels, rows.folds),
    }
    found = []
    for name, answer in answers.items():
        found.append(_scored(name, answer(), rows))
        advance(1)
    return tuple(found)


def majority(labels: np.ndarray, folds: np.ndarray, classes: int) -> np.ndarray:
    """The commonest class of the other folds, int (n,); of several the first."""
    predicted = np.empty_like(labels)
    for fold in np.unique(folds):
        inside = folds == fold
        predicted[inside] = np.bincount(labels[~inside], minlength=classes).argmax()
    return predicted


def nearest(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The class of the photo of another fold whose features point most nearly the same way, int (n,).

    Nearness is the cosine between features about their mean over the training folds.
    """
    predicted = np.empty_like(labels)
    for fold in np.unique(folds):
        inside = folds == fold
        centre = features[~inside].mean(axis=0)
        known = _of_length_one(features[~inside] - centre)
        for part in np.array_split(np.flatnonzero(inside), -(-int(inside.sum()) // _CHUNK)):
            alike = _of_length_one(features[part] - centre) @ known.T
            predicted[part] = labels[~inside][alike.argmax(axis=1)]
    return predicted


def from_pixels(rows: Rows, fit: Callable[[np.ndarray, np.ndarray, np.ndarray], CrossFitted]) -> np.ndarray:
    """The classes a layer on raw pixels predicts, int (n,); its penalty is chosen as the result's was."""
    return fit(raw_pixels(rows.thumbnails), rows.labels, rows.folds).logits.argmax(axis=1)


def raw_pixels(thumbnails: np.ndarray) -> np.ndarray:
    """Thumbnails uint8 (n, side, side, 3), averaged down to 16 x 16, as float32 (n, 768) in [0, 1]."""
    edges = np.arange(_PIXEL_SIDE) * thumbnails.shape[1] // _PIXEL_SIDE
    counts = np.diff([*edges, thumbnails.shape[1]])
    summed = np.add.reduceat(thumbnails, edges, axis=1, dtype=np.uint32)
    summed = np.add.reduceat(summed, edges, axis=2)
    means = summed / (255 * counts[:, None] * counts[None, :])[None, :, :, None]
    return means.reshape(len(thumbnails), -1).astype(np.float32)


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def from_scratch(rows: Rows, seed: int) -> Baseline:
    """Cross-validate a small network that is trained from nothing; imports TensorFlow."""
    from handful.networks.quiet import import_keras, without_noise

    import_keras()
    from handful.networks.scratch import cross_train

    with without_noise():
        predicted = cross_train(rows.thumbnails, rows.labels, rows.folds, classes=rows.classes, seed=seed)
    return _scored("scratch", predicted, rows)


def _scored(name: str, predicted: np.ndarray, rows: Rows) -> Baseline:
    confusion = scores.confusion_matrix(rows.labels, predicted, rows.classes)
    units = units_per_class(rows.labels, rows.groups, rows.classes)
    there = units > 0
    independent = len(np.unique(rows.groups)), balanced_units(scores.recalls(confusion)[there], units[there])
    values = scores.accuracy(confusion), scores.balanced_accuracy(confusion)
    folds = int(rows.folds.max()) + 1
    accuracy, balanced = (
        exact_interval(value, effective_trials(number, folds, repeats=1))
        for value, number in zip(values, independent, strict=True)
    )
    return Baseline(name, WORDS[name], accuracy, balanced)
