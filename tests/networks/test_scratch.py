"""A small network trained from nothing: it learns, it starts afresh in every fold, and it repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from handful.networks.scratch import cross_train

N = 40


def striped() -> tuple[np.ndarray, np.ndarray]:
    """Stripes across for class 0, down for class 1, on noise: the mean colour says nothing."""
    random = np.random.default_rng(0)
    labels = np.arange(N) % 2
    pixels = random.integers(0, 60, (N, 16, 16, 3)).astype(np.uint8)
    pixels[labels == 0, ::4] += 180
    pixels[labels == 1, :, ::4] += 180
    return pixels, labels


@pytest.fixture(scope="module")
def learned() -> np.ndarray:
    pixels, labels = striped()
    return cross_train(pixels, labels, np.arange(N) // 2 % 4, classes=2, seed=0, steps=100)


@pytest.mark.slow
def test_it_learns_what_only_the_pattern_tells(learned: np.ndarray) -> None:
    assert (learned == striped()[1]).mean() > 0.9


@pytest.mark.slow
def test_labels_of_a_fold_do_not_reach_its_own_predictions(learned: np.ndarray) -> None:
    pixels, labels = striped()
    folds = np.arange(N) // 2 % 4
    changed = np.where(folds == 3, 1 - labels, labels)
    other = cross_train(pixels, changed, folds, classes=2, seed=0, steps=100)
    assert np.array_equal(other[folds == 3], learned[folds == 3])


def test_labels_that_say_nothing_are_not_learned_whatever_the_number_of_steps() -> None:
    pixels, _ = striped()
    labels = np.random.default_rng(5).permutation(N) % 2
    found = cross_train(pixels, labels, np.arange(N) % 2, classes=2, seed=0, steps=31)
    assert set(found) <= {0, 1}
    assert 0.2 < (found == labels).mean() < 0.8  # four standard deviations would be 0.32
