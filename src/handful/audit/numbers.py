"""All that is measured of a frozen result, from cached features and one set of out-of-fold predictions.

Whatever is tuned on out-of-fold rows (temperature, threshold, the rule for sets) is scored on other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from handful.audit.baselines import Baseline, Rows, baselines, from_scratch
from handful.audit.calibration import Calibration, calibrate
from handful.audit.conformal import PredictionSets, fit_prediction_sets
from handful.audit.curve import LearningCurve, learning_curve
from handful.audit.repeats import CrossValidated, cross_validated, repeat
from handful.audit.strangers import Abstention, Strangers, abstentions, fit_strangers
from handful.audit.suspects import Suspects, rank_suspects
from handful.config import DEFAULT_PENALTY, PENALTIES, TrainConfig, default_repeats
from handful.data.looks import Look
from handful.heads.fitting import CrossFitted, FittedHead, cross_fit

_STEPS = 8  # of the bar, the repeats apart


@dataclass(frozen=True)
class Measured:
    """The training photos and the head that was fitted on them.

    Attributes:
        files: n names, for people.
        classes: k names.
        features: float32 (n, d).
        labels: int (n,).
        groups: int (n,), photos that are not independent of each other share a number.
        looks: n, with their thumbnails.
        head: fitted on them.
    """

    files: Sequence[str]
    classes: Sequence[str]
    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    looks: Sequence[Look]
    head: FittedHead


@dataclass(frozen=True)
class Numbers:
    """What can be said of a frozen result.

    Attributes:
        cross_validated: accuracy and other scores with intervals.
        baselines: cheaper answers on the same folds.
        calibration: the temperature, and how honest the probabilities are.
        strangers: tells photos of none of the classes; None where all photos belong to one group, and for a
            fine-tuned network.
        abstentions: coverage and error at several thresholds.
        sets: the rule for sets of classes that hold the truth as often as stated.
        curve: what more photos would bring; None where there are too few to tell.
        suspects: labels that are probably wrong.
        files: of the training photos, for `as_dict`.
        classes: likewise.
        of: whose calibration, abstentions and sets these are, "frozen" or "fine-tuned"; the others are always
            of the frozen network.
    """

    cross_validated: CrossValidated
    baselines: tuple[Baseline, ...]
    calibration: Calibration
    strangers: Strangers | None
    abstentions: tuple[Abstention, ...]
    sets: PredictionSets
    curve: LearningCurve | None
    suspects: Suspects
    files: tuple[str, ...]
    classes: tuple[str, ...]
    of: str = "frozen"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card; rows and classes by name."""
        return {
            "cross_validated": self.cross_validated.as_dict(),
            "baselines": [baseline.as_dict() for baseline in self.baselines],
            "calibration": {"of": self.of, **self.calibration.as_dict()},
            "strangers": None if self.strangers is None else self.strangers.as_dict(),
            "abstentions": [asdict(one) for one in self.abstentions],
            "prediction_sets": {"of": self.of, **self.sets.as_dict()},
            "learning_curve": self._curve(),
            "suspects": self._suspects(),
        }

    def _curve(self) -> dict[str, Any] | None:
        if self.curve is None:
            return None
        found = self.curve.as_dict()
        return {**found, "needs": [{**need, "label": self.classes[need["label"]]} for need in found["needs"]]}

    def _suspects(self) -> dict[str, Any]:
        found = self.suspects.as_dict()
        ranked = [
            {
                "file": self.files[row["row"]],
                **{name: value for name, value in row.items() if name != "row"},
                "label": self.classes[row["label"]],
                "predicted": self.classes[row["predicted"]],
            }
            for row in found["ranked"]
        ]
        return {**found, "ranked": ranked}


