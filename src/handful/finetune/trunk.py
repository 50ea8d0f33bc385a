"""The part below a cut, run once for each view of each photo; its values kept in files mapped into memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from handful.files import sha256_of_bytes, sha256_of_file, write_atomically, write_error
from handful.finetune.cuts import Core, Cut, trunk_model
from handful.finetune.views import ViewedPhoto, ViewRules, views_of
from handful.networks.convert import to_litert
from handful.networks.quiet import without_noise

_CHUNK = 64  # photos between two records of what is done


class Trunk(Protocol):
    """Runs what lies below a cut."""

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Values float32 (b, cut.values) of views uint8 (b, h, w, 3); safe from any thread."""
        ...


def litert_trunk(core: Core, cut: Cut, folder: Path, name: str) -> Trunk:
    """Convert what lies below a cut, or take it from the folder if it was converted before.

    Args:
        core: the network.
        cut: where it ends.
        folder: where converted networks are kept.
        name: of the file, without suffix: everything that the trunk depends on.

    Raises:
        BackboneError: TensorFlow cannot convert it.
    """
    from handful.engines.litert_engine import LiteRTEngine

    path = _kept(folder, name) or _converted(core, cut, folder, name)
    return LiteRTEngine(path, pooled=0, feature_map=0)


def _kept(folder: Path, name: str) -> Path | None:
    """A converted trunk whose content has the hash in its name."""
    for path in folder.glob(f"{name}-*.tflite"):
        found = re.fullmatch(r"([0-9a-f]{16})\.tflite", path.name.removeprefix(f"{name}-"))
        if found and sha256_of_file(path).startswith(found[1]):
            return path
    return None


def _converted(core: Core, cut: Cut, folder: Path, name: str) -> Path:
    content = to_litert(trunk_model(core, cut))
    path = folder / f"{name}-{sha256_of_bytes(content)[:16]}.tflite"
    write_atomically(path, content)
    return path


class KerasTrunk:
    """What lies below a cut, run by Keras: on a GPU, and where LiteRT cannot run it."""

    def __init__(self, core: Core, cut: Cut) -> None:
        model = trunk_model(core, cut)
        pixels = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8)

        @tf.function(input_signature=[pixels], autograph=False)
        def run(pixels: Any) -> Any:
            return model(tf.cast(pixels, tf.float32), training=False)

        with without_noise():
            run.get_concrete_function()  # type: ignore[attr-defined]  # TensorFlow's stubs see a plain function
        self._run = run

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Values float32 (b, cut.values) of views uint8 (b, h, w, 3)."""
        return self._run(np.ascontiguousarray(pixels)).numpy()


class KeptValues:
    """The values at a cut of every view of every photo, in one file.

    The file is filled a chunk of photos at a time; a record beside it says how many are done, and is only
    written once the disk has them, so that a run that was killed goes on behind the last chunk.

    Args:
        folder: a folder of this run's own.
        photos: whose views are kept, n of them.
        views: how many of each, the plain one included.
        values: numbers for each.
        dtype: float32, or float16 where they would take too much room.

    Raises:
        WriteError: the disk has no room for them.
    """

    def __init__(
        self, folder: Path, photos: Sequence[ViewedPhoto], views: int, values: int, dtype: type[np.floating]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._photos, self.views = photos, views
        self._record = folder / "values.json"
        path = folder / "values.bin"
        self.shape = len(photos), views, values
        self._done = self._read_done(path, dtype)
        if not self._done:
            _reserve(path, int(np.prod(self.shape)) * np.dtype(dtype).itemsize)
        self._kept = np.memmap(path, dtype, "r+", shape=self.shape)

    def _read_done(self, path: Path, dtype: type[np.floating]) -> int:
        """How many photos' values an earlier run left; 0 where the file is not what the record says."""
        try:
            record = json.loads(self._record.read_bytes())
            size = path.stat().st_size
        except (OSError, ValueError):
            return 0
        whole = int(np.prod(self.shape)) * np.dtype(dtype).itemsize
        known = record.get("shape") == list(self.shape) and record.get("dtype") == np.dtype(dtype).name
        return int(record.get("done", 0)) if known and size == whole else 0

    @property
    def missing(self) -> int:
        """Photos whose values are still to be computed."""
        return len(self._photos) - self._done

    def fill(
        self,
        trunk: Trunk,
        size: tuple[int, int],
        rules: ViewRules,
        *,
        workers: int,
        advance: Callable[[int], None],
    ) -> None:
        """Compute what is missing.

        Raises:
            ImageError, DataError: a photo changed or went since its features were computed.
        """

        def of_photo(photo: ViewedPhoto) -> np.ndarray:
            return trunk.run(views_of(photo, size, rules, self.views))

        with ThreadPoolExecutor(workers, thread_name_prefix="handful") as pool:
            while self._done < len(self._photos):
                chunk = self._photos[self._done : self._done + _CHUNK]
                for at, values in enumerate(pool.map(of_photo, chunk), start=self._done):
                    self._kept[at] = values
                    advance(1)
                self._kept.flush()
                self._done += len(chunk)
                record = {"done": self._done, "shape": list(self.shape), "dtype": self._kept.dtype.name}
                write_atomically(self._record, json.dumps(record).encode())

    def take(self, rows: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Values float32 (b, values) of these rows, int (b,), in these views of them."""
        return self._kept[rows, views].astype(np.float32)


def _reserve(path: Path, size: int) -> None:
    """Make a file of so many bytes that the disk has room for: a full one would end the process later on.

    Raises:
        WriteError: it has not.
    """
    try:
        with path.open("wb") as stream:
            stream.truncate(size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        raise write_error(path, error, size) from error
