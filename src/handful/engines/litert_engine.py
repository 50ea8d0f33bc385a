"""LiteRT on a CPU: as many interpreters of one thread each as there are callers at once.

Single-threaded interpreters side by side are as fast as one with all threads, and let decoding fill every
gap. The only file that imports ai_edge_litert.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from handful.errors import BackboneError
from handful.networks.quiet import without_stderr


class LiteRTEngine:
    """A converted network; see `engines.base.Engine`.

    Args:
        path: the .tflite file, float32 pixels (1, h, w, 3) in 0 to 255.
        pooled: position of the pooled output (1, d) among the outputs.
        feature_map: position of the last feature map (1, r, c, d) among the outputs.

    Raises:
        BackboneError: the file is no network that LiteRT can run.
    """

    id = "litert-1"
    batch = 1

    def __init__(self, path: Path, *, pooled: int, feature_map: int) -> None:
        self._path = path
        self._positions = pooled, feature_map
        self._idle: list[Interpreter] = []  # append and pop are atomic: no lock
        with without_stderr():  # LiteRT announces its delegate once per process, whatever the log level
            first = self._made()
        self._entry = first.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in first.get_output_details()]
        shape = first.get_input_details()[0]["shape"]
        self.size = int(shape[1]), int(shape[2])
        self.feature_dim = int(first.get_output_details()[pooled]["shape"][-1])
        self._idle.append(first)

    def _made(self) -> Interpreter:
        try:
            interpreter = Interpreter(model_path=str(self._path), num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BackboneError(
                f"{self._path} is not a network that LiteRT can run ({error}). "
                "Run `handful cache --clear` and train again."
            ) from error
        return interpreter

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Interpreter]:
        """Lend an idle interpreter, or a new one when all are busy; there are as many as callers at once."""
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = self._made()
        yield interpreter
        self._idle.append(interpreter)

    def _invoke(self, interpreter: Interpreter, pixels: np.ndarray, position: int) -> np.ndarray:
        interpreter.set_tensor(self._entry, pixels[None].astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(self._outputs[position])[0]

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Give pooled features float32 (b, d) of uint8 pixels (b, h, w, 3)."""
        with self._borrowed() as interpreter:
            return np.stack([self._invoke(interpreter, photo, self._positions[0]) for photo in pixels])

    def feature_map(self, pixels: np.ndarray) -> np.ndarray:
        """Give the last feature map float32 (rows, columns, c) of one photo uint8 (h, w, 3)."""
        with self._borrowed() as interpreter:
            return self._invoke(interpreter, pixels, self._positions[1])