def measure(
    data: Measured, config: TrainConfig, *, advance: Callable[[int], None] = lambda steps: None
) -> Numbers:
    """Measure everything that needs no network.

    Args:
        data: the training photos and the head.
        config: seed and how classes were weighed.
        advance: called with 1 after each of `steps_to_measure` steps, or fewer.
    """
    out_of_fold, labels, groups = data.head.cross_fitted, data.labels, data.groups
    repeats = repeat(
        out_of_fold, labels, groups, lambda folds: _cross_fit(data, config, folds),
        repeats=default_repeats(len(labels)), seed=config.seed, advance=advance,
    )  # fmt: skip
    scored = cross_validated(repeats, labels, groups)
    beside = baselines(_rows(data), _like_the_head(data, config), advance=advance)
    calibration = calibrate(out_of_fold.logits, labels, out_of_fold.folds, groups, config.seed)
    advance(1)
    strangers = _strangers(data, config.seed)
    sets = fit_prediction_sets(calibration.probabilities, labels, out_of_fold.folds, groups=groups)
    advance(1)
    curve = learning_curve(
        data.features, labels, classes=len(data.classes), penalty=data.head.penalty, groups=groups,
        balanced=config.class_weight == "balanced", seed=config.seed,
    )  # fmt: skip
    advance(1)
    return Numbers(
        cross_validated=scored,
        baselines=beside,
        calibration=calibration,
        strangers=strangers,
        abstentions=_abstentions(calibration, labels, strangers),
        sets=sets,
        curve=curve,
        suspects=rank_suspects(calibration.probabilities, labels),
        files=tuple(data.files),
        classes=tuple(data.classes),
    )


def with_scratch(numbers: Numbers, data: Measured, seed: int) -> Numbers:
    """Put a small network trained from nothing beside the result; it takes TensorFlow and some seconds."""
    return replace(numbers, baselines=(*numbers.baselines, from_scratch(_rows(data), seed)))


def for_fine_tuned(
    numbers: Numbers, logits: np.ndarray, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, seed: int
) -> Numbers:
    """Put the calibration and the sets of a fine-tuned network in place of the frozen one's.

    Its strangers cannot be told: how far new photos lie from training photos says nothing in the features of
    a network that has learned those very photos.

    Args:
        numbers: of the frozen network.
        logits: float32 (m, k) of photos held out from the fine-tuning.
        labels: int (m,).
        folds: int (m,), of those photos in the cross-validation.
        groups: int (m,).
        seed: of the resampling.
    """
    own = np.unique(folds, return_inverse=True)[1]
    calibration = calibrate(logits, labels, own, groups, seed)
    return replace(
        numbers,
        calibration=calibration,
        sets=fit_prediction_sets(calibration.probabilities, labels, own, groups=groups),
        strangers=None,
        abstentions=_abstentions(calibration, labels, None),
        of="fine-tuned",
    )


def steps_to_measure(photos: int) -> int:
    """How often `measure` calls `advance`."""
    return _STEPS + default_repeats(photos)


def _cross_fit(data: Measured, config: TrainConfig, folds: np.ndarray) -> CrossFitted:
    return _like_the_head(data, config)(data.features, data.labels, folds)


def _like_the_head(
    data: Measured, config: TrainConfig
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], CrossFitted]:
    """(features, labels, folds) -> CrossFitted, everything chosen as it was for the head."""

    def fit(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> CrossFitted:
        return cross_fit(
            features,
            labels,
            folds,
            classes=len(data.classes),
            penalties=PENALTIES,
            default_penalty=DEFAULT_PENALTY,
            balanced=config.class_weight == "balanced",
        )

    return fit


def _rows(data: Measured) -> Rows:
    thumbnails = np.stack([look.thumbnail for look in data.looks])
    folds = data.head.folds
    return Rows(data.features, thumbnails, data.labels, data.groups, folds, len(data.classes))


def _strangers(data: Measured, seed: int) -> Strangers | None:
    if len(np.unique(data.groups)) < 2:
        return None
    return fit_strangers(data.features, data.head.out_of_fold_logits, groups=data.groups, seed=seed)


def _abstentions(
    calibration: Calibration, labels: np.ndarray, strangers: Strangers | None
) -> tuple[Abstention, ...]:
    # Without a score of strangeness no photo is any stranger than another.
    scores = np.zeros(len(labels)) if strangers is None else strangers.scores
    found = abstentions(calibration.probabilities, labels, scores)
    return tuple(one for one in found if strangers is not None or one.by == "confidence")
