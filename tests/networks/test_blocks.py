"""Blocks end where everything above hangs on one map (in NASNet two), in whatever network or nesting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handful.backbones import CATALOGUE
from handful.errors import BackboneError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Architecture: number of blocks, some ends among them, a layer that is none.
_EXPECTED = {
    "mobilenet_v2": (
        18,
        ["expanded_conv_project_BN", "block_3_project_BN", "block_12_add", "out_relu"],
        "block_3_expand_relu",
    ),
    "mobilenet": (14, ["conv1_relu", "conv_pw_6_relu", "conv_pw_13_relu"], "conv_pad_2"),
    "mobilenet_v3_small": (13, ["expanded_conv_project_bn", "expanded_conv_9_add"], "expanded_conv_relu"),
    "vgg16": (13, ["block1_pool", "block3_conv1", "block5_pool"], "block1_conv2"),
    "efficientnet_b0": (17, ["block2a_project_bn", "block7a_project_bn"], "block2a_se_excite"),
    "convnext_tiny": (22, ["add_1", "convnext_tiny_downsampling_conv_0"], "add_2"),
    "nasnet_mobile": (16, ["stem_bn1", "normal_concat_0", "normal_concat_5"], "adjust_bn_1"),
}


@pytest.fixture(scope="module", params=list(_EXPECTED))
def network(request: pytest.FixtureRequest, keras: Any) -> tuple[str, Any]:
    from handful.networks.build import architecture_model

    keras.backend.clear_session()
    return request.param, architecture_model(CATALOGUE[request.param], 64)


def test_blocks_end_where_the_papers_say(network: tuple[str, Any]) -> None:
    from handful.networks.blocks import anatomy

    name, model = network
    count, some, none = _EXPECTED[name]
    found = [block.name for block in anatomy(model).blocks]
    assert len(found) == count
    assert set(some) <= set(found)
    assert none not in found


def test_each_layer_is_in_one_place_and_the_lower_ones_come_first(network: tuple[str, Any]) -> None:
    from handful.networks.blocks import anatomy

    _, model = network
    parts = anatomy(model)
    listed = [*parts.pixels, *(layer for block in parts.blocks for layer in block.layers), *parts.rest]
    assert len({id(layer) for layer in listed}) == len(listed)
    sublayers = {
        id(inner) for layer in model.layers if hasattr(layer, "layers") for inner in layer._flatten_layers()
    }
    leaves = [layer for layer in model.layers if id(layer) not in sublayers]
    assert {id(layer) for layer in leaves if layer.weights} <= {id(layer) for layer in listed}
    assert not any(layer.weights for layer in parts.pixels if layer.name != "normalization")
    assert all(any(layer.weights for layer in block.layers) for block in parts.blocks)


def test_what_lies_above_a_block_needs_nothing_but_its_end(network: tuple[str, Any], keras: Any) -> None:
    from handful.networks.blocks import anatomy

    _, model = network
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    expected = model(pixels, training=False).numpy()
    outer = {id(t) for one in model.operations for node in one._inbound_nodes for t in node.output_tensors}
    # Keras cannot cut the outer graph where a block ends inside a nested model, as ConvNeXt's first does.
    blocks = [block for block in anatomy(model).blocks if all(id(end) in outer for end in block.ends)]
    for block in blocks[2 :: len(blocks) // 3]:
        ends: Any = block.ends[0] if len(block.ends) == 1 else list(block.ends)
        below = keras.Model(model.inputs[0], ends)(pixels, training=False)
        above = keras.Model(ends, model.outputs[0])  # fails where a path leads round the ends
        np.testing.assert_allclose(above(below, training=False), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def base(keras: Any) -> Any:
    return keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))


def _names(model: Any) -> list[str]:
    from handful.networks.blocks import anatomy

    return [block.name for block in anatomy(model).blocks]


def test_nested_models_are_looked_into(keras: Any, base: Any) -> None:
    from handful.networks.blocks import anatomy

    layers = keras.layers
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    head = keras.Sequential([layers.Dropout(0.2), layers.Dense(3)])
    pixels = keras.Input((32, 32, 3))
    scaled = keras.applications.mobilenet_v2.preprocess_input(augment(pixels))
    pooled = layers.GlobalAveragePooling2D()(base(scaled, training=False))
    parts = anatomy(keras.Model(pixels, head(pooled)))
    assert [block.name for block in parts.blocks] == _names(base)
    kinds = [type(layer).__name__ for layer in parts.pixels]
    assert kinds == ["InputLayer", "RandomFlip", "RandomRotation"]
    assert [type(layer).__name__ for layer in parts.rest] == ["GlobalAveragePooling2D", "Dropout", "Dense"]


def test_a_sequential_model_has_the_blocks_of_what_is_in_it(keras: Any, base: Any) -> None:
    layers = [keras.layers.Rescaling(1 / 127.5, -1), base, keras.layers.Flatten(), keras.layers.Dense(3)]
    assert _names(keras.Sequential([keras.Input((32, 32, 3)), *layers])) == _names(base)


def test_what_reorders_colours_is_no_block(keras: Any) -> None:
    from handful.networks.blocks import anatomy
    from handful.networks.build import with_outputs

    bare = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3), keras.layers.Conv2D(8, 3)])
    parts = anatomy(with_outputs(bare, "caffe", "bare"))
    assert "preprocess_caffe" in [layer.name for layer in parts.pixels]
    assert len(parts.blocks) == 2


def test_a_layer_used_twice_belongs_where_it_is_used_first(keras: Any) -> None:
    from handful.networks.blocks import anatomy

    twice = keras.layers.Conv2D(8, 3, padding="same")
    pixels = keras.Input((8, 8, 3))
    low = keras.layers.Conv2D(8, 3)(pixels)
    parts = anatomy(keras.Model(pixels, twice(keras.layers.ReLU()(twice(low)))))
    assert [[layer is twice for layer in block.layers].count(True) for block in parts.blocks] == [0, 1, 0]


def test_a_network_without_blocks_has_none(keras: Any) -> None:
    from handful.networks.blocks import anatomy

    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    parts = anatomy(flat)
    assert parts.blocks == ()
    assert [type(layer).__name__ for layer in parts.rest] == ["Flatten", "Dense"]


def test_models_without_a_graph_are_refused(keras: Any) -> None:
    from handful.networks.blocks import anatomy

    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(BackboneError, match=r"Own 'own'.*subclass.*keras.Model\(inputs, outputs\)"):
        anatomy(Own())
    with pytest.raises(BackboneError, match=r"not built.*keras.Input"):
        anatomy(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(BackboneError, match="a list; expected a functional"):
        anatomy([])  # pyright: ignore[reportArgumentType] - the mistake that is tested
