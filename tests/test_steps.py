"""The five steps on plain Keras models, and the recipe of docs/steps.md against the same written by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from handful.errors import BackboneError, ConfigError, DataError, HandfulError
from handful.networks.quiet import import_keras
from handful.progress import Silent

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings(
        "ignore:`shuffle=True` was passed:UserWarning"
    ),  # Keras says so of any tf.data
]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "steps.md"
SIDE = 64


class Listener(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def keras() -> Any:
    return import_keras()


@pytest.fixture(scope="module")
def steps(keras: Any) -> ModuleType:
    from handful import steps

    return steps


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def network(keras: Any) -> Any:
    """A random network of four blocks with batch-norm, in a nested model, that ends in a map."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    x = inner = keras.Input((16, 16, 3))
    for name in ("one", "two", "three", "four"):
        x = layers.Conv2D(6, 3, padding="same", name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))
    pixels = keras.Input((16, 16, 3))
    scaled = layers.Rescaling(1 / 255)(pixels)
    return keras.Model(pixels, keras.Model(inner, x, name="inner")(scaled), name="small")


@pytest.fixture
def classifier(steps: ModuleType, network: Any) -> Any:
    """The network, frozen, with a head for three classes, compiled and fitted."""
    model = steps.replace_head(steps.freeze(network, speaker=Silent()), 3, speaker=Silent())
    steps.compile(model, speaker=Silent())
    model.fit(*_photos(), verbose=0)
    return model


def _photos() -> tuple[np.ndarray, np.ndarray]:
    photos = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    return photos, np.arange(12) % 3


def _values(model: Any) -> dict[str, np.ndarray]:
    """Copies of all weights of a model, {"layer/weight": values}."""
    return {
        f"{layer.name}/{weight.name}": weight.numpy().copy()
        for layer in model._flatten_layers()
        for weight in layer._trainable_variables + layer._non_trainable_variables
    }


def _moved(before: dict[str, np.ndarray], model: Any) -> set[str]:
    after = _values(model)
    return {name for name, values in before.items() if not np.array_equal(values, after[name])}


# Load ---------------------------------------------------------------------------------------------


def test_load_equals_the_documented_call(
    keras: Any, steps: ModuleType, keras_home: Path, shared: Path
) -> None:
    weights = next((keras_home / "models").iterdir())
    theirs = keras.applications.MobileNetV2(
        weights=str(weights), include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3)
    )
    files = sorted((shared / "data" / "ants_bees" / "train" / "ants").iterdir())[:3]
    photos = np.stack([keras.utils.load_img(file, target_size=(SIDE, SIDE)) for file in files])
    ours = steps.load("mobilenet_v2", size=SIDE, speaker=Silent())
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(photos.astype(np.float32)))
    assert expected.numpy().std(axis=0).mean() > 0.1
    for pixels in (photos, photos.astype(np.float32)):
        np.testing.assert_allclose(ours(pixels), expected, atol=1e-4)


def test_load_gives_a_frozen_model_and_says_so(steps: ModuleType, listener: Listener) -> None:
    model = steps.load("embedded", speaker=listener)
    side = model.input_shape[1]
    assert not model.trainable_weights
    assert len(model.output_shape) == 2
    assert listener.lines[0].startswith(f"loaded embedded: pixels 0 to 255, {side} x {side}, to ")
    assert listener.lines[0].endswith("weights, all frozen")


