"""Cut the classification head off a Keras model, wherever in it or in a nested model it lies."""

from __future__ import annotations

from typing import Any

import keras

from handful.errors import BackboneError
from handful.networks.blocks import anatomy, has_graph

_HEAD = (
    keras.layers.Dense,
    keras.layers.Conv2D,  # 1 x 1 on a pooled map, as MobileNet has it
    keras.layers.Activation,
    keras.layers.Softmax,
    keras.layers.ReLU,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
)
_POOLINGS = {3: keras.layers.GlobalAveragePooling1D, 4: keras.layers.GlobalAveragePooling2D}


def pooled_features(model: keras.Model) -> tuple[Any, tuple[str, ...]]:
    """Find what a head is put on: the pooled vector below the head that a model may have already.

    A head is what follows pooling (or flattening) when a layer with weights, a softmax or a sigmoid is among
    it: dense layers, 1 x 1 convolutions and what stands between them. A map that nothing pools is pooled by
    its mean; a flattened map too, for a dense layer on each of its cells is more than a few photos can teach.

    Args:
        model: functional or built sequential, one output. It is not changed; layers are shared.

    Returns:
        The vector (b, d), a Keras tensor in the graph of `model`; the names of the layers cut off, top first.

    Raises:
        BackboneError: the model has no graph or several outputs, is nothing but a head, or gives neither a
            vector nor a map.
    """
    rest = {id(layer) for layer in anatomy(model).rest}
    if len(model.outputs) != 1:
        raise BackboneError(
            f"The model {model.name!r} has {len(model.outputs)} outputs; a head needs one. "
            "Pass `keras.Model(model.inputs, the features)`."
        )
    cut: list[Any] = []
    below = _below_head(model.outputs[0], rest, cut)
    features = below if any(map(_decides, cut)) else model.outputs[0]
    if any(features is pixels for pixels in model.inputs):
        raise BackboneError(
            f"Nothing is left of the model {model.name!r} when its head is cut off "
            f"({', '.join(layer.name for layer in cut)}). Pass a network with convolutions below its head."
        )
    names = tuple(layer.name for layer in cut) if features is below else ()
    return _pooled(features, model), names


def _decides(layer: Any) -> bool:
    """Whether a layer makes a classifier of what is below it."""
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return (
        bool(layer.weights) or isinstance(layer, keras.layers.Softmax) or activation in ("softmax", "sigmoid")
    )


def _below_head(tensor: Any, rest: set[int], cut: list[Any]) -> Any:
    """Walk down from an output as long as the layers are a head's; note them in `cut`."""
    while True:
        layer, call, place = tensor._keras_history
        inputs = layer._inbound_nodes[call].input_tensors
        if has_graph(layer):
            inner = _below_head(layer.outputs[place], rest, cut)
            if inner is layer.outputs[place]:
                return tensor
            entered = [outer for own, outer in zip(layer.inputs, inputs, strict=True) if own is inner]
            if not entered:  # the head ends within the nested model
                below = keras.Model(
                    layer.inputs if len(inputs) > 1 else layer.inputs[0], inner, name=layer.name
                )
                return below(inputs if len(inputs) > 1 else inputs[0])
            tensor = entered[0]
        elif id(layer) in rest and isinstance(layer, _HEAD) and len(inputs) == 1:
            cut.append(layer)
            tensor = inputs[0]
        else:
            return tensor


def _pooled(features: Any, model: keras.Model) -> Any:
    rank = len(features.shape)
    if rank == 2:
        return features
    if rank not in _POOLINGS:
        raise BackboneError(
            f"The model {model.name!r} gives features of shape {tuple(features.shape)}; a head is put on a "
            "vector (b, d) or a map (b, r, c, d). Pass `keras.Model(model.inputs, one of these)`."
        )
    return _POOLINGS[rank](name="pool" if "pool" not in {layer.name for layer in model.layers} else None)(
        features
    )
