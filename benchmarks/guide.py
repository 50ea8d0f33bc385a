"""What the official Keras transfer-learning guide does, typed in as its reader would: the yardstick.

MobileNetV2 with ImageNet weights at 224 pixels, random flip and rotation inside the model, the base frozen
and called with `training=False`, global average pooling, dropout 0.2 and a Dense layer: Adam 1e-3 for
10 epochs. Phase 2 unfreezes the layers from 100 on: RMSprop 1e-5 for 10 more. Its known faults are kept
(batch-norm statistics move in phase 2, augmentation lives in the model), because they are what is measured.

One thing is done for the reader. `image_dataset_from_directory` takes `.gif` files too and reads their first
frame, so the "image not found" placeholder in the tutorial's data silently trains as a photo of an ant.
People who notice delete the file. Here the photos are linked into a temporary folder without `.gif` files;
the folder given is not touched.

Run it as a process of its own: `seconds` counts from the start of the process, imports included.

    KERAS_HOME=... python benchmarks/guide.py --train photos/train --val photos/val --json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()  # Keras and TensorFlow are imported later, inside the functions
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH = 32
UNFREEZE_FROM = 100
SHOWN = {".jpg", ".jpeg", ".png", ".bmp"}


def main() -> int:
    """Train as the guide does and print one line of JSON last."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="guide-") as folder:
        train = _without_gif(options.train, Path(folder, "train"))
        val = _without_gif(options.val, Path(folder, "val"))
        result = _follow_the_guide(train, val, options)
    result["seconds"] = round(_process_age(), 2)
    if options.json:
        print(json.dumps(result), flush=True)
    else:
        print("\n".join(f"{key}: {value}" for key, value in result.items()))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="folder with one folder per class")
    parser.add_argument("--val", type=Path, required=True, help="folder with the same classes")
    parser.add_argument("--size", type=int, default=224, help="pixels, both sides")
    parser.add_argument("--phases", type=int, choices=(1, 2), default=2)
    parser.add_argument("--epochs", type=int, default=10, help="of each phase")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    return parser.parse_args()


def _process_age() -> float:
    """Seconds since the process began: the interpreter's own start included where the system tells it."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - STARTED


def _without_gif(source: Path, target: Path) -> Path:
    """Link the photos of `source` into `target`, class by class, without `.gif` files."""
    for photo in sorted(source.glob("*/*")):
        if photo.suffix.lower() not in SHOWN:
            continue
        place = target / photo.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / photo.name).symlink_to(photo.resolve())
    return target


def _follow_the_guide(train: Path, val: Path, options: argparse.Namespace) -> dict[str, Any]:
    import keras

    keras.utils.set_random_seed(options.seed)
    train_set, val_set, classes = _datasets(train, val, options)
    model, base = _model(keras, options.size, classes)
    result: dict[str, Any] = {"train": str(options.train), "size": options.size, "epochs": options.epochs}
    began = time.perf_counter()
    result |= _phase(1, model, keras.optimizers.Adam(1e-3), train_set, val_set, options.epochs)
    if options.phases == 2:
        base.trainable = True
        for layer in base.layers[:UNFREEZE_FROM]:
            layer.trainable = False
        result |= _phase(2, model, keras.optimizers.RMSprop(1e-5), train_set, val_set, options.epochs)
    result["fit_seconds"] = round(time.perf_counter() - began, 2)
    return result


def _datasets(train: Path, val: Path, options: argparse.Namespace) -> tuple[Any, Any, int]:
    import tensorflow as tf
    from keras.utils import image_dataset_from_directory

    common: dict[str, Any] = {"image_size": (options.size, options.size), "batch_size": BATCH}
    train_set: Any = image_dataset_from_directory(train, shuffle=True, seed=options.seed, **common)
    val_set: Any = image_dataset_from_directory(val, shuffle=False, **common)
    if train_set.class_names != val_set.class_names:
        sys.exit(f"--train has the classes {train_set.class_names}, --val has {val_set.class_names}.")
    ready = [data.prefetch(tf.data.AUTOTUNE) for data in (train_set, val_set)]
    return ready[0], ready[1], len(train_set.class_names)


def _model(keras: Any, size: int, classes: int) -> tuple[Any, Any]:
    """The guide's model and its base: one output for two classes, one each for more."""
    shape = (size, size, 3)
    base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights="imagenet")
    base.trainable = False
    inputs = keras.Input(shape=shape)
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.layers.RandomRotation(0.2)(x)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(1 if classes == 2 else classes)(x)
    return keras.Model(inputs, outputs), base


def _phase(number: int, model: Any, optimizer: Any, train: Any, val: Any, epochs: int) -> dict[str, float]:
    began = time.perf_counter()
    _compile(model, optimizer)
    model.fit(train, epochs=epochs, validation_data=val, verbose=2)
    accuracy = float(model.evaluate(val, verbose=0, return_dict=True)["accuracy"])
    seconds = time.perf_counter() - began
    return {f"phase{number}_accuracy": round(accuracy, 4), f"phase{number}_seconds": round(seconds, 2)}


def _compile(model: Any, optimizer: Any) -> None:
    import keras

    if model.output_shape[-1] == 1:
        loss: Any = keras.losses.BinaryCrossentropy(from_logits=True)
        metric: Any = keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer=optimizer, loss=loss, metrics=[metric])


if __name__ == "__main__":
    sys.exit(main())
