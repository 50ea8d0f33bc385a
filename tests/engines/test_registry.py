"""Opening a network file names what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful.engines import registry
from handful.errors import BackboneError


def test_without_litert_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "litert_is_installed", lambda: False)
    with pytest.raises(
        BackboneError, match=r"not installed here\. Install it: pip install ai-edge-litert, or"
    ):
        registry.open_network(Path("backbone.tflite"), {"pooled_output": 0, "map_output": 1})
