"""Prove the catalogue: our network, the documented Keras call and the converted network agree.

    python benchmarks/catalogue_parity.py            all entries, smallest first; goes on where it stopped
    python benchmarks/catalogue_parity.py NAME ...   these, in this process
    python benchmarks/catalogue_parity.py --report   write docs/catalogue.md from what is known

Real weights of 40 networks cannot be shipped, and random ones give nearly constant outputs, so that any two
networks agree. Here the weights are drawn, gains and offsets included, and the batch-norm statistics come
from a batch of photos; each row says how much the features vary beside how far they are apart.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from handful.backbones import CATALOGUE, Backbone
from handful.files import write_atomically
from handful.networks.quiet import import_keras

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "catalogue_parity.json"
REPORT = REPOSITORY / "docs" / "catalogue.md"
PHOTOS = 6
FEW, GIANT = 4, 60  # photos for networks of so many million weights: memory
SMALLER = {"efficientnet_b7": 300, "efficientnet_v2_l": 240}  # pixels; at their own Keras takes over 13 GB


def photos(size: int, count: int = PHOTOS) -> np.ndarray:
    """Give uint8 (count, size, size, 3): shared photos where they are, else smooth drawn noise."""
    shared = Path(os.environ.get("HANDFUL_SHARED") or REPOSITORY.parent / "shared")
    paths = sorted((shared / "data" / "ants_bees" / "val").glob("*/*.jpg"))[:: max(1, 150 // count)][:count]
    if len(paths) == count:
        pictures = [Image.open(path).convert("RGB") for path in paths]
    else:
        draw = np.random.default_rng(0)
        pictures = [Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)) for _ in range(count)]
    return np.stack([np.asarray(picture.resize((size, size))) for picture in pictures])


@contextlib.contextmanager
def keras_asks(answer: Path) -> Iterator[list[dict[str, Any]]]:
    """Let Keras ask for a weights file, note what it asked, answer with `answer`, and load nothing."""
    import keras
    from keras.src.utils import file_utils

    asked: list[dict[str, Any]] = []

    def get_file(name: str, origin: str, **options: Any) -> str:
        asked.append({"name": name, "origin": origin, **options})
        return str(answer)

    with (
        mock.patch.object(file_utils, "get_file", get_file),
        mock.patch.object(keras.Model, "load_weights", return_value=None),
    ):
        yield asked


def documented(backbone: Backbone, size: int) -> Any:
    """Build what the documented call builds, its ImageNet weights left out."""
    import keras

    build = getattr(keras.applications, backbone.keras_name)
    with keras_asks(Path("none.h5")):
        return build(weights="imagenet", include_top=False, pooling="avg", input_shape=(size, size, 3))


def preprocess_input(backbone: Backbone, pixels: np.ndarray) -> np.ndarray:
    """Apply the documented `preprocess_input` to float32 pixels."""
    import keras  # noqa: F401  # the modules below are found through it

    module = importlib.import_module(f"keras.applications.{backbone.module}")
    return module.preprocess_input(pixels.astype(np.float32).copy())


def draw_weights(model: Any, prepared: np.ndarray, seed: int = 0) -> None:
    """Draw what starts constant (gains, offsets), then take batch-norm statistics from a batch."""
    import keras

    draw = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            _set(layer.weights[0], [0.485, 0.456, 0.406])
            _set(layer.weights[1], [0.229**2, 0.224**2, 0.225**2])
            layer.finalize_state()  # it computes with copies that only loading or this brings up to date
            continue
        for weight in layer._trainable_variables:
            if len(weight.shape) == 1:
                middle = 0.0 if "beta" in weight.path or "bias" in weight.path else 1.0
                _set(weight, draw.normal(middle, 0.1, weight.shape))
    norms = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics become those of the one batch
    if norms:
        model(prepared, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _set(weight: Any, value: Any) -> None:
    weight.assign(np.asarray(value, np.float32).reshape(weight.shape))


def save_as_published(model: Any, path: Path) -> None:
    """Write weights in the HDF5 layout of the published files."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def compare(backbone: Backbone, size: int, folder: Path, *, convert: bool = True) -> dict[str, Any]:
    """Compare the documented call, our network and the converted network on photos.

    Returns:
        A record: `keras_difference` and `litert_difference` are the largest difference of any feature
        divided by the features' deviation; `variation` is that deviation across photos over all.
    """
    keras = import_keras()
    from handful.files import sha256_of_file
    from handful.networks import build
    from handful.networks.weights import Source

    pixels = photos(size, FEW if backbone.millions > GIANT else PHOTOS)
    prepared = preprocess_input(backbone, pixels)
    theirs = documented(backbone, size)
    draw_weights(theirs, prepared)
    expected = theirs(prepared, training=False).numpy()
    path = folder / backbone.weights_file
    save_as_published(theirs, path)
    del theirs  # the largest have 1.4 GB of weights, and converting takes several copies
    keras.backend.clear_session()
    source = Source(backbone.name, backbone.name, path, sha256_of_file(path), backbone.preprocessing, size)
    ours = build.feature_model(source)
    pooled = ours(pixels.astype(np.float32), training=False)[0].numpy()
    scale = float(expected.std())
    record = {
        "size": size,
        "feature_dim": int(expected.shape[1]),
        "variation": float(expected.std(axis=0).mean()) / scale,
        "keras_difference": float(np.abs(pooled - expected).max()) / scale,
    }
    if convert:
        record.update(_converted(ours, pixels, expected, scale, folder))
    return record


