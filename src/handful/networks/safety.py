"""Look into a model file before anything loads it: nothing in it may run code or reach outside itself.

Imports neither Keras nor TensorFlow; h5py only inside the calls. What passes here is then loaded by Keras
in its own safe mode, so a file must pass both.

Background: CVE-2024-3660 and CVE-2025-1550 (Lambda and arbitrary callables in a .keras file's
config), CVE-2025-9905 (whole-model .h5 ignores safe_mode), CVE-2025-12058 (StringLookup reads files).
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful.errors import BackboneError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_WAY_OUT = (
    "Save only the weights with `model.save_weights('name.weights.h5')` and pass that with --architecture, "
    "or rebuild the model from plain Keras layers and save it as .keras."
)
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5", "handful.json"}  # the last: our own exports
_UNREADABLE = (
    OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, KeyError,
)  # fmt: skip
_LARGEST_CONFIG = 32 * 2**20
_LARGEST_WEIGHTS = 4 * 2**30
_DEEPEST = 200  # brackets; a plain network has about 15, each nesting of models adds about 8
_HIGHEST_RATIO = 50  # trained weights hardly compress; zeros compress a thousandfold

# Where the classes of a plain network live. Everything else names code that we do not know.
_MODULES = re.compile(
    r"keras(\.(layers|models|initializers|regularizers|constraints|activations|dtype_policies))?"
    r"|keras\.src\.models\.(functional|sequential|model)"
    r"|keras\.src\.layers(\.\w+)*"
    r"|keras\.src\.(initializers|regularizers|constraints|activations|dtype_policies)(\.\w+)*"
    r"|keras\.src\.ops\.(numpy|nn|core|math)"
)
# Built-in, and yet able to run code, call other programs' models or read files.
_REFUSED = {
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup",
    "TextVectorization", "Hashing", "HashedCrossing", "FeatureSpace", "Pipeline", "function", "get_file",
    "load_model", "__lambda__", "__typespec__",
}  # fmt: skip
_DATA_CLASSES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "slice"}
_SCALINGS = {"Rescaling", "Normalization", "TrueDivide", "Divide", "Subtract", "Multiply", "GetItem"}
_CLASSIFIER_ENDS = {"softmax", "sigmoid"}


@dataclass(frozen=True)
class KerasFile:
    """What a .keras file says of itself, read without loading it.

    Attributes:
        size: side of its square input; None if the input has any size.
        scales_inside: a layer that scales pixels follows the input.
        has_classifier: it ends in a dense layer or a softmax.
    """

    size: int | None
    scales_inside: bool
    has_classifier: bool


def check_keras_file(path: Path) -> KerasFile:
    """Refuse a .keras file that could run code, read other files or exhaust the memory.

    Raises:
        BackboneError: with what was found and the way out.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config = _config(path, archive)
            _check_classes(path, config)
            with archive.open("model.weights.h5") as stream:
                _check_hdf5(path, stream)
    except _UNREADABLE as error:
        what = f"it is not a readable .keras file ({error})"
        raise _refusal(path, what, "Copy it again, or save it again with Keras.") from error
    return _facts(config)


def check_weights(path: Path) -> None:
    """Refuse an HDF5 file of weights that is broken, holds a whole model, or points outside itself.

    Raises:
        BackboneError: with what was found and the way out.
    """
    damage = hdf5_damage(path)
    if damage is not None:
        raise _refusal(path, f"{damage}: it is not a sound HDF5 file", "Copy or download it again.")
    try:
        with path.open("rb") as stream:
            _check_hdf5(path, stream)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise _refusal(path, f"it cannot be read as HDF5 ({error})", "Copy or download it again.") from error