def test_load_takes_a_file_and_tells_that_its_classifier_is_gone(
    keras: Any, steps: ModuleType, network: Any, tmp_path: Path, listener: Listener
) -> None:
    steps.replace_head(network, 5, speaker=Silent()).save(tmp_path / "mine.keras")
    model = steps.load(tmp_path / "mine.keras", speaker=listener)
    assert model.output_shape == (None, 6)
    assert "the classifier of the file was cut off" in listener.lines[-1]
    photos = _photos()[0]
    expected = network(photos.astype(np.float32), training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(model(photos), expected, atol=1e-5)


def test_an_unknown_network_is_refused(steps: ModuleType) -> None:
    with pytest.raises(BackboneError, match=r"mobilnet_v2.*mobilenet_v2"):
        steps.load("mobilnet_v2")


# Freeze -------------------------------------------------------------------------------------------


def test_freeze_sets_each_layer_however_deep(steps: ModuleType, network: Any, listener: Listener) -> None:
    assert steps.freeze(network, speaker=listener) is network
    assert not any(layer.trainable for layer in network._flatten_layers())
    assert listener.lines == [f"froze all {network.count_params():,} weights, batch-norm included"]


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
def test_freeze_compiles_anew_with_the_same_settings(steps: ModuleType, classifier: Any) -> None:
    classifier.optimizer.learning_rate = 0.03
    loss, optimizer, before = classifier.loss, classifier.optimizer, _values(classifier)
    steps.freeze(classifier, speaker=Silent())
    assert classifier.loss is loss
    assert classifier.optimizer is not optimizer
    assert float(classifier.optimizer.learning_rate) == pytest.approx(0.03)
    classifier.fit(*_photos(), verbose=0)
    assert _moved(before, classifier) == set()


@pytest.mark.parametrize("step", ["freeze", "compile"])
def test_other_things_than_models_are_refused(step: str, steps: ModuleType) -> None:
    with pytest.raises(BackboneError, match=r"Received a str; expected a keras\.Model.*steps\.load"):
        getattr(steps, step)("mobilenet_v2")


# Replace the head -----------------------------------------------------------------------------------


def test_a_head_is_put_on_the_pooled_features(
    keras: Any, steps: ModuleType, network: Any, listener: Listener
) -> None:
    steps.freeze(network, speaker=Silent())
    model = steps.replace_head(network, ["a", "b", "c"], dropout=0.3, speaker=listener)
    assert listener.lines == ["put a head of 21 weights on 6 features, for 3 classes"]
    assert [weight.path for weight in model.trainable_weights] == ["head/kernel", "head/bias"]
    photos = _photos()[0].astype(np.float32)
    pooled = network(photos, training=False).numpy().mean(axis=(1, 2))
    logits = pooled @ model.get_layer("head").kernel.numpy()
    np.testing.assert_allclose(model(photos), keras.ops.softmax(logits), atol=1e-5)
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.3]


def test_an_old_head_is_cut_off_and_named(steps: ModuleType, classifier: Any, listener: Listener) -> None:
    old = classifier.get_layer("head")
    model = steps.replace_head(classifier, 7, speaker=listener)
    assert listener.lines[0].startswith("cut off head; put a head of 49 weights on 6 features, for 7 classes")
    assert old not in model.layers
    assert model.output_shape == (None, 7)
    assert not model.compiled


def test_one_class_is_a_sigmoid(steps: ModuleType, network: Any, listener: Listener) -> None:
    model = steps.replace_head(network, 1, speaker=listener)
    assert model.output_shape == (None, 1)
    assert model.get_layer("head").activation.__name__ == "sigmoid"
    assert listener.lines[0].endswith("for 1 class")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (0, "classes is 0; expected how many"),
        (2.5, "classes is 2.5"),
        (True, "classes is True"),
        ("ants", "classes is 'ants'"),
        ([], r"classes is \[\]"),
        (["ants"], "one class, 'ants'.*two or more"),
        (["ants", "bees", "ants"], "classes names ants more than once"),
    ],
)
def test_classes_that_are_none_are_refused(
    classes: Any, message: str, steps: ModuleType, network: Any
) -> None:
    with pytest.raises(ConfigError, match=message):
        steps.replace_head(network, classes)


