"""Open a network file with the engine that runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from handful.engines.base import Engine
from handful.errors import BackboneError
from handful.networks.litert import litert_is_installed


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
            f"{path.name} needs the package ai-edge-litert, which is not installed here. "
            "Install it: pip install ai-edge-litert, or train with --engine keras."
        )
    from handful.engines.litert_engine import LiteRTEngine

    return LiteRTEngine(path, pooled=network["pooled_output"], feature_map=network["map_output"])
