"""Traits: what tells photos apart without their content, as columns a simple classifier can take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handful.data.looks import THUMBNAIL_SIDE, Look

_BORDER = 3  # of 32 pixels at each side: background in most photos
_LEAST_LEVELS = 16.0  # grey levels between backgrounds below which exposure differs more
_LEAST_SHARE = 0.02  # of the photos, for a format or camera to have a column of its own


@dataclass(frozen=True)
class Trait:
    """One trait of all photos.

    Attributes:
        name: in words ("size", "camera", "background brightness").
        columns: float32 (n, c), raw.
        values: n values as a person reads them: numbers, or names where it is a kind.
        unit: of the values; "" for kinds.
        least: by how much, in the column's own unit, the medians of two classes must differ to matter.
    """

    name: str
    columns: np.ndarray
    values: tuple[float, ...] | tuple[str, ...]
    unit: str = ""
    least: float = 0.0

    def differs(self, labels: np.ndarray) -> bool:
        """Whether any two classes differ by enough to be seen; always for kinds. Labels int (n,)."""
        medians = [np.median(self.columns[labels == label], axis=0) for label in np.unique(labels)]
        return bool(self.least == 0 or np.ptp(medians, axis=0).max() > self.least)


def traits_of(looks: Sequence[Look]) -> list[Trait]:
    """Return the traits in which some photos differ.

    Args:
        looks: of n photos, at least one.
    """
    pixels = np.array([look.width * look.height for look in looks], dtype=np.float64)
    shape = np.array([look.width / look.height for look in looks])
    packing = np.array([8 * look.size for look in looks]) / pixels
    found = [
        _logarithmic("size", pixels / 1e6, "megapixels", ratio=1.1),
        _logarithmic("aspect ratio", shape, "", ratio=1.05),
        _logarithmic("compression", packing, "bits per pixel", ratio=1.1),
        _kind("format", [look.format for look in looks]),
        _kind("camera", [look.camera or "none named" for look in looks]),
        _brightness(looks),
    ]
    return [trait for trait in found if trait.columns.shape[1] and np.ptp(trait.columns, axis=0).any()]


def _brightness(looks: Sequence[Look]) -> Trait:
    """Mean of each photo's border, 0..255. Its colour is left out: it belongs to what grows or lies there."""
    border = np.ones((THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=bool)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    values = np.array([look.thumbnail[border].mean() for look in looks])
    return Trait("background brightness", _column(values), tuple(values.tolist()), "of 255", _LEAST_LEVELS)


def _logarithmic(name: str, values: np.ndarray, unit: str, *, ratio: float) -> Trait:
    return Trait(name, _column(np.log(values)), tuple(values.tolist()), unit, float(np.log(ratio)))


def _column(values: np.ndarray) -> np.ndarray:
    return values[:, None].astype(np.float32)


def _kind(name: str, values: Sequence[str]) -> Trait:
    """A column for each kind that is not rare; the rare ones together have none."""
    least = max(2, _LEAST_SHARE * len(values))
    kinds = [kind for kind, count in Counter(values).most_common() if count >= least]
    columns = np.array([[value == kind for kind in kinds] for value in values], dtype=np.float32)
    return Trait(name, columns.reshape(len(values), len(kinds)), tuple(values))
