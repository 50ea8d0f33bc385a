"""Pretrain the embedded backbone by distillation; stop it at any time and start it again.

    python pretraining/train.py PHOTOS --work FOLDER [--size 128] [--views 60000] [--epochs 2] ...

PHOTOS is a folder with a folder of photos a class (Tiny ImageNet's `train`). FOLDER keeps the teacher's
features, a checkpoint (network, optimiser and position in one file, replaced whole), the log, and in the end
`student.keras`. The same command goes on where it stopped.

The loss is 1 - cosine between the student's and the teacher's pooled features, plus half their mean
squared difference in units of the teacher's own variance: direction and length both matter to a linear head.
Written in plain Keras 3: KERAS_BACKEND=jax or torch trains the same network on a GPU (the teacher's
features come from LiteRT in every case; converting the teacher needs TensorFlow, in a process of its own).
Measured here with TensorFlow on a CPU alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

import networks
import photos
import views
from handful.files import write_atomically
from teacher_features import features
from views import Plan

PHOTO_SIDE = 64  # of Tiny ImageNet; a collage of four is 128
HELD_OUT_EVERY = 50  # one photo in fifty is only watched
HELD_OUT_VIEWS = 1000


def main() -> None:
    """Read the options, pretrain, write student.keras."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    _agree_with_earlier(options)
    keras.utils.set_random_seed(options.seed)
    learned, watched = photos.apart(photos.read(options.photos, PHOTO_SIDE), HELD_OUT_EVERY)
    plan = views.plan(learned, options.views, options.collages, options.seed)
    held_out = views.plan(watched, HELD_OUT_VIEWS, options.collages, options.seed + 1)
    kept = options.teacher or options.work
    targets = features(plan, kept / "teacher.npy")
    held_out_targets = features(held_out, kept / "teacher-held-out.npy")
    scale = float(np.asarray(held_out_targets, np.float32).var(0).mean())
    total = options.views * options.epochs // options.batch
    model: Any = _student(options, total, scale)
    batches = Batches(plan, targets, options)
    write_atomically(options.work / "recipe.json", json.dumps(_recipe(options), indent=1).encode())
    model.fit(
        batches,
        initial_epoch=int(model.optimizer.iterations.numpy()) // options.steps,
        epochs=total // options.steps,
        validation_data=Watched(held_out, held_out_targets, options),
        callbacks=[Position(batches), Checkpoint(options.work)],
        verbose=0,
    )
    model.save(options.work / "student.keras")


def _agree_with_earlier(options: argparse.Namespace) -> None:
    """Refuse to go on with another recipe than the one the checkpoint was begun with."""
    path = options.work / "recipe.json"
    if not (path.is_file() and (options.work / "checkpoint.keras").is_file()):
        return
    earlier, asked = json.loads(path.read_text()), _recipe(options)
    other = [name for name, value in earlier.items() if asked.get(name, value) != value]
    if other:
        told = ", ".join(f"{name}: {asked[name]}, begun with {earlier[name]}" for name in other)
        raise SystemExit(
            f"{options.work} holds a run of another recipe ({told}). "
            "Choose another --work, or the same options."
        )


class Batches(keras.utils.PyDataset):
    """Batches of views, jittered, beside what the teacher said; a step is the same in every run.

    Attributes:
        epoch: the one that is read from, counted from 1 as in the log; `Position` sets it.
    """

    def __init__(self, plan: Plan, targets: np.ndarray, options: argparse.Namespace) -> None:
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self.plan, self.targets, self.options = plan, targets, options
        self.epoch = 1

    def __len__(self) -> int:
        return self.options.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give pixels float32 (b, size, size, 3) and the teacher's features float32 (b, 1280)."""
        step = self.epoch * self.options.steps + index
        batch, count = self.options.batch, len(self.plan)
        rng = np.random.default_rng([self.options.seed, step])
        turn, first = divmod(step * batch, count)
        order = np.random.default_rng([self.options.seed, turn]).permutation(count)
        rows = np.sort(np.take(order, range(first, first + batch), mode="wrap"))
        seen = [views.jitter(self.plan.pixels(row, self.options.size), rng) for row in rows]
        return np.stack(seen), np.asarray(self.targets[rows], np.float32)


class Position(keras.callbacks.Callback):
    """Tells the batches which epoch begins.

    A PyDataset's own `on_epoch_end` will not do: Keras 3.15 also calls it before the first epoch.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set it, before the first batch of the epoch is asked for."""
        self.batches.epoch = epoch + 1


