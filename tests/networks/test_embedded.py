"""The backbone inside the package: one file, the same network in LiteRT and in Keras, small and whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from handful.backbones import EMBEDDED
from handful.config import TrainConfig
from handful.data import images
from handful.demo.parts import draw
from handful.engines.keras_engine import KerasEngine
from handful.engines.litert_engine import LiteRTEngine
from handful.errors import BackboneError
from handful.files import sha256_of_file
from handful.frozen import open_frozen
from handful.networks import sidecars, weights
from handful.networks.embedded_network import architecture, read_network
from handful.networks.weights import locate, weights_path
from handful.progress import Silent

FILE = weights_path(EMBEDDED)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight drawn photos of metal parts."""
    return sorted(draw(tmp_path_factory.mktemp("parts"), per_class=2).rglob("*.jpg"))


@pytest.fixture(params=["drawn", pytest.param("shared", marks=pytest.mark.shared)])
def photos(request: pytest.FixtureRequest) -> list[Path]:
    """Photos of parts, drawn, and of hands and insects."""
    if request.param == "drawn":
        return request.getfixturevalue("drawn")
    data = request.getfixturevalue("shared") / "data"
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    return found[::400]


@pytest.mark.parametrize("size", [EMBEDDED.size, 96])
def test_litert_and_keras_agree_on_real_photos(size: int, photos: list[Path], tmp_path: Path) -> None:
    config = TrainConfig(backbone="embedded", size=size)
    engine = open_frozen(config, tmp_path, Silent()).engine
    assert isinstance(engine, LiteRTEngine)
    keras = KerasEngine(locate("embedded", size=size, speaker=Silent()))
    pixels = np.stack([images.load(file, (size, size)).pixels for file in photos])
    expected = keras.run(pixels)
    assert expected.shape == (len(photos), EMBEDDED.feature_dim)
    assert expected.std(axis=0).mean() > 0.05  # a network that says the same of all proves nothing
    np.testing.assert_allclose(engine.run(pixels), expected, atol=2e-4)
    np.testing.assert_allclose(engine.feature_map(pixels[0]), keras.feature_map(pixels[0]), atol=2e-3)


def test_keras_holds_the_half_precision_weights_of_the_file_bit_for_bit() -> None:
    interpreter = Interpreter(model_path=str(FILE))
    kernels = [
        one
        for one in interpreter.get_tensor_details()
        if one["dtype"] == np.float16 and len(one["shape"]) == 4
    ]
    stored = [np.moveaxis(interpreter.get_tensor(one["index"]), 0, -1).astype(np.float32) for one in kernels]
    ours = read_network(FILE, 32).get_weights()
    found = sorted(array.tobytes() for array in ours if array.ndim == 4)
    assert found == sorted(array.tobytes() for array in stored)
    assert len(found) == 52
    for array in ours:  # biases too
        np.testing.assert_array_equal(array, array.astype(np.float16).astype(np.float32))
        assert array.any()


def test_the_network_is_the_one_of_its_architecture() -> None:
    model = read_network(FILE, 64)
    assert [array.shape for array in model.get_weights()] == [
        array.shape for array in architecture(64).get_weights()
    ]
    assert model.count_params() / 1e6 == pytest.approx(EMBEDDED.millions, abs=0.005)


def test_all_of_it_stays_below_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in FILE.parent.rglob("*") if path.is_file()) <= 8e6
    assert {path.name for path in FILE.parent.iterdir()} == {"backbone.tflite", "backbone.json"}


def test_its_record_is_of_this_very_file() -> None:
    record = sidecars.read(FILE.with_suffix(".json"))
    assert record is not None
    assert record.sha256 == record.source_sha256 == sha256_of_file(FILE)
    assert (record.architecture, record.preprocessing) == ("embedded", EMBEDDED.preprocessing)
    assert (record.size, record.feature_dim) == (EMBEDDED.size, EMBEDDED.feature_dim)
    engine = LiteRTEngine(FILE, pooled=record.pooled_output, feature_map=record.map_output)
    assert engine.size == (EMBEDDED.size, EMBEDDED.size)
    assert engine.feature_map(np.zeros((*engine.size, 3), np.uint8)).shape == record.map_shape
    assert record.weights_count == architecture(32).count_params()


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's file and record that stands in their place and may be damaged."""
    folder = shutil.copytree(FILE.parent, tmp_path / "embedded")
    monkeypatch.setattr(weights, "weights_path", lambda backbone: folder / FILE.name)
    return folder / FILE.name


@pytest.mark.parametrize("engine", ["auto", "keras"])
def test_a_damaged_file_is_refused_by_both_engines(engine: str, copy: Path, tmp_path: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    with pytest.raises(BackboneError, match=r"is damaged: its sha256 begins .* expected .*install it again"):
        open_frozen(TrainConfig(backbone="embedded", engine=engine), tmp_path, Silent())


@pytest.mark.parametrize(
    ("name", "told"), [(FILE.name, "cannot be read"), ("backbone.json", "The record of")]
)
def test_a_missing_file_is_named(name: str, told: str, copy: Path) -> None:
    copy.with_name(name).unlink()
    with pytest.raises(BackboneError, match=f"{told}.*install it again"):
        locate("embedded", speaker=Silent())


@pytest.mark.parametrize("size", [0, 8, 3000, 2_000_000])
def test_a_file_that_was_cut_is_no_backbone(size: int, copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:size])
    with pytest.raises(BackboneError, match="is not the backbone that belongs to this Handful"):
        read_network(copy, 32)


def test_another_network_is_no_backbone(small_model: Any, copy: Path) -> None:
    from handful.networks.convert import to_litert

    copy.write_bytes(to_litert(small_model, half=True))
    with pytest.raises(BackboneError, match=r"is not the backbone .*Install Handful again"):
        read_network(copy, 32)


def test_a_size_below_the_least_is_refused() -> None:
    with pytest.raises(
        BackboneError, match="--size 31 is too small for embedded: it takes 32 pixels or more"
    ):
        locate("embedded", size=31, speaker=Silent())
