"""A frozen Keras model with its preprocessing inside, equal to the documented call, from any kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import BackboneError
from handful.networks.weights import Source, locate
from handful.progress import Silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def build(keras: Any) -> Callable[..., Any]:
    from handful.networks.build import feature_model

    return feature_model


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Source]:
    """Save a Keras model and locate it."""

    def save(model: Any, **options: Any) -> Source:
        path = tmp_path / "local.keras"
        model.save(path)
        return locate(str(path), speaker=Silent(), **options)

    return save


def _weights_by_name(model: Any) -> dict[str, np.ndarray]:
    """Give {"layer/kind": values}."""
    found: dict[str, np.ndarray] = {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            found[f"{layer.name}/{variable.name}"] = variable.numpy()
    return found


def test_real_features_equal_the_documented_call(
    keras: Any, source: Source, photos: np.ndarray, build: Callable[..., Any]
) -> None:
    theirs = keras.applications.MobileNetV2(
        weights=str(source.path), include_top=False, pooling="avg", input_shape=(224, 224, 3)
    )
    prepared = keras.applications.mobilenet_v2.preprocess_input(photos.astype(np.float32))
    expected = theirs(prepared, training=False).numpy()
    pooled, spatial = build(source)(photos.astype(np.float32), training=False)
    assert expected.std(axis=0).mean() > 0.1
    np.testing.assert_allclose(pooled.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(spatial.numpy().mean(axis=(1, 2)), expected, atol=1e-4)
    assert spatial.shape == (6, 7, 7, 1280)


def test_the_backbone_holds_the_weights_of_the_file_bit_for_bit(
    source: Source, build: Callable[..., Any]
) -> None:
    import h5py

    found = _weights_by_name(build(source))
    with h5py.File(source.path) as opened:
        file: Any = opened  # h5py's types do not tell a group from a dataset
        names = [(layer, str(name)) for layer in file for name in file[layer].attrs["weight_names"]]
        assert len(names) == len(found) > 250
        for layer, name in names:
            kind = name.rpartition("/")[2].removesuffix(":0")
            kind = {"depthwise_kernel": "kernel"}.get(kind, kind)
            np.testing.assert_array_equal(file[layer][name][()], found[f"{layer}/{kind}"], err_msg=name)


def test_everything_is_frozen_and_stays_so_when_a_wrapper_is_trained(
    keras: Any, source: Source, photos: np.ndarray, build: Callable[..., Any]
) -> None:
    model = build(source, 96)
    assert not model.trainable_variables
    norms = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 52
    assert not any(norm.trainable for norm in norms)
    before = [norm.moving_mean.numpy() for norm in norms]
    model(photos[:, :96, :96].astype(np.float32), training=True)
    for norm, mean in zip(norms, before, strict=True):
        np.testing.assert_array_equal(norm.moving_mean.numpy(), mean)


def test_uint8_pixels_give_the_same_as_float32(
    source: Source, photos: np.ndarray, build: Callable[..., Any]
) -> None:
    model = build(source, 96)
    pixels = np.ascontiguousarray(photos[:2, :96, :96])
    np.testing.assert_array_equal(model(pixels)[0], model(pixels.astype(np.float32))[0])


def test_the_user_s_keras_settings_do_not_matter(
    keras: Any, source: Source, build: Callable[..., Any]
) -> None:
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(source, 96)
        assert model.outputs[1].shape == (None, 3, 3, 1280)
        assert model.outputs[0].dtype == "float32"
        assert keras.config.image_data_format() == "channels_first"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("size", "cells"), [(None, 5), (64, 2), (160, 5)])
def test_the_embedded_backbone_gives_vector_and_map_at_any_size(
    size: int | None, cells: int, build: Callable[..., Any]
) -> None:
    model = build(locate("embedded", size=size, speaker=Silent()))
    assert [output.shape for output in model.outputs] == [(None, 1280), (None, cells, cells, 1280)]


def test_a_local_network_that_ends_in_a_map_is_pooled(
    small_model: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    model = build(saved(small_model))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    expected = small_model(pixels, training=False).numpy()
    pooled, spatial = model(pixels)
    np.testing.assert_array_equal(spatial, expected)
    np.testing.assert_allclose(pooled, expected.mean(axis=(1, 2)), atol=1e-6)
    assert pooled.numpy().std() > 1e-3


def test_a_classifier_at_the_end_is_cut_off(
    keras: Any, small_model: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    from handful.networks.build import notes_on

    layers = keras.layers
    ends = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(5, "softmax")]
    whole = keras.Sequential([*small_model.layers, *ends])
    whole.build((None, 32, 32, 3))
    source = saved(whole)
    assert notes_on(source) == ("the classifier of the file was cut off",)
    assert [output.shape for output in build(source).outputs] == [(None, 8), (None, 4, 4, 8)]


def test_a_flattening_network_gives_its_vector(
    keras: Any, small_model: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    flat = keras.Sequential([keras.Input((32, 32, 3)), *small_model.layers, keras.layers.Flatten()])
    source = saved(flat)
    assert [output.shape for output in build(source).outputs] == [(None, 128), (None, 4, 4, 8)]


@pytest.mark.parametrize(
    ("preprocessing", "expected"), [("unit", 1.0), ("tf", 1.0), ("inside", 255.0), ("caffe", 151.061)]
)
def test_the_preprocessing_asked_for_precedes_a_bare_network(
    preprocessing: str, expected: float, keras: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    bare = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.MaxPooling2D(8)])
    pooled = build(saved(bare, preprocessing=preprocessing))(np.full((1, 8, 8, 3), 255, np.float32))[0]
    assert pooled.numpy().max() == pytest.approx(expected, abs=1e-4)


def test_grey_networks_are_refused(
    keras: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    grey = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(BackboneError, match=r"input of shape \(8, 8, 1\).*\(h, w, 3\)"):
        build(saved(grey, preprocessing="inside"))


def test_a_network_with_two_outputs_is_refused(
    keras: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    pixels = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(2, 3)(pixels)
    both = keras.Model(pixels, [maps, keras.layers.ReLU()(maps)])
    with pytest.raises(BackboneError, match="1 inputs and 2 outputs"):
        build(saved(both, preprocessing="inside"))


def test_a_network_that_gives_a_sequence_is_refused(
    keras: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    odd = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Reshape((64, 3))])
    with pytest.raises(BackboneError, match=r"output of shape \(64, 3\)"):
        build(saved(odd, preprocessing="inside"))


def test_a_network_of_fixed_size_refuses_another(
    keras: Any, saved: Callable[..., Source], build: Callable[..., Any]
) -> None:
    layers = keras.layers
    fixed = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(4), layers.ReLU()])
    with pytest.raises(BackboneError, match=r"takes only pixels of 8 x 8, not 16 x 16.*Leave --size out"):
        build(saved(fixed, preprocessing="inside", size=16))


def test_local_weights_of_an_architecture_give_the_same_features(
    keras: Any, source: Source, photos: np.ndarray, tmp_path: Path, build: Callable[..., Any]
) -> None:
    whole = keras.applications.MobileNetV2(
        weights=str(source.path), include_top=False, input_shape=(96, 96, 3)
    )
    path = tmp_path / "mine.weights.h5"
    whole.save_weights(path)
    local = locate(str(path), architecture="mobilenet_v2", size=96, speaker=Silent())
    pixels = photos[:2, :96, :96].astype(np.float32)
    np.testing.assert_array_equal(build(local)(pixels)[0], build(source, 96)(pixels)[0])


def test_weights_of_another_architecture_are_refused(source: Source, build: Callable[..., Any]) -> None:
    wrong = locate(str(source.path), architecture="vgg16", size=32, speaker=Silent())
    with pytest.raises(BackboneError, match="are not those of vgg16 without its classifier"):
        build(wrong)


def test_a_network_that_scales_inside_cannot_be_told_otherwise(
    source: Source, build: Callable[..., Any]
) -> None:
    wrong = locate(
        str(source.path), architecture="efficientnet_b0", preprocessing="tf", size=32, speaker=Silent()
    )
    with pytest.raises(BackboneError, match=r"scales its pixels inside.*Leave --preprocessing out"):
        build(wrong)


def test_weights_that_are_gone_are_named(source: Source, build: Callable[..., Any]) -> None:
    from dataclasses import replace

    with pytest.raises(BackboneError, match="weights of mobilenet_v2 are no longer on disk"):
        build(replace(source, path=None))
