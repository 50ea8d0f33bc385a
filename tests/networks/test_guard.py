"""Guard stops `fit` when something frozen moved, augmentation repeats itself, or photos are on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from handful.errors import ConfigError, DataError, HandfulError

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings(
        "ignore:`shuffle=True` was passed:UserWarning"
    ),  # Keras says so of any tf.data
]


@pytest.fixture
def guard() -> Callable[..., Any]:
    from handful.networks.guard import Guard

    return Guard


@pytest.fixture
def data(keras: Any) -> Any:
    """Twelve noisy photos with labels, in batches of 4."""
    import tensorflow as tf

    photos = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    return tf.data.Dataset.from_tensor_slices((photos, np.arange(12) % 2)).batch(4)


@pytest.fixture
def model(keras: Any) -> Any:
    """A small network, compiled, in which everything can move."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    base = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, name="low"), layers.BatchNormalization(name="norm")],
        name="base",
    )
    x = layers.GlobalAveragePooling2D()(base(layers.Rescaling(1 / 255)(pixels), training=False))
    whole = keras.Model(pixels, layers.Dense(2, "softmax", name="head")(x))
    whole.compile("adam", "sparse_categorical_crossentropy")
    return whole


def _flip(keras: Any, data: Any, **options: Any) -> Any:
    flip, turn = keras.layers.RandomFlip(**options), keras.layers.RandomRotation(0.2, **options)
    return data.map(lambda x, y: (turn(flip(x, training=True), training=True), y))


def test_a_sound_fit_passes(keras: Any, guard: Any, data: Any, model: Any) -> None:
    for layer in model.get_layer("base").layers:
        layer.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    other = data.map(lambda x, y: (255 - x, y))
    watch = guard(training=data, validation=other, augmented=_flip(keras, data))
    history = model.fit(_flip(keras, data), validation_data=other, epochs=2, verbose=0, callbacks=[watch])
    assert len(history.history["loss"]) == 2


def test_batch_norm_believed_frozen_is_caught(guard: Any, data: Any, model: Any) -> None:
    with pytest.raises(
        HandfulError, match=r"Epoch 1 moved 2 .*norm/moving_mean.*training=False.*steps\.unfreeze"
    ):
        model.fit(data, verbose=0, callbacks=[guard()])


def test_batch_norm_of_the_head_is_the_user_s(keras: Any, guard: Any, data: Any, small_model: Any) -> None:
    layers = keras.layers
    small_model.trainable = False
    pooled = layers.GlobalAveragePooling2D()(small_model.outputs[0])
    model = keras.Model(small_model.inputs[0], layers.Dense(2)(layers.BatchNormalization(name="own")(pooled)))
    model.compile("sgd", "mse")
    before = model.get_layer("own").moving_mean.numpy()
    wide = data.map(lambda x, y: (keras.ops.image.resize(x, (32, 32)), keras.ops.one_hot(y, 2)))
    model.fit(wide, verbose=0, callbacks=[guard()])
    assert not np.array_equal(model.get_layer("own").moving_mean.numpy(), before)


def test_a_stale_compile_is_caught(guard: Any, data: Any, model: Any) -> None:
    model.get_layer("base").get_layer("norm").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data, verbose=0)
    model.get_layer("base").get_layer("low").trainable = False  # and not compiled again
    with pytest.raises(
        HandfulError, match=r"moved 2 .*low/(kernel|bias).*frozen after the model was compiled"
    ):
        model.fit(data, verbose=0, callbacks=[guard()])


def test_a_model_without_a_graph_is_watched_too(keras: Any, guard: Any, data: Any, model: Any) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def call(self, x: Any, training: bool | None = None) -> Any:
            return self.inner(x, training=training)

    own = Own()
    own.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(HandfulError, match="norm/moving_mean"):
        own.fit(data, verbose=0, callbacks=[guard()])


def test_a_photo_on_both_sides_is_caught_whatever_the_order(guard: Any, data: Any, model: Any) -> None:
    shared = data.unbatch().skip(7).take(2).map(lambda x, y: (255 - x, y)).concatenate(data.unbatch().take(1))
    with pytest.raises(DataError, match=r"1 of 3 validation photos are training photos too.*number 3.*split"):
        model.fit(data, verbose=0, callbacks=[guard(training=data.shuffle(3), validation=shared.batch(2))])


def test_photos_alone_and_as_float_are_compared_too(keras: Any, guard: Any, data: Any, model: Any) -> None:
    floats = data.map(lambda x, y: keras.ops.cast(x, "float32")).unbatch()
    with pytest.raises(DataError, match="12 of 12"):
        model.fit(data, verbose=0, callbacks=[guard(training=data, validation=floats)])


def test_augmentation_frozen_by_a_cache_is_caught(keras: Any, guard: Any, data: Any, model: Any) -> None:
    frozen = _flip(keras, data).cache().shuffle(3)
    with pytest.raises(DataError, match=r"All 12 augmented photos are the same.*\.cache\(\)"):
        model.fit(frozen, verbose=0, callbacks=[guard(augmented=frozen)])


def test_augmentation_that_a_seed_repeats_is_caught(guard: Any, data: Any, model: Any) -> None:
    import tensorflow as tf

    tf.random.set_seed(0)
    repeated = data.map(lambda x, y: (tf.image.random_brightness(x, 0.5, seed=3), y))
    with pytest.raises(DataError, match="All 12 augmented photos"):
        model.fit(repeated, verbose=0, callbacks=[guard(augmented=repeated)])


def test_photos_are_looked_at_once_and_weights_at_each_fit(guard: Any, data: Any, model: Any) -> None:
    watch = guard(augmented=data)
    with pytest.raises(DataError, match="augmented"):
        model.fit(data, verbose=0, callbacks=[watch])
    watch = guard(training=data, validation=data.map(lambda x, y: (255 - x, y)))
    model.get_layer("base").get_layer("norm").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data, verbose=0, callbacks=[watch])
    watch._validation = data  # would be refused, were it read again
    model.fit(data, verbose=0, callbacks=[watch])
    model.get_layer("base").trainable = False
    with pytest.raises(HandfulError, match="low/"):
        model.fit(data, verbose=0, callbacks=[watch])


def test_data_that_cannot_be_compared_is_refused(guard: Any, data: Any, model: Any) -> None:
    faults = {
        "augmented data has no end.*repeat": {"augmented": data.repeat()},
        "augmented data holds no photo": {"augmented": data.take(0)},
        r"arrays of shape \(4,\); expected photos": {"augmented": data.map(lambda x, y: y)},
        "gives a dict": {"augmented": data.map(lambda x, y: ({"x": x}, y))},
    }
    for message, options in faults.items():
        with pytest.raises(DataError, match=message):
            model.fit(data, verbose=0, callbacks=[guard(**options)])


@pytest.mark.parametrize("given", ["training", "validation"])
def test_one_side_alone_is_refused(given: str, guard: Any, data: Any) -> None:
    with pytest.raises(ConfigError, match=f"received {given} photos alone; expected both"):
        guard(**{given: data})
