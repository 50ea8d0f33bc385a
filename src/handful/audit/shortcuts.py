"""Shortcuts: classes that can be told apart without looking at what the photos show.

A network takes the easiest way: where all cats were taken with one camera or on one table, it learns the
camera or the table, cross-validation applauds, and the model fails on the next photo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handful.audit.traits import Trait, traits_of
from handful.config import DEFAULT_PENALTY, PENALTIES
from handful.data.looks import Look
from handful.data.manifest import Manifest
from handful.data.names import printable
from handful.data.splitting import stratified_folds
from handful.data.unions import bundles
from handful.errors import DataError, Problem
from handful.heads.fitting import cross_fit
from handful.metrics.intervals import units_per_class
from handful.metrics.scores import confusion_matrix
from handful.plain import percent

# Of the way from guessing to all right: metadata alone come to 0.16 on ants_bees, to 0.00 on hand_digits
# (benchmarks/data_check.py).
LEAST_SKILL = 0.5
LEAST_F1 = 0.8  # of one class, where the others differ in nothing; at most 0.61 on those two sets
_LEAST_SIGMAS = 4.0  # above guessing: beyond the noise of few photos
_FOLDS = 5
_LEAST_PHOTOS = 5  # of each class, to be judged at all
_LEAST_OF_ONE = 8  # of a class judged by itself: of many small classes one stands out by chance
_FAR = 4.0  # standard deviations at which a trait is cut off, so that one odd photo does not rule


@dataclass(frozen=True)
class Shortcut:
    """How well metadata alone tell the classes apart.

    Attributes:
        balanced_accuracy: out-of-fold mean recall of a linear classifier of all traits.
        chance: of guessing.
        sigma: standard deviation of the first, copies and groups counted once.
        label: number of the class it tells best.
        f1: harmonic mean of that class's recall and precision.
        photos: of that class, copies and groups counted once.
        trait: the one that tells this class best alone; "" where no shortcut was found.
    """

    balanced_accuracy: float
    chance: float
    sigma: float
    label: int
    f1: float
    photos: int
    trait: str = ""

    @property
    def skill(self) -> float:
        """Share of the way from guessing (0) to all right (1)."""
        return (self.balanced_accuracy - self.chance) / (1 - self.chance)

    @property
    def is_one(self) -> bool:
        """Whether the classes, or one of them, differ by more than what the photos show, far beyond noise."""
        gain = self.balanced_accuracy - self.chance
        whole = self.skill > LEAST_SKILL and gain > _LEAST_SIGMAS * self.sigma
        return whole or (self.chance < 0.5 and self.f1 > LEAST_F1 and self.photos >= _LEAST_OF_ONE)


def find_shortcuts(manifest: Manifest, looks: Sequence[Look]) -> list[Problem]:
    """Warn when size, format, camera or background alone tell the training photos' classes apart.

    Args:
        manifest: usable rows; the training rows are looked at.
        looks: of each row.
    """
    training = [(row, look) for row, look in zip(manifest.rows, looks, strict=True) if row.split == "train"]
    part = manifest.keep(row for row, _ in training)
    traits = traits_of([look for _, look in training]) if training else []
    traits = [trait for trait in traits if trait.differs(part.labels)]
    found = measure_shortcut(part, traits)
    if found is None or not found.is_one:
        return []
    trait = next(trait for trait in traits if trait.name == found.trait)
    return [_worded(found, trait, part)]


def measure_shortcut(manifest: Manifest, traits: Sequence[Trait]) -> Shortcut | None:
    """Cross-validate a linear classifier of the traits alone; where it does well, find the trait behind it.

    Args:
        manifest: training rows.
        traits: of these rows.

    Returns:
        None where there are too few photos, classes or traits to tell.
    """
    labels, groups, classes = manifest.labels, bundles(manifest.rows), len(manifest.classes)
    apart = units_per_class(labels, groups, classes)
    if not traits or classes < 2 or apart.min() < _LEAST_PHOTOS:
        return None
    try:
        folds = stratified_folds(labels, _FOLDS, 0, groups)
    except DataError:  # groups that hold several classes can leave nothing to deal
        return None
    confusion = _confusion(np.hstack([trait.columns for trait in traits]), labels, folds, classes)
    recalls, f1 = confusion.diagonal() / confusion.sum(axis=1), _f1(confusion)
    sigma = float(np.sqrt((np.maximum(recalls * (1 - recalls), 1 / apart) / apart).sum()) / classes)
    best = int(f1.argmax())
    found = Shortcut(float(recalls.mean()), 1 / classes, sigma, best, float(f1[best]), int(apart[best]))
    if not found.is_one:
        return found
    alone = [_f1(_confusion(trait.columns, labels, folds, classes))[best] for trait in traits]
    return replace(found, trait=traits[int(np.argmax(alone))].name)


def _f1(confusion: np.ndarray) -> np.ndarray:
    """Harmonic mean of recall and precision of each class (k,); 0 for a class never found."""
    return 2 * confusion.diagonal() / (confusion.sum(axis=0) + confusion.sum(axis=1))


def _confusion(columns: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int) -> np.ndarray:
    """Out-of-fold confusion (k, k) of a linear classifier of raw columns (n, c)."""
    fitted = cross_fit(
        _standardised(columns),
        labels,
        folds,
        classes=classes,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
        balanced=True,
    )
    return confusion_matrix(labels, fitted.logits.argmax(axis=1), classes)


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Columns about their median, in standard deviations; labels play no part, so folds share it."""
    centred = columns - np.median(columns, axis=0)
    spread = columns.std(axis=0)
    return np.clip(centred / np.where(spread > 0, spread, 1), -_FAR, _FAR).astype(np.float32)


def _worded(found: Shortcut, trait: Trait, manifest: Manifest) -> Problem:
    label = printable(manifest.classes[found.label])
    own = manifest.labels == found.label
    what = (
        f"metadata alone, without the picture, recognise {percent(found.balanced_accuracy, 0)} (guessing: "
        f'{percent(found.chance, 0)}), "{label}" best, by {trait.name}: '
        f"{_typical(trait, own)}, the others {_typical(trait, ~own)}"
    )
    fix = (
        f"The model may learn the {trait.name} instead of the content and fail elsewhere. Take photos of "
        "every class under the same conditions, or score it on photos where the classes do not differ so."
    )
    return Problem("warning", "", what, fix)


def _typical(trait: Trait, rows: np.ndarray) -> str:
    """The median of a number, or the commonest kind with its share."""
    chosen = [value for value, own in zip(trait.values, rows, strict=True) if own]
    if isinstance(chosen[0], str):
        kind, count = Counter(chosen).most_common(1)[0]
        return f"{printable(str(kind))} in {percent(count / len(chosen), 0)}"
    median = float(np.median(np.array(chosen, dtype=np.float64)))
    return f"{median:.3g} {trait.unit}".strip()
