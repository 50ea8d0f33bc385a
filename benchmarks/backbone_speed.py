"""How fast each sensible CPU backbone runs here, by its shapes alone (random weights), as Handful runs it.

    python benchmarks/backbone_speed.py [NAME ...]

Two Python threads, each with a LiteRT interpreter of one thread, at the network's own size. Time is the
threads' processor time, so that other programs on the machine count as little as can be; all networks take
turns for several rounds and the best one counts. The ratio to MobileNetV2 is the number to trust.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from handful.backbones import CATALOGUE
from handful.engines.litert_engine import LiteRTEngine
from handful.files import write_atomically
from handful.networks.quiet import import_keras

CANDIDATES = (
    "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0",
    "efficientnet_b1", "efficientnet_v2_b0", "efficientnet_v2_b1", "efficientnet_v2_b2", "nasnet_mobile",
    "densenet121", "resnet50", "convnext_tiny",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "backbone_speed.json"
THREADS, ROUNDS, SECONDS = 2, 3, 0.8


def main() -> None:
    """Convert the candidates, measure them in turns, print and keep the numbers."""
    names = sys.argv[1:] or CANDIDATES
    with tempfile.TemporaryDirectory() as folder:
        engines = {name: _engine(name, Path(folder)) for name in names}
        rounds = [{name: speed(engine) for name, engine in engines.items()} for _ in range(ROUNDS)]
    best = {name: round(max(row[name] for row in rounds), 1) for name in names}
    for name in sorted(best, key=lambda name: -best[name]):
        print(f"{name:22} {best[name]:7.1f} photos/s  top-1 {CATALOGUE[name].top1} %  rounds", end=" ")
        print([round(row[name]) for row in rounds])
    write_atomically(RESULTS, json.dumps(best, indent=1).encode())


def _engine(name: str, folder: Path) -> LiteRTEngine:
    import_keras()
    import keras

    from handful.networks import build, convert

    backbone = CATALOGUE[name]
    keras.backend.clear_session()
    core = build.architecture_model(backbone, backbone.size)
    content = convert.to_litert(build.with_outputs(core, backbone.preprocessing, name))
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    pooled, spatial = convert.output_positions(content)
    return LiteRTEngine(path, pooled=pooled, feature_map=spatial)


def speed(engine: LiteRTEngine) -> float:
    """Photos per second of processor time, summed over two threads with an interpreter each."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *engine.size, 3), dtype=np.uint8)
    rates = [0.0] * THREADS
    start = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        engine.run(pixels)
        start.wait()
        began, done = time.thread_time(), 0
        while time.thread_time() - began < SECONDS:
            engine.run(pixels)
            done += 1
        rates[thread] = done / (time.thread_time() - began)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


if __name__ == "__main__":
    main()
