"""Classifier + labelled photos -> Evaluation: scores with intervals, confusion, and a row per photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import read_out_of_fold_hashes
from handful.audit.numbers import Numbers
from handful.audit.suspects import Suspects, rank_suspects
from handful.classifier import Classifier
from handful.config import cache_folder, default_workers
from handful.data import images
from handful.data.checks import stop_if_errors
from handful.data.manifest import Manifest, Row, Source
from handful.data.splitting import bundles
from handful.errors import DataError, Problem
from handful.features.cache import FeatureCache, Space
from handful.features.labelled import Labelled, pass_labelled
from handful.features.store import FEATURES
from handful.metrics import intervals, scores
from handful.metrics.calibration import calibration_error_interval
from handful.notebook import interval_text, table
from handful.progress import Speaker, Warnings

_MOST_NAMED = 10  # refused photos named in one message


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth.

    Attributes:
        n: photos scored.
        independent: how many of them are independent: copies of one photo and photos of one group are one.
        accuracy: share recognised, with its Wilson interval by that number.
        balanced_accuracy: mean recall of the classes, with its interval.
        macro_f1: mean F1 of the classes.
        log_loss: mean -log(probability of the label), nats.
        brier: Brier score, 0 to 2.
        calibration_error: how far the probabilities are from what comes true, with its interval.
        recall: of each class, with its interval; nan for a class without photos.
        precision: of each class, with its interval; nan for a class never predicted.
        confusion: int (k, k), row is the label, column the prediction.
    """

    n: int
    independent: int
    accuracy: intervals.Interval
    balanced_accuracy: intervals.Interval
    macro_f1: float
    log_loss: float
    brier: float
    calibration_error: intervals.Interval
    recall: tuple[intervals.Interval, ...]
    precision: tuple[intervals.Interval, ...]
    confusion: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return {
            "n": self.n,
            "n_independent": self.independent,
            "accuracy": self.accuracy.as_dict(),
            "balanced_accuracy": self.balanced_accuracy.as_dict(),
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "calibration_error": self.calibration_error.as_dict(),
            "recall": [share.as_dict() for share in self.recall],
            "precision": [share.as_dict() for share in self.precision],
            "confusion": self.confusion.tolist(),
        }


