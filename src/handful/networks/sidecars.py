"""The record beside each converted network: what it was made of, its hash, where its outputs stand."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handful.files import sha256_of_file

CONVERTER_VERSION = 1  # raise it when the conversion changes what a network computes or gives
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Sidecar:
    """What is known of one converted network.

    Attributes:
        architecture: catalogue name, "embedded" or "file".
        source_sha256: of the weights it was made of.
        preprocessing: what is inside it.
        size: side of the square of pixels it takes.
        sha256: of the .tflite file.
        feature_dim: d.
        map_shape: (rows, columns, channels) of the last feature map.
        pooled_output: position of the pooled vector among the outputs.
        map_output: position of the map.
        seconds: how long building and converting took.
        photos_per_second: two threads, this machine.
        notes: what was said when it was made.
        weights_count: how many weights the network has before conversion, batch-norm statistics included.
        of_catalogue: the weights were the catalogue's own, not a user's file of the same architecture.
    """

    architecture: str
    source_sha256: str
    preprocessing: str
    size: int
    sha256: str
    feature_dim: int
    map_shape: tuple[int, int, int]
    pooled_output: int
    map_output: int
    seconds: float
    photos_per_second: float
    notes: tuple[str, ...]
    weights_count: int
    of_catalogue: bool = False

    def to_json(self) -> bytes:
        """Give the record as a JSON text, in UTF-8."""
        return json.dumps({"version": CONVERTER_VERSION, **asdict(self)}, indent=1).encode()


def stem(architecture: str, source_sha256: str, size: int, preprocessing: str) -> str:
    """Name a converted network, without suffix: everything that changes what it computes."""
    return f"{architecture}-{source_sha256[:16]}-{size}-{preprocessing}-v{CONVERTER_VERSION}"


def read(path: Path) -> Sidecar | None:
    """Read a record; None if it is missing, damaged or of another version."""
    try:
        with path.open("rb") as stream:
            content: dict[str, Any] = json.loads(stream.read(_LARGEST))
        if content.pop("version") != CONVERTER_VERSION:
            return None
        content["map_shape"] = tuple(int(side) for side in content["map_shape"])
        content["notes"] = tuple(str(note) for note in content["notes"])
        record = Sidecar(**content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if _is_plausible(record) else None


def _is_plausible(record: Sidecar) -> bool:
    hashes = record.sha256, record.source_sha256
    return (
        all(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
        and isinstance(record.size, int)
        and isinstance(record.feature_dim, int)
        and isinstance(record.weights_count, int)
        and isinstance(record.of_catalogue, bool)
        and isinstance(record.photos_per_second, int | float)
        and len(record.map_shape) == 3
        and {record.pooled_output, record.map_output} == {0, 1}
    )


def records_of_catalogue(folder: Path) -> list[Sidecar]:
    """List the records of networks made of the catalogue's own weights; no network file is read or hashed."""
    return [record for _, record in _of_catalogue(folder)]


def stand_in(folder: Path, architecture: str, size: int, preprocessing: str) -> Sidecar | None:
    """Find a sound converted network that can stand in for the catalogue's weights; None if there is none.

    One made of a user's own weights, at another size or with other preprocessing never does.
    """
    for path, record in _of_catalogue(folder):
        its = record.architecture, record.size, record.preprocessing
        if its == (architecture, size, preprocessing) and sha256_of_file(path) == record.sha256:
            return record
    return None


def _of_catalogue(folder: Path) -> list[tuple[Path, Sidecar]]:
    """Pair each network file with its record, where the record says that its weights were the catalogue's."""
    paths = sorted(folder.glob(f"*-v{CONVERTER_VERSION}.json"))
    pairs = [(path.with_suffix(".tflite"), read(path)) for path in paths]
    return [(path, record) for path, record in pairs if record and record.of_catalogue and path.is_file()]
