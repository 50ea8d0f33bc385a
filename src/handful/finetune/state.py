"""What an interrupted decision has done: one file, replaced whole, with a checksum over everything in it."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handful.files import write_atomically

STATE_VERSION = 1
_MAGIC = b"handtune"
_DIGEST = 32


@dataclass
class Position:
    """How far a training run is: all that a later process needs to go on exactly.

    Attributes:
        step: steps done.
        variables: float32 arrays: the layers' weights, then the head's kernel (d, k) and bias (k,).
        first: running means of the gradients, as the variables.
        second: running means of their squares.
        watched: {step: logits float32 (m, k) of the watched photos} at each stop so far.
    """

    step: int
    variables: list[np.ndarray]
    first: list[np.ndarray]
    second: list[np.ndarray]
    watched: dict[int, np.ndarray]


@dataclass
class Journal:
    """Finished runs and the one under way; each change is committed before the next step begins.

    Attributes:
        path: the file.
        finished: {run: {name: array}}.
        under_way: name and position of the run that is not finished; None between runs.
    """

    path: Path
    finished: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    under_way: tuple[str, Position] | None = None

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Read what an earlier process left; an empty one where there is nothing, or nothing sound."""
        found = _read(path)
        if found is None:
            return cls(path)
        plain, arrays = found
        finished = {
            run: {name: arrays[f"{run}/{name}"] for name in names} for run, names in plain["finished"].items()
        }
        return cls(path, finished, _position_from(plain["under_way"], arrays))

    def finish(self, run: str, arrays: dict[str, np.ndarray]) -> None:
        """Commit the outcome of a run."""
        self.finished[run] = arrays
        self.under_way = None
        self._commit()

    def reach(self, run: str, position: Position) -> None:
        """Commit how far a run is."""
        self.under_way = run, position
        self._commit()

    def position(self, run: str) -> Position | None:
        """Where an earlier process left this run."""
        return self.under_way[1] if self.under_way and self.under_way[0] == run else None

    def _commit(self) -> None:
        arrays = {f"{run}/{name}": a for run, named in self.finished.items() for name, a in named.items()}
        plain: dict[str, Any] = {
            "version": STATE_VERSION,
            "finished": {run: sorted(named) for run, named in self.finished.items()},
            "under_way": None,
        }
        if self.under_way:
            run, position = self.under_way
            plain["under_way"] = {"run": run, "step": position.step, "watched": sorted(position.watched)}
            arrays |= _arrays_of(position)
        _write(self.path, plain, arrays)


def _arrays_of(position: Position) -> dict[str, np.ndarray]:
    arrays = {f"watched/{step}": logits for step, logits in position.watched.items()}
    for kind in ("variables", "first", "second"):
        arrays |= {f"{kind}/{at}": array for at, array in enumerate(getattr(position, kind))}
    return arrays


def _position_from(
    plain: dict[str, Any] | None, arrays: dict[str, np.ndarray]
) -> tuple[str, Position] | None:
    if plain is None:
        return None
    count = sum(name.startswith("variables/") for name in arrays)
    variables, first, second = (
        [arrays[f"{kind}/{at}"] for at in range(count)] for kind in ("variables", "first", "second")
    )
    watched = {step: arrays[f"watched/{step}"] for step in plain["watched"]}
    return plain["run"], Position(plain["step"], variables, first, second, watched)


def _write(path: Path, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    text = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    np.savez(stream, allow_pickle=False, **{"plain": text, **arrays})
    content = stream.getvalue()
    write_atomically(path, _MAGIC + hashlib.sha256(content).digest() + content)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head, content = data[: len(_MAGIC) + _DIGEST], data[len(_MAGIC) + _DIGEST :]
    if head != _MAGIC + hashlib.sha256(content).digest():
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    plain = json.loads(arrays.pop("plain").tobytes())
    return (plain, arrays) if plain["version"] == STATE_VERSION else None