@pytest.mark.parametrize("dropout", [-0.1, 1, float("nan")])
def test_an_impossible_dropout_is_refused(dropout: float, steps: ModuleType, network: Any) -> None:
    with pytest.raises(ConfigError, match=r"dropout is .*expected a share in \[0, 1\)"):
        steps.replace_head(network, 3, dropout=dropout)


# Compile --------------------------------------------------------------------------------------------


def test_the_phase_is_read_from_what_can_move(steps: ModuleType, network: Any, listener: Listener) -> None:
    trainable = steps.replace_head(network, 3, speaker=Silent())
    steps.compile(trainable, _photos()[1], speaker=listener)
    assert float(trainable.optimizer.learning_rate) == pytest.approx(steps.FINE_TUNING_RATE)
    steps.freeze(network, speaker=Silent())
    steps.compile(trainable, _photos()[1], speaker=listener)
    assert float(trainable.optimizer.learning_rate) == pytest.approx(steps.HEAD_RATE)
    assert listener.lines[0].startswith("compiled for the fine-tuning phase: ")
    assert listener.lines[1] == (
        "compiled for the head phase: 21 weights can move, by Adam at 0.001; "
        "sparse categorical crossentropy for labels that are class numbers"
    )


def test_another_phase_than_the_model_s_is_refused(steps: ModuleType, network: Any) -> None:
    model = steps.replace_head(network, 3, speaker=Silent())
    with pytest.raises(ConfigError, match=r"phase is 'head'; expected 'fine-tuning'.*steps\.freeze"):
        steps.compile(model, phase="head")


def test_a_model_in_which_nothing_can_move_is_refused(steps: ModuleType, network: Any) -> None:
    with pytest.raises(ConfigError, match=r"No weight.*steps\.replace_head.*steps\.unfreeze"):
        steps.compile(steps.freeze(network, speaker=Silent()))


def test_labels_that_do_not_fit_are_refused(steps: ModuleType, network: Any) -> None:
    model = steps.replace_head(network, 3, speaker=Silent())
    with pytest.raises(DataError, match="labels hold 3"):
        steps.compile(model, np.arange(4))


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(rate: float, steps: ModuleType, classifier: Any) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate is .*expected a positive number.*0\.001"):
        steps.compile(classifier, learning_rate=rate)
    with pytest.raises(ConfigError, match=r"learning_rate is .*expected a positive number"):
        steps.unfreeze(classifier, 1, learning_rate=rate)


# Unfreeze -------------------------------------------------------------------------------------------

_TWO = {f"{name}/{weight}" for name in ("three", "four", "head") for weight in ("kernel", "bias")}


def test_the_top_blocks_move_and_nothing_else_does(
    steps: ModuleType, classifier: Any, listener: Listener
) -> None:
    assert steps.unfreeze(classifier, blocks=2, speaker=listener) is classifier
    can_move = sum(weight.numpy().size for weight in classifier.trainable_weights)
    assert can_move == 2 * (6 * 6 * 9 + 6) + 21
    assert listener.lines == [
        f"unfroze 2 of 4 blocks: {can_move:,} of {classifier.count_params():,} weights can now move, "
        "those of the head among them; 4 batch-norm layers stay frozen; "
        f"compiled anew with Adam at {steps.FINE_TUNING_RATE:g}"
    ]
    before = _values(classifier)
    classifier.fit(*_photos(), verbose=0)
    assert _moved(before, classifier) == _TWO


def test_by_hand_the_same_moves_the_statistics(keras: Any, classifier: Any) -> None:
    inner = classifier.get_layer("inner")
    inner.trainable = True
    for layer in inner.layers[:7]:
        layer.trainable = False
    classifier.compile("adam", classifier.loss)
    before = _values(classifier)
    classifier.fit(*_photos(), verbose=0)
    surplus = _moved(before, classifier) - _TWO
    assert {"three_norm/moving_mean", "four_norm/moving_variance"} <= surplus


