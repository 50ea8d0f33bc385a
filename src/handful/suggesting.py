"""Suggest: which photos without a label to label next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import read_out_of_fold_hashes
from handful.audit.to_label import rank_to_label
from handful.classifier import Classifier
from handful.config import default_workers
from handful.data.listing import photos_under
from handful.errors import DataError, Problem
from handful.features.extract import Photo, extract
from handful.plain import problem_entry
from handful.progress import Speaker


@dataclass(frozen=True)
class Suggestion:
    """A photo to label: its file, and what the model takes it for so far."""

    file: str
    label: str
    probability: float


@dataclass(frozen=True)
class Suggestions:
    """Photos to label, in order.

    Attributes:
        photos: the one that teaches most first.
        looked_at: how many photos they were chosen from.
        trained_on: how many photos were left out because the model was trained on them.
        skipped: how many files could not be read.
        problems: those files, and other findings.
    """

    photos: tuple[Suggestion, ...]
    looked_at: int
    trained_on: int
    skipped: int
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "photos": [asdict(photo) for photo in self.photos],
            "looked_at": self.looked_at,
            "trained_on": self.trained_on,
            "skipped": self.skipped,
            "problems": [problem_entry(problem) for problem in self.problems],
        }


def suggest_photos(
    model: Classifier,
    photos: Sequence[Path],
    count: int,
    *,
    seed: int = 0,
    speaker: Speaker,
    workers: int | None = None,
) -> Suggestions:
    """Choose photos to label from files and folders.

    Copies of one photo count once, and photos that the model was trained on are left out.

    Args:
        model: the one they should improve.
        photos: files and folders without labels.
        count: how many to choose.
        seed: of the choice, see `rank_to_label`.
        speaker: shows a bar.
        workers: threads; None is one per core.

    Raises:
        DataError: there is no photo in what was given, or none that can be read and is new.
    """
    paths, problems = photos_under(photos)
    if not paths:
        raise DataError("There is no photo to suggest from in what was given.", problems)
    asked = [Photo(path, str(path)) for path in paths]
    found = extract(asked, model.engine, None, speaker, workers=workers or default_workers())
    problems = [*problems, *found.problems]
    known = read_out_of_fold_hashes(model.artefact)
    once = np.sort(np.unique(found.ids, return_index=True)[1])
    once = np.array([row for row in once if found.ids[row] not in known], dtype=np.int64)
    trained_on = sum(photo in known for photo in found.ids)
    if not len(once):
        raise DataError(
            f"None of {len(paths)} photos can be suggested: {found.refused} cannot be read, and the model "
            f"was trained on {trained_on}. Pass photos that have no label yet.",
            problems,
        )
    features = found.values[once, 0]
    probabilities = model.probabilities_of(features)
    chosen = rank_to_label(features, probabilities, count, seed)
    return Suggestions(
        photos=tuple(
            Suggestion(
                asked[found.kept[once[row]]].name,
                model.classes[int(probabilities[row].argmax())],
                float(probabilities[row].max()),
            )
            for row in chosen
        ),
        looked_at=len(once),
        trained_on=trained_on,
        skipped=found.refused,
        problems=tuple(problems),
    )
