"""The pretraining scripts as modules, and a small folder of drawn photos."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from handful.demo.parts import draw
from handful.networks.quiet import import_keras

PRETRAINING = Path(__file__).resolve().parents[2] / "pretraining"


@pytest.fixture(scope="session")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Import a script of the folder by its name; they import each other by name too."""
    import_keras()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PRETRAINING))
        yield importlib.import_module


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of six drawn photos."""
    return draw(tmp_path_factory.mktemp("pretraining") / "photos", per_class=6)
