"""The teacher, and the student that starts from the teacher's own weights.

Both are MobileNetV2 (Sandler et al. 2018). The teacher looks at 224 pixels; the student learns to say the
same of 128. Pixels go in as 0 to 255: the scaling is a layer.
"""

from __future__ import annotations

from typing import Any

import keras

TEACHER_SIZE = 224  # what its weights were trained at


def teacher() -> keras.Model:
    """MobileNetV2 with the ImageNet weights Keras publishes: (b, 224, 224, 3), 0 to 255 -> (b, 1280)."""
    return _trunk(TEACHER_SIZE, "imagenet")


def student(size: int, *, start: str, frozen_until: str | None, batch_norm: str) -> keras.Model:
    """Give the student: (b, size, size, 3), 0 to 255 -> (b, 1280).

    Args:
        size: side of the square of pixels.
        start: "teacher" or "random".
        frozen_until: the last layer that keeps the teacher's weights; None lets all move.
        batch_norm: "learns" its statistics anew at this size, or stays "frozen".
    """
    model = _trunk(size, None)
    if start == "teacher":
        model.set_weights(teacher().get_weights())
    moving = frozen_until is None
    for layer in model.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = moving and not (is_norm and batch_norm == "frozen")
        if is_norm:
            layer.momentum = 0.99  # the published 0.999 forgets too slowly for a few thousand steps
        moving = moving or layer.name == frozen_until
    return model


def _trunk(size: int, weights: str | None) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pixels)
    mobile_net: Any = keras.applications.MobileNetV2  # Keras' own types do not allow weights=None
    base = mobile_net(
        input_tensor=scaled, input_shape=(size, size, 3), include_top=False, weights=weights, pooling="avg"
    )
    return keras.Model(pixels, base.output, name="embedded")
