"""Converted networks: equal to Keras, found again without TensorFlow, made anew when damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.backbones import CATALOGUE, EMBEDDED
from handful.engines.litert_engine import LiteRTEngine
from handful.errors import BackboneError
from handful.networks import converted as converted_module
from handful.networks.converted import Converted, converted, is_converted
from handful.networks.sidecars import records_of_catalogue, stand_in
from handful.networks.weights import Source, locate, weights_path
from handful.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Listening(Silent):
    """Keeps what was said, too."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def say(self, line: str) -> None:
        self.told.append(line)


def _made(source: Source, folder: Path, speaker: Silent | None = None) -> Converted:
    result = converted(source, None, folder, speaker or Silent())
    assert result is not None
    return result


def _engine(network: Converted) -> LiteRTEngine:
    return LiteRTEngine(network.path, pooled=network.pooled_output, feature_map=network.map_output)


@pytest.fixture
def embedded() -> Source:
    """The embedded backbone at a size that is not its own, so that it has to be converted."""
    return locate("embedded", size=64, speaker=Silent())


@pytest.fixture
def kept(converted_cache: Path, tmp_path: Path) -> Path:
    """A folder that holds it, converted, and nothing else."""
    return shutil.copytree(converted_cache / "networks", tmp_path / "kept")


@pytest.mark.slow
def test_real_features_equal_keras_in_the_converted_network(
    source: Source, photos: np.ndarray, tmp_path: Path
) -> None:
    from handful.engines.keras_engine import KerasEngine

    network = _made(source, tmp_path)
    litert, keras = _engine(network), KerasEngine(source)
    expected = keras.run(photos)
    assert expected.std(axis=0).mean() > 0.1
    np.testing.assert_allclose(litert.run(photos), expected, atol=1e-4)
    np.testing.assert_allclose(litert.feature_map(photos[0]), keras.feature_map(photos[0]), atol=1e-3)
    assert (network.feature_dim, network.map_shape, network.size) == (1280, (7, 7, 1280), 224)
    assert (keras.size, keras.feature_dim, keras.id, keras.batch) == ((224, 224), 1280, "keras-1-cpu", 32)
    assert network.photos_per_second > 1


def test_a_converted_network_is_found_again(embedded: Source, tmp_path: Path) -> None:
    first, second = _made(embedded, tmp_path), _made(embedded, tmp_path)
    assert (first.was_cached, second.was_cached) == (False, True)
    assert replace(second, was_cached=False) == first
    assert [record.sha256 for record in records_of_catalogue(tmp_path)] == [second.sha256]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".tflite"]


def test_the_map_is_what_was_pooled(embedded: Source, kept: Path) -> None:
    engine = _engine(_made(embedded, kept))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    vectors = engine.run(pixels)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_allclose(engine.feature_map(pixels[1]).mean(axis=(0, 1)), vectors[1], atol=1e-5)


@pytest.mark.parametrize("suffix", [".tflite", ".json"])
def test_a_damaged_network_is_named_and_converted_again(suffix: str, embedded: Source, kept: Path) -> None:
    network = _made(embedded, kept)
    whole = network.path.read_bytes()
    damaged = network.path.with_suffix(suffix)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    if suffix == ".json":
        damaged.write_bytes(content[:50])
    speaker = Listening()
    again = _made(embedded, kept, speaker)
    assert (again.was_cached, again.path.read_bytes()) == (False, whole)
    assert speaker.told == ["Converting embedded at 64 x 64 for this machine, once."]
    assert f"{network.path} is damaged" in speaker.warnings[0]


def test_a_kill_between_the_two_writes_costs_a_conversion_only(embedded: Source, kept: Path) -> None:
    network = _made(embedded, kept)
    network.path.with_suffix(".json").unlink()
    speaker = Silent()
    assert not _made(embedded, kept, speaker).was_cached
    assert speaker.warnings == []


def test_another_size_or_preprocessing_is_another_network(embedded: Source, kept: Path) -> None:
    networks = [
        _made(embedded, kept),
        _made(replace(embedded, size=32), kept),
        _made(replace(embedded, preprocessing="unit"), kept),
    ]
    assert [network.was_cached for network in networks] == [True, False, False]
    assert len({network.path for network in networks}) == 3


def test_the_embedded_backbone_at_its_own_size_is_never_converted(tmp_path: Path) -> None:
    speaker = Listening()
    network = _made(locate("embedded", speaker=speaker), tmp_path / "empty", speaker)
    assert (network.path, network.was_cached) == (weights_path(EMBEDDED), True)
    assert (network.size, network.feature_dim) == (EMBEDDED.size, EMBEDDED.feature_dim)
    assert (speaker.told, speaker.warnings) == ([], [])
    assert not (tmp_path / "empty").exists()


def test_with_other_preprocessing_it_is_not_the_one_in_the_package(tmp_path: Path) -> None:
    own = locate("embedded", speaker=Silent())
    assert is_converted(own, tmp_path)
    assert not is_converted(replace(own, preprocessing="unit"), tmp_path)
    assert not is_converted(replace(own, size=64), tmp_path)
    assert not is_converted(replace(own, sha256="0" * 64), tmp_path)


