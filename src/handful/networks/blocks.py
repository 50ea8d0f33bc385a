"""Where the blocks of a Keras network end, read from its graph and not from the names of its layers.

A block ends at a feature map that everything above hangs on: a tensor through which each path from the pixels
to the output goes (an articulation point of the graph). Not every such tensor is a good place. One is kept

- when the layers since the last end mix channels: a depthwise convolution or a normalisation is no block;
- when a layer with a kernel follows: normalisation, activation and pooling belong to the block below them;
- when the next map of another width is not narrower, and it is no gate: what an inverted residual widens
  (expand, depthwise, squeeze-and-excite, project) stays whole.

Where cells look two cells back (NASNet), no single tensor carries everything; there a block ends at the pair
of sums or concatenations that does. In a plain chain (VGG) each convolution is a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import keras

from handful.errors import BackboneError

_COLLAPSING = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Block:
    """A run of layers between two block ends.

    Attributes:
        layers: those that are first met in this block, in the order of the graph; the layers of nested
            models one by one, without the nested models themselves.
        ends: the feature maps (b, r, c, d) that leave it, as Keras tensors: one; two where cells look two
            cells back. They belong to the graph of the nested model that holds them.
    """

    layers: tuple[keras.layers.Layer, ...]
    ends: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name of the layer that gives the (later) end."""
        return self.ends[-1]._keras_history.operation.name


@dataclass(frozen=True)
class Anatomy:
    """A network taken apart.

    Attributes:
        pixels: the layers that only scale, turn or reorder pixels, before the first block.
        blocks: lowest (nearest to the pixels) first.
        rest: the layers above the last block: pooling and head.
    """

    pixels: tuple[keras.layers.Layer, ...]
    blocks: tuple[Block, ...]
    rest: tuple[keras.layers.Layer, ...]


@dataclass(frozen=True)
class _Step:
    """One call of one operation: which tensors it takes and gives."""

    operation: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class _Place:
    """Where a block could end. `below` is a bit mask over the steps: all that the `carriers` are made by."""

    carriers: tuple[Any, ...]
    below: int


def anatomy(model: keras.Model) -> Anatomy:
    """Take a network apart into blocks. Nothing is built or changed.

    Args:
        model: a functional or built sequential model, with or without a head; models in it are looked into.

    Raises:
        BackboneError: it is no such model, so it has no graph to read.
    """
    steps = _steps(_with_graph(model))
    places, seen = _places(steps, model), set[int]()
    channels = {tensor.shape[-1] for tensor in model.inputs}
    pixels = list(takewhile(lambda place: place.carriers[-1].shape[-1] in channels, places))
    done = pixels[-1].below if pixels else 0
    below = _fresh_layers(_within(steps, done), seen)
    blocks = []
    for place in _ends(steps, places[len(pixels) :], done):
        blocks.append(Block(_fresh_layers(_within(steps, place.below & ~done), seen), place.carriers))
        done = place.below
    return Anatomy(below, tuple(blocks), _fresh_layers(_within(steps, ~done), seen))


def has_graph(model: Any) -> bool:
    """Whether a model's layers can be read from a graph: functional, or sequential and built."""
    if isinstance(model, keras.Sequential):
        return model.built and bool(model.layers) and model._functional is not None
    return isinstance(model, keras.Model) and hasattr(model, "_operations") and bool(model.inputs)


def _with_graph(model: Any) -> keras.Model:
    if has_graph(model):
        return model
    if isinstance(model, keras.Sequential):
        raise BackboneError(
            f"The sequential model {model.name!r} is not built, so it has no graph. "
            "Start it with keras.Input((height, width, 3))."
        )
    raise BackboneError(
        f"Received {_described(model)}; expected a functional or sequential keras.Model, which has a graph "
        "to read. Build it as `keras.Model(inputs, outputs)`, from keras.Input((height, width, 3)) on."
    )


def _described(model: Any) -> str:
    if isinstance(model, keras.Model):
        return f"{type(model).__name__} {model.name!r}, a subclass of keras.Model with a call() of its own"
    return f"a {type(model).__name__}"


# The graph, nested models spliced in ------------------------------------------------------------------


class _Graph:
    """Finds what made a tensor, looking through the doors of nested models."""

    def __init__(self) -> None:
        self._entered: dict[int, int] = {}  # nested model -> which call of it is spliced in
        self._outer: dict[int, Any] = {}  # input of a nested model -> the tensor it was called on

    def origin(self, tensor: Any) -> Any:
        """The tensor itself, or the one inside or outside a nested model that is the same."""
        while True:
            if id(tensor) in self._outer:
                tensor = self._outer[id(tensor)]
                continue
            operation, call, place = tensor._keras_history
            if not has_graph(operation) or self._entered.setdefault(id(operation), call) != call:
                return tensor
            called_on = operation._inbound_nodes[call].input_tensors
            self._outer |= {id(t): u for t, u in zip(operation.inputs, called_on, strict=True)}
            tensor = operation.outputs[place]

    def step(self, tensor: Any) -> _Step:
        """The call that made a tensor."""
        operation, call, _ = tensor._keras_history
        node = operation._inbound_nodes[call]
        return _Step(operation, tuple(map(self.origin, node.input_tensors)), tuple(node.output_tensors))


