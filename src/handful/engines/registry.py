"""Open a network file with the engine that runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from handful.engines.base import Engine
from handful.errors import BackboneError


def litert_is_installed() -> bool:
    """Whether this machine has LiteRT; where it has no wheel, Keras serves."""
    from importlib.util import find_spec

    return find_spec("ai_edge_litert") is not None


def gpu_device_is_present() -> bool:
    """Whether the system shows an NVIDIA device; whether Keras can use it costs an import to tell."""
    return Path("/dev/nvidia0").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1")


def open_network(path: Path, network: dict[str, Any]) -> Engine:
    """Open the frozen network of a trained folder.

    Args:
        path: a .tflite file (LiteRT) or a .keras file (Keras).
        network: the card's entry, with "pooled_output" and "map_output".

    Raises:
        BackboneError: LiteRT is not installed, or the file is damaged.
    """
    if path.suffix == ".keras":
        from handful.engines.keras_engine import KerasEngine

        return KerasEngine.from_file(path)
    if not litert_is_installed():
        raise BackboneError(
            f"{path.name} needs the package ai-edge-litert, which has no wheel for this machine. "
            "Train again here with --engine keras, or predict on Linux or macOS."
        )
    from handful.engines.litert_engine import LiteRTEngine

    return LiteRTEngine(path, pooled=network["pooled_output"], feature_map=network["map_output"])
