"""LiteRT: the converted network, from any thread, the same numbers every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from handful.config import TrainConfig
from handful.engines.litert_engine import LiteRTEngine
from handful.errors import BackboneError
from handful.frozen import open_frozen
from handful.progress import Silent


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LiteRTEngine:
    frozen = open_frozen(TrainConfig(backbone="embedded"), tmp_path_factory.mktemp("cache"), Silent())
    assert isinstance(frozen.engine, LiteRTEngine)
    return frozen.engine


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 144, 144, 3), dtype=np.uint8)


def test_it_gives_one_vector_per_photo_and_they_differ(engine: LiteRTEngine) -> None:
    features = engine.run(photos(3))
    assert features.shape == (3, engine.feature_dim)
    assert features.dtype == np.float32
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_many_threads_get_the_same_bits_as_one(engine: LiteRTEngine) -> None:
    pixels = photos(24)
    alone = engine.run(pixels)
    with ThreadPoolExecutor(4) as pool:
        together = np.concatenate(list(pool.map(lambda photo: engine.run(photo[None]), pixels)))
    assert np.array_equal(alone, together)


def test_the_feature_map_averages_to_the_pooled_vector(engine: LiteRTEngine) -> None:
    pixels = photos(1)
    spatial = engine.feature_map(pixels[0])
    assert spatial.ndim == 3
    assert np.abs(spatial.mean(axis=(0, 1)) - engine.run(pixels)[0]).max() < 1e-4


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"no network at all" * 10)
    with pytest.raises(BackboneError, match="handful cache --clear"):
        LiteRTEngine(path, pooled=0, feature_map=1)
