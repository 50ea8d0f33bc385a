"""The exported file is plain Keras: it opens where there is no Handful, and says the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.backbones import CATALOGUE, EMBEDDED
from handful.classifier import Classifier
from handful.data import images
from handful.errors import ArtefactError, BackboneError, ExportError, HandfulError
from handful.exporters import keras_exporter
from handful.exporters.registry import export
from handful.files import sha256_of_file, temporary_name
from handful.networks.quiet import import_keras
from handful.networks.weights import weights_path

PLAIN = {
    "InputLayer", "Functional", "Rescaling", "Normalization", "Conv2D", "DepthwiseConv2D", "SeparableConv2D",
    "BatchNormalization", "ReLU", "Activation", "ZeroPadding2D", "Add", "Multiply", "Concatenate", "Dropout",
    "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "Reshape", "Dense",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "sub" / "colours.keras"
    parity = export(trained_once, target)
    assert parity.photos == 16
    assert parity.largest_difference <= parity.tolerance == 1e-4
    assert parity.same_label == 1
    assert os.listdir(target.parent) == ["colours.keras"]
    return target


@pytest.fixture(scope="module")
def opened(exported: Path) -> Any:
    return import_keras().models.load_model(exported, compile=False)


def tensors(layers: list[Any]) -> list[bytes]:
    return [np.asarray(tensor).tobytes() for layer in layers for tensor in layer.weights]


# A Python in which `import handful` fails and Keras is all there is.
_ELSEWHERE = """
import json, sys
sys.modules["handful"] = None
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
pixels = np.load(sys.argv[2])
assert pixels.dtype == np.uint8
np.save(sys.argv[3], model.predict(pixels, verbose=0))
assert not [name for name in sys.modules if name.startswith("handful.")]
"""


def test_it_opens_without_handful_and_agrees_with_predict(
    exported: Path, trained_once: Path, colours: Path, tmp_path: Path
) -> None:
    files = sorted(colours.rglob("*.png"))
    np.save(tmp_path / "pixels.npy", np.stack([images.load(file, (144, 144)).pixels for file in files]))
    paths = [str(path) for path in (exported, tmp_path / "pixels.npy", tmp_path / "answers.npy")]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", _ELSEWHERE, *paths]
    child = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    answers = np.load(tmp_path / "answers.npy")
    expected = Classifier.load(trained_once).predict_proba(files)
    assert np.abs(answers - expected).max() < 1e-4
    assert np.ptp(expected, axis=0).min() > 0.5  # photos that tell the classes apart


def test_class_names_and_the_shape_of_the_input_lie_inside(exported: Path, trained_once: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        assert archive.testzip() is None
        told = json.loads(archive.read("handful.json"))
    assert told["classes"] == ["blue", "green", "red"]
    assert told["input"] == {"dtype": "uint8", "shape": [144, 144, 3], "colours": "RGB, 0 to 255"}
    card = Classifier.load(trained_once).card
    assert told["scores"] == card["scores"]
    assert told["backbone"] == card["backbone"]


def test_a_photo_goes_in_as_it_is_and_probabilities_come_out(opened: Any) -> None:
    assert opened.inputs[0].dtype == "uint8"
    assert opened.inputs[0].shape == (None, 144, 144, 3)
    assert opened.outputs[0].shape == (None, 3)
    answers = np.asarray(opened(np.zeros((2, 144, 144, 3), dtype=np.uint8)))
    assert answers.sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_only_plain_layers_are_inside(opened: Any) -> None:
    layers = opened._flatten_layers()
    assert {type(layer).__name__ for layer in layers} <= PLAIN
    assert {type(layer).__module__.split(".")[0] for layer in layers} == {"keras"}


def test_nothing_in_the_file_is_of_handful(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        config = json.loads(archive.read("config.json"))
    registered: list[Any] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            registered.append(value.get("registered_name"))
            assert value.get("module", "keras").partition(".")[0] in ("keras", "builtins")
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(config)
    assert not [name for name in registered if name and ">" in name]


def test_the_backbone_is_bit_for_bit_the_source(opened: Any) -> None:
    from handful.networks.embedded_network import read_network

    ours = tensors([opened.get_layer("backbone")])
    assert ours == tensors([read_network(weights_path(EMBEDDED), 64)])
    assert len(ours) == 104  # a kernel and a bias for each of 52 convolutions


def test_only_the_head_could_be_trained_and_it_is_the_one_that_was_fitted(
    opened: Any, trained_once: Path
) -> None:
    weights, bias = opened.trainable_weights
    artefact = Classifier.load(trained_once).artefact
    assert np.array_equal(np.asarray(weights), artefact.weights)
    assert np.array_equal(np.asarray(bias), artefact.bias)


def test_running_it_as_in_training_leaves_the_backbone_alone(exported: Path) -> None:
    model: Any = import_keras().models.load_model(exported, compile=False)
    before = tensors([model.get_layer("backbone")])
    model(np.random.default_rng(0).integers(0, 255, (4, 144, 144, 3), dtype=np.uint8), training=True)
    assert tensors([model.get_layer("backbone")]) == before


@pytest.fixture
def lonely(trained: Path) -> Path:
    """A trained folder whose photos went."""
    change(trained, lambda card: card["data"].update(root="/nowhere"))
    return trained


def change(folder: Path, edit: Any) -> None:
    card = json.loads((folder / "card.json").read_text())
    edit(card)
    (folder / "card.json").write_text(json.dumps(card))
    sums = json.loads((folder / "checksums.json").read_text())
    sums["card.json"] = sha256_of_file(folder / "card.json")
    (folder / "checksums.json").write_text(json.dumps(sums))


def test_without_photos_to_compare_on_it_is_refused(lonely: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"none could be read from the places.*--photos FOLDER"):
        export(lonely, tmp_path / "x.keras")
    assert not (tmp_path / "x.keras").exists()


def test_other_photos_serve_as_well(lonely: Path, colours: Path, tmp_path: Path) -> None:
    assert export(lonely, tmp_path / "x.keras", photos=colours / "red").photos == 10
    assert (tmp_path / "x.keras").is_file()


def test_other_weights_than_the_model_was_trained_on_are_refused(trained: Path, tmp_path: Path) -> None:
    change(trained, lambda card: card["backbone"].update(weights_sha256="0" * 64))
    with pytest.raises(BackboneError, match="is not the file this model was trained on"):
        export(trained, tmp_path / "x.keras")
    assert not (tmp_path / "x.keras").exists()


def test_an_export_that_does_not_agree_is_not_kept_and_the_old_file_stays(
    trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.keras").write_bytes(b"the old one")
    monkeypatch.setattr(keras_exporter, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="It was not kept"):
        export(trained_once, tmp_path / "x.keras", overwrite=True)
    assert (tmp_path / "x.keras").read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["x.keras"]


def test_an_existing_file_is_only_replaced_with_overwrite_and_strays_are_swept(
    trained_once: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.keras").write_bytes(b"the old one")
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    living = temporary_name(tmp_path / "x.keras").with_suffix(".keras").name
    (tmp_path / living.replace(f".{os.getpid()}-", f".{child.pid}-")).write_bytes(b"half")
    with pytest.raises(ArtefactError, match="exists already"):
        export(trained_once, tmp_path / "x.keras")
    assert (tmp_path / "x.keras").read_bytes() == b"the old one"
    export(trained_once, tmp_path / "x.keras", overwrite=True)
    assert zipfile.is_zipfile(tmp_path / "x.keras")
    assert os.listdir(tmp_path) == ["x.keras"]


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("x.keras", {"format": "onnx"}, "Format 'onnx' is not known. There is: keras"),
        ("x.h5", {}, r"Keras opens only files named \.keras\. Choose -o x\.keras"),
        ("x", {}, r"Choose -o x\.keras"),
    ],
)
def test_what_cannot_be_exported_is_said(
    name: str, settings: dict[str, Any], expected: str, trained_once: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=expected):
        export(trained_once, tmp_path / name, **settings)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("keras_home")
def test_an_imagenet_backbone_is_exported_bit_for_bit(
    insects: Path, keras_home: Path, tmp_path: Path
) -> None:
    parity = export(insects / "model.handful", tmp_path / "x.keras")
    assert parity.largest_difference <= 1e-4
    keras = import_keras()
    model: Any = keras.models.load_model(tmp_path / "x.keras", compile=False)
    file = keras_home / "models" / CATALOGUE["mobilenet_v2"].weights_file
    source = keras.applications.MobileNetV2(include_top=False, weights=str(file), pooling="avg")
    assert digests(model.get_layer("backbone")) == digests(source)
    assert {type(layer).__name__ for layer in model._flatten_layers()} <= PLAIN


def digests(model: Any) -> list[str]:
    return sorted(hashlib.sha256(tensor).hexdigest() for tensor in tensors([model]))


def test_a_copied_model_exports_like_the_original(trained_once: Path, tmp_path: Path) -> None:
    """The folder alone is enough, wherever it was moved to."""
    shutil.copytree(trained_once, tmp_path / "moved.handful")
    assert export(tmp_path / "moved.handful", tmp_path / "x.keras").photos == 16


def test_a_card_without_settings_still_exports(trained: Path, tmp_path: Path) -> None:
    card = json.loads((trained / "card.json").read_text())
    card["settings"] = {}
    (trained / "card.json").write_text(json.dumps(card))
    sums = json.loads((trained / "checksums.json").read_text())
    sums["card.json"] = sha256_of_file(trained / "card.json")
    (trained / "checksums.json").write_text(json.dumps(sums))
    assert export(trained, tmp_path / "x.keras").same_label == 1


def test_a_place_that_cannot_be_written_to_is_found_at_once(trained_once: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HandfulError, match="Could not write"):
        export(trained_once, tmp_path / "file" / "x.keras")
