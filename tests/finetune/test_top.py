"""Training the top: what may move moves, what is frozen stays bit for bit, a run can be taken up again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from handful.backbones import CATALOGUE
from handful.config import Recipe
from handful.networks.quiet import import_keras

keras = import_keras()

from handful.finetune import cuts  # noqa: E402  # Keras is imported quietly first
from handful.finetune.top import Top, order_of_rows, rate_at  # noqa: E402
from handful.networks.build import architecture_model, with_outputs  # noqa: E402

RECIPE = Recipe(steps=8, batch=4, rate=1e-3)
_SIDE, _CLASSES = 64, 3


class Network:
    """MobileNetV2 with random weights and lively batch-norm statistics, and its top."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        core = with_outputs(architecture_model(CATALOGUE["mobilenet_v2"], _SIDE), "tf", "mobilenet_v2")
        rng = np.random.default_rng(0)
        for layer in core._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                shape = layer.gamma.shape
                layer.set_weights([rng.uniform(0.5, 1.5, shape), rng.normal(0, 0.1, shape),
                                   rng.normal(0, 0.1, shape), rng.uniform(0.5, 1.5, shape)])  # fmt: skip
        self.features = core
        self.core = cuts.core_of(core)
        cut = cuts.last_stage(cuts.cuts_of(self.core), int(core.outputs[1].shape[1]))
        assert cut is not None
        self.cut = cut
        self.top = Top(self.core, cut, _CLASSES, RECIPE)
        self.rng = np.random.default_rng(1)
        self.values = self.rng.normal(size=(12, cut.values)).astype(np.float32)
        self.labels = np.arange(12) % _CLASSES
        head = self.rng.normal(0, 0.1, (1280, _CLASSES)).astype(np.float32)
        self.start = self.top.start(head, np.zeros(_CLASSES, np.float32))
        self.top.restore(self.start)

    def weights(self) -> dict[str, np.ndarray]:
        return {str(at): np.array(w.numpy()) for at, w in enumerate(self.features.weights)}

    def train(self, first: int, last: int) -> None:
        chosen, _ = order_of_rows(np.arange(12), 1, RECIPE.steps, RECIPE.batch, 0)
        for step in range(first, last):
            rows = chosen[step]
            self.top.train(self.values[rows], self.labels[rows], np.ones(4, np.float32), step, RECIPE.steps)

    def loss(self) -> float:
        logits = self.top.logits([self.values])
        shifted = logits - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(12), self.labels]).mean())


@pytest.fixture(scope="module")
def built() -> Network:
    return Network()


@pytest.fixture
def network(built: Network) -> Network:
    """The same network for each test, as it was at the start."""
    built.top.restore(built.start)
    return built


def kind_of(network: Network, place: str) -> Any:
    """The layer that a weight belongs to."""
    weight = network.features.weights[int(place)]
    owners = [
        layer
        for layer in network.features._flatten_layers(include_self=False, recursive=True)
        if any(weight is own for own in layer.weights) and not hasattr(layer, "layers")
    ]
    return owners[0]


def test_what_lies_above_the_cut_moves_and_nothing_else(network: Network) -> None:
    before = network.weights()
    network.train(0, RECIPE.steps)
    after = network.weights()
    moved = {place for place in before if not np.array_equal(before[place], after[place])}
    above = {id(weight) for layer in cuts.trained_layers(network.cut).values() for weight in layer.weights}
    expected = {str(at) for at, weight in enumerate(network.features.weights) if id(weight) in above}
    assert moved == expected
    assert len(moved) == 13


def test_batch_norm_stays_as_it_was_bit_for_bit(network: Network) -> None:
    before = network.weights()
    network.train(0, RECIPE.steps)
    after = network.weights()
    norms = [p for p in before if isinstance(kind_of(network, p), keras.layers.BatchNormalization)]
    assert len(norms) == 4 * 52
    assert all(before[place].tobytes() == after[place].tobytes() for place in norms)
    layers = [one for block in network.cut.above for one in block]
    assert not any(one.trainable for one in layers if isinstance(one, keras.layers.BatchNormalization))


def test_the_loss_falls(network: Network) -> None:
    before = network.loss()
    network.train(0, RECIPE.steps)
    assert network.loss() < 0.95 * before


def test_a_run_that_is_taken_up_again_ends_where_the_whole_one_does(network: Network) -> None:
    network.train(0, RECIPE.steps)
    whole = network.top.position(RECIPE.steps, {})
    network.top.restore(network.start)
    network.train(0, 3)
    halfway = network.top.position(3, {})
    network.top.reset()
    network.train(0, 2)  # something else happens meanwhile
    network.top.restore(halfway)
    network.train(3, RECIPE.steps)
    again = network.top.position(RECIPE.steps, {})
    for name in ("variables", "first", "second"):
        pairs = zip(getattr(whole, name), getattr(again, name), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_reset_brings_the_pretrained_weights_back(network: Network) -> None:
    before = network.weights()
    network.train(0, 4)
    network.top.reset()
    after = network.weights()
    assert all(np.array_equal(before[place], after[place]) for place in before)


def test_deeper_blocks_have_a_lower_rate(network: Network) -> None:
    rates = network.top._rates
    assert rates == sorted(rates)
    assert rates[-3:] == [1.0, 1.0, 1.0]  # the last block and the head
    assert rates[0] == pytest.approx(RECIPE.depth_share**4)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = Recipe(steps=100, rate=1.0, warm_up=0.1)
    rates = [rate_at(step, 100, recipe) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert int(np.argmax(rates)) in (9, 10)
    assert rates[10] == pytest.approx(1.0)
    assert all(one > other for one, other in pairwise(rates[10:]))
    assert rates[-1] < 0.001


def test_every_photo_comes_before_any_comes_again_and_in_another_view() -> None:
    rows = np.array([3, 5, 7, 11, 13])
    chosen, views = order_of_rows(rows, 4, 5, 4, seed=0)
    assert chosen.shape == views.shape == (5, 4)
    flat, seen = chosen.ravel(), views.ravel()
    for first in range(0, 20, 5):
        assert sorted(flat[first : first + 5].tolist()) == rows.tolist()
    for row in rows:
        assert sorted(seen[flat == row].tolist()) == [0, 1, 2, 3]
    other, _ = order_of_rows(rows, 4, 5, 4, seed=1)
    assert not np.array_equal(chosen, other)
