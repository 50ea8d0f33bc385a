"""The photos to learn from: any folder with a folder of photos a class, as one array in memory.

Tiny ImageNet keeps each class' photos one folder deeper (`n01443537/images/*.JPEG`); both forms are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Photos:
    """Photos of one side length.

    Attributes:
        pixels: uint8 (n, side, side, 3).
        labels: int64 (n,).
        classes: k folder names.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def read(folder: Path, side: int) -> Photos:
    """Read every photo under a folder of class folders, each brought to `side` x `side`.

    Args:
        folder: holds a folder of photos a class.
        side: in pixels.

    Raises:
        SystemExit: no photo is there; a file that cannot be read is an error too, and named.
    """
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    files = [(path, k) for k, name in enumerate(classes) for path in _files(folder / name)]
    if not files:
        raise SystemExit(f"{folder} holds no class folders with photos ({', '.join(SUFFIXES)}).")
    pixels = np.empty((len(files), side, side, 3), np.uint8)
    for row, (path, _) in enumerate(files):
        pixels[row] = _pixels(path, side)
    return Photos(pixels, np.array([label for _, label in files]), classes)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _pixels(path: Path, side: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises all three on bad files
        raise SystemExit(f"{path} cannot be read: {error}. Mend it or take it away.") from error


def apart(photos: Photos, every: int) -> tuple[Photos, Photos]:
    """Split off every n-th photo of each class, on which the loss is only watched.

    Returns:
        The photos to learn from, and those to watch.
    """
    rank = np.zeros(len(photos.labels), int)
    for label in range(len(photos.classes)):
        rows = np.flatnonzero(photos.labels == label)
        rank[rows] = np.arange(len(rows))
    kept = rank % every == every - 1
    return _take(photos, ~kept), _take(photos, kept)


def _take(photos: Photos, rows: np.ndarray) -> Photos:
    return Photos(photos.pixels[rows], photos.labels[rows], photos.classes)
