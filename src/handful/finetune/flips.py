"""Whether a photo may be mirrored without changing its class, measured on the frozen head.

The head was fitted without the photos that it is asked about. It says yes as long as their mirror images are
recognised as well as they are. What it cannot see: classes that are each other's mirror image and that the
frozen network does not tell apart in the first place; there, say --no-flip.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from handful.engines.base import Engine
from handful.finetune.decision import ERROR_RATE, compare
from handful.finetune.views import ViewedPhoto, ViewRules, views_of


def mirrored_features(photos: Sequence[ViewedPhoto], engine: Engine, *, workers: int) -> np.ndarray:
    """Pooled features float32 (n, d) of the mirror images of photos.

    Raises:
        ImageError, DataError: a photo changed or went since its features were computed.
    """

    def of_photo(photo: ViewedPhoto) -> np.ndarray:
        plain = views_of(photo, engine.size, ViewRules(), 1)
        return engine.run(np.ascontiguousarray(plain[:, :, ::-1]))[0]

    with ThreadPoolExecutor(workers, thread_name_prefix="handful") as pool:
        return np.stack(list(pool.map(of_photo, photos)))


def flips_change_labels(labels: np.ndarray, plain: np.ndarray, mirrored: np.ndarray) -> bool:
    """Whether mirror images are misread more often than chance explains, by the sign test.

    Args:
        labels: int (m,).
        plain: logits (m, k) of photos that the head was not fitted on.
        mirrored: logits (m, k) of their mirror images.
    """
    return compare(labels, mirrored, plain, looks=1).chance <= ERROR_RATE
