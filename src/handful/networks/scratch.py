"""A small network trained from nothing: what the photos teach without a pretrained backbone."""

from __future__ import annotations

import keras
import numpy as np

from handful.networks.build import standard_settings

STEPS = 300
BATCH = 32
_WIDTHS = (16, 32, 64)
_RATE = 3e-3
_AT_ONCE = 30  # steps that run before Python is asked again: a quarter less time


def cross_train(
    pixels: np.ndarray, labels: np.ndarray, folds: np.ndarray, *, classes: int, seed: int, steps: int = STEPS
) -> np.ndarray:
    """Train a new network without each fold, for a fixed number of steps, and predict the fold.

    Nothing is chosen, so nothing needs an inner fold. The weights each fold starts from are the same.

    Args:
        pixels: uint8 (n, side, side, 3), side at least 8; thumbnails.
        labels: int (n,), each in [0, classes).
        folds: int (n,), 0 to K - 1.
        classes: k.
        seed: decides the first weights and the batches.
        steps: batches of `BATCH` photos, drawn with replacement.

    Returns:
        int64 (n,), the class predicted for each row.
    """
    rng = np.random.default_rng(seed)
    predicted = np.empty(len(labels), dtype=np.int64)
    with standard_settings():
        model = _network(pixels.shape[1:], classes)
        model.set_weights(_first_weights(model, rng))
        start = _state(model)
        for fold in range(int(folds.max()) + 1):
            inside = folds == fold
            _restore(model, start)
            _train(model, pixels[~inside], labels[~inside], steps, rng)
            predicted[inside] = _logits(model, pixels[inside]).argmax(axis=1)
    return predicted


def _network(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Three convolutions, each halving the sides, then a mean over places and one layer on it."""
    inputs = keras.Input(shape, dtype="float32")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for width in _WIDTHS:
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(classes)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(_RATE), loss=loss, steps_per_execution=_AT_ONCE)
    model.optimizer.build(model.trainable_variables)
    return model


def _first_weights(model: keras.Model, rng: np.random.Generator) -> list[np.ndarray]:
    """Normal with variance 2 / inputs, biases zero: He et al. 2015, arXiv 1502.01852, equation 10."""
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    spreads = [np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.0 for shape in shapes]
    return [
        rng.normal(0, spread, shape).astype(np.float32) for shape, spread in zip(shapes, spreads, strict=True)
    ]


def _state(model: keras.Model) -> list[np.ndarray]:
    return [np.copy(variable.numpy()) for variable in _variables(model)]


def _restore(model: keras.Model, state: list[np.ndarray]) -> None:
    """Back to the first weights, the optimizer's memory included: one compiled step serves all folds."""
    for variable, value in zip(_variables(model), state, strict=True):
        variable.assign(value)


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def _train(
    model: keras.Model, pixels: np.ndarray, labels: np.ndarray, steps: int, rng: np.random.Generator
) -> None:
    """One epoch over rows drawn in advance, so that the loop is Keras' own."""
    rows = rng.integers(len(labels), size=steps * BATCH)
    model.fit(
        pixels[rows].astype(np.float32), labels[rows], batch_size=BATCH, epochs=1, shuffle=False, verbose="0"
    )


def _logits(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    # On batches of one shape, so that the last one does not make Keras trace again for every fold.
    padded = np.zeros((-(-len(pixels) // BATCH) * BATCH, *pixels.shape[1:]), dtype=np.float32)
    padded[: len(pixels)] = pixels
    return model.predict(padded, batch_size=BATCH, verbose="0")[: len(pixels)]
