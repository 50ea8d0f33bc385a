"""Keras as an engine: its name tells the device, TF32 is off while it runs, strange files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.engines import keras_engine
from handful.engines.keras_engine import KerasEngine
from handful.errors import BackboneError
from handful.networks.weights import locate
from handful.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def engine() -> KerasEngine:
    return KerasEngine(locate("embedded", size=64, speaker=Silent()))


def test_a_saved_network_opens_and_says_the_same(engine: KerasEngine, tmp_path: Path) -> None:
    engine.save(tmp_path / "network.keras")
    opened = KerasEngine.from_file(tmp_path / "network.keras")
    np.testing.assert_allclose(opened.run(PIXELS), engine.run(PIXELS), atol=1e-6)
    assert opened.size == (64, 64)


@pytest.mark.parametrize(("gpu", "name"), [(True, "keras-1-gpu"), (False, "keras-1-cpu")])
def test_the_name_tells_the_device(gpu: bool, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_engine, "gpu_is_usable", lambda: gpu)
    assert KerasEngine(locate("embedded", size=64, speaker=Silent())).id == name


def test_tf32_is_off_while_it_runs_and_put_back_after(
    engine: KerasEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    seen: list[bool] = []
    predict = engine._predict

    def watched(pixels: Any) -> Any:
        seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return predict(pixels)

    monkeypatch.setattr(engine, "_predict", watched)
    assert tf.config.experimental.tensor_float_32_execution_enabled()
    engine.run(PIXELS)
    assert seen == [False]
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_file_that_keras_does_not_open_is_refused(
    embedded_keras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def fail(*_: object, **__: object) -> None:
        raise IndexError("strange config")

    monkeypatch.setattr(keras.models, "load_model", fail)
    with pytest.raises(BackboneError, match=r"is not a model that Keras .*IndexError: strange config"):
        KerasEngine.from_file(embedded_keras)


def test_a_network_of_another_shape_is_refused(embedded_keras: Path) -> None:
    with pytest.raises(BackboneError, match="does not give a pooled vector and a feature map"):
        KerasEngine.from_file(embedded_keras)
