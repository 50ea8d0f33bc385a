"""What the teacher says of every view: computed once, kept on disk, resumable.

    python pretraining/teacher_features.py FILE.tflite    convert the teacher, whatever KERAS_BACKEND is

LiteRT runs the teacher: on a CPU it is several times as fast as Keras, and it is the same for every backend.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from networks import TEACHER_SIZE, teacher
from views import Plan

TEACHER_FEATURES = 1280
_BLOCK = 2048


def features(plan: Plan, path: Path) -> np.ndarray:
    """Give float16 (v, 1280) for all views of a plan; blocks that are on disk are not computed again.

    Args:
        plan: the views.
        path: the .npy file; beside it, `.done` counts finished blocks and names the plan they belong to.

    Raises:
        SystemExit: the file holds features of other views.
    """
    blocks, done = -(-len(plan) // _BLOCK), _finished(plan, path)
    shape = len(plan), TEACHER_FEATURES
    kept = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, None if done else shape)
    if done == blocks:
        return kept
    asked, start = Teacher(), time.time()
    for block in range(done, blocks):
        rows = range(block * _BLOCK, min(len(plan), (block + 1) * _BLOCK))
        kept[rows.start : rows.stop] = asked.run(plan, rows)
        kept.flush()
        path.with_suffix(".done").write_text(f"{block + 1} {_name(plan)}")
        rate = (block + 1 - done) * _BLOCK / (time.time() - start)
        print(f"teacher: {rows.stop} of {len(plan)} views, {rate:.0f} a second", flush=True)
    return kept


def _finished(plan: Plan, path: Path) -> int:
    """Count the blocks on disk."""
    record = path.with_suffix(".done")
    if not (path.is_file() and record.is_file()):
        return 0
    done, _, name = record.read_text().partition(" ")
    if len(np.load(path, mmap_mode="r")) != len(plan) or name not in ("", _name(plan)):
        raise SystemExit(f"{path} holds the teacher's features of other views. Choose another folder.")
    if not name:
        print(f"{record} does not say which views it counts: taken to be those asked for", flush=True)
    return int(done)


def _name(plan: Plan) -> str:
    """Give a name for the views: what they are made of, and the first photo's pixels."""
    digest = hashlib.sha256(plan.parts.astype(np.int64).tobytes())
    digest.update(plan.photos.pixels[0].tobytes())
    return digest.hexdigest()[:16]


class Teacher:
    """The teacher on two LiteRT interpreters of one thread each."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            content = _converted(Path(folder) / "teacher.tflite")
        self._engines = [Interpreter(model_content=content, num_threads=1) for _ in range(2)]
        for engine in self._engines:
            engine.allocate_tensors()

    def run(self, plan: Plan, rows: range) -> np.ndarray:
        """Give float16 (len(rows), 1280)."""
        half = (rows.start + rows.stop) // 2
        halves = range(rows.start, half), range(half, rows.stop)
        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(_part, self._engines, (plan, plan), halves)))


def _part(engine: Interpreter, plan: Plan, rows: range) -> np.ndarray:
    source = engine.get_input_details()[0]["index"]
    target = engine.get_output_details()[0]["index"]
    out = np.empty((len(rows), TEACHER_FEATURES), np.float16)
    for k, row in enumerate(rows):
        engine.set_tensor(source, plan.pixels(row, TEACHER_SIZE)[None].astype(np.float32))
        engine.invoke()
        out[k] = engine.get_tensor(target)[0]
    return out


def _converted(path: Path) -> bytes:
    """Convert in a process of its own: the converter needs Keras on TensorFlow."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, __file__, str(path)], env=environment, check=True)
    return path.read_bytes()


def main() -> None:
    """Convert the teacher."""
    from handful.networks.convert import to_litert

    Path(sys.argv[1]).write_bytes(to_litert(teacher()))


if __name__ == "__main__":
    main()
