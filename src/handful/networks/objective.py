"""Which loss and which accuracy go with the labels a user has and the head a model ends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from handful.errors import BackboneError, ConfigError, DataError
from handful.networks.blocks import anatomy, has_graph

Kind = Literal["sparse", "categorical", "binary"]
MEANINGS: dict[Kind, str] = {
    "sparse": "labels that are class numbers",
    "categorical": "labels with one column per class",
    "binary": "labels 0 and 1",
}


@dataclass(frozen=True)
class Objective:
    """What to compile with.

    Attributes:
        kind: of the labels.
        loss: a Keras loss.
        accuracy: a Keras metric called "accuracy".
    """

    kind: Kind
    loss: keras.losses.Loss
    accuracy: keras.metrics.Metric


def objective(model: keras.Model, labels: Any) -> Objective:
    """Choose loss and accuracy.

    Args:
        model: with a graph, ending in a head: softmax, sigmoid, or no activation (logits).
        labels: "sparse", "categorical" or "binary"; an array of labels; a dataset of (photos, labels), of
            which the first batch is read; or None, which is "binary" for a head of one unit, else "sparse".

    Raises:
        ConfigError: `labels` is another word.
        DataError: the labels do not go with the head.
        BackboneError: the model has no graph or no head.
    """
    units, activation = _ending(model)
    kind = _kind(labels, units)
    expected = ("sigmoid", "linear") if kind == "binary" else ("softmax", "linear")
    if activation not in expected or (kind != "binary" and units == 1):
        raise DataError(
            f"The labels are {kind!r} ({MEANINGS[kind]}), and the head has {units} units with "
            f"{activation!r}; expected {expected[0]!r} or logits "
            f"{'from each' if kind == 'binary' else 'from two or more'}. "
            "steps.replace_head makes such a head: of one unit with classes=1, else of one per class."
        )
    return _objective(kind, logits=activation == "linear")


def _objective(kind: Kind, *, logits: bool) -> Objective:
    losses, metrics = keras.losses, keras.metrics
    if kind == "binary":
        accuracy = metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if logits else 0.5)
        return Objective(kind, losses.BinaryCrossentropy(from_logits=logits), accuracy)
    if kind == "categorical":
        accuracy = metrics.CategoricalAccuracy(name="accuracy")
        return Objective(kind, losses.CategoricalCrossentropy(from_logits=logits), accuracy)
    accuracy = metrics.SparseCategoricalAccuracy(name="accuracy")
    return Objective(kind, losses.SparseCategoricalCrossentropy(from_logits=logits), accuracy)


def _ending(model: keras.Model) -> tuple[int, str]:
    """Give the number of units of the head and the name of its activation."""
    parts = anatomy(model)
    tensor = model.outputs[0]
    while has_graph(tensor._keras_history.operation):
        tensor = tensor._keras_history.operation.outputs[tensor._keras_history.tensor_index]
    has_head = any(len(weight.shape) > 1 for layer in parts.rest for weight in layer.weights)
    if len(model.outputs) != 1 or len(tensor.shape) != 2 or not has_head:
        raise BackboneError(
            f"The model {model.name!r} gives {', '.join(str(tuple(t.shape)) for t in model.outputs)} and has "
            "no head; expected one output (b, classes). Put a head on it with steps.replace_head."
        )
    last = tensor._keras_history.operation
    if isinstance(last, keras.layers.Softmax):
        return tensor.shape[-1], "softmax"
    return tensor.shape[-1], getattr(getattr(last, "activation", None), "__name__", "linear")


def _kind(labels: Any, units: int) -> Kind:
    if labels is None:
        return "binary" if units == 1 else "sparse"
    if not isinstance(labels, str):
        return _kind_of(_values(labels), units)
    for kind in MEANINGS:
        if labels == kind:
            return kind
    raise ConfigError(
        f"labels is {labels!r}; expected {', '.join(map(repr, MEANINGS))}, your training data, or an array."
    )


def _values(labels: Any) -> np.ndarray:
    if isinstance(labels, np.ndarray | list | tuple):
        return np.asarray(labels)
    element = next(iter(labels), None)
    if not isinstance(element, tuple | list) or len(element) < 2:
        raise DataError(
            f"The training data gives {type(element).__name__}; expected (photos, labels). "
            "Give it labels, or say what they will look like, for example labels='sparse'."
        )
    return np.asarray(keras.ops.convert_to_numpy(element[1]))


def _kind_of(values: np.ndarray, units: int) -> Kind:
    """Say what kind of labels these are, (), (b,) or (b, columns), for a head of so many units."""
    _refuse_text(values)
    columns = values.shape[-1] if values.ndim == 2 else 1
    if values.ndim > 2 or columns not in (1, units):
        raise DataError(
            f"The labels have the shape {values.shape}, and the head gives {units} numbers per photo; "
            f"expected class numbers (b,) or {units} columns. "
            f"Make the head for them: steps.replace_head(model, {columns})."
        )
    if columns > 1 and np.allclose(values.sum(axis=1), 1):
        return "categorical"
    highest = 1 if columns > 1 or units == 1 else units - 1
    odd = [value for value in np.unique(values).tolist() if value not in range(highest + 1)]
    if odd:
        raise DataError(
            f"The labels hold {', '.join(f'{value:g}' for value in odd[:5])}; expected whole numbers "
            f"from 0 to {highest} with this head. Number the classes from 0 on, or make the head for them: "
            "steps.replace_head(model, the number of classes)."
        )
    return "binary" if columns > 1 or units == 1 else "sparse"


def _refuse_text(values: np.ndarray) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(
            f"The labels are {values.dtype.name}, for example {values.ravel()[:1].tolist()}; "
            "expected numbers. Number the classes from 0 on."
        )
