"""Whether this machine has LiteRT; asked without importing it, so that anyone may ask."""

from __future__ import annotations

from importlib.util import find_spec


def litert_is_installed() -> bool:
    """Whether the package ai-edge-litert is here; where it has no wheel, Keras serves."""
    return find_spec("ai_edge_litert") is not None