def _steps(model: keras.Model) -> list[_Step]:
    """List the calls from pixels to outputs: each after those it needs, one branch before the next.

    Depth first and without recursion, which a thousand layers would exhaust.
    """
    graph, done, listed = _Graph(), set[tuple[int, int]](), list[_Step]()
    waiting: list[tuple[Any, _Step | None]] = [(t, None) for t in reversed(model.outputs)]
    while waiting:
        tensor, step = waiting.pop()
        if step is not None:
            listed.append(step)
            continue
        tensor = graph.origin(tensor)
        operation, call, _ = tensor._keras_history
        if (id(operation), call) not in done:
            done.add((id(operation), call))
            step = graph.step(tensor)
            waiting.append((tensor, step))
            waiting += [(t, None) for t in reversed(step.inputs)]
    return listed


# Where blocks may end, and where they do ----------------------------------------------------------------


def _places(steps: Sequence[_Step], model: keras.Model) -> list[_Place]:
    """List where one map, or a pair of merged maps, carries all that lies above, up to the pooling."""
    below, users = _ancestors(steps), _users(steps, model)
    merged = {id(t) for step in steps if len(step.inputs) > 1 for t in step.outputs}
    alone: set[int] = set()  # maps that carry everything by themselves
    places: list[_Place] = []
    for step, mask in zip(steps, below, strict=True):
        carriers = _carriers(steps, users, mask)
        if len(carriers) == 1 and isinstance(step.operation, _COLLAPSING):
            break
        if (places and places[-1].below & ~mask) or not all(len(t.shape) >= 3 for t in carriers):
            continue
        if len(carriers) == 1:
            alone.add(id(carriers[0]))
            if isinstance(
                step.operation, keras.layers.Multiply
            ):  # a gate: what it lets through is projected next
                continue
        elif len(carriers) != 2 or not all(id(t) in merged - alone for t in carriers):
            continue
        places.append(_Place(carriers, mask))
    return places


def _ancestors(steps: Sequence[_Step]) -> list[int]:
    """Give for each step the mask of itself and all the steps it needs."""
    masks: list[int] = []
    maker: dict[int, int] = {}
    for number, step in enumerate(steps):
        mask = 1 << number
        for tensor in step.inputs:
            mask |= masks[maker[id(tensor)]]
        masks.append(mask)
        maker |= {id(tensor): number for tensor in step.outputs}
    return masks


def _users(steps: Sequence[_Step], model: keras.Model) -> dict[int, int]:
    """Give for each tensor the mask of the steps that take it; one bit more for the model's outputs."""
    users: Counter[int] = Counter()
    for number, step in enumerate(steps):
        for tensor in {id(t) for t in step.inputs}:
            users[tensor] |= 1 << number
    graph = _Graph()
    for tensor in model.outputs:
        users[id(graph.origin(tensor))] |= 1 << len(steps)
    return users


def _carriers(steps: Sequence[_Step], users: dict[int, int], below: int) -> tuple[Any, ...]:
    """The tensors made by the steps in the mask that something outside it takes."""
    made = (tensor for step in _within(steps, below) for tensor in step.outputs)
    return tuple(tensor for tensor in made if users[id(tensor)] & ~below)


def _ends(steps: Sequence[_Step], places: Sequence[_Place], done: int) -> list[_Place]:
    """Choose among the places by the rules at the head of this file; the last is always an end."""
    ends: list[_Place] = []
    for number, place in enumerate(places):
        mixed = any(map(_mixes, _within(steps, place.below & ~(ends[-1].below if ends else done))))
        if place is places[-1]:
            return [*(ends if mixed else ends[:-1]), place]
        above = places[number + 1 :]
        if mixed and _work_follows(steps, place, above) and _is_not_narrowed(place, above):
            ends.append(place)
    return ends


def _work_follows(steps: Sequence[_Step], place: _Place, above: Sequence[_Place]) -> bool:
    """Whether what comes next, padding apart, has a kernel."""
    for following in above:
        added = [
            step
            for step in _within(steps, following.below & ~place.below)
            if not isinstance(step.operation, keras.layers.ZeroPadding2D)
        ]
        if added:
            return any(_has_kernel(step.operation) for step in added)
    return False


def _is_not_narrowed(place: _Place, above: Sequence[_Place]) -> bool:
    """Whether the next place of another width is wider, or there is none."""
    width = place.carriers[-1].shape[-1]
    widths = (following.carriers[-1].shape[-1] for following in above)
    return next((other > width for other in widths if other != width), True)


def _has_kernel(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Layer) and any(len(w.shape) >= 2 for w in operation.weights)


def _mixes(step: _Step) -> bool:
    return _has_kernel(step.operation) and not isinstance(step.operation, _DEPTHWISE)


def _within(steps: Sequence[_Step], mask: int) -> Iterator[_Step]:
    """The steps in a mask, in order."""
    return (step for number, step in enumerate(steps) if mask >> number & 1)


def _fresh_layers(steps: Iterator[_Step], seen: set[int]) -> tuple[keras.layers.Layer, ...]:
    """The layers of the steps that no earlier step had: a layer used twice belongs where it is used first."""
    fresh = []
    for step in steps:
        if isinstance(step.operation, keras.layers.Layer) and id(step.operation) not in seen:
            seen.add(id(step.operation))
            fresh.append(step.operation)
    return tuple(fresh)
