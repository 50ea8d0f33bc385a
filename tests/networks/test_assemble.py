"""The assembled classifier is plain Keras: it opens and predicts the same without Handful."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import BackboneError
from handful.networks.weights import Source, locate
from handful.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OPEN = """
import sys
sys.modules["handful"] = None  # any import of it fails
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
assert model.input.dtype == "uint8", model.input.dtype
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
print([layer.name for layer in model.layers], len(model.trainable_variables))
"""


@pytest.fixture
def head() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(0, 0.05, (1280, 4)).astype(np.float32), draw.normal(0, 1, 4).astype(np.float32)


@pytest.mark.slow
def test_it_opens_without_handful_and_computes_the_same(
    keras: Any, source: Source, photos: np.ndarray, head: Any, tmp_path: Path
) -> None:
    from handful.engines.keras_engine import KerasEngine
    from handful.networks.assemble import classifier_model

    model = classifier_model(source, None, *head, name="flowers")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "photos.npy", photos)
    arguments = [tmp_path / name for name in ("model.keras", "photos.npy", "out.npy")]
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *map(str, arguments)], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['pixels', 'as_float', 'backbone', 'head'] 2"
    logits = KerasEngine(source).run(photos) @ head[0] + head[1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert expected.std(axis=0).max() > 0.01
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-4)


def test_its_backbone_holds_the_source_s_weights_bit_for_bit(source: Source, head: Any) -> None:
    import keras

    from handful.networks.assemble import classifier_model

    model = classifier_model(source, 96, *head)
    theirs = keras.applications.MobileNetV2(
        weights=str(source.path), include_top=False, input_shape=(96, 96, 3)
    )
    ours = model.get_layer("backbone").get_weights()
    assert len(ours) == len(theirs.get_weights())
    for mine, original in zip(ours, theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, original)


def test_a_head_for_another_backbone_is_refused(head: Any, keras: Any) -> None:
    from handful.networks.assemble import classifier_model

    with pytest.raises(BackboneError, match=r"shape \(1279, 4\).*embedded needs \(1280, k\)"):
        classifier_model(locate("embedded", speaker=Silent()), 64, head[0][:-1], head[1])
