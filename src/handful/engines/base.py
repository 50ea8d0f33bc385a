"""What every engine offers, so that they can be swapped without editing the call."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Runs one frozen network.

    Attributes:
        id: name and numeric behaviour ("litert-1"), part of every cache key.
        batch: how many photos one call should hold to be fast.
        size: (height, width) of the pixels it takes.
        feature_dim: d, the length of the pooled vector.
    """

    id: str
    batch: int
    size: tuple[int, int]
    feature_dim: int

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Give pooled features float32 (b, d) of uint8 pixels (b, h, w, 3); safe from any thread."""
        ...

    def feature_map(self, pixels: np.ndarray) -> np.ndarray:
        """Give the last feature map float32 (rows, columns, c) of one photo uint8 (h, w, 3)."""
        ...