def test_all_blocks_can_be_unfrozen_and_fewer_again(steps: ModuleType, classifier: Any) -> None:
    steps.unfreeze(classifier, "all", speaker=Silent())
    assert len(classifier.trainable_weights) == 10
    steps.unfreeze(classifier, 1, speaker=Silent())
    assert {weight.path.split("/")[-2] for weight in classifier.trainable_weights} == {"four", "head"}


def test_loss_and_metrics_stay_whatever_they_are(steps: ModuleType, classifier: Any) -> None:
    def own(truth: Any, chances: Any) -> Any:
        return -chances[:, 0]

    classifier.compile("sgd", own, metrics=["accuracy"], loss_weights=2.0)
    steps.unfreeze(classifier, 1, learning_rate=0.02, speaker=Silent())
    assert classifier.loss is own
    assert float(classifier.optimizer.learning_rate) == pytest.approx(0.02)
    assert set(classifier.evaluate(*_photos(), return_dict=True, verbose=0)) == {"loss", "accuracy"}


def test_a_model_that_was_not_compiled_is_left_so(
    steps: ModuleType, network: Any, listener: Listener
) -> None:
    model = steps.replace_head(steps.freeze(network, speaker=Silent()), 3, speaker=Silent())
    steps.unfreeze(model, 1, speaker=listener)
    assert not model.compiled
    assert listener.lines[0].endswith("compile it before `fit`")


def test_layers_within_layers_below_the_blocks_stay_frozen(keras: Any, steps: ModuleType) -> None:
    layers = keras.layers
    x = pixels = keras.Input((8, 8, 3))
    x = layers.Reshape((8, 8, 8))(layers.Dense(8, name="low")(layers.Reshape((64, 3))(x)))
    rows = layers.Reshape((64, 8))(x)
    x = layers.Reshape((8, 8, 8))(layers.MultiHeadAttention(1, 8, name="attention")(rows, rows))
    model = keras.Model(pixels, layers.Conv2D(8, 3, name="top")(x))
    model = steps.replace_head(steps.freeze(model, speaker=Silent()), 2, speaker=Silent())
    steps.unfreeze(model, 1, speaker=Silent())
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"top", "head"}


def test_batch_norm_of_the_user_s_own_head_stays_as_it_was(
    keras: Any, steps: ModuleType, network: Any
) -> None:
    layers = keras.layers
    steps.freeze(network, speaker=Silent())
    pooled = layers.GlobalAveragePooling2D()(network.outputs[0])
    norms = [layers.BatchNormalization(name="free"), layers.BatchNormalization(name="fixed", trainable=False)]
    model = keras.Model(network.inputs[0], layers.Dense(3)(norms[1](norms[0](pooled))))
    steps.unfreeze(model, 1, speaker=Silent())
    assert [norm.trainable for norm in norms] == [True, False]


def test_a_network_without_batch_norm_is_no_exception(
    keras: Any, steps: ModuleType, listener: Listener
) -> None:
    plain = keras.Sequential(
        [keras.Input((8, 8, 3)), *(keras.layers.Conv2D(4, 3, name=name) for name in ("low", "high"))]
    )
    model = steps.replace_head(steps.freeze(plain, speaker=Silent()), 2, speaker=Silent())
    steps.unfreeze(model, 1, speaker=listener)
    assert {weight.path.split("/")[-2] for weight in model.trainable_weights} == {"high", "head"}
    assert "batch-norm" not in listener.lines[0]


@pytest.mark.parametrize("blocks", [0, -1, 5, 1.5, True, "some", None])
def test_blocks_that_are_not_there_are_refused(blocks: Any, steps: ModuleType, classifier: Any) -> None:
    before = [layer.trainable for layer in classifier._flatten_layers()]
    with pytest.raises(
        ConfigError, match=r'blocks is .*expected 1 to 4, as many as the network has, or "all"'
    ):
        steps.unfreeze(classifier, blocks)
    assert [layer.trainable for layer in classifier._flatten_layers()] == before


