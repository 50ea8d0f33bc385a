"""Compare an export with the original on real photos, before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import read_out_of_fold_files
from handful.classifier import Classifier
from handful.data import images
from handful.data.listing import photos_under
from handful.errors import ExportError, ImageError

_PHOTOS = 16


@dataclass(frozen=True)
class Parity:
    """How far an export and its original are apart.

    Attributes:
        format: of the export.
        file: the export.
        photos: how many real photos were compared.
        largest_difference: of any probability.
        tolerance: what was allowed.
        same_label: share of photos with the same most probable class.
    """

    format: str
    file: str
    photos: int
    largest_difference: float
    tolerance: float
    same_label: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def photos_to_compare(classifier: Classifier, folder: Path | None) -> list[np.ndarray]:
    """Pixels uint8 (h, w, 3) of up to 16 real photos, spread over the set.

    Args:
        classifier: the original; its training photos are used where they still are.
        folder: photos to use instead.

    Raises:
        ExportError: no photo could be read.
    """
    paths = photos_under([folder])[0] if folder else read_out_of_fold_files(classifier.artefact)
    pixels = []
    for path in _spread(paths):
        try:
            pixels.append(images.load(path, classifier.engine.size).pixels)
        except ImageError:
            continue  # a photo that went is no fault of the export; the result says how many were compared
        if len(pixels) == _PHOTOS:
            break
    if not pixels:
        where = str(folder) if folder else "the places the training photos came from"
        raise ExportError(
            f"An export is only kept after a comparison on real photos, and none could be read from {where}. "
            "Give some with --photos FOLDER."
        )
    return pixels


def _spread(paths: Sequence[Path]) -> list[Path]:
    """The same paths, ordered so that the first few come from all over the set."""
    step = max(1, -(-len(paths) // _PHOTOS))  # rounded up, so that the first round reaches the end
    return [path for start in range(step) for path in paths[start::step]]


def compare(
    classifier: Classifier, run: Callable[[np.ndarray], np.ndarray], pixels: Sequence[np.ndarray],
    *, format: str, file: Path, tolerance: float,
) -> Parity:  # fmt: skip
    """Run both on the same pixels.

    Args:
        classifier: the original.
        run: the export: uint8 (1, h, w, 3) to probabilities (1, k).
        pixels: uint8 (h, w, 3) each.
        format: named in the result.
        file: named in the result.
        tolerance: largest difference of any probability that is allowed.

    Raises:
        ExportError: they are further apart, or the original's answers do not vary at all.
    """
    original = np.concatenate([classifier.probabilities_of(classifier.engine.run(p[None])) for p in pixels])
    exported = np.concatenate([run(p[None]) for p in pixels])
    if len({photo.tobytes() for photo in pixels}) > 1 and not np.ptp(original, axis=0).any():
        raise ExportError(
            f"The model gives the same probabilities for all {len(pixels)} photos, so that a comparison "
            "would show nothing. The backbone may be damaged: run `handful cache --clear` and train again."
        )
    apart = float(np.abs(original - exported).max())
    same = float((original.argmax(axis=1) == exported.argmax(axis=1)).mean())
    if not np.isfinite(exported).all() or apart > tolerance:
        raise ExportError(
            f"The {format} export differs from the model by {apart:.2g} in a probability on {len(pixels)} "
            f"photos; {tolerance:g} is allowed. It was not kept. "
            "Please report this with the versions in card.json."
        )
    return Parity(format, str(file), len(pixels), apart, tolerance, same)
