"""Our network and the documented Keras call are the same, for every entry of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest

from handful.backbones import CATALOGUE, Backbone

# Keras 3.15 reads its own variables with np.array(), which NumPy 2 warns about.
# It also says which file it takes for sizes other than 224; that file is the one we name.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square:UserWarning"),
]

# Larger ones share their code with a smaller sister; the script runs them too (docs/catalogue.md).
COMPARED = [backbone for backbone in CATALOGUE.values() if backbone.millions < 29]
QUICK = {"mobilenet_v2", "efficientnet_b0"}
SMALL = 96  # pixels: enough for every entry (Inception needs 75)
# At 96 pixels its last maps have one cell, and statistics of six numbers raise rounding to 1 %.
LESS_SMALL = {"inception_v3": 192, "inception_resnet_v2": 192}


def _named(backbones: list[Backbone], quick: set[str]) -> list[Any]:
    marks = {True: (), False: (pytest.mark.slow,)}
    return [pytest.param(entry, id=entry.name, marks=marks[entry.name in quick]) for entry in backbones]


@pytest.fixture
def zeros(keras: Any) -> Iterator[None]:
    """Start all weights at zero: drawing hundreds of millions of numbers takes minutes."""
    drawing = [
        getattr(keras.initializers, name)
        for name in ("GlorotUniform", "VarianceScaling", "HeNormal", "TruncatedNormal", "RandomNormal")
    ]

    def zeros(self: Any, shape: Any, dtype: Any = None, **_: Any) -> Any:
        return keras.ops.zeros(shape, dtype=dtype or "float32")

    patches = [mock.patch.object(kind, "__call__", zeros) for kind in drawing]
    for patch in patches:
        patch.start()
    yield
    for patch in patches:
        patch.stop()
    keras.backend.clear_session()


@pytest.mark.parametrize("backbone", _named(list(CATALOGUE.values()), {"mobilenet_v2", "vgg16"}))
@pytest.mark.usefixtures("zeros")
def test_keras_asks_for_the_file_we_name(backbone: Backbone, parity: ModuleType, keras: Any) -> None:
    build = getattr(keras.applications, backbone.keras_name)
    shape = (backbone.size, backbone.size, 3)
    with parity.keras_asks(Path("none.h5")) as asked:
        model = build(weights="imagenet", include_top=False, pooling="avg", input_shape=shape)
    assert [(one["name"], one["origin"], one.get("file_hash")) for one in asked] == [
        (backbone.weights_file, backbone.weights_url, backbone.weights_hash)
    ]
    assert asked[0]["cache_subdir"] == "models"
    assert model.output_shape == (None, backbone.feature_dim)
    assert model.count_params() / 1e6 == pytest.approx(backbone.millions, abs=0.005)


def test_every_network_of_keras_is_in_the_catalogue(keras: Any) -> None:
    names = {name for name in dir(keras.applications) if name[0].isupper()}
    assert names == {backbone.keras_name for backbone in CATALOGUE.values()}


@pytest.mark.parametrize("backbone", CATALOGUE.values(), ids=lambda backbone: backbone.name)
def test_pixels_are_scaled_as_keras_does(backbone: Backbone, parity: ModuleType, keras: Any) -> None:
    from handful.networks.build import preprocess

    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3)).astype(np.float32)
    expected = parity.preprocess_input(backbone, pixels)
    if backbone.preprocessing == "inside":
        np.testing.assert_array_equal(expected, pixels)
        return
    entry = keras.Input((5, 5, 3))
    ours = keras.Model(entry, preprocess(entry, backbone.preprocessing))(pixels).numpy()
    # float32 rounding of values up to 152: ours multiplies and adds where Keras divides and subtracts
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize("backbone", _named(COMPARED, QUICK))
def test_features_equal_the_documented_call(backbone: Backbone, parity: ModuleType, tmp_path: Path) -> None:
    convert = backbone.name in QUICK
    size = LESS_SMALL.get(backbone.name, SMALL)
    record = parity.compare(backbone, size, tmp_path, convert=convert)
    assert record["variation"] > 0.03  # a network with constant output would agree with anything
    assert record["keras_difference"] < 2e-3  # of the features' deviation; float32 through up to 400 layers
    if convert:
        assert record["litert"]
        assert record["litert_difference"] < 1e-3


def test_efficientnet_at_its_own_size_equals_the_documented_call(parity: ModuleType, tmp_path: Path) -> None:
    backbone = CATALOGUE["efficientnet_b0"]
    record = parity.compare(backbone, backbone.size, tmp_path, convert=False)
    assert record["keras_difference"] < 1e-4


def test_a_comparison_notices_a_missing_layer(parity: ModuleType, tmp_path: Path) -> None:
    """EfficientNet without the rescaling that only `weights="imagenet"` adds must not pass."""
    with mock.patch("handful.networks.build._with_imagenet_rescaling", lambda model: model):
        record = parity.compare(CATALOGUE["efficientnet_b0"], SMALL, tmp_path, convert=False)
    assert record["keras_difference"] > 0.01