def _converted(
    ours: Any, pixels: np.ndarray, expected: np.ndarray, scale: float, folder: Path
) -> dict[str, Any]:
    from handful.engines.litert_engine import LiteRTEngine
    from handful.errors import BackboneError
    from handful.networks import convert

    start = time.perf_counter()
    try:
        content = convert.to_litert(ours)
        seconds = round(time.perf_counter() - start, 1)
        (folder / "network.tflite").write_bytes(content)
        pooled, spatial = convert.output_positions(content)
        engine = LiteRTEngine(folder / "network.tflite", pooled=pooled, feature_map=spatial)
    except BackboneError as error:
        return {"litert": False, "reason": str(error)[:300]}
    difference = float(np.abs(engine.run(pixels) - expected).max()) / scale
    speed = round(convert.photos_per_second(content), 1)
    return {"litert": True, "litert_difference": difference, "convert_seconds": seconds, "per_second": speed}


def known() -> dict[str, Any]:
    """Read the results so far."""
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def run_one(name: str) -> None:
    """Compare one entry at its own size and keep the result."""
    backbone = CATALOGUE[name]
    with tempfile.TemporaryDirectory() as folder:
        size = SMALLER.get(name, backbone.size)
        record = compare(backbone, size, Path(folder), convert=backbone.litert)
    if not backbone.litert:
        record.update(litert=False, reason=backbone.keras_only_reason)
    print(name, record, flush=True)
    write_atomically(RESULTS, json.dumps({**known(), name: record}, indent=1, sort_keys=True).encode())


def run_all() -> None:
    """Compare every entry not yet known, smallest first, each in a process of its own."""
    for name in sorted(CATALOGUE, key=lambda name: CATALOGUE[name].millions * CATALOGUE[name].size):
        if name not in known():
            done = subprocess.run([sys.executable, __file__, name], check=False)
            if done.returncode:
                print(f"{name}: the process ended with {done.returncode}", flush=True)


def report() -> None:
    """Write docs/catalogue.md."""
    results = known()
    rows = [_row(name, results.get(name)) for name in CATALOGUE]
    text = REPORT_HEAD.format(done=len(results), total=len(CATALOGUE)) + "\n".join(rows) + "\n"
    write_atomically(REPORT, text.encode())


REPORT_HEAD = """# The catalogue, compared

Written by `benchmarks/catalogue_parity.py --report`: {done} of {total} entries were run, at their own input
size (efficientnet_b7 and efficientnet_v2_l at half of it, for memory), with drawn weights, batch-norm
statistics from photos, and six photos of ants_bees (four for networks of more than 60 million weights).

*Differs from Keras*: the largest difference of any feature between our network and the documented call, over
the features' standard deviation. *LiteRT differs*: the same for the converted network. *Varies*: the mean
deviation of a feature across photos over the same scale; a network with constant output would show 0 and
prove nothing. A converted network keeps float32: what is left is the order of additions.

| backbone | size | differs from Keras | varies | converts | LiteRT differs | seconds to convert |
| --- | --- | --- | --- | --- | --- | --- |
"""


def _row(name: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"| {name} | {CATALOGUE[name].size} | not run | | not run | | |"
    start = f"| {name} | {record['size']} | {record['keras_difference']:.1e} | {record['variation']:.2f} |"
    if not record["litert"]:
        return f"{start} **no**: {record['reason']} | | |"
    return f"{start} yes | {record['litert_difference']:.1e} | {record['convert_seconds']:.1f} |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.report:
        report()
    elif options.names:
        for name in options.names:
            run_one(name)
    else:
        run_all()
        report()


if __name__ == "__main__":
    main()
