"""The backbone inside the package, as Keras: the architecture from here, the weights from its LiteRT file.

One file holds the weights, half-precision: `embedded/backbone.tflite`, which LiteRT runs as it is. Read
back into the same layers they are the same numbers, so that both engines are one network.

The architecture is MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with each batch-norm folded into the
convolution before it (Jacob et al. 2018, arXiv:1712.05877, section 3.2): no statistics are left to freeze.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from handful.errors import BackboneError

# Expansion, channels, how often, stride of the first: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280
SCALE = float(np.float16(1 / 127.5))  # the converter rounds this factor to half precision too


def architecture(size: int) -> keras.Model:
    """Give the network with all weights zero.

    Args:
        size: side of the square of pixels, 32 or more.

    Returns:
        A model from pixels 0 to 255, float32 (b, size, size, 3), RGB, to its last feature map, float32
        (b, r, c, 1280), r = c = size / 32 rounded up.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    scaled = keras.layers.Rescaling(SCALE, offset=-1, name="scale")(pixels)
    value = _relu6(_convolution(_STEM, 3, 2, "stem")(scaled), "stem")
    channels, number = _STEM, 0
    for expansion, width, times, stride in _STAGES:
        for first in (True, *[False] * (times - 1)):
            value = _block(value, channels, expansion, width, stride if first else 1, f"block_{number}")
            channels, number = width, number + 1
    value = _relu6(_convolution(_LAST, 1, 1, "last")(value), "last")
    return keras.Model(pixels, value, name="embedded")


def _block(value: Any, channels: int, expansion: int, width: int, stride: int, name: str) -> Any:
    """Expand, filter each channel, project; and add what came in where the shape allows."""
    inner = value
    if expansion > 1:
        inner = _relu6(_convolution(channels * expansion, 1, 1, f"{name}_expand")(value), f"{name}_expand")
    depthwise = keras.layers.DepthwiseConv2D(
        3, stride, padding="same", depthwise_initializer="zeros", name=f"{name}_depthwise"
    )
    inner = _convolution(width, 1, 1, f"{name}_project")(_relu6(depthwise(inner), f"{name}_depthwise"))
    if stride == 1 and channels == width:
        return keras.layers.Add(name=f"{name}_add")([value, inner])
    return inner


def _convolution(filters: int, kernel: int, stride: int, name: str) -> keras.layers.Layer:
    # Zeros: the weights are set right after, and drawing random ones takes longer.
    return keras.layers.Conv2D(filters, kernel, stride, padding="same", kernel_initializer="zeros", name=name)


def _relu6(value: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(value)


def read_network(path: Path, size: int) -> keras.Model:
    """Give the network with the weights of a LiteRT file.

    Args:
        path: the .tflite file of this architecture, converted at whatever size.
        size: side of the square of pixels, 32 or more.

    Returns:
        See `architecture`.

    Raises:
        BackboneError: the file is missing, damaged, or holds another network.
    """
    try:
        found = [array for pair in _weights(path.read_bytes()) for array in pair]
        model = architecture(size)
        model.set_weights(found)
    except (OSError, ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise BackboneError(
            f"{path} is not the backbone that belongs to this Handful ({type(error).__name__}: {error}). "
            "Install Handful again."
        ) from error
    return model


def _weights(content: bytes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give kernel and bias of each convolution in the order in which they run, in Keras' layout."""
    model: Any = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    kinds = schema.BuiltinOperator
    halves = {}  # the tensor that a DEQUANTIZE writes -> the half-precision tensor it reads
    for operator in (graph.Operators(i) for i in range(graph.OperatorsLength())):
        kind = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if kind == kinds.DEQUANTIZE:
            halves[operator.Outputs(0)] = operator.Inputs(0)
        elif kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D):
            kernel, bias = (_values(model, graph, halves, operator.Inputs(i)) for i in (1, 2))
            # LiteRT: (out, h, w, in), depthwise (1, h, w, c). Keras: (h, w, in, out), depthwise (h, w, c, 1).
            yield np.moveaxis(kernel, 0, -1), bias


def _values(model: Any, graph: Any, halves: dict[int, int], tensor: int) -> np.ndarray:
    """Give a constant of the graph as float32, which holds every half-precision number exactly."""
    entry = graph.Tensors(halves.get(tensor, tensor))
    kind = np.float16 if entry.Type() == schema.TensorType.FLOAT16 else np.float32
    buffer = model.Buffers(entry.Buffer()).DataAsNumpy()
    return np.frombuffer(buffer.tobytes(), kind).reshape(entry.ShapeAsNumpy()).astype(np.float32)
