"""Hostile and broken model files are refused before anything loads them, with the reason and the way out."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from handful.errors import BackboneError
from handful.networks.safety import check_keras_file, check_weights, hdf5_damage

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _layer(kind: str, module: Any = "keras.layers", **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": "one"}, "registered_name": None, **more}


ENTRY = {
    "module": "keras.layers",
    "class_name": "InputLayer",
    "config": {"batch_shape": [None, 32, 32, 3]},
    "registered_name": None,
}


def _config(*layers: dict[str, Any]) -> dict[str, Any]:
    inner = {"name": "net", "layers": [ENTRY, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": inner, "registered_name": None}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "plain.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.ones((3, 2), np.float32))
    return path


@pytest.fixture
def keras_file(tmp_path: Path, weights: Path) -> Callable[..., Path]:
    def write(config: Any, members: dict[str, bytes] | None = None, raw: bytes | None = None) -> Path:
        path = tmp_path / "some.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", raw or json.dumps(config))
            archive.writestr("metadata.json", "{}")
            archive.write(weights, "model.weights.h5")
            for name, content in (members or {}).items():
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        return path

    return write


def test_a_plain_file_passes_and_tells_its_size_and_scaling(keras_file: Callable[..., Path]) -> None:
    facts = check_keras_file(keras_file(_config(_layer("Rescaling"), _layer("Conv2D"))))
    assert (facts.size, facts.scales_inside, facts.has_classifier) == (32, True, False)


def test_scaling_is_seen_inside_a_nested_model(keras_file: Callable[..., Path]) -> None:
    nested = _config(_layer("RandomFlip"), _layer("Normalization"))
    assert check_keras_file(keras_file(_config(nested, _layer("Dense")))).scales_inside


def test_a_file_without_scaling_says_so(keras_file: Callable[..., Path]) -> None:
    facts = check_keras_file(keras_file(_config(_layer("Conv2D"), _layer("Dense"))))
    assert (facts.scales_inside, facts.has_classifier) == (False, True)


@pytest.mark.parametrize(
    "layer",
    [
        _layer("Lambda"),
        _layer("TFSMLayer"),
        _layer("StringLookup"),
        _layer("TextVectorization"),
        _layer("MyLayer", module="my_package"),
        _layer("Dense", module="keras.src.utils.file_utils"),
        _layer("load_model", module="keras.models"),
        _layer("function", module="builtins"),
        _layer("Dense", registered_name="evil>Dense"),
        _layer("Dense", module=None),
        _layer("Dense", module=["keras.layers"]),
        _layer("Activation", config={"activation": _layer("__lambda__", module=None)}),
        _layer("get_file", module="keras.utils"),
    ],
    ids=lambda layer: f"{layer['class_name']}-{layer['module']}",
)
def test_a_layer_that_could_run_code_is_refused(
    layer: dict[str, Any], keras_file: Callable[..., Path]
) -> None:
    with pytest.raises(BackboneError, match=r"some\.keras is refused: it holds .*--architecture"):
        check_keras_file(keras_file(_config(layer)))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "assets/vocabulary.txt", "C:\\x", "config.json/../x"])
def test_a_member_with_another_name_is_refused(name: str, keras_file: Callable[..., Path]) -> None:
    with pytest.raises(BackboneError, match=r"which a plain \.keras file does not"):
        check_keras_file(keras_file(_config(), {name: b"x"}))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # the fault under test
def test_a_member_that_comes_twice_is_refused(keras_file: Callable[..., Path]) -> None:
    with pytest.raises(BackboneError, match=r"'config\.json' twice"):
        check_keras_file(keras_file(_config(), {"config.json": b"{}"}))


def test_a_symlink_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "link.keras"
    member = zipfile.ZipInfo("config.json")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(BackboneError, match="is a link"):
        check_keras_file(path)


def test_a_member_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**23)
    with pytest.raises(BackboneError, match="from almost nothing"):
        check_keras_file(path)


def test_a_huge_config_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (33 * 2**20))
    with pytest.raises(BackboneError, match="more than 33,554,432"):
        check_keras_file(path)


def test_a_deep_config_is_refused(keras_file: Callable[..., Path]) -> None:
    raw = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(BackboneError, match="nested 100,000 deep"):
        check_keras_file(keras_file(None, raw=raw))


@pytest.mark.parametrize("raw", [b"[1]", b"{", b'{"config": NaN', b"\xff\xfe"])
def test_a_config_that_is_no_object_is_refused(raw: bytes, keras_file: Callable[..., Path]) -> None:
    with pytest.raises(BackboneError, match="refused"):
        check_keras_file(keras_file(None, raw=raw))


def test_something_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.keras"
    path.write_text("<html>not found</html>")
    with pytest.raises(BackboneError, match=r"page\.keras is refused: it is not a readable"):
        check_keras_file(path)


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(BackboneError, match=r"lacks model\.weights\.h5"):
        check_keras_file(path)


def test_damaged_compression_is_refused(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "deflated.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(_config(_layer("Rescaling"))))
        archive.write(weights, "model.weights.h5")
    whole = path.read_bytes()
    start = whole.index(b"config.json") + len(b"config.json")
    path.write_bytes(whole[:start] + b"\xff" * 20 + whole[start + 20 :])
    with pytest.raises(BackboneError, match=r"deflated\.keras is refused: it is not a readable"):
        check_keras_file(path)


def test_our_own_export_passes_within_limits(keras_file: Callable[..., Path]) -> None:
    check_keras_file(keras_file(_config(_layer("Rescaling")), {"handful.json": b"{}"}))
    with pytest.raises(BackboneError, match=r"handful\.json unpacks to .* more than 33,554,432"):
        check_keras_file(keras_file(_config(), {"handful.json": b" " * (33 * 2**20)}))


def test_sound_weights_pass(weights: Path) -> None:
    check_weights(weights)


def test_a_whole_model_in_the_old_format_is_refused(weights: Path) -> None:
    with h5py.File(weights, "a") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(BackboneError, match=r"whole model in the old \.h5 format.*--architecture"):
        check_weights(weights)


@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/layers")], ids=["external", "soft"]
)
def test_a_link_is_refused(link: Any, weights: Path) -> None:
    with h5py.File(weights, "a") as file:
        file["layers/elsewhere"] = link
    with pytest.raises(BackboneError, match="points elsewhere"):
        check_weights(weights)


def test_external_storage_is_refused(weights: Path) -> None:
    with h5py.File(weights, "a") as file:
        file.create_dataset("x", (10,), "f4", external=[("/etc/passwd", 0, 40)])
    with pytest.raises(BackboneError, match="from another file"):
        check_weights(weights)


def test_a_virtual_dataset_is_refused(weights: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    with h5py.File(weights, "a") as file:
        file.create_virtual_dataset("x", layout)
    with pytest.raises(BackboneError, match="from another file"):
        check_weights(weights)


def test_a_shape_bomb_is_refused(weights: Path) -> None:
    with h5py.File(weights, "a") as file:
        file.create_dataset("x", (10**12,), "f4", chunks=(1024,))
    with pytest.raises(BackboneError, match="claims 4,000,000,000,000 bytes and holds 0"):
        check_weights(weights)


def test_strings_in_place_of_weights_are_refused(weights: Path) -> None:
    with h5py.File(weights, "a") as file:
        file["x"] = "text"
    with pytest.raises(BackboneError, match="not numbers"):
        check_weights(weights)


def test_hostile_weights_inside_a_keras_file_are_refused(
    weights: Path, keras_file: Callable[..., Path]
) -> None:
    with h5py.File(weights, "a") as file:
        file["x"] = h5py.ExternalLink("/etc/passwd", "/x")
    with pytest.raises(BackboneError, match="ExternalLink"):
        check_keras_file(keras_file(_config()))


def test_a_truncated_file_is_named_with_its_lengths(weights: Path) -> None:
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackboneError, match=rf"truncated: [\d,]+ of {len(whole):,} bytes"):
        check_weights(weights)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"<html>" * 20, "not with the HDF5 signature")]
)
def test_something_that_is_no_hdf5_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    assert says in (hdf5_damage(path) or "")
    with pytest.raises(BackboneError, match="not a sound HDF5 file"):
        check_weights(path)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_both_generations_of_hdf5_are_measured(libver: str, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["x"] = np.zeros(1000)
    assert hdf5_damage(path) is None
    path.write_bytes(path.read_bytes()[:-10])
    assert "truncated" in (hdf5_damage(path) or "")


def test_the_real_thing_from_keras_is_refused_or_passes(keras: Any, small_model: Any, tmp_path: Path) -> None:
    plain, with_lambda = tmp_path / "plain.keras", tmp_path / "lambda.keras"
    small_model.save(plain)
    facts = check_keras_file(plain)
    assert (facts.size, facts.scales_inside) == (32, True)
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x + 1)]).save(with_lambda)
    with pytest.raises(BackboneError, match="Lambda"):
        check_keras_file(with_lambda)
