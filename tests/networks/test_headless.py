"""The head is cut off wherever it lies, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handful.errors import BackboneError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


def _cut(keras: Any, model: Any) -> tuple[Any, tuple[str, ...]]:
    """The model cut below its head, and what was cut off."""
    from handful.networks.headless import pooled_features

    features, names = pooled_features(model)
    return keras.Model(model.inputs[0], features), names


def test_dense_layers_above_the_pooling_are_cut_off(keras: Any, small_model: Any, pixels: np.ndarray) -> None:
    layers = keras.layers
    ends = [layers.GlobalMaxPooling2D(), layers.Dense(9, "relu", name="hidden"), layers.Dropout(0.5)]
    model = keras.Sequential([*small_model.layers, *ends, layers.Dense(5, "softmax", name="classes")])
    model.build((None, 32, 32, 3))
    below, names = _cut(keras, model)
    assert names == ("classes", ends[2].name, "hidden")
    expected = small_model(pixels).numpy().max(axis=(1, 2))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(below(pixels), expected, atol=1e-6)


def test_a_head_inside_a_nested_model_is_cut_off(keras: Any, pixels: np.ndarray) -> None:
    whole = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=7)
    outer = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(outer)
    below, names = _cut(keras, keras.Model(outer, whole(scaled)))
    assert names == ("predictions",)
    pooled = keras.Model(whole.inputs[0], whole.layers[-2].output)
    np.testing.assert_allclose(below(pixels), pooled(pixels / 127.5 - 1), rtol=1e-4, atol=1e-6)


def test_a_nested_model_that_is_the_head_is_cut_off(keras: Any, small_model: Any, pixels: np.ndarray) -> None:
    layers = keras.layers
    head = keras.Sequential([keras.Input((8,)), layers.Dropout(0.2), layers.Dense(4, name="classes")])
    outer = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(small_model(outer))
    below, names = _cut(keras, keras.Model(outer, layers.Softmax(name="softmax")(head(pooled))))
    assert names == ("softmax", "classes", head.layers[0].name)
    np.testing.assert_allclose(below(pixels), small_model(pixels).numpy().mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV3Small"])
def test_convolutions_that_classify_a_pooled_map_are_cut_off(keras: Any, name: str) -> None:
    whole = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=7)
    below, names = _cut(keras, whole)
    assert len(names) >= 4
    # What classifies is gone, and nothing that include_top=False has.
    bare = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
    assert below.output_shape == (None, bare.output_shape[-1])
    assert below.count_params() == bare.count_params()


def test_a_flattened_map_is_pooled_instead(keras: Any, small_model: Any, pixels: np.ndarray) -> None:
    layers = keras.layers
    model = keras.Sequential([*small_model.layers, layers.Flatten(), layers.Dense(3, "softmax")])
    model.build((None, 32, 32, 3))
    below, _ = _cut(keras, model)
    np.testing.assert_allclose(below(pixels), small_model(pixels).numpy().mean(axis=(1, 2)), atol=1e-6)


def test_a_map_is_pooled_and_nothing_cut_off(keras: Any, small_model: Any, pixels: np.ndarray) -> None:
    below, names = _cut(keras, small_model)
    assert names == ()
    np.testing.assert_allclose(below(pixels), small_model(pixels).numpy().mean(axis=(1, 2)), atol=1e-6)


def test_what_no_head_follows_stays_as_it_is(keras: Any, small_model: Any) -> None:
    ends = [
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.LayerNormalization(),
        keras.layers.Dropout(0.2),
    ]
    model = keras.Sequential([*small_model.layers, *ends])
    model.build((None, 32, 32, 3))
    below, names = _cut(keras, model)
    assert names == ()
    assert [type(layer).__name__ for layer in below.layers[-3:]] == [type(layer).__name__ for layer in ends]


def test_a_model_that_is_all_head_is_refused(keras: Any) -> None:
    from handful.networks.headless import pooled_features

    layers = [keras.layers.Flatten(name="flat"), keras.layers.Dense(3, name="classes")]
    with pytest.raises(BackboneError, match=r"Nothing is left.*\(classes, flat\).*convolutions"):
        pooled_features(keras.Sequential([keras.Input((8, 8, 3)), *layers]))


def test_two_outputs_are_refused(keras: Any, small_model: Any) -> None:
    from handful.networks.headless import pooled_features

    both = keras.Model(small_model.inputs, [small_model.outputs[0], small_model.layers[0].output])
    with pytest.raises(BackboneError, match=r"2 outputs; a head needs one.*keras.Model"):
        pooled_features(both)


def test_features_of_a_strange_shape_are_refused(keras: Any) -> None:
    from handful.networks.headless import pooled_features

    odd = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Reshape((2, 2, 2, 24))])
    with pytest.raises(BackboneError, match=r"shape \(None, 2, 2, 2, 24\).*vector \(b, d\) or a map"):
        pooled_features(odd)
