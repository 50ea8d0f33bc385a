"""The least that a pass over photos can cost: decode, resize, run; no cache, no checks, no progress.

Two Python threads, each with a LiteRT interpreter of one thread: the yardstick for our own feature pass.
Every photo is decoded by Pillow at a reduced scale (`draft`), resized bilinearly and given to the network
as the file wants it: float32 pixels in [0, 255] unless `--scale tf` asks for [-1, 1].

    python benchmarks/bare_loop.py mobilenet_v2.tflite photos/train photos/val
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def main() -> None:
    """Run the photos through the network once and print one line of JSON."""
    options = _options()
    photos = sorted(_photos(options.folders))
    interpreters = [_interpreter(options.model) for _ in range(options.threads)]
    features: list[np.ndarray | None] = [None] * len(photos)
    began = time.perf_counter()
    _run(interpreters, photos, features, options.scale)
    seconds = time.perf_counter() - began
    if any(row is None for row in features):
        raise SystemExit("A photo has no features: a thread ended early, see the error above.")
    print(json.dumps({"photos": len(photos), "seconds": round(seconds, 3)}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="a .tflite file with one float32 image as its input")
    parser.add_argument("folders", type=Path, nargs="+", help="searched for photos at every depth")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", choices=("pixels", "tf"), default="pixels", help="[0, 255] or [-1, 1]")
    return parser.parse_args()


def _photos(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (
            p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )


def _interpreter(model: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreters: list[Any], photos: list[Path], features: list[np.ndarray | None], scale: str) -> None:
    """Let the threads take the photos in turn: thread i of n takes every n-th."""
    step = len(interpreters)
    threads = [
        threading.Thread(target=_take, args=(one, photos, features, range(first, len(photos), step), scale))
        for first, one in enumerate(interpreters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _take(
    interpreter: Any, photos: list[Path], features: list[np.ndarray | None], turns: range, scale: str
) -> None:
    entry = interpreter.get_input_details()[0]
    exit_index = interpreter.get_output_details()[0]["index"]
    size = int(entry["shape"][1])
    for number in turns:
        pixels = _pixels(photos[number], size)
        interpreter.set_tensor(entry["index"], pixels if scale == "pixels" else pixels / 127.5 - 1)
        interpreter.invoke()
        features[number] = interpreter.get_tensor(exit_index)[0]


def _pixels(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as picture:
        picture.draft("RGB", (size, size))
        small = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32)[None]


if __name__ == "__main__":
    main()
