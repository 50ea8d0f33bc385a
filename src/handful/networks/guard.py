"""A callback that stops `model.fit` when what it learns would be worth nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from handful.errors import ConfigError, DataError, HandfulError
from handful.networks.blocks import anatomy, has_graph


class Guard(keras.callbacks.Callback):
    """A callback for `model.fit` that stops it when what it learns would be worth nothing.

    Before the first epoch of its first `fit` it reads the data it was given, and stops when training and
    validation share a photo, or when the augmented photos are the same in each epoch. After each epoch it
    stops when something frozen has moved by a bit: the weights of a layer whose `trainable` is False, or the
    statistics of a batch-norm layer below the head, whether it is frozen or only believed to be.

    Args:
        training: the photos to learn from as they were read, *before* augmentation: a dataset of photos or
            of (photos, labels), batched or not. Give it together with `validation`.
        validation: the photos to score on, likewise.
        augmented: the dataset that goes into `fit`, if it augments. It is read twice, and to its end, for a
            cache is closed only there.

    Raises:
        ConfigError: one of `training` and `validation` without the other.
        DataError: from `fit`: a photo in training and validation, augmentation that repeats itself, or data
            without an end or without photos.
        HandfulError: from `fit`: something frozen has moved.
    """

    def __init__(self, *, training: Any = None, validation: Any = None, augmented: Any = None) -> None:
        super().__init__()
        if (training is None) != (validation is None):
            raise ConfigError(
                f"Guard received {'validation' if training is None else 'training'} photos alone; expected "
                "both training (before augmentation) and validation, to compare them. Give both or neither."
            )
        self._training, self._validation, self._augmented = training, validation, augmented
        self._has_seen_photos = False
        self._before: list[tuple[Any, Any, bytes]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Check the photos, at the first `fit` only, and remember all that is frozen."""
        if not self._has_seen_photos:
            if self._training is not None:
                _refuse_shared_photos(self._training, self._validation)
            if self._augmented is not None:
                _refuse_repeated_augmentation(self._augmented)
            self._has_seen_photos = True
        self._before = [(layer, weight, _digest(weight)) for layer, weight in _watched(self.model)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare all that is frozen with what it was, bit for bit."""
        moved = [(layer, weight) for layer, weight, before in self._before if _digest(weight) != before]
        if moved:
            raise HandfulError(_what_moved(moved, epoch + 1))


def _watched(model: Any) -> Iterator[tuple[Any, Any]]:
    """Give each (layer, weight) that must not move."""
    head = {id(layer) for layer in anatomy(model).rest} if has_graph(model) else set()
    for layer in model._flatten_layers():
        if not layer.trainable:  # a layer's own weights: those of the layers in it come by themselves
            yield from ((layer, w) for w in layer._trainable_variables + layer._non_trainable_variables)
        elif isinstance(layer, keras.layers.BatchNormalization) and id(layer) not in head:
            yield from ((layer, w) for w in layer._non_trainable_variables)


def _what_moved(moved: Sequence[tuple[Any, Any]], epoch: int) -> str:
    layer, weight = moved[0]
    what = (
        f"Epoch {epoch} moved {len(moved)} of the arrays that should stay as they are, the first of them "
        f"{layer.name}/{weight.name}; expected none to move. "
    )
    if layer.trainable:
        return what + (
            "They are statistics of batch-norm layers that are trainable, and calling the network with "
            "training=False does not hold in `fit`. Set `trainable = False` on each BatchNormalization layer "
            "and compile again, or use steps.unfreeze, which does both."
        )
    return what + (
        "Their layers were frozen after the model was compiled. Compile after each change of `trainable`; "
        "steps.freeze and steps.unfreeze do so by themselves."
    )


def _refuse_shared_photos(training: Any, validation: Any) -> None:
    known = set(_photos(training, "training"))
    scored = list(_photos(validation, "validation"))
    shared = [number for number, photo in enumerate(scored, start=1) if photo in known]
    if shared:
        raise DataError(
            f"{len(shared)} of {len(scored)} validation photos are training photos too, pixel by pixel; the "
            f"first is number {shared[0]}. Expected none: what was learned by heart scores well. Divide the "
            "files, copies together, before you make datasets of them; `handful.split` does."
        )


def _refuse_repeated_augmentation(augmented: Any) -> None:
    first = set(_photos(augmented, "augmented"))
    second = list(_photos(augmented, "augmented"))
    if all(photo in first for photo in second):
        raise DataError(
            f"All {len(second)} augmented photos are the same in the second epoch as in the first; expected "
            "others. Augment after `.cache()`, not before it, and by layers of Keras rather than by "
            "`tf.image` with a fixed seed: in `map` the seed starts anew with each epoch."
        )


def _photos(dataset: Any, name: str) -> Iterator[bytes]:
    """Give the hash of each photo of a dataset, in its order."""
    _refuse_endless(dataset, name)
    empty = True
    for element in dataset:
        first = element[0] if isinstance(element, tuple | list) else element
        for photo in _one_by_one(first, name):
            empty = False
            yield _hash(photo.astype(np.float32))
    if empty:
        raise DataError(f"The {name} data holds no photo; expected some. Give it photos, or leave it out.")


def _one_by_one(photos: Any, name: str) -> np.ndarray:
    values = None if isinstance(photos, dict) else np.asarray(keras.ops.convert_to_numpy(photos))
    if values is None or values.ndim not in (3, 4):
        raise DataError(
            f"The {name} data gives {'a dict' if values is None else f'arrays of shape {values.shape}'}; "
            "expected photos (b, h, w, 3) or (h, w, 3), alone or as (photos, labels). Map it to these."
        )
    return values if values.ndim == 4 else values[None]


def _refuse_endless(dataset: Any, name: str) -> None:
    cardinality = getattr(dataset, "cardinality", None)  # tf.data says -1 of a dataset without an end
    if cardinality is not None and int(cardinality()) == -1:
        raise DataError(
            f"The {name} data has no end; expected one epoch. Give Guard the dataset before `.repeat()`."
        )


def _digest(weight: Any) -> bytes:
    return _hash(np.asarray(keras.ops.convert_to_numpy(weight)))


def _hash(values: np.ndarray) -> bytes:
    head = f"{values.dtype} {values.shape} ".encode()
    return hashlib.blake2b(head + np.ascontiguousarray(values).tobytes(), digest_size=16).digest()
