"""From a student to the file in the package: folded, rounded, converted, and still the same network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from handful.engines.litert_engine import LiteRTEngine
from handful.files import sha256_of_file
from handful.networks import sidecars
from handful.networks.embedded_network import SCALE, architecture, read_network

Script = Callable[[str], ModuleType]
SIZE = 64
# Of the largest answer: fifty batch-norms with the statistics of three pictures magnify rounding.
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def package(script: Script) -> ModuleType:
    return script("package")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """float32 (3, 64, 64, 3): coloured noise of three kinds."""
    draw = np.random.default_rng(0)
    noise = draw.normal(0, 50, (3, SIZE, SIZE, 3)) + np.array([60, 128, 200])[:, None, None, None]
    return np.clip(noise, 0, 255).astype(np.float32)


@pytest.fixture(scope="module")
def student(script: Script, pixels: np.ndarray) -> Any:
    """A student whose batch-norms hold statistics: with fresh ones, 0 and 1, all answers are the same."""
    import keras

    keras.utils.set_random_seed(0)
    model = script("networks").student(SIZE, start="random", frozen_until=None, batch_norm="learns")
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, *others = layer.get_weights()
            layer.set_weights([draw.uniform(0.5, 1.5, gamma.shape), *others])
            layer.momentum = 0.0  # one pass sets the statistics of these pixels
    model(pixels, training=True)
    answers = np.asarray(model(pixels, training=False))
    assert answers.std(axis=0).mean() > 0.05  # a network that says the same of all proves nothing
    return model


def test_folding_the_batch_norms_changes_nothing(
    package: ModuleType, student: Any, pixels: np.ndarray
) -> None:
    core: Any = architecture(SIZE)
    core.set_weights([array for pair in package._folded(student) for array in pair])
    same_input = pixels * np.float32(SCALE * 127.5)  # the core scales by the nearest half-precision number
    expected = np.asarray(student(same_input, training=False))
    found = np.asarray(core(pixels)).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * np.abs(expected).max())


def test_what_is_packaged_opens_and_is_one_network_in_both_engines(
    package: ModuleType, student: Any, pixels: np.ndarray, tmp_path: Path
) -> None:
    network = package.package(student, 1.0, SIZE)
    package.write(network, package.to_litert(network, half=True), tmp_path)
    path = tmp_path / "backbone.tflite"
    record = sidecars.read(tmp_path / "backbone.json")
    assert record is not None
    assert record.sha256 == record.source_sha256 == sha256_of_file(path)
    assert (record.size, record.feature_dim, record.map_shape) == (SIZE, 1280, (2, 2, 1280))
    assert record.weights_count == network.count_params()
    opened = read_network(path, SIZE).get_weights()
    for one, other in zip(network.get_weights(), opened, strict=True):
        np.testing.assert_array_equal(one, other)
    engine = LiteRTEngine(path, pooled=record.pooled_output, feature_map=record.map_output)
    expected = np.asarray(network(np.round(pixels))[0])
    assert expected.std(axis=0).mean() > 0.05
    np.testing.assert_allclose(
        engine.run(np.round(pixels).astype(np.uint8)), expected, atol=TOLERANCE * np.abs(expected).max()
    )


def test_a_share_lies_between_teacher_and_student(
    package: ModuleType, script: Script, student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = script("networks")
    halfway = networks.student(SIZE, start="random", frozen_until=None, batch_norm="frozen")
    halfway.set_weights([1.5 * array for array in student.get_weights()])  # of teacher 1 and student 2
    twice = networks.student(SIZE, start="random", frozen_until=None, batch_norm="frozen")
    twice.set_weights([2 * array for array in student.get_weights()])
    monkeypatch.setattr(networks, "teacher", lambda: student)
    found = package.package(twice, 0.5, SIZE).get_weights()
    expected = package.package(halfway, 1.0, SIZE).get_weights()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_beyond_half_precision_is_refused(package: ModuleType) -> None:
    with pytest.raises(SystemExit, match="does not fit half precision"):
        package._rounded(np.array([1e6], np.float32))
