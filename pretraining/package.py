"""From a pretrained student to the file in the package: fold the batch-norms, halve the precision, convert.

    python pretraining/package.py FOLDER/student.keras [--share 0.25] [--size 144] [--out ...]

With --share below one the weights are that far from the teacher's to the student's: the mean of the two
keeps more of what the teacher knew (Wortsman et al. 2022, arXiv:2109.01903).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import networks
from handful.files import sha256_of_bytes, write_atomically
from handful.networks.build import with_outputs
from handful.networks.convert import output_positions, output_shapes, to_litert
from handful.networks.embedded_network import architecture
from handful.networks.sidecars import Sidecar

PACKAGE = Path(__file__).parent.parent / "src" / "handful" / "networks" / "embedded"


def main() -> None:
    """Write backbone.tflite and the record beside it."""
    options = _options()
    student: Any = keras.models.load_model(options.student, compile=False)
    network = package(student, options.share, options.size)
    content = to_litert(network, half=True)  # exact: see `package`
    write(network, content, options.out)
    print(json.dumps({"bytes": len(content), "sha256": sha256_of_bytes(content)}))


def package(student: keras.Model, share: float, size: int) -> keras.Model:
    """Fold and round a student.

    Args:
        student: from `train.py`, any size.
        share: how far to go from the teacher's weights (0) to the student's (1).
        size: side of the square of pixels of the result.

    Returns:
        The frozen network, pixels 0 to 255 (b, size, size, 3) -> [pooled (b, 1280), map (b, r, c, 1280)],
        without batch-norms; every weight is a number that half precision can hold.
    """
    start = "teacher" if share < 1 else "random"  # nothing of it is left
    mixed = networks.student(size, start=start, frozen_until=None, batch_norm="frozen")
    both = zip(mixed.get_weights(), student.get_weights(), strict=True)
    mixed.set_weights([(1 - share) * ours + share * learned for ours, learned in both])
    core = architecture(size)
    folded = [array for pair in _folded(mixed) for array in pair]
    core.set_weights([_rounded(array) for array in folded])
    return with_outputs(core, "inside", "embedded")


def _rounded(array: np.ndarray) -> np.ndarray:
    """Give the nearest float32 that half precision can hold.

    Raises:
        SystemExit: a weight is too large for half precision, 65,504 at most.
    """
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise SystemExit(f"a weight of {np.abs(array).max():.0f} does not fit half precision; train longer.")
    return half.astype(np.float32)


def _folded(model: keras.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give kernel and bias of each convolution with the batch-norm after it multiplied in.

    Source: Jacob et al. 2018, arXiv:1712.05877, equation 14, with the bias beside it.
    """
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    kernel, depthwise = None, False
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel = layer.get_weights()[0].astype(np.float64)
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)  # (h, w, c, 1)
        elif isinstance(layer, keras.layers.BatchNormalization) and kernel is not None:
            gamma, beta, mean, variance = (value.astype(np.float64) for value in layer.get_weights())
            scale = gamma / np.sqrt(variance + layer.epsilon)
            scaled = kernel * (scale[:, None] if depthwise else scale)
            pairs.append((scaled.astype(np.float32), (beta - mean * scale).astype(np.float32)))
    return pairs


def write(network: keras.Model, content: bytes, folder: Path) -> None:
    """Write the LiteRT file and its record into a folder, each whole."""
    pooled, spatial = output_positions(content)
    shapes = output_shapes(content)
    rows, columns, channels = shapes[spatial][1:]
    digest = sha256_of_bytes(content)
    record = Sidecar(
        "embedded", digest, "inside", int(network.inputs[0].shape[1]), digest, shapes[pooled][-1],
        (rows, columns, channels), pooled, spatial, 0.0, 0.0, (), network.count_params(), True,
    )  # fmt: skip
    write_atomically(folder / "backbone.tflite", content)
    write_atomically(folder / "backbone.json", record.to_json())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--size", type=int, default=144)
    parser.add_argument("--out", type=Path, default=PACKAGE)
    return parser.parse_args()


if __name__ == "__main__":
    main()
