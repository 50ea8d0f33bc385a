"""Keras on its TensorFlow: for GPUs, for networks LiteRT cannot run, and where LiteRT has no wheel.

TensorFloat-32, which TensorFlow uses on newer GPUs unless told otherwise, keeps 10 bits of each factor. It is
off while a network runs here, so that a head fitted on a GPU's features meets nearly the same ones from
LiteRT or a CPU; the user's own setting is put back after each batch.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import BackboneError
from handful.files import temporary_name, write_error
from handful.networks.quiet import import_keras, without_noise
from handful.networks.weights import Source

# One batch at a time in this process: TensorFlow uses all cores for it, and TF32 is switched for all of it.
_lock = threading.Lock()


class KerasEngine:
    """A frozen Keras network; see `engines.base.Engine`.

    Args:
        source: what `weights.locate` found.
        size: side of the square of pixels; None is `source.size`.

    Raises:
        BackboneError: the weights are missing, damaged or unsafe, or the network refuses the size.
    """

    batch = 32

    def __init__(self, source: Source, size: int | None = None) -> None:
        import_keras()
        from handful.networks.build import feature_model

        with without_noise():
            self._take(feature_model(source, size or source.size))

    @classmethod
    def from_file(cls, path: Path) -> KerasEngine:
        """Open a network that `save` wrote.

        Raises:
            BackboneError: the file is damaged, holds what may run code, or is no such network.
        """
        import_keras()
        from handful.networks.build import open_model

        engine = cls.__new__(cls)
        with without_noise():
            model = open_model(path)
            if [len(output.shape) for output in model.outputs] != [2, 4] or len(model.inputs) != 1:
                raise BackboneError(
                    f"{path} does not give a pooled vector and a feature map, so it is not a network that "
                    "Handful wrote. Copy the trained folder again, or train again."
                )
            engine._take(model)
        return engine

    def _take(self, model: Any) -> None:
        _, rows, columns, _ = model.inputs[0].shape
        self.size = int(rows), int(columns)
        self.feature_dim = int(model.outputs[0].shape[-1])
        self.weights_count = int(model.count_params())
        self._model = model
        self.id = f"keras-1-{'gpu' if gpu_is_usable() else 'cpu'}"  # they differ in the last bits
        self._predict = _compiled(model)

    def save(self, path: Path) -> None:
        """Write the network, pixels to [pooled, map], as a .keras file: beside, then renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = temporary_name(path).with_suffix(".keras")
        try:
            with without_noise():
                self._model.save(beside)
            os.replace(beside, path)
        except OSError as error:
            raise write_error(path, error) from error
        finally:
            beside.unlink(missing_ok=True)

    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with _lock, _without_tf32():
            pooled, spatial = self._predict(np.ascontiguousarray(pixels, dtype=np.uint8))
            return pooled.numpy(), spatial.numpy()

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Give pooled features float32 (b, d) of uint8 pixels (b, h, w, 3)."""
        return self._run(pixels)[0]

    def feature_map(self, pixels: np.ndarray) -> np.ndarray:
        """Give the last feature map float32 (rows, columns, c) of one photo uint8 (h, w, 3)."""
        return self._run(pixels[None])[1][0]


def gpu_is_usable() -> bool:
    """Whether TensorFlow sees a GPU that it may use; imports it to ask."""
    import_keras()
    import tensorflow as tf

    with without_noise():
        return bool(tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Keep TensorFlow from rounding factors on a GPU; it reads the setting when a kernel runs."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _compiled(model: Any) -> Any:
    """Trace the network once for any batch, from uint8; XLA is left out: ten times slower on a CPU here."""
    import tensorflow as tf

    pixels = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8)

    @tf.function(input_signature=[pixels], autograph=False)
    def predict(pixels: Any) -> Any:
        return tuple(model(tf.cast(pixels, tf.float32), training=False))

    predict.get_concrete_function()  # type: ignore[attr-defined]  # TensorFlow's stubs see a plain function
    return predict
