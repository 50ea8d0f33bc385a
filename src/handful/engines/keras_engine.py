"""Keras on its TensorFlow: for GPUs, for networks LiteRT cannot run, and where LiteRT has no wheel."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from handful.files import temporary_name, write_error
from handful.networks.quiet import import_keras, without_noise
from handful.networks.safety import check_keras_file
from handful.networks.weights import Source


class KerasEngine:
    """A frozen Keras network; see `engines.base.Engine`.

    Args:
        source: what `weights.locate` found.
        size: side of the square of pixels; None is `source.size`.

    Raises:
        BackboneError: the weights are missing, damaged or unsafe, or the network refuses the size.
    """

    id = "keras-1"
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
            BackboneError: the file is damaged, or holds what may run code.
        """
        check_keras_file(path)
        keras = import_keras()
        engine = cls.__new__(cls)
        with without_noise():
            engine._take(keras.models.load_model(path, compile=False, safe_mode=True))
        return engine

    def _take(self, model: Any) -> None:
        _, rows, columns, _ = model.inputs[0].shape
        self.size = int(rows), int(columns)
        self.feature_dim = int(model.outputs[0].shape[-1])
        self.weights_count = int(model.count_params())
        self._model = model
        self._lock = threading.Lock()  # one batch at a time: TensorFlow uses all cores for it already
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
        with self._lock:
            pooled, spatial = self._predict(np.ascontiguousarray(pixels, dtype=np.uint8))
        return pooled.numpy(), spatial.numpy()

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Give pooled features float32 (b, d) of uint8 pixels (b, h, w, 3)."""
        return self._run(pixels)[0]

    def feature_map(self, pixels: np.ndarray) -> np.ndarray:
        """Give the last feature map float32 (rows, columns, c) of one photo uint8 (h, w, 3)."""
        return self._run(pixels[None])[1][0]


def gpu_is_usable() -> bool:
    """Whether TensorFlow sees a GPU; imports it to ask."""
    import_keras()
    import tensorflow as tf

    with without_noise():
        return bool(tf.config.list_physical_devices("GPU"))


def _compiled(model: Any) -> Any:
    """Trace the network once for any batch, from uint8; XLA is left out: ten times slower on a CPU here."""
    import tensorflow as tf

    pixels = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8)

    @tf.function(input_signature=[pixels], autograph=False)
    def predict(pixels: Any) -> Any:
        return tuple(model(tf.cast(pixels, tf.float32), training=False))

    predict.get_concrete_function()  # type: ignore[attr-defined]  # TensorFlow's stubs see a plain function
    return predict
