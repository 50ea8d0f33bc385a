"""Pretraining can be stopped at any step and goes on as if it had not been."""

from __future__ import annotations

import argparse
import ast
import csv
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .conftest import PRETRAINING

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Script = Callable[[str], ModuleType]
OPTIONS = (
    "--size", "32", "--views", "24", "--collages", "0.5", "--batch-norm", "learns", "--epochs", "2",
    "--batch", "4", "--steps", "3", "--start", "random",
    "--frozen-until", "none",
)  # fmt: skip


@pytest.fixture(scope="session")
def train(script: Script) -> Any:
    """The script, with a sixth of so few photos only watched."""
    module = script("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "HELD_OUT_EVERY", 6)
        patch.setattr(module, "HELD_OUT_VIEWS", 8)
        yield module


@pytest.fixture(scope="session")
def teacher(train: Any, script: Script, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features of every view: for want of a teacher, a fixed projection of its pixels."""
    folder, views, features = tmp_path_factory.mktemp("teacher"), script("views"), script("teacher_features")
    projection = np.random.default_rng(0).normal(0, 0.2, (12, 1280))
    for photos, count, seed, name in zip(
        script("photos").apart(script("photos").read(drawn, 64), 6), (24, 8), (1, 2),
        ("teacher", "teacher-held-out"), strict=True,
    ):  # fmt: skip
        plan = views.plan(photos, count, 0.5, seed)
        small = np.stack([plan.pixels(view, 2).reshape(12) / 255 for view in range(count)])
        np.save(folder / f"{name}.npy", np.maximum(small @ projection, 0).astype(np.float16))
        (folder / f"{name}.done").write_text(f"1 {features._name(plan)}")
    return folder


def small_student(size: int, **settings: Any) -> Any:
    """A student of one convolution and one batch-norm: what is tested is the loop around it."""
    import keras

    layers = keras.layers
    pixels = keras.Input((size, size, 3), name="pixels")
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    value = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, 4)(scaled)))
    return keras.Model(pixels, layers.Dense(1280, "relu")(layers.GlobalAveragePooling2D()(value)))


def run(train: Any, drawn: Path, teacher: Path, work: Path, *more: str) -> Any:
    """Pretrain as the command line does; give the student."""
    import keras

    words = ["train.py", str(drawn), "--work", str(work), "--teacher", str(teacher), *OPTIONS, *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        train.main()
    return keras.models.load_model(work / "student.keras", compile=False)


def log_of(work: Path) -> list[dict[str, str]]:
    with (work / "log.csv").open() as stream:
        return [{name: row[name] for name in ("epoch", "loss", "val_loss")} for row in csv.DictReader(stream)]


def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    train: Any, script: Script, drawn: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("networks"), "student", small_student)
    seen: list[int] = []

    def watch(self: Any, batch: int, logs: Any = None) -> None:
        seen.append(batch)
        if len(seen) == 8:  # in the middle of the third epoch: what a kill at this moment would leave
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    with monkeypatch.context() as patch:
        patch.setattr(train.Position, "on_train_batch_end", watch)
        whole = run(train, drawn, teacher, tmp_path / "whole")
    assert [row["epoch"] for row in log_of(tmp_path / "killed")] == ["1", "2"]
    again = run(train, drawn, teacher, tmp_path / "killed")
    assert [row["epoch"] for row in log_of(tmp_path / "killed")] == ["1", "2", "3", "4"]
    # A batch of another step would change the loss by percents. The last digits do differ after a resume
    # (some 1e-4 of a weight), always by the same amount: not bit for bit.
    for one, other in zip(log_of(tmp_path / "whole"), log_of(tmp_path / "killed"), strict=True):
        assert float(other["loss"]) == pytest.approx(float(one["loss"]), rel=5e-4)
    start = small_student(32).get_weights()
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-4)
    assert np.abs(whole.get_weights()[0] - start[0]).max() > 5e-4
    with pytest.raises(SystemExit, match=r"another recipe \(rate: 0\.5, begun with 0\.0003\)"):
        run(train, drawn, teacher, tmp_path / "killed", "--rate", "0.5")


def test_a_step_has_the_same_batch_in_every_run_and_no_two_steps_do(
    train: Any, script: Script, drawn: Path
) -> None:
    photos = script("photos").read(drawn, 64)
    plan = script("views").plan(photos, 24, 0.5, 1)
    options = argparse.Namespace(seed=1, batch=4, size=32, steps=3)
    targets = np.repeat(np.arange(24, dtype=np.float16)[:, None], 1280, axis=1)
    one, other = train.Batches(plan, targets, options), train.Batches(plan, targets, options)
    first = one[1]
    np.testing.assert_array_equal(first[0], other[1][0])
    np.testing.assert_array_equal(first[1], other[1][1])
    other.epoch = 2
    assert np.abs(first[0] - other[1][0]).mean() > 1
    pass_one = [one[step][1][:, 0] for step in range(3)]
    assert len(np.unique(np.concatenate(pass_one))) == 12  # each view once in a turn


def test_less_than_an_epoch_is_refused(
    train: Any, drawn: Path, teacher: Path, tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(train, drawn, teacher, tmp_path, "--steps", "100")
    assert "is 12 steps, less than an epoch of 100" in capsys.readouterr().err


def test_features_of_other_views_are_refused(train: Any, drawn: Path, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"teacher\.npy holds the teacher's features of other views"):
        run(train, drawn, teacher, tmp_path, "--seed", "7")


def test_the_loss_is_none_for_the_teacher_s_own_features_and_weighs_length(train: Any) -> None:
    loss = train.Distillation(scale=2.0)
    teacher = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(loss.call(teacher, teacher), 0, atol=1e-6)
    np.testing.assert_allclose(
        loss.call(teacher, 2 * teacher), [12.5 / 4, 0.5 / 4], rtol=1e-5
    )  # length alone
    np.testing.assert_allclose(
        loss.call(teacher[1:], np.array([[0.0, 1.0]], np.float32)), [1 + 0.25], rtol=1e-3
    )
    assert train.Distillation.from_config(loss.get_config()).scale == 2.0


@pytest.mark.slow
@pytest.mark.shared
def test_the_teacher_says_what_keras_says_and_is_not_asked_twice(
    keras_home: Path, script: Script, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = script("teacher_features")
    plan = script("views").plan(script("photos").read(drawn, 64), 5, 0.5, 1)
    monkeypatch.setattr(features, "_BLOCK", 2)
    path = tmp_path / "teacher.npy"
    told = np.array(features.features(plan, path))
    pixels = np.stack([plan.pixels(view, 224) for view in range(5)]).astype(np.float32)
    expected = np.asarray(script("networks").teacher()(pixels, training=False))
    assert expected.std(axis=0).mean() > 0.1
    np.testing.assert_allclose(told, expected, rtol=2e-3, atol=2e-3)  # half precision holds 11 bits
    monkeypatch.setattr(features, "Teacher", lambda: pytest.fail("the teacher was asked again"))
    np.testing.assert_array_equal(features.features(plan, path), told)


@pytest.mark.parametrize("name", ["train", "networks", "views", "photos", "teacher_features"])
def test_only_packaging_and_converting_need_tensorflow(name: str) -> None:
    tree = ast.parse((PRETRAINING / f"{name}.py").read_text(encoding="utf-8"))
    inside = [
        node
        for function in tree.body
        if getattr(function, "name", "") == "main"
        for node in ast.walk(function)
    ]
    imports = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in inside
    ]
    named = [ast.unparse(node) for node in imports]
    assert named
    assert not [one for one in named if "tensorflow" in one or "handful.networks" in one]
