"""Backbone and head -> one plain Keras model that opens without Handful."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from handful.errors import BackboneError
from handful.networks.build import feature_model, frozen, standard_settings
from handful.networks.weights import Source

HEAD_NAME = "head"


def classifier_model(
    source: Source,
    size: int | None,
    weights: np.ndarray,
    bias: np.ndarray,
    name: str = "handful",
    moved: Mapping[int, np.ndarray] | None = None,
) -> keras.Model:
    """Put a fitted head on the frozen backbone.

    Args:
        source: what `weights.locate` found; its file must be on disk.
        size: side of the square of pixels; None is `source.size`.
        weights: float32 (d, k).
        bias: float32 (k,).
        name: of the model.
        moved: float32 weights that fine-tuning moved, by their place among all weights of the backbone.

    Returns:
        A model from uint8 pixels (b, size, size, 3), RGB, to probabilities float32 (b, k), of plain
        layers; the softmax layer is called "head". Nothing in it is trainable but the head.

    Raises:
        BackboneError: see `build.feature_model`; or the head is not made for this backbone.
    """
    features = feature_model(source, size)
    _put(features, moved or {}, source.name)
    dimension = features.outputs[0].shape[-1]
    if weights.shape != (dimension, len(bias)):
        raise BackboneError(
            f"The head has weights of shape {weights.shape} and a bias of shape {bias.shape}; {source.name} "
            f"needs ({dimension}, k) and (k,). The trained folder belongs to another backbone: train again."
        )
    with standard_settings():
        backbone = frozen(keras.Model(features.inputs[0], features.outputs[0], name="backbone"))
        pixels = keras.Input(features.inputs[0].shape[1:], dtype="uint8", name="pixels")
        # Changes the type and nothing else: the backbone's own layers expect float32, 0 to 255.
        as_float = keras.layers.Rescaling(1.0, name="as_float")(pixels)
        head = keras.layers.Dense(len(bias), activation="softmax", name=HEAD_NAME)
        model = keras.Model(pixels, head(backbone(as_float)), name=name)
        head.set_weights([weights.astype(np.float32), bias.astype(np.float32)])
    return model


def _put(features: keras.Model, moved: Mapping[int, np.ndarray], name: str) -> None:
    """Replace the weights at these places."""
    for place, values in moved.items():
        if not 0 <= place < len(features.weights) or features.weights[place].shape != values.shape:
            raise BackboneError(
                f"The fine-tuned weights have the shape {values.shape} at place {place}; {name} has no such "
                "weight. The trained folder belongs to another backbone: train again."
            )
        features.weights[place].assign(values)
