"""Cuts: what lies below and what lies above are together the whole network, for every architecture."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from handful.backbones import CATALOGUE, EMBEDDED
from handful.finetune.material import Material
from handful.networks.quiet import import_keras

keras = import_keras()

from handful.finetune import cuts  # noqa: E402  # Keras is imported quietly first
from handful.networks.build import architecture_model, feature_model, with_outputs  # noqa: E402

_SMALL = 8.0  # millions of weights: larger ones take seconds each to build
_SIDE = 128  # pixels: enough for several sizes of map


def _entries() -> Iterator[Any]:
    """The smallest of each family at once, the others marked as slow."""
    seen: set[str] = set()
    for name, entry in sorted(CATALOGUE.items(), key=lambda item: item[1].millions):
        slow = entry.module in seen or entry.millions > _SMALL
        seen.add(entry.module)
        yield pytest.param(name, marks=[pytest.mark.slow] if slow else [])


def _network(name: str) -> Any:
    entry = CATALOGUE[name]
    keras.utils.set_random_seed(0)
    return with_outputs(architecture_model(entry, _SIDE), entry.preprocessing, name)


@pytest.fixture(autouse=True)
def _free_memory() -> Iterator[None]:
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize("name", list(_entries()))
def test_trunk_and_top_are_the_network(name: str) -> None:
    features = _network(name)
    core = cuts.core_of(features)
    found = cuts.cuts_of(core)
    cut = cuts.last_stage(found, int(features.outputs[1].shape[1]))
    assert cut is not None
    assert 2 <= cut.blocks <= len(found)
    assert (
        0.02
        < sum(_size(layer) for layer in cuts.trained_layers(cut).values()) / features.count_params()
        < 0.95
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, _SIDE, _SIDE, 3)).astype(np.float32)
    values = cuts.trunk_model(core, cut)(pixels, training=False).numpy()
    assert values.shape == (2, cut.values)
    parts = np.split(values, np.cumsum([int(np.prod(shape)) for shape in cut.shapes])[:-1], axis=1)
    maps = [part.reshape(2, *shape) for part, shape in zip(parts, cut.shapes, strict=True)]
    whole = features(pixels, training=False)[0].numpy()
    assert np.ptp(whole, axis=0).max() > 0
    above = cuts.top_model(core, cut)(maps, training=False).numpy()
    np.testing.assert_allclose(above, whole, rtol=1e-4, atol=1e-5)


def _size(layer: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in layer.weights)


def test_mobilenet_v2_is_cut_behind_its_block_12() -> None:
    features = _network("mobilenet_v2")
    found = cuts.cuts_of(cuts.core_of(features))
    cut = cuts.last_stage(found, int(features.outputs[1].shape[1]))
    assert cut is not None
    assert (cut.layer, cut.blocks) == ("block_12_add", 5)
    below = cuts.deeper(found, cut)
    assert below is not None
    assert below.blocks == 7
    assert [one.blocks for one in found] == sorted((one.blocks for one in found), reverse=True)


def test_there_is_an_end_to_going_deeper() -> None:
    found = cuts.cuts_of(cuts.core_of(_network("mobilenet_v2")))
    depths = [found[-1].blocks]
    cut = found[-1]
    while (below := cuts.deeper(found, cut)) is not None:
        assert below.blocks > cut.blocks
        cut = below
        depths.append(cut.blocks)
    assert depths[-1] >= 2 * len(found) // 3


def test_the_embedded_backbone_can_be_cut(material: Material) -> None:
    features = feature_model(material.frozen.source)
    cut = cuts.last_stage(cuts.cuts_of(cuts.core_of(features)), int(features.outputs[1].shape[1]))
    assert cut is not None
    assert cut.blocks >= 2
    assert material.frozen.source.architecture == EMBEDDED.name


def test_a_network_without_blocks_is_not_cut() -> None:
    pixels = keras.Input((32, 32, 3))
    spatial = keras.layers.Conv2D(4, 3)(pixels)
    model = keras.Model(pixels, [keras.layers.GlobalAveragePooling2D()(spatial), spatial])
    assert cuts.last_stage(cuts.cuts_of(cuts.core_of(model)), 30) is None
