"""Converted networks on disk: made once for each backbone and size, found again without TensorFlow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from handful.backbones import CATALOGUE, EMBEDDED
from handful.errors import BackboneError
from handful.files import sha256_of_bytes, sha256_of_file, write_atomically
from handful.networks import sidecars
from handful.networks.litert import litert_is_installed
from handful.networks.sidecars import Sidecar
from handful.networks.weights import Source
from handful.progress import Speaker


@dataclass(frozen=True)
class Converted:
    """A LiteRT network on disk, checked.

    Attributes:
        path: the .tflite file: float32 pixels (1, size, size, 3), 0 to 255 -> two outputs.
        sha256: of the file.
        feature_dim: d, the length of the pooled vector.
        map_shape: (rows, columns, channels) of the last feature map.
        size: side of the square of pixels it takes.
        pooled_output: position of the pooled vector (1, d) among the outputs.
        map_output: position of the feature map (1, r, c, d').
        source_sha256: of the weights it was made of.
        seconds: how long building and converting took, when it was made.
        was_cached: it was on disk already.
        photos_per_second: measured when it was made, two threads; 0 where it came with the package.
        notes: what was said when it was made ("a classifier was cut off").
        architecture: catalogue name, "embedded" or "file".
        weights_count: how many weights it has, batch-norm statistics included.
    """

    path: Path
    sha256: str
    feature_dim: int
    map_shape: tuple[int, int, int]
    size: int
    pooled_output: int
    map_output: int
    source_sha256: str
    seconds: float
    was_cached: bool
    photos_per_second: float
    notes: tuple[str, ...]
    architecture: str
    weights_count: int


def runs_on_litert(source: Source) -> bool:
    """Whether this machine has LiteRT and the catalogue says that the network converts."""
    listed = CATALOGUE.get(source.architecture)
    converts = listed is None or listed.litert
    return converts and litert_is_installed()


def is_converted(source: Source, folder: Path) -> bool:
    """Whether the converted network of a source, at its size, lies in `folder` or in the package.

    A kept one's hash is not checked.
    """
    if _in_package(source) is not None:
        return True
    path = _path(source, folder)
    return path.is_file() and sidecars.read(path.with_suffix(".json")) is not None


def _path(source: Source, folder: Path) -> Path:
    name = sidecars.stem(source.architecture, source.sha256, source.size, source.preprocessing)
    return folder / f"{name}.tflite"


def converted(source: Source, size: int | None, folder: Path, speaker: Speaker) -> Converted | None:
    """Give the LiteRT network of a backbone, from disk or converted now.

    Two processes may do the same work at once; each publishes whole files, and both are right.

    Args:
        source: what `weights.locate` found.
        size: side of the square of pixels; None is `source.size`.
        folder: where converted networks are kept.
        speaker: is told when a kept one is damaged, and what is going on while converting.

    Returns:
        The network, or None where only Keras can run it: use `engines.keras_engine` then.

    Raises:
        BackboneError: the weights are missing, damaged or unsafe, or the network refuses the size.
    """
    if not runs_on_litert(source):
        return None
    source = replace(source, size=size or source.size)
    shipped = _in_package(source)
    if shipped is not None:
        return shipped
    path = _path(source, folder)
    found = _kept(path, speaker)
    if found is None:
        _make(source, path, speaker)
        found = _kept(path, speaker)
        if found is None:
            raise BackboneError(
                f"{path} was written and reads back otherwise. Check the disk it is on, or choose another "
                "with HANDFUL_CACHE."
            )
        return replace(found, was_cached=False)
    return found


def _in_package(source: Source) -> Converted | None:
    """Give the embedded backbone at its own size, whose weights lie in the package as LiteRT runs them."""
    if source.path is None or source.architecture != EMBEDDED.name:
        return None
    record = sidecars.read(source.path.with_suffix(".json"))
    asked = source.sha256, source.size, source.preprocessing
    if record is None or (record.sha256, record.size, record.preprocessing) != asked:
        return None
    return _converted(source.path, record)


def _sound(path: Path) -> Sidecar | None:
    record = sidecars.read(path.with_suffix(".json"))
    if record is None or not path.is_file() or sha256_of_file(path) != record.sha256:
        return None
    return record


def _kept(path: Path, speaker: Speaker) -> Converted | None:
    """Read a network back; say so if there is one that cannot be trusted."""
    if not path.is_file():
        return None
    record = _sound(path)
    if record is None:
        if path.with_suffix(".json").is_file():  # without one, a kill came between the two writes
            speaker.warn(f"the converted network {path} is damaged; it is converted again")
        return None
    return _converted(path, record)


def _converted(path: Path, record: Sidecar) -> Converted:
    return Converted(
        path, record.sha256, record.feature_dim, record.map_shape, record.size, record.pooled_output,
        record.map_output, record.source_sha256, record.seconds, True, record.photos_per_second,
        record.notes, record.architecture, record.weights_count,
    )  # fmt: skip


def _make(source: Source, path: Path, speaker: Speaker) -> None:
    """Convert and publish: the network first, its record last, so that a record vouches for a whole file."""
    speaker.say(f"Converting {source.name} at {source.size} x {source.size} for this machine, once.")
    start = time.perf_counter()
    from handful.networks.quiet import import_keras

    import_keras()
    from handful.networks import build, convert

    model = build.feature_model(source)
    content = convert.to_litert(model)
    seconds = time.perf_counter() - start
    pooled, spatial = convert.output_positions(content)
    shapes = convert.output_shapes(content)
    rows, columns, channels = shapes[spatial][1:]
    record = Sidecar(
        source.architecture, source.sha256, source.preprocessing, source.size, sha256_of_bytes(content),
        shapes[pooled][-1], (rows, columns, channels), pooled, spatial, round(seconds, 2),
        round(convert.photos_per_second(content), 1), build.notes_on(source), model.count_params(),
        source.of_catalogue,
    )  # fmt: skip
    write_atomically(path, content)
    write_atomically(path.with_suffix(".json"), record.to_json())
