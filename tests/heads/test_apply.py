"""The new layer gives a photo the same answer whoever applies it, alone or in company."""

from __future__ import annotations

import numpy as np

from handful.heads.apply import apply_head


def test_rows_are_probabilities_and_do_not_depend_on_their_company() -> None:
    rng = np.random.default_rng(0)
    features, weights = (rng.normal(0, 3, shape).astype(np.float32) for shape in ((7, 50), (50, 3)))
    bias = np.array([0.5, -1, 0], dtype=np.float32)
    together = apply_head(features, weights, bias)
    assert together.dtype == np.float32
    assert np.allclose(together.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(np.concatenate([apply_head(row[None], weights, bias) for row in features]), together)


def test_a_layer_of_zeros_says_what_its_bias_says() -> None:
    bias = np.log(np.array([0.2, 0.3, 0.5], dtype=np.float32))
    found = apply_head(np.ones((2, 4), np.float32), np.zeros((4, 3), np.float32), bias)
    assert np.allclose(found, [[0.2, 0.3, 0.5]] * 2)
