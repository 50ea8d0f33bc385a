"""Where to cut a network in two: a trunk that stays as it is, and a top that is trained.

Cuts are the block ends that `networks.blocks` reads from the graph. What lies below a cut never needs to run
again once its value is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from handful.networks.blocks import anatomy


@dataclass(frozen=True)
class Cut:
    """A place where a block ends.

    Attributes:
        layer: name of the layer that gives the value; for people, never looked up.
        tensors: the Keras tensors that carry everything, in the graph of the core: one; two in NASNet.
        shapes: (rows, columns, channels) of each, for one photo.
        above: the layers above, block by block; the last entry holds what follows the last block.
    """

    layer: str
    tensors: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    above: tuple[tuple[keras.layers.Layer, ...], ...]

    @property
    def blocks(self) -> int:
        """How many blocks lie above."""
        return len(self.above) - 1

    @property
    def values(self) -> int:
        """Numbers to keep for each view."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def rows(self) -> int:
        """Height of the map."""
        return self.shapes[-1][0]


@dataclass(frozen=True)
class Core:
    """The network inside a feature model.

    Attributes:
        pixels: the input of the whole.
        entry: what enters the innermost network: the pixels, scaled.
        inner: the innermost network that gives all outputs, [pooled, map]; cuts are in its graph.
    """

    pixels: Any
    entry: Any
    inner: keras.Model


def core_of(features: keras.Model) -> Core:
    """Look through the models that only wrap another one.

    Args:
        features: from `networks.build.feature_model`.
    """
    entry, model = features.inputs[0], features
    while (found := _wrapped(model)) is not None:
        inner, before = found
        if before is not model.inputs[0]:
            entry = keras.Model(model.inputs[0], before)(entry)
        model = inner
    return Core(features.inputs[0], entry, model)


def _wrapped(model: keras.Model) -> tuple[keras.Model, Any] | None:
    """The nested network that gives all outputs of `model`, and what enters it; None if there is none."""
    histories = [output._keras_history for output in model.outputs]
    inner = histories[0].operation
    ours = all(h.operation is inner and h.tensor_index == at for at, h in enumerate(histories))
    if not isinstance(inner, keras.Model) or not ours or len(inner.outputs) != len(model.outputs):
        return None
    return inner, inner._inbound_nodes[histories[0].node_index].input_tensors[0]


def cuts_of(core: Core) -> list[Cut]:
    """List the places where the core can be cut, lowest first, each with something to train above it."""
    parts = anatomy(core.inner)
    layers = [*(block.layers for block in parts.blocks), parts.rest]
    cuts = [
        Cut(
            block.name,
            block.ends,
            tuple(tuple(int(side) for side in end.shape[1:]) for end in block.ends),
            tuple(layers[number:]),
        )
        for number, block in enumerate(parts.blocks, start=1)
    ]
    nodes = [node for depth in core.inner._nodes_by_depth.values() for node in depth]
    ours = {id(tensor) for node in nodes for tensor in node.outputs}
    # A block can end inside a nested model (ConvNeXt's stem): the outer graph cannot be cut there.
    cuts = [cut for cut in cuts if all(id(tensor) in ours for tensor in cut.tensors)]
    return [cut for cut in cuts if cut.blocks and trained_layers(cut)]


def trained_layers(cut: Cut) -> dict[int, keras.layers.Layer]:
    """The layers above a cut that are trained, by their place above it; batch-norm is not among them."""
    above = [layer for layers in cut.above for layer in layers]
    return {
        at: layer
        for at, layer in enumerate(above)
        if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    }


def last_stage(cuts: Sequence[Cut], rows: int) -> Cut | None:
    """Choose the cut from which fine-tuning starts: below the last stage of one resolution.

    Args:
        cuts: from `cuts_of`.
        rows: of the last map.

    Returns:
        The last cut whose map is larger than the last one, with two blocks or more above it and no more than
        half of all. A network without one (VGG shrinks its map last) gets the last cut with a quarter of the
        blocks above it. None without cuts.

    The last stage of MobileNetV2 begins behind its block 12, the cut that was measured (docs/fine-tuning.md).
    """
    stage = [cut for cut in cuts if cut.rows > rows and 2 <= cut.blocks <= max(2, len(cuts) // 2)]
    quarter = [cut for cut in cuts if cut.blocks >= max(2, len(cuts) // 4)]
    chosen = stage or quarter or list(cuts[:1])
    return chosen[-1] if chosen else None


def deeper(cuts: Sequence[Cut], cut: Cut) -> Cut | None:
    """The next cut to try below `cut`: with half as many blocks again above it; None where there is none."""
    wanted = cut.blocks + max(2, cut.blocks // 2)
    below = [one for one in cuts if cut.blocks < one.blocks <= wanted]
    return below[0] if below else None


def trunk_model(core: Core, cut: Cut) -> keras.Model:
    """What lies below a cut: pixels float32 (b, h, w, 3), 0 to 255 -> (b, cut.values)."""
    below = keras.Model(core.inner.inputs[0], list(cut.tensors))
    values = below(core.entry)
    flat = [keras.layers.Flatten()(value) for value in (values if isinstance(values, list) else [values])]
    whole = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    return keras.Model(core.pixels, whole, name="trunk")


def top_model(core: Core, cut: Cut) -> keras.Model:
    """What lies above a cut: the values at it -> pooled vector (b, d); its layers are the core's own."""
    return keras.Model(list(cut.tensors), core.inner.outputs[0], name="top")