def hdf5_damage(path: Path) -> str | None:
    """Say what is wrong with the frame of an HDF5 file, reading its first bytes only; None if nothing.

    The superblock holds where the file ends (HDF5 File Format Specification 3.0, section II.A), which
    shows a truncated copy at once.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        return f"unreadable: {error.strerror or error}"
    if len(head) < 64 or not head.startswith(_HDF5_SIGNATURE):
        return f"it starts with {head[:12]!r}, not with the HDF5 signature" if head else "empty"
    start = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8])
    if start is None:
        return f"unknown HDF5 version {head[8]}"
    expected = int.from_bytes(head[start : start + 8], "little")
    return f"truncated: {length:,} of {expected:,} bytes" if length < expected else None


def _refusal(path: Path, what: str, way_out: str = _WAY_OUT) -> BackboneError:
    return BackboneError(f"{path} is refused: {what}. {way_out}")


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    names = [member.filename for member in archive.infolist()]
    for member in archive.infolist():
        if member.filename not in _MEMBERS:
            raise _refusal(path, f"it holds {member.filename!r}, which a plain .keras file does not")
        if names.count(member.filename) > 1:
            raise _refusal(path, f"it holds {member.filename!r} twice")
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise _refusal(path, f"its member {member.filename!r} is a link")
        _check_size(path, member)
    missing = sorted({"config.json", "model.weights.h5"} - set(names))
    if missing:
        raise _refusal(path, f"it lacks {' and '.join(missing)}")


def _check_size(path: Path, member: zipfile.ZipInfo) -> None:
    limit = _LARGEST_WEIGHTS if member.filename == "model.weights.h5" else _LARGEST_CONFIG
    if member.file_size > limit:
        raise _refusal(path, f"{member.filename} unpacks to {member.file_size:,} bytes, more than {limit:,}")
    if member.file_size > 2**20 and member.file_size > _HIGHEST_RATIO * max(1, member.compress_size):
        raise _refusal(path, f"{member.filename} unpacks to {member.file_size:,} bytes from almost nothing")


def _config(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    raw = archive.read("config.json")
    depth = _depth(raw)
    if depth > _DEEPEST:
        raise _refusal(path, f"its config is nested {depth:,} deep, more than {_DEEPEST}")
    config = json.loads(raw)
    if not isinstance(config, dict):
        raise _refusal(path, "its config is no JSON object")
    config.pop("compile_config", None)  # never used: models are opened with compile=False
    return config


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in re.finditer(rb"[\[\]{}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", raw)):
        depth += 1 if bracket.group() in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _check_classes(path: Path, config: dict[str, Any]) -> None:
    for node in _objects(config):
        name = node.get("class_name")
        if name is None or (isinstance(name, str) and name in _DATA_CLASSES):
            continue
        if not isinstance(name, str) or name in _REFUSED:
            raise _refusal(path, f"it holds {_described(node)}, which can run code or read files")
        module = node.get("module")
        if not isinstance(module, str) or not _MODULES.fullmatch(module):
            raise _refusal(path, f"it holds {_described(node)}, which is no plain Keras layer")
        if ">" in str(node.get("registered_name") or ""):
            raise _refusal(path, f"it holds the custom object {node['registered_name']!r}")


def _described(node: dict[str, Any]) -> str:
    kind = f"{node.get('class_name')!r}"
    module = node.get("module")
    inner = node.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return f"{'the layer ' + repr(name) + ' of class ' if name else 'an object of class '}{kind}" + (
        f" from {module!r}" if module else ""
    )


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Walk every JSON object in the config; the depth is limited already."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value)


def _check_hdf5(path: Path, stream: Any) -> None:
    import h5py

    with h5py.File(stream, "r") as file:
        if "model_config" in file.attrs or "training_config" in file.attrs:
            raise _refusal(path, "it is a whole model in the old .h5 format, whose layers can run code")
        _check_group(path, file, 0)


def _check_group(path: Path, group: Any, depth: int) -> None:
    """Walk a group by its links, without following any but hard ones."""
    import h5py

    if depth > _DEEPEST:
        raise _refusal(path, f"its groups are nested more than {_DEEPEST} deep")
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise _refusal(path, f"{group.name}/{name} is a {type(link).__name__}, which points elsewhere")
        member = group[name]
        if isinstance(member, h5py.Group):
            _check_group(path, member, depth + 1)
        elif isinstance(member, h5py.Dataset):
            _check_dataset(path, member)
        else:
            raise _refusal(path, f"{member.name} is a {type(member).__name__}, not weights")


def _check_dataset(path: Path, dataset: Any) -> None:
    if dataset.is_virtual or dataset.external:
        raise _refusal(path, f"{dataset.name} takes its values from another file")
    if dataset.dtype.kind not in "fiub":
        raise _refusal(path, f"{dataset.name} holds {dataset.dtype}, not numbers")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > 2**20 and dataset.nbytes > _HIGHEST_RATIO * max(1, stored):
        raise _refusal(path, f"{dataset.name} claims {dataset.nbytes:,} bytes and holds {stored:,}")


def _facts(config: dict[str, Any]) -> KerasFile:
    layers = _layers(config)
    first = _first_working(layers)
    return KerasFile(_input_size(config), first in _SCALINGS, _ends_in_classifier(layers))


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """List the layers of a functional or sequential model in order, inner models unrolled."""
    inner = config.get("config")
    nested = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(nested, list):
        return [config]
    return [layer for child in nested if isinstance(child, dict) for layer in _layers(child)]


def _first_working(layers: list[dict[str, Any]]) -> str | None:
    """Name the class of the first layer that does something to the pixels of a finished model."""
    names = [str(layer.get("class_name")) for layer in layers]
    working = (name for name in names if name != "InputLayer" and not name.startswith("Random"))
    return next(working, None)


def _input_size(config: dict[str, Any]) -> int | None:
    for node in _objects(config):
        if node.get("class_name") == "InputLayer" and isinstance(node.get("config"), dict):
            shape = node["config"].get("batch_shape") or node["config"].get("batch_input_shape")
            if isinstance(shape, list) and len(shape) == 4 and isinstance(shape[1], int):
                return shape[1]
            return None
    return None


def _ends_in_classifier(layers: list[dict[str, Any]]) -> bool:
    last = layers[-1] if layers else {}
    inner = last.get("config")
    activation = inner.get("activation") if isinstance(inner, dict) else None
    ends = last.get("class_name") in ("Dense", "Softmax")
    return ends or (last.get("class_name") == "Activation" and activation in _CLASSIFIER_ENDS)