@pytest.mark.parametrize("step", ["replace_head", "unfreeze"])
def test_models_without_a_graph_are_refused(step: str, keras: Any, steps: ModuleType) -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(BackboneError, match=r"Own 'own\w*', a subclass.*keras\.Model\(inputs, outputs\)"):
        getattr(steps, step)(Own(), 2)


# The recipe on the page, and the same by hand ---------------------------------------------------------


@pytest.fixture
def folder(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/train and photos/val with a few ants and bees, in the working folder."""
    for split, count in (("train", 10), ("val", 4)):
        for name in ("ants", "bees"):
            target = tmp_path / "photos" / split / name
            target.mkdir(parents=True)
            for file in sorted((shared / "data" / "ants_bees" / split / name).iterdir())[:count]:
                shutil.copyfile(file, target / file.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _recipe() -> str:
    return PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


def _smaller(code: str) -> str:
    """The recipe with smaller photos and fewer epochs, so that it is a test."""
    for old, new in (
        ("(224, 224)", f"({SIDE}, {SIDE})"),
        ('"mobilenet_v2"', f'"mobilenet_v2", size={SIDE}'),
        ("epochs=10", "epochs=1, verbose=0"),
    ):
        assert old in code
        code = code.replace(old, new)
    return code


def _statistics(values: dict[str, np.ndarray]) -> set[str]:
    return {name for name in values if "/moving_" in name}


def test_the_recipe_has_fifteen_lines() -> None:
    assert len([line for line in _recipe().splitlines() if line.strip()]) == 15


@pytest.mark.slow
def test_the_recipe_moves_what_it_should_bit_for_bit(
    keras: Any, steps: ModuleType, keras_home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from handful.networks.blocks import anatomy

    before = _values(steps.load("mobilenet_v2", size=SIDE))
    world: dict[str, Any] = {}
    exec(_smaller(_recipe()), world)
    model = world["model"]
    moved = _moved(before, model)
    top = {layer.name for block in anatomy(model).blocks[-3:] for layer in block.layers}
    kernels = {name for name in before if name.split("/")[0] in top and name.endswith(("kernel", "bias"))}
    assert len(kernels) == 7
    assert moved == kernels
    assert len(_statistics(before)) == 104
    assert "unfroze 3 of 18 blocks" in capsys.readouterr().out

    opened = keras.models.load_model(folder / "flowers.keras")
    photos, _ = next(iter(world["val"]))
    np.testing.assert_allclose(opened(photos), model(photos), atol=1e-6)


@pytest.mark.slow
def test_the_same_by_hand_moves_batch_norm_and_guard_catches_it(
    keras: Any, steps: ModuleType, keras_home: Path, folder: Path
) -> None:
    weights = str(next((keras_home / "models").iterdir()))
    train = keras.utils.image_dataset_from_directory("photos/train", image_size=(SIDE, SIDE), verbose=False)
    base = keras.applications.MobileNetV2(weights=weights, include_top=False, input_shape=(SIDE, SIDE, 3))
    base.trainable = False
    pixels = keras.Input((SIDE, SIDE, 3))
    x = base(keras.applications.mobilenet_v2.preprocess_input(pixels), training=False)
    x = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, x)
    before = _values(base)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(train, epochs=1, verbose=0, callbacks=[steps.Guard()])
    assert _moved(before, base) == set()

    base.trainable = True
    for layer in base.layers[:100]:  # as the TensorFlow tutorial does
        layer.trainable = False
    model.compile(keras.optimizers.RMSprop(1e-5), "sparse_categorical_crossentropy")
    with pytest.raises(HandfulError, match=r"moved .*/moving_mean.*steps\.unfreeze"):
        model.fit(train, epochs=1, verbose=0, callbacks=[steps.Guard()])
    assert len(_statistics({name: before[name] for name in _moved(before, base)})) > 20
