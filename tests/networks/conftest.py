"""What the tests of the room share: the parity script as a module, photos, a random small model on disk."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from handful.networks.quiet import import_keras
from handful.networks.weights import Source, locate
from handful.progress import Silent

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "catalogue_parity.py"


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    """benchmarks/catalogue_parity.py: what the documented call builds, and how it is compared."""
    spec = importlib.util.spec_from_file_location("catalogue_parity", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


@pytest.fixture
def source(keras_home: Path) -> Source:
    """MobileNetV2 with its real weights; asking for keras_home points KERAS_HOME at them."""
    return locate("mobilenet_v2", speaker=Silent(), fetch=False)


@pytest.fixture(scope="session")
def photos(shared: Path, parity: ModuleType) -> np.ndarray:
    """uint8 (6, 224, 224, 3): photos of ants and bees."""
    return parity.photos(224)


@pytest.fixture
def small_model(keras: Any) -> Any:
    """A tiny random network that scales its pixels inside: (32, 32, 3) -> (4, 4, 8)."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, 4, padding="same", activation="relu", name="first"),
            layers.Conv2D(8, 3, 2, padding="same", name="second"),
            layers.BatchNormalization(),
        ],
        name="small",
    )
