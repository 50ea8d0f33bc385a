"""Classifier + labelled photos -> Evaluation: scores with intervals, confusion, and a row per photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import read_out_of_fold_hashes
from handful.classifier import Classifier
from handful.config import default_workers
from handful.data.checks import raise_if_errors
from handful.data.manifest import Manifest, Row, Source
from handful.errors import DataError, Problem
from handful.features.labelled import Labelled, pass_labelled
from handful.metrics import intervals, scores
from handful.notebook import interval_text, table
from handful.progress import Silent, Speaker

_MOST_NAMED = 10  # refused photos named in one message


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth.

    Attributes:
        n: photos scored.
        accuracy: share recognised, with its Wilson interval.
        balanced_accuracy: mean recall of the classes, with its interval.
        log_loss: mean -log(probability of the label), nats.
        recall: float (k,), nan for a class without photos.
        precision: float (k,), nan for a class never predicted.
        confusion: int (k, k), row is the label, column the prediction.
    """

    n: int
    accuracy: intervals.Interval
    balanced_accuracy: intervals.Interval
    log_loss: float
    recall: np.ndarray
    precision: np.ndarray
    confusion: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and the card."""
        return {
            "n": self.n,
            "accuracy": self.accuracy.as_dict(),
            "balanced_accuracy": self.balanced_accuracy.as_dict(),
            "log_loss": self.log_loss,
            "recall": self.recall.tolist(),
            "precision": self.precision.tolist(),
            "confusion": self.confusion.tolist(),
        }


def score(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Score probabilities float32 (n, k) against labels int (n,), n at least 1."""
    confusion = scores.confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    return Scores(
        n=len(labels),
        accuracy=intervals.accuracy_interval(confusion),
        balanced_accuracy=intervals.balanced_accuracy_interval(confusion),
        log_loss=scores.log_loss(probabilities, labels),
        recall=scores.recalls(confusion),
        precision=scores.precisions(confusion),
        confusion=confusion,
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
        problems: refused photos and other findings.
        skipped: how many photos were refused or left out.
    """

    classes: tuple[str, ...]
    scores: Scores
    photos: tuple[PhotoRow, ...]
    problems: tuple[Problem, ...]
    skipped: int

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
        speaker: told about progress; silent by default.
        workers: threads; None is one per core.

    Raises:
        DataError: labels the model does not know, or no photo left to score.
        ArtefactError: the model cannot be opened.
    """
    model = classifier if isinstance(classifier, Classifier) else Classifier.load(classifier)
    listener = speaker or Silent()
    manifest = Manifest.read(photos, classes=model.classes)
    raise_if_errors(manifest.problems, manifest.root)
    count = workers or default_workers()
    labelled = pass_labelled(
        manifest.to_score(), model.engine, None, listener, workers=count, allow_bad=True, for_training=False
    )
    rows, values, seen = _fresh(labelled, read_out_of_fold_hashes(model.artefact))
    if not rows:
        raise _nothing_to_score(labelled)
    for problem in seen:
        listener.warn(f"{problem.what}. {problem.fix}")
    labels = np.array([model.classes.index(row.label) for row in rows])
    probabilities = model.probabilities_of(values)
    return Evaluation(
        classes=model.classes,
        scores=score(probabilities, labels),
        photos=tuple(
            PhotoRow(row.shown, row.label, model.classes[int(p.argmax())], float(p.max()))
            for row, p in zip(rows, probabilities, strict=True)
        ),
        problems=(*seen, *labelled.problems),
        skipped=labelled.skipped + len(labelled.manifest.rows) - len(rows),
    )


def _nothing_to_score(labelled: Labelled) -> DataError:
    found = [f"{p.file}: {p.what}. {p.fix}" for p in labelled.problems if p.severity == "warning"]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    lines = "".join(f"\n  {line}" for line in [*found[:_MOST_NAMED], *more])
    return DataError(f"No photo is left to score; every one was refused:{lines}", labelled.problems)


def _fresh(labelled: Labelled, trained: frozenset[str]) -> tuple[list[Row], np.ndarray, list[Problem]]:
    """Leave out photos the model was trained on, unless there are no others; say so either way."""
    rows, values = list(labelled.manifest.rows), labelled.values[:, 0]
    new = [row.sha256 not in trained for row in rows]
    known = len(rows) - sum(new)
    if not known:
        return rows, values, []
    if not any(new):
        what = f"All {known} photos were trained on, so this score flatters"
        return rows, values, [Problem("warning", "", what, "Score photos that the model has not seen")]
    what = f"{known} of {len(rows)} photos were trained on and are left out of the score"
    kept = [row for row, fresh in zip(rows, new, strict=True) if fresh]
    return kept, values[new], [Problem("warning", "", what, "Score photos that the model has not seen")]
