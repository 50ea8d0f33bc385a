"""What the frozen part of a training leaves to fine-tuning, and whether it is worth a try."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from handful.config import FEWEST_TO_TUNE, TUNING_ROUNDS, TrainConfig, tuning_recipe
from handful.data.names import counted
from handful.features.labelled import Labelled
from handful.files import sha256_of_bytes
from handful.finetune.decision import can_win
from handful.finetune.state import STATE_VERSION
from handful.finetune.views import VIEWS_VERSION, ViewedPhoto
from handful.frozen import Frozen
from handful.heads.fitting import FittedHead


@dataclass(frozen=True)
class Material:
    """What the frozen part of the training leaves to fine-tuning.

    Attributes:
        frozen: the backbone, open.
        photos: of the training split, n of them.
        labels: int (n,).
        features: float32 (n, d), by the frozen network.
        head: fitted on them, with its folds.
        classes: k.
    """

    frozen: Frozen
    photos: Sequence[ViewedPhoto]
    labels: np.ndarray
    features: np.ndarray
    head: FittedHead
    classes: int


def material_of(frozen: Frozen, labelled: Labelled, head: FittedHead) -> Material:
    """Collect what fine-tuning needs from the frozen part of a training."""
    training, values = labelled.of("train")
    photos = [ViewedPhoto(row.path, row.shown, row.sha256 or "") for row in training.rows]
    return Material(frozen, photos, training.labels, values, head, len(training.classes))


def why_not(material: Material) -> str:
    """Why there is nothing to try, in one line; "" when there is."""
    n, labels = len(material.labels), material.labels
    errors = int((material.head.out_of_fold_logits.argmax(axis=1) != labels).sum())
    if find_spec("tensorflow") is None:
        return "TensorFlow is not installed here, and fine-tuning needs it"
    if material.frozen.source.path is None:
        return "the weights of the backbone are no longer on disk, only its converted network is"
    if n < FEWEST_TO_TUNE:
        return f"with {counted(n, 'photo')} no gain could be told from chance"
    if not can_win(errors, TUNING_ROUNDS):
        return (
            f"the frozen network gets all but {errors} of {n} photos right: "
            "mending every one could not be told from chance"
        )
    return ""


def row_weights(material: Material, config: TrainConfig) -> np.ndarray:
    """How much each photo counts, float32 (n,): one on average; each class alike where the head counts so."""
    labels = material.labels
    if config.class_weight != "balanced":
        return np.ones(len(labels), np.float32)
    counts = np.bincount(labels, minlength=material.classes)
    return (len(labels) / (material.classes * counts[labels])).astype(np.float32)


def key_of(material: Material, config: TrainConfig) -> str:
    """Everything that determines a run, as the name of its folder."""
    frozen, head = material.frozen, material.head
    determines = [
        frozen.source.sha256, frozen.source.preprocessing, frozen.network_sha256, frozen.engine.id,
        list(frozen.engine.size), STATE_VERSION, VIEWS_VERSION, config.effort, config.seed,
        config.class_weight, config.flip, config.rotate, config.colour, config.crop, material.classes,
        [photo.sha256 for photo in material.photos], material.labels.tolist(), head.folds.tolist(),
        sha256_of_bytes(head.weights.tobytes()), repr(tuning_recipe(len(material.photos), config.effort)),
    ]  # fmt: skip
    return sha256_of_bytes(json.dumps(determines).encode())[:32]
