"""Suggest: which photos without a label to label next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handful.artefact import Artefact, read_out_of_fold_hashes
from handful.config import default_workers
from handful.data.listing import photos_under
from handful.engines.base import Engine
from handful.errors import DataError, Problem
from handful.features.extract import Photo, extract
from handful.plain import problem_entry
from handful.progress import Speaker

_TINY = 1e-12


class Model(Protocol):
    """What is asked of a model here; a `Classifier` has it."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def artefact(self) -> Artefact: ...

    def probabilities_of(self, features: np.ndarray) -> np.ndarray:
        """Pooled features float32 (n, d) to probabilities float32 (n, k)."""
        ...


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
    model: Model,
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


def rank_to_label(features: np.ndarray, probabilities: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Choose photos that the model is unsure of and that differ from each other.

    Each photo stands for the gradient that its most probable label would send to the new layer: long where
    the model is unsure, and pointing elsewhere where the photo is another. Photos are drawn one by one with a
    probability proportional to the squared distance from those drawn before (k-means++), starting from
    the longest. A photo that teaches nothing (no gradient) counts as drawn from the start, so that none of
    those the model is sure of is drawn for being different.

    Args:
        features: float32 (n, d).
        probabilities: float (n, k).
        count: how many to choose; n where there are fewer.
        seed: of the draws.

    Returns:
        int (count,), rows in the order in which to label them.

    Raises:
        DataError: shapes disagree.

    Source: BADGE, Ash et al. 2020, arXiv 1906.03671, algorithm 1; the distances are taken without writing the
    gradients down, since <a x b, c x d> = <a, c> <b, d>.
    """
    if len(features) != len(probabilities):
        raise DataError(
            f"Received {len(features)} rows of features and {len(probabilities)} of probabilities. "
            "Take both from the same photos."
        )
    wide = _centred(features)
    slopes = probabilities.astype(np.float64)
    slopes[np.arange(len(slopes)), slopes.argmax(axis=1)] -= 1
    length = (slopes**2).sum(axis=1) * (wide**2).sum(axis=1)
    rng = np.random.default_rng(seed)
    left = np.ones(len(features), dtype=bool)
    far = length.copy()
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        at = int(length.argmax()) if not chosen else _draw(np.where(left, far, 0), left, rng)
        chosen.append(at)
        left[at] = False
        product = (slopes @ slopes[at]) * (wide @ wide[at])
        far = np.minimum(far, np.maximum(length + length[at] - 2 * product, 0))
    return np.array(chosen, dtype=np.int64)


def _centred(features: np.ndarray) -> np.ndarray:
    """Features about their mean, of mean square length one, with the constant that the bias stands for."""
    wide = features.astype(np.float64)
    if not len(wide):
        return wide
    wide -= wide.mean(axis=0)
    wide /= max(float(np.sqrt((wide**2).sum(axis=1).mean())), _TINY)
    return np.hstack([wide, np.ones((len(wide), 1))])


def _draw(weights: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> int:
    """A row that is left, by weight; any of them when none has weight."""
    total = np.cumsum(weights)
    if total[-1] <= _TINY:
        return int(rng.choice(np.flatnonzero(left)))
    return int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(max=len(weights) - 1))
