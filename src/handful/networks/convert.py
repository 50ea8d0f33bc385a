"""A frozen Keras model -> LiteRT, by the shortest way there is.

MobileNetV2 at 224, cold: importing TensorFlow 2.7 s, building 0.6 s, tracing 0.3 s, converting 0.8 s. The
documented ways go through a SavedModel on disk and take 5 to 6 s for the last two steps; the graph frozen in
memory gives the same network (docs/backbones.md).
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from handful.errors import BackboneError
from handful.networks.quiet import without_noise

_MEASURED_SECONDS = 0.3


def to_litert(model: keras.Model, *, half: bool = False) -> bytes:
    """Convert a feature model.

    Args:
        model: from `build.feature_model`: pixels (b, h, w, 3) to [pooled, feature map]; or to one output.
        half: store the weights as float16; LiteRT widens them when it opens the file and computes in float32.

    Returns:
        A .tflite file: input float32 (1, h, w, 3), pixels 0 to 255; the two outputs,
        whose positions `output_positions` tells.

    Raises:
        BackboneError: TensorFlow cannot convert it; what it wrote meanwhile is attached as a note.
    """
    _, height, width, channels = model.inputs[0].shape
    pixels = tf.TensorSpec((1, height, width, channels), tf.float32, name="pixels")

    def run(pixels: Any) -> Any:
        return tuple(keras.tree.flatten(model(pixels, training=False)))

    traced: Any = tf.function(run, input_signature=[pixels], autograph=False)
    try:
        with without_noise():
            function = traced.get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
            # The graph is frozen in memory instead of going through a SavedModel on disk: 0.8 s against 5.
            converter.experimental_lower_to_saved_model = False
            if half:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            return converter.convert()
    except Exception as error:  # the converter raises anything; translated at the door
        raise BackboneError(
            f"TensorFlow {tf.__version__} could not convert the network {model.name!r} to LiteRT "
            f"({type(error).__name__}: {error}). Train with --engine keras."
        ) from error


def output_positions(content: bytes) -> tuple[int, int]:
    """Tell where the pooled vector and the map stand among the outputs of a file from `to_litert`.

    TensorFlow names a function's results Identity, Identity_1 in the order they are returned.

    Raises:
        BackboneError: the file has not exactly these two outputs.
    """
    names = [tensor.Name().decode().partition(":")[0] for tensor in _output_tensors(content)]
    if sorted(names) != ["Identity", "Identity_1"]:
        raise BackboneError(
            f"The converted network has outputs {names}; expected the pooled vector and the feature map. "
            "This TensorFlow names them otherwise: train with --engine keras."
        )
    return names.index("Identity"), names.index("Identity_1")


def output_shapes(content: bytes) -> list[tuple[int, ...]]:
    """Return the shapes of the outputs of a .tflite file, batch included, in order."""
    return [tuple(int(side) for side in tensor.ShapeAsNumpy()) for tensor in _output_tensors(content)]


def _output_tensors(content: bytes) -> list[Any]:
    graph: Any = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    return [graph.Tensors(int(graph.Outputs(position))) for position in range(graph.OutputsLength())]


def photos_per_second(content: bytes, threads: int = 2) -> float:
    """Measure how fast this machine runs a converted network, in about 0.3 s (more for slow networks).

    TensorFlow's own interpreter runs the same kernels as LiteRT's package, which lives one room higher.
    """
    with without_noise(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its move to ai_edge_litert
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
        entry = interpreter.get_input_details()[0]
        pixels = np.random.default_rng(0).integers(0, 256, entry["shape"]).astype(np.float32)
        interpreter.set_tensor(entry["index"], pixels)
        interpreter.invoke()
        start, done = time.perf_counter(), 0
        while done < 2 or time.perf_counter() - start < _MEASURED_SECONDS:
            interpreter.invoke()
            done += 1
    return done / (time.perf_counter() - start)
