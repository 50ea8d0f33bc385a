"""Train what is above a cut, from the values at the cut, starting from the logistic head.

The network is called with `training=False`: dropout is off, and batch-norm uses and keeps the statistics it
came with. Its scale and shift do not move either: each batch-norm layer has `trainable = False`, which also
holds where the model is handed on and `fit` ignores `training=` (keras-team/keras#20285).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from handful.config import Recipe
from handful.finetune.cuts import Core, Cut, top_model, trained_layers
from handful.finetune.state import Position

_EPSILON, _FIRST, _SECOND = 1e-8, 0.9, 0.999  # AdamW's own defaults


class Top:
    """The trainable part of a network with a head on it; one instance serves many runs.

    Args:
        core: the whole network; its weights above the cut move, those below never.
        cut: where it is cut.
        classes: k.
        recipe: rates, decay and smoothing; the steps are each run's own.
    """

    def __init__(self, core: Core, cut: Cut, classes: int, recipe: Recipe) -> None:
        self._cut, self._recipe = cut, recipe
        layers = trained_layers(cut)
        for layers_of_block in cut.above:
            for layer in layers_of_block:
                layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        self._model = top_model(core, cut)
        inner = [w for layer in layers.values() for w in layer.trainable_weights]
        dimension = self._model.outputs[0].shape[-1]
        self._kernel = keras.Variable(np.zeros((dimension, classes), np.float32), name="head_kernel")
        self._bias = keras.Variable(np.zeros(classes, np.float32), name="head_bias")
        self.layer_weights: list[keras.Variable] = inner
        self._variables = [*inner, self._kernel, self._bias]
        self._pretrained = [np.array(weight.numpy()) for weight in inner]
        self._rates = [*self._layer_rates(layers), 1.0, 1.0]
        self._moments = [[tf.Variable(tf.zeros(v.shape)) for v in self._variables] for _ in range(2)]
        self._step: Any = tf.function(self._one_step, autograph=False)
        self._forward: Any = tf.function(self._logits, autograph=False, reduce_retracing=True)

    @property
    def trained_weights(self) -> int:
        """How many weights move, those of the head included."""
        return sum(math.prod(variable.shape) for variable in self._variables)

    def _layer_rates(self, layers: dict[int, keras.layers.Layer]) -> list[float]:
        """The share of the rate for each weight: less for each block further down."""
        block_of = {id(layer): at for at, block in enumerate(self._cut.above) for layer in block}
        last = max(block_of[id(layer)] for layer in layers.values())
        return [
            self._recipe.depth_share ** (last - block_of[id(layer)])
            for layer in layers.values()
            for _ in layer.trainable_weights
        ]

    def start(self, weights: np.ndarray, bias: np.ndarray) -> Position:
        """The beginning of a run: the pretrained layers and a head, weights (d, k) and bias (k,)."""
        values = [*self._pretrained, weights.astype(np.float32), bias.astype(np.float32)]
        first, second = ([np.zeros_like(value) for value in values] for _ in range(2))
        return Position(0, values, first, second, {})

    def restore(self, position: Position) -> None:
        """Put a position's values into the variables."""
        for own, values in (
            (self._variables, position.variables),
            (self._moments[0], position.first),
            (self._moments[1], position.second),
        ):
            for variable, value in zip(own, values, strict=True):
                variable.assign(value)

    def reset(self) -> None:
        """Put the pretrained weights back."""
        for variable, value in zip(self.layer_weights, self._pretrained, strict=True):
            variable.assign(value)

    def position(self, step: int, watched: dict[int, np.ndarray]) -> Position:
        """Copy the variables out."""
        first, second = ([np.array(v.numpy()) for v in moments] for moments in self._moments)
        return Position(step, [np.array(v.numpy()) for v in self._variables], first, second, watched)

    def train(
        self, values: np.ndarray, labels: np.ndarray, weights: np.ndarray, step: int, steps: int
    ) -> None:
        """Take one step of AdamW.

        Args:
            values: float32 (b, cut.values), the values at the cut.
            labels: int (b,).
            weights: float32 (b,), how much each row counts; one on average.
            step: its number, from 0.
            steps: of the whole schedule.
        """
        rate = rate_at(step, steps, self._recipe)
        self._step(
            tf.constant(values), tf.constant(labels, tf.int32), tf.constant(weights, tf.float32),
            tf.constant(rate, tf.float32), tf.constant(step + 1, tf.float32),
        )  # fmt: skip

    def logits(self, batches: Iterable[np.ndarray]) -> np.ndarray:
        """Logits float32 (n, k) of batches of values at the cut, float32 (b, cut.values)."""
        return np.concatenate([self._forward(tf.constant(batch)).numpy() for batch in batches])

    def _logits(self, values: Any) -> Any:
        sizes = [math.prod(shape) for shape in self._cut.shapes]
        parts = tf.split(values, sizes, axis=1)
        maps = [tf.reshape(p, (-1, *shape)) for p, shape in zip(parts, self._cut.shapes, strict=True)]
        pooled = self._model(maps, training=False)
        return tf.matmul(pooled, self._kernel.value) + self._bias.value

    def _one_step(self, values: Any, labels: Any, weights: Any, rate: Any, count: Any) -> None:
        with tf.GradientTape() as tape:
            logits = self._logits(values)
            wanted = tf.one_hot(labels, logits.shape[-1])
            smoothing = self._recipe.smoothing
            wanted = wanted * (1 - smoothing) + smoothing / logits.shape[-1]
            losses = tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
            loss = tf.reduce_mean(losses * weights)
        own = [variable.value for variable in self._variables]
        self._adamw(own, tape.gradient(loss, own), rate, count)

    def _adamw(self, own: Sequence[Any], gradients: Sequence[Any], rate: Any, count: Any) -> None:
        """Adam with decoupled weight decay: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2."""
        unbias = tf.sqrt(1 - _SECOND**count) / (1 - _FIRST**count)
        for variable, gradient, first, second, share in zip(
            own, gradients, *self._moments, self._rates, strict=True
        ):
            first.assign(_FIRST * first + (1 - _FIRST) * gradient)
            second.assign(_SECOND * second + (1 - _SECOND) * tf.square(gradient))
            decay = self._recipe.decay if len(variable.shape) > 1 else 0.0
            move = unbias * first / (tf.sqrt(second) + _EPSILON) + decay * variable
            variable.assign_sub(rate * share * move)


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of a step: up in a line during the warm-up, then down along half a cosine to zero."""
    warm = max(1, round(recipe.warm_up * steps))
    if step < warm:
        return recipe.rate * (step + 1) / warm
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def order_of_rows(
    rows: np.ndarray, views: int, steps: int, batch: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which row and which view of it each place of each batch holds.

    Args:
        rows: int (m,), the rows to train on.
        views: how many views each has.
        steps: batches to fill.
        batch: places in each.
        seed: of the shuffling.

    Returns:
        rows and views, int (steps, batch) each. Every row comes once before any comes again, and with another
        view each time until its views are used up.
    """
    rng = np.random.default_rng(seed)
    rounds = -(-steps * batch // len(rows))
    first = rng.integers(0, views, len(rows))
    orders = [rng.permutation(len(rows)) for _ in range(rounds)]
    places = np.concatenate(orders)[: steps * batch]
    shown = np.concatenate([(first[order] + number) % views for number, order in enumerate(orders)])
    return rows[places].reshape(steps, batch), shown[: steps * batch].reshape(steps, batch)
