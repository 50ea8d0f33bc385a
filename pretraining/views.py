"""What the teacher and the student look at: whole photos, and collages of four.

A photo of 64 pixels enlarged to 128 is soft; a collage of four such photos has the sharp detail that a
larger photo brought down to 128 has. View v is the same pixels in every run: it depends on the seed and v.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from photos import Photos


@dataclass(frozen=True)
class Plan:
    """Which photos make which view.

    Attributes:
        photos: where the pixels come from.
        parts: int (v, 4); row of the photo in each quarter, or the same row four times for a whole photo.
            A collage that happens to draw one photo for both upper quarters counts as that photo.
    """

    photos: Photos
    parts: np.ndarray

    def __len__(self) -> int:
        return len(self.parts)

    def pixels(self, view: int, side: int) -> np.ndarray:
        """Give view `view` as uint8 (side, side, 3)."""
        parts = self.parts[view]
        if parts[0] == parts[1]:
            whole = self.photos.pixels[parts[0]]
        else:
            a, b, c, d = self.photos.pixels[parts]
            whole = np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 0)
        if len(whole) == side:
            return whole
        return np.asarray(Image.fromarray(whole).resize((side, side), Image.Resampling.BICUBIC))


def plan(photos: Photos, count: int, collages: float, seed: int) -> Plan:
    """Draw views, a share of them collages; no photo comes twice as a whole before each came up once.

    Args:
        photos: what to draw from.
        count: v.
        collages: the share of views that are collages, 0 to 1.
        seed: the same draws the same.

    Raises:
        SystemExit: there is no photo.
    """
    if not len(photos.labels):
        raise SystemExit("No photo is left to make views of: the folder has too few photos a class.")
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [rng.permutation(len(photos.labels)) for _ in range(-(-count // len(photos.labels)))]
    )
    parts = np.repeat(rows[:count, None], 4, axis=1)
    chosen = np.flatnonzero(rng.random(count) < collages)
    parts[chosen] = rng.integers(0, len(photos.labels), (len(chosen), 4))
    return Plan(photos, parts)


def jitter(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change what the student sees and the teacher does not: mirrored, shifted a little, other light.

    Args:
        pixels: uint8 (side, side, 3).

    Returns:
        float32 (side, side, 3), 0 to 255.
    """
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    most = len(pixels) // 16
    down, right = rng.integers(-most, most + 1, 2)
    moved = np.roll(np.pad(pixels, ((most, most), (most, most), (0, 0)), "edge"), (down, right), (0, 1))
    moved = moved[most:-most, most:-most].astype(np.float32)
    gain = rng.uniform(0.8, 1.2, 3 if rng.random() < 0.5 else 1)
    mean = moved.mean()
    return np.clip((moved - mean) * rng.uniform(0.8, 1.2) + mean * gain, 0, 255).astype(np.float32)