class Watched(keras.utils.PyDataset):
    """The held-out views, as they are."""

    def __init__(self, plan: Plan, targets: np.ndarray, options: argparse.Namespace) -> None:
        super().__init__()
        self.plan, self.targets, self.options = plan, targets, options

    def __len__(self) -> int:
        return -(-len(self.plan) // self.options.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give pixels float32 (b, size, size, 3) and the teacher's features float32 (b, 1280)."""
        rows = range(index * self.options.batch, min(len(self.plan), (index + 1) * self.options.batch))
        seen = [self.plan.pixels(row, self.options.size).astype(np.float32) for row in rows]
        return np.stack(seen), np.asarray(self.targets[rows.start : rows.stop], np.float32)


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: network, optimiser and position in one file, replaced whole; then a row of the log.

    "seconds" in the log are those since this process began to train.
    """

    def __init__(self, work: Path) -> None:
        super().__init__()
        self.work, self.start = work, time.time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write both."""
        model: Any = self.model
        beside = self.work / "checkpoint.part.keras"
        model.save(beside)
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        beside.replace(self.work / "checkpoint.keras")
        row = {"epoch": epoch + 1, "seconds": round(time.time() - self.start, 1), **(logs or {})}
        path = self.work / "log.csv"
        fresh = not path.is_file()
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


@keras.saving.register_keras_serializable("pretraining")
class Distillation(keras.losses.Loss):
    """1 - cosine, plus half the squared difference in units of the teacher's variance.

    Args:
        scale: the mean variance of the teacher's features.
    """

    def __init__(self, scale: float = 1.0, name: str = "distillation", **settings: object) -> None:
        super().__init__(name=name, **settings)  # pyright: ignore[reportArgumentType]
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each view, (b,), of features (b, 1280); tensors of whichever backend."""
        dot: Any = ops.sum(y_true * y_pred, -1)
        squares: Any = ops.sum(y_true**2, -1), ops.sum(y_pred**2, -1)
        apart: Any = ops.mean((y_true - y_pred) ** 2, -1)
        return 1 - dot / ops.sqrt(squares[0] * squares[1] + 1e-6) + 0.5 * apart / self.scale

    def get_config(self) -> dict[str, object]:
        """Give what makes it again."""
        return {**super().get_config(), "scale": self.scale}


def _student(options: argparse.Namespace, total: int, scale: float) -> keras.Model:
    """Give the compiled student: the checkpoint where there is one, learning rate and position with it."""
    checkpoint = options.work / "checkpoint.keras"
    if checkpoint.is_file():
        return keras.models.load_model(checkpoint)  # pyright: ignore[reportReturnType]
    model = networks.student(
        options.size,
        start=options.start,
        frozen_until=options.frozen_until,
        batch_norm=options.batch_norm,
    )
    warm = min(200, total // 10)
    schedule: Any = keras.optimizers.schedules.CosineDecay(  # Keras' own types allow a number only
        0.0, total - warm, alpha=0.01, warmup_target=options.rate, warmup_steps=warm
    )
    optimiser: Any = keras.optimizers.AdamW(schedule, weight_decay=options.decay)
    model.compile(optimiser, Distillation(scale))
    return model


def _recipe(options: argparse.Namespace) -> dict[str, object]:
    """Give the options that decide what is learned; places do not."""
    paths = ("photos", "work", "teacher")
    return {name: value for name, value in vars(options).items() if name not in paths}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--teacher", type=Path, help="a folder that has the teacher's features of these views"
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--views", type=int, default=60_000)
    parser.add_argument("--collages", type=float, default=0.6)
    parser.add_argument("--epochs", type=int, default=2, help="times each view is learned from")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--decay", type=float, default=1e-5)
    parser.add_argument("--start", choices=("teacher", "random"), default="teacher")
    parser.add_argument("--frozen-until", default="block_2_add", help="a layer, or none: all learn")
    parser.add_argument("--batch-norm", choices=("learns", "frozen"), default="frozen")
    parser.add_argument("--steps", type=int, default=100, help="steps of an epoch; a checkpoint after each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.frozen_until == "none":
        options.frozen_until = None
    steps = options.views * options.epochs // options.batch
    if steps < options.steps:
        parser.error(f"views x epochs / batch is {steps} steps, less than an epoch of {options.steps}")
    return options


if __name__ == "__main__":
    main()
