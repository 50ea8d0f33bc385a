"""The loss follows from the labels and the head; labels that do not go with the head are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handful.errors import BackboneError, ConfigError, DataError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _model(keras: Any, units: int, activation: str | None) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(units, activation),
        ]
    )


_COLUMNS = np.eye(3)[[0, 2, 1]]
_SEVERAL = np.array([[1, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("units", "activation", "labels", "kind", "loss"),
    [
        (3, "softmax", np.array([0, 2, 1]), "sparse", "SparseCategoricalCrossentropy"),
        (3, "softmax", np.array([[0], [2]], np.float32), "sparse", "SparseCategoricalCrossentropy"),
        (3, "softmax", _COLUMNS, "categorical", "CategoricalCrossentropy"),
        (3, "softmax", _COLUMNS * 0.9 + 0.1 / 3, "categorical", "CategoricalCrossentropy"),
        (3, "softmax", None, "sparse", "SparseCategoricalCrossentropy"),
        (2, "softmax", np.array([[0.0], [1.0]]), "sparse", "SparseCategoricalCrossentropy"),
        (1, "sigmoid", np.array([0, 1]), "binary", "BinaryCrossentropy"),
        (1, "sigmoid", None, "binary", "BinaryCrossentropy"),
        (3, "sigmoid", _SEVERAL, "binary", "BinaryCrossentropy"),
        (3, None, "categorical", "categorical", "CategoricalCrossentropy"),
    ],
)
def test_the_loss_follows_from_labels_and_head(
    units: int, activation: str | None, labels: Any, kind: str, loss: str, keras: Any
) -> None:
    from handful.networks.objective import objective

    found = objective(_model(keras, units, activation), labels)
    assert (found.kind, type(found.loss).__name__) == (kind, loss)
    assert found.accuracy.name == "accuracy"


@pytest.mark.parametrize(("units", "labels"), [(1, [[1], [0], [0]]), (3, [0, 2, 1]), (3, _COLUMNS)])
def test_logits_and_probabilities_have_the_same_loss_and_accuracy(
    units: int, labels: Any, keras: Any
) -> None:
    from handful.networks.objective import objective

    truth = np.array(labels)
    logits = np.random.default_rng(1).normal(0, 3, (3, units)).astype(np.float32)
    ending = "sigmoid" if units == 1 else "softmax"
    probabilities = keras.ops.convert_to_numpy(getattr(keras.activations, ending)(logits))
    of_logits, of_chances = (objective(_model(keras, units, name), truth) for name in (None, ending))
    for measure in ("loss", "accuracy"):
        found = float(getattr(of_logits, measure)(truth, logits))
        assert found == pytest.approx(float(getattr(of_chances, measure)(truth, probabilities)), 1e-4)


def test_the_first_batch_of_a_dataset_is_read(keras: Any) -> None:
    import tensorflow as tf

    from handful.networks.objective import objective

    photos = np.zeros((4, 8, 8, 3), np.uint8)
    data = tf.data.Dataset.from_tensor_slices((photos, np.eye(2)[[0, 1, 1, 0]])).batch(2)
    assert objective(_model(keras, 2, "softmax"), data).kind == "categorical"
    with pytest.raises(DataError, match=r"gives EagerTensor; expected \(photos, labels\).*sparse"):
        objective(_model(keras, 2, "softmax"), tf.data.Dataset.from_tensor_slices(photos))


@pytest.mark.parametrize(
    ("units", "activation", "labels", "message"),
    [
        (3, "softmax", [0, 5, 7], r"labels hold 5, 7; expected whole numbers from 0 to 2.*replace_head"),
        (3, "softmax", [-1, 0], "labels hold -1;"),
        (3, "softmax", [0.5, 1], "labels hold 0.5;"),
        (3, "softmax", np.zeros((4, 5)), r"shape \(4, 5\), and the head gives 3.*replace_head\(model, 5\)"),
        (3, "softmax", np.zeros((4, 2, 3)), r"shape \(4, 2, 3\)"),
        (3, "softmax", ["a", "b"], r"labels are str.*for example \['a'\]; expected numbers"),
        (3, "softmax", _SEVERAL, "'binary'.*3 units with 'softmax'; expected 'sigmoid'"),
        (1, "sigmoid", [0, 2], "labels hold 2; expected whole numbers from 0 to 1"),
        (1, "sigmoid", "sparse", "'sparse'.*1 units with 'sigmoid'; expected 'softmax' or logits from two"),
        (3, "relu", None, "'relu'; expected 'softmax'"),
    ],
)
def test_labels_that_do_not_go_with_the_head_are_refused(
    units: int, activation: str, labels: Any, message: str, keras: Any
) -> None:
    from handful.networks.objective import objective

    with pytest.raises(DataError, match=message):
        objective(_model(keras, units, activation), labels)


def test_another_word_is_refused(keras: Any) -> None:
    from handful.networks.objective import objective

    with pytest.raises(ConfigError, match="labels is 'onehot'; expected 'sparse', 'categorical', 'binary'"):
        objective(_model(keras, 3, "softmax"), "onehot")


def test_a_model_without_a_head_is_refused(keras: Any) -> None:
    from handful.networks.objective import objective

    whole = _model(keras, 3, "softmax")
    for cut in (1, 2):
        bare = keras.Sequential([keras.Input((8, 8, 3)), *whole.layers[:cut]])
        with pytest.raises(BackboneError, match=r"has no head; expected one output.*steps\.replace_head"):
            objective(bare, None)