def score(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Scores:
    """Score probabilities float32 (n, k) against labels int (n,), n at least 1.

    Args:
        probabilities: float32 (n, k).
        labels: int (n,).
        groups: int (n,), photos that are not independent of each other share a number, as `splitting.bind`
            gives; None: all are independent. The intervals count each group of a class once.
    """
    units = np.arange(len(labels)) if groups is None else groups
    classes = probabilities.shape[1]
    independent = intervals.units_per_class(labels, units, classes)
    predicted = probabilities.argmax(axis=1)
    confusion = scores.confusion_matrix(labels, predicted, classes)
    # A group with photos of several classes is one for all of them together, though one in each of them.
    shared = min(1.0, len(np.unique(units)) / independent.sum())
    of_answers = intervals.units_per_class(predicted, units, classes)
    return Scores(
        n=len(labels),
        independent=len(np.unique(units)),
        accuracy=intervals.accuracy_interval(confusion, len(np.unique(units))),
        balanced_accuracy=intervals.balanced_accuracy_interval(confusion, independent * shared),
        macro_f1=scores.macro_f1(confusion),
        log_loss=scores.log_loss(probabilities, labels),
        brier=scores.brier_score(probabilities, labels),
        calibration_error=calibration_error_interval(
            probabilities.max(axis=1), predicted == labels, groups=units
        ),
        recall=intervals.shares(np.diag(confusion), confusion.sum(axis=1), independent),
        precision=intervals.shares(np.diag(confusion), confusion.sum(axis=0), of_answers),
        confusion=confusion,
    )


def cross_validated_scores(numbers: Numbers, probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """The scores of repeated cross-validation.

    What depends on probabilities is of the calibrated ones, as they are delivered; that and the confusion are
    of the out-of-fold table, the first repeat.

    Args:
        numbers: what `audit.numbers.measure` found.
        probabilities: float32 (n, k), out-of-fold, calibrated across folds.
        labels: int (n,).
    """
    found = numbers.cross_validated
    predicted = probabilities.argmax(axis=1)
    return Scores(
        n=found.n,
        independent=found.independent,
        accuracy=found.accuracy,
        balanced_accuracy=found.balanced_accuracy,
        macro_f1=found.macro_f1,
        log_loss=scores.log_loss(probabilities, labels),
        brier=scores.brier_score(probabilities, labels),
        calibration_error=numbers.calibration.after,
        recall=found.recall,
        precision=found.precision,
        confusion=scores.confusion_matrix(labels, predicted, probabilities.shape[1]),
    )


@dataclass(frozen=True)
class PhotoRow:
    """One scored photo: its file, label, prediction and the prediction's probability."""

    file: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Evaluation:
    """How a model does on labelled photos that it was not trained on.

    Attributes:
        classes: in the model's order.
        scores: see `Scores`.
        photos: a row per scored photo.
        promised: the accuracy that training found for what is delivered, on photos like its own.
        in_sets: share of photos whose prediction set holds their label; None where the model has no rule.
        refused: share of photos taken for strangers, of none of the classes; None where it cannot tell.
        suspects: the photos ranked by how probably their label is wrong; rows are positions in `photos`.
        problems: refused photos and other findings.
        skipped: how many photos were refused or left out for what is wrong with them.
        trained_on: how many photos the model was trained on; left out too, unless there are no others.
    """

    classes: tuple[str, ...]
    scores: Scores
    photos: tuple[PhotoRow, ...]
    promised: intervals.Interval
    in_sets: intervals.Interval | None
    refused: intervals.Interval | None
    suspects: Suspects
    problems: tuple[Problem, ...]
    skipped: int
    trained_on: int

    @property
    def accuracy(self) -> intervals.Interval:
        """Share recognised, with its interval."""
        return self.scores.accuracy

    @property
    def balanced_accuracy(self) -> intervals.Interval:
        """Mean recall of the classes, with its interval."""
        return self.scores.balanced_accuracy

    def _repr_html_(self) -> str:
        plain = self.scores.as_dict()
        rows = [
            (key.replace("_", " "), interval_text(plain[key])) for key in ("accuracy", "balanced_accuracy")
        ]
        return table(f"Evaluation on {self.scores.n} photos", rows)


def evaluate(
    classifier: Classifier | str | Path,
    photos: Source,
    *,
    speaker: Speaker | None = None,
    workers: int | None = None,
) -> Evaluation:
    """Score a model on labelled photos.

    Args:
        classifier: a model, or the folder it lies in.
        photos: a folder per class, a table, a data frame or pairs, as for `train`. Where a folder holds
            test/ or validation photos beside train/, those are scored: test first.
        speaker: told what happens; by default only warnings show, on standard error.
        workers: threads; None is one per core.

    Raises:
        DataError: labels the model does not know, or no photo left to score.
        ArtefactError: the model cannot be opened.
    """
    model = classifier if isinstance(classifier, Classifier) else Classifier.load(classifier)
    listener = speaker or Warnings()
    manifest = Manifest.read(photos, classes=model.classes)
    stop_if_errors(manifest.problems, listener, manifest.root)
    count = workers or default_workers()
    part = manifest.to_score()
    _tell_part(manifest, part, listener)
    labelled = pass_labelled(
        part, model.engine, _cache(model), listener,
        workers=count, allow_bad=True, for_training=False,
    )  # fmt: skip
    rows, values, known = _fresh(labelled, read_out_of_fold_hashes(model.artefact))
    if not rows:
        raise _nothing_to_score(labelled)
    listener.show(labelled.problems)
    seen = _trained_on(known, labelled, all_kept=len(rows) == len(labelled.manifest.rows))
    for problem in seen:
        listener.warn(f"{problem.what}. {problem.fix}")
    labels = np.array([model.classes.index(row.label) for row in rows])
    probabilities, groups = model.probabilities_of(values), bundles(rows)
    sets = model.sets_of(probabilities)
    return Evaluation(
        classes=model.classes,
        scores=score(probabilities, labels, groups),
        photos=tuple(
            PhotoRow(row.shown, row.label, model.classes[int(p.argmax())], float(p.max()))
            for row, p in zip(rows, probabilities, strict=True)
        ),
        promised=_promised(model),
        in_sets=None if sets is None else _share(sets[np.arange(len(labels)), labels], groups),
        refused=_share(model.strangers_among(values), groups),
        suspects=rank_suspects(probabilities, labels),
        problems=(*seen, *labelled.problems),
        skipped=labelled.skipped,
        trained_on=known,
    )


def _promised(model: Classifier) -> intervals.Interval:
    found = model.card["scores"]
    told = found.get("fine_tuned", found.get("cross_validation", {})).get("accuracy", {})
    values = (told.get(name) for name in ("value", "low", "high"))
    return intervals.Interval(*(float("nan") if value is None else value for value in values))


def _share(which: np.ndarray | None, groups: np.ndarray) -> intervals.Interval | None:
    """The share of rows bool (n,) with its interval, each group being one trial."""
    if which is None:
        return None
    independent = len(np.unique(groups))
    return intervals.wilson(float(which.mean()) * independent, independent)


def _tell_part(manifest: Manifest, part: Manifest, speaker: Speaker) -> None:
    aside = len(manifest.rows) - len(part.rows)
    if aside:
        which = f"{len(part.rows):,} {part.rows[0].split} photos"
        speaker.say(f"scoring the {which}; {aside:,} others are left aside")


def _cache(model: Classifier) -> FeatureCache | None:
    """The features of the model's network, if this Handful would compute the very same."""
    space = model.card["network"].get("space")
    try:
        known = Space(**{**space, "size": tuple(space["size"])})
    except (TypeError, KeyError):  # a card from before features were named in it
        return None
    same = known.decoder == images.DECODER_VERSION and known.engine == model.engine.id
    if not same:
        return None
    return FeatureCache(cache_folder() / FEATURES, known)


def _nothing_to_score(labelled: Labelled) -> DataError:
    found = [f"{p.file}: {p.what}. {p.fix}" for p in labelled.problems if p.severity == "warning"]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    lines = "".join(f"\n  {line}" for line in [*found[:_MOST_NAMED], *more])
    return DataError(f"No photo is left to score; every one was refused:{lines}", labelled.problems)


def _fresh(labelled: Labelled, trained: frozenset[str]) -> tuple[list[Row], np.ndarray, int]:
    """Leave out photos the model was trained on, unless there are no others; and how many there are."""
    rows, values = list(labelled.manifest.rows), labelled.values[:, 0]
    new = [row.sha256 not in trained for row in rows]
    known = len(rows) - sum(new)
    if not any(new):
        return rows, values, known
    return [row for row, fresh in zip(rows, new, strict=True) if fresh], values[new], known


def _trained_on(known: int, labelled: Labelled, *, all_kept: bool) -> list[Problem]:
    if not known:
        return []
    if all_kept:
        what = f"All {known} photos were trained on, so this score flatters"
    else:
        what = (
            f"{known} of {len(labelled.manifest.rows)} photos were trained on and are left out of the score"
        )
    return [Problem("warning", "", what, "Score photos that the model has not seen")]