def test_a_network_on_disk_stands_in_for_weights_that_are_gone(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "networks"
    network = _made(replace(source, size=96), folder)
    os.environ["KERAS_HOME"] = str(tmp_path / "empty")  # the fixture puts it back
    speaker = Silent()
    found = locate("mobilenet_v2", size=96, speaker=speaker, fetch=False, networks=folder)
    assert (found.path, found.sha256, found.size) == (None, source.sha256, 96)
    assert len(speaker.warnings) == 1
    assert "its converted network is used" in speaker.warnings[0]
    assert found.chosen_because == speaker.warnings[0]
    with pytest.raises(BackboneError, match="are not on disk"):  # it is of another size
        locate("mobilenet_v2", speaker=Silent(), fetch=False, networks=folder)
    assert _made(found, folder).path == network.path
    with pytest.raises(BackboneError, match="no longer on disk"):
        converted(found, 128, folder, Silent())


def test_a_damaged_network_stands_in_for_nothing(embedded: Source, kept: Path) -> None:
    network = _made(embedded, kept)
    assert stand_in(kept, "embedded", 64, "inside") is not None
    network.path.write_bytes(network.path.read_bytes()[:-1])
    assert stand_in(kept, "embedded", 64, "inside") is None


def test_a_network_of_a_user_s_own_weights_never_stands_in_for_the_catalogue_s(
    embedded: Source, tmp_path: Path
) -> None:
    mine = _made(replace(embedded, name="/home/me/mine.keras"), tmp_path)
    assert mine.architecture == "embedded"
    assert stand_in(tmp_path, "embedded", 64, "inside") is None
    assert records_of_catalogue(tmp_path) == []


def test_weights_of_one_s_own_for_an_architecture_leave_the_catalogue_s_name_alone(
    source: Source, tmp_path: Path
) -> None:
    assert source.path is not None
    own = tmp_path / "mine.h5"
    own.write_bytes(source.path.read_bytes())
    folder = tmp_path / "networks"
    _made(locate(str(own), architecture="mobilenet_v2", size=96, speaker=Silent()), folder)
    os.environ["KERAS_HOME"] = str(tmp_path / "empty")  # the fixture puts it back
    with pytest.raises(BackboneError, match="are not on disk"):
        locate("mobilenet_v2", size=96, speaker=Silent(), fetch=False, networks=folder)


@pytest.mark.parametrize(("size", "preprocessing"), [(128, "inside"), (64, "unit")])
def test_a_network_of_another_kind_does_not_stand_in(size: int, preprocessing: str, kept: Path) -> None:
    assert stand_in(kept, "embedded", size, preprocessing) is None


_RUN = """
import sys
from pathlib import Path
import numpy as np
from handful.networks.weights import locate
from handful.networks.converted import converted
from handful.engines.litert_engine import LiteRTEngine
from handful.progress import Silent
size = int(sys.argv[2])
network = converted(locate("embedded", size=size, speaker=Silent()), None, Path(sys.argv[1]), Silent())
engine = LiteRTEngine(network.path, pooled=network.pooled_output, feature_map=network.map_output)
engine.run(np.zeros((1, size, size, 3), np.uint8))
print([name for name in ("keras", "tensorflow", "h5py") if name in sys.modules])
"""


@pytest.mark.parametrize("size", [64, EMBEDDED.size])
def test_a_run_on_a_kept_network_imports_neither_keras_nor_tensorflow(size: int, kept: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(kept), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_converting_says_nothing_but_our_own_line(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom handful.networks.weights import locate\n"
        "from handful.networks.converted import converted\nfrom handful.progress import Silent\n"
        "source = locate('embedded', size=64, speaker=Silent())\n"
        f"print(converted(source, None, Path({str(tmp_path)!r}), Silent()).size)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == ("64\n", "")


def test_where_litert_is_missing_the_answer_is_none(
    embedded: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted_module, "litert_is_installed", lambda: False)
    assert converted(embedded, None, tmp_path, Silent()) is None


def test_for_a_keras_only_entry_the_answer_is_none(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handful.backbones._KERAS_ONLY", {"mobilenet_v2": "for the test"})
    assert not CATALOGUE["mobilenet_v2"].litert
    assert converted(source, None, tmp_path, Silent()) is None


def test_a_file_with_a_classifier_says_that_it_was_cut_off(
    keras: Any, small_model: Any, tmp_path: Path
) -> None:
    layers = [*small_model.layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
    keras.Sequential([keras.Input((32, 32, 3)), *layers]).save(tmp_path / "whole.keras")
    network = _made(locate(str(tmp_path / "whole.keras"), speaker=Silent()), tmp_path)
    assert network.notes == ("the classifier of the file was cut off",)
    assert (network.feature_dim, network.map_shape) == (8, (4, 4, 8))


def test_a_network_that_cannot_be_converted_carries_the_converter_s_words(keras: Any) -> None:
    from handful.networks import convert

    class Broken:
        name = "broken"
        inputs = (keras.Input((8, 8, 3)),)

        def __call__(self, pixels: Any, training: bool) -> Any:
            raise NotImplementedError("no such operation")

    with pytest.raises(BackboneError, match=r"'broken' to LiteRT .*no such operation.*--engine keras"):
        convert.to_litert(Broken())  # type: ignore[arg-type]  # a stand-in with what the function reads


def test_the_weights_path_of_the_embedded_backbone_is_in_the_package() -> None:
    assert weights_path(locate_embedded()).parent.name == "embedded"


def locate_embedded() -> Any:
    from handful.backbones import EMBEDDED

    return EMBEDDED
