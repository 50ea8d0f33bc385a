"""A backbone is opened by the engine that suits, and the trained folder gets a light network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import handful
from handful import frozen as frozen_module
from handful.backbones import EMBEDDED
from handful.config import TrainConfig
from handful.data.images import DECODER_VERSION
from handful.engines import keras_engine
from handful.engines.keras_engine import KerasEngine
from handful.engines.litert_engine import LiteRTEngine
from handful.errors import BackboneError
from handful.features.cache import Space
from handful.files import sha256_of_file
from handful.frozen import open_frozen
from handful.networks import converted as converted_module
from handful.networks.weights import weights_path
from handful.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
AUTO = TrainConfig(backbone="embedded")
KERAS = TrainConfig(backbone="embedded", engine="keras")
UNCONVERTED = TrainConfig(backbone="embedded", size=64)  # at its own size it lies converted in the package


@pytest.fixture
def without_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted_module, "litert_is_installed", lambda: False)
    monkeypatch.setattr(frozen_module, "litert_is_installed", lambda: False)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that shows a GPU which TensorFlow sees; what runs still runs on the CPU."""
    monkeypatch.setattr(frozen_module, "gpu_device_is_present", lambda: True)
    monkeypatch.setattr(keras_engine, "gpu_is_usable", lambda: True)


def test_litert_features_belong_to_the_very_network(cache: Path) -> None:
    frozen = open_frozen(AUTO, cache, Silent())
    digest = sha256_of_file(frozen.network)
    assert frozen.network_sha256 == frozen.space.weights == digest
    assert frozen.space == Space(digest, (144, 144), DECODER_VERSION, "litert-1")


def test_the_card_s_space_can_be_opened_again(cache: Path) -> None:
    frozen = open_frozen(AUTO, cache, Silent())
    entry = frozen.network_entry()["space"]
    assert Space(**{**entry, "size": tuple(entry["size"])}) == frozen.space


def test_keras_features_lie_apart_and_the_folder_gets_the_light_network(cache: Path) -> None:
    light, heavy = open_frozen(AUTO, cache, Silent()), open_frozen(KERAS, cache, Silent())
    assert isinstance(heavy.engine, KerasEngine)
    assert heavy.network == light.network
    assert heavy.network_entry()["space"] == light.network_entry()["space"]
    assert heavy.cache.path_of("0" * 64) != light.cache.path_of("0" * 64)


@pytest.mark.usefixtures("without_litert")
def test_where_litert_is_missing_the_keras_network_is_kept_and_not_written_again(tmp_path: Path) -> None:
    speaker = Silent()
    first = open_frozen(AUTO, tmp_path, speaker)
    changed = first.network.stat().st_mtime_ns
    second = open_frozen(AUTO, tmp_path, Silent())
    assert first.network.suffix == ".keras"
    assert (second.network, second.network.stat().st_mtime_ns) == (first.network, changed)
    assert first.network_sha256 == sha256_of_file(first.network)
    assert (first.space.engine, first.network_entry()["file"]) == ("keras-1-cpu", "backbone.keras")
    assert speaker.warnings == [
        "Keras runs embedded, because ai-edge-litert is not installed here; prediction will load TensorFlow"
    ]


@pytest.mark.usefixtures("without_litert")
def test_that_a_classifier_was_cut_off_is_said_by_keras_too(tmp_path: Path) -> None:
    layers = keras.layers
    body = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
    whole = [keras.Input((32, 32, 3)), *body, layers.Dense(3, "softmax")]
    keras.Sequential(whole).save(tmp_path / "whole.keras")
    speaker = Silent()
    open_frozen(TrainConfig(backbone=str(tmp_path / "whole.keras"), engine="keras"), tmp_path, speaker)
    assert speaker.warnings == ["the classifier of the file was cut off"]


def test_what_does_not_convert_stays_with_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BackboneError("no such operation")

    monkeypatch.setattr(frozen_module, "converted", fail)
    speaker = Silent()
    frozen = open_frozen(KERAS, tmp_path, speaker)
    assert frozen.network.suffix == ".keras"
    assert speaker.warnings == [
        "embedded stays with Keras, and prediction will load TensorFlow: no such operation"
    ]


@pytest.mark.usefixtures("with_gpu")
def test_auto_takes_a_usable_gpu_and_says_so(tmp_path: Path) -> None:
    speaker = Silent()
    frozen = open_frozen(UNCONVERTED, tmp_path, speaker)
    assert (frozen.engine.id, frozen.network.suffix) == ("keras-1-gpu", ".tflite")
    assert len(speaker.warnings) == 1
    assert "Keras runs embedded on the GPU" in speaker.warnings[0]


@pytest.mark.usefixtures("with_gpu")
def test_auto_takes_litert_where_a_converted_network_is_there_and_asks_tensorflow_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_engine, "gpu_is_usable", lambda: pytest.fail("TensorFlow was asked"))
    speaker = Silent()
    assert isinstance(open_frozen(AUTO, cache, speaker).engine, LiteRTEngine)
    assert speaker.warnings == []


@pytest.mark.usefixtures("with_gpu")
def test_auto_takes_litert_where_tensorflow_sees_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_engine, "gpu_is_usable", lambda: False)
    assert isinstance(open_frozen(UNCONVERTED, tmp_path, Silent()).engine, LiteRTEngine)


def test_why_keras_runs_an_entry_of_the_catalogue_is_the_catalogue_s_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("handful.backbones._KERAS_ONLY", {"resnet50": "for the test"})
    source: Any = type("Source", (), {"architecture": "resnet50", "name": "resnet50"})
    speaker = Silent()
    assert frozen_module._use_keras("auto", source, Path(), speaker)
    assert speaker.warnings == ["Keras runs resnet50, because for the test; prediction will load TensorFlow"]


@pytest.mark.parametrize("light", [True, False])
def test_the_whole_job_with_keras(
    light: bool, colours: Path, draw: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not light:
        request.getfixturevalue("without_litert")
    model = handful.train(
        colours, tmp_path / "model.handful", backbone="embedded", effort="quick", engine="keras"
    )
    assert model.card["network"]["file"] == ("backbone.tflite" if light else "backbone.keras")
    fresh = draw(tmp_path / "new", each=3, first=100)
    opened = handful.Classifier.load(tmp_path / "model.handful")
    assert opened.predict(fresh / "red" / "red_100.png").label == "red"
    assert handful.evaluate(opened, fresh).accuracy.value == 1
    exported = tmp_path / "model.keras"
    assert handful.export(tmp_path / "model.handful", exported).largest_difference < 1e-4
    assert sha256_of_file(weights_path(EMBEDDED)) == model.card["backbone"]["weights_sha256"]


def test_an_export_of_ours_is_a_backbone(trained_once: Path, cache: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.keras"
    handful.export(trained_once, exported)
    again = open_frozen(TrainConfig(backbone=str(exported)), cache, Silent())
    first = open_frozen(AUTO, cache, Silent())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 144, 144, 3), dtype=np.uint8)
    np.testing.assert_allclose(again.engine.run(pixels), first.engine.run(pixels), atol=1e-4)
    spatial = again.engine.feature_map(pixels[0])
    np.testing.assert_allclose(spatial, first.engine.feature_map(pixels[0]), atol=1e-3)
