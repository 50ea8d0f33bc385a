"""The five steps as functions on plain Keras models, for people who write their own training loop.

    model = steps.freeze(steps.load("mobilenet_v2"))
    model = steps.replace_head(model, classes=["ants", "bees"])
    steps.compile(model, train)
    model.fit(train, validation_data=val, callbacks=[steps.Guard(training=train, validation=val)])
    steps.unfreeze(model, blocks=3)

They take and return `keras.Model`s and work with `model.fit` on a `tf.data.Dataset` of pixels 0 to 255. Each
says in one line what it did; pass `speaker=progress.Silent()` to hear nothing. docs/steps.md has the recipe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from typing import Any, Literal

import keras
import numpy as np

from handful.errors import BackboneError, ConfigError
from handful.networks.blocks import anatomy
from handful.networks.build import feature_model, frozen, notes_on
from handful.networks.guard import Guard as Guard
from handful.networks.headless import pooled_features
from handful.networks.objective import MEANINGS, objective
from handful.networks.weights import locate
from handful.progress import Console, Speaker

Phase = Literal["head", "fine-tuning"]

# Adam's own default, and the guide's, for weights that start from nothing.
HEAD_RATE = 1e-3
# Well above the guide's 1e-5, at which few photos in few epochs hardly move the top of MobileNetV2 on hands
# showing digits; at 1e-3 the loss on ants and bees held out grows. Single runs: try others on your photos.
FINE_TUNING_RATE = 3e-4
_RATES: dict[Phase, float] = {"head": HEAD_RATE, "fine-tuning": FINE_TUNING_RATE}


# Load ---------------------------------------------------------------------------------------------------


def load(
    name: str | PathLike[str], *, size: int | None = None, speaker: Speaker | None = None
) -> keras.Model:
    """Load a pretrained network with its preprocessing inside and without its classifier.

    Args:
        name: a name of the catalogue (`handful backbones` lists them), "auto", "embedded" (in the package,
            needs no network), or the path of a .keras file.
        size: side of the square of pixels; None is what the network was trained with.
        speaker: is told what was loaded; by default it is printed.

    Returns:
        A model from pixels 0 to 255 (b, size, size, 3), RGB, uint8 or float32, to the pooled vector float32
        (b, d), equal to what `include_top=False, pooling="avg"` gives in Keras after its `preprocess_input`.
        All its layers are frozen, batch-norm included. `model.fit` needs a head first: `replace_head`.

    Raises:
        BackboneError: the name is unknown, the weights cannot be had, or the size does not fit.
    """
    told = speaker or Console()
    source = locate(fspath(name), size=size, speaker=told)
    both = feature_model(source)
    model = keras.Model(both.inputs[0], both.outputs[0], name=both.name)
    notes = "".join(f"; {note}" for note in notes_on(source))
    told.say(
        f"loaded {source.name}: pixels 0 to 255, {source.size} x {source.size}, "
        f"to {model.output_shape[-1]:,} features; {_counted(model.weights)} weights, all frozen{notes}"
    )
    return model


# Freeze -------------------------------------------------------------------------------------------------


def freeze(model: keras.Model, *, speaker: Speaker | None = None) -> keras.Model:
    """Freeze a model and each layer in it, however deeply nested, batch-norm included.

    A compiled model is compiled anew with the same settings: `fit` would go on training what it was compiled
    for. What `load` gives is frozen already; freezing twice does no harm.

    Args:
        model: changed in place.
        speaker: is told how many weights are frozen; by default it is printed.

    Returns:
        The same model.

    Raises:
        BackboneError: it is no Keras model.
    """
    _refuse_other_things(model)
    frozen(model)
    if model.compiled:
        _recompile(model, type(model.optimizer).from_config(model.optimizer.get_config()))
    (speaker or Console()).say(f"froze all {_counted(model.weights)} weights, batch-norm included")
    return model


# Replace the head ---------------------------------------------------------------------------------------


def replace_head(
    model: keras.Model, classes: int | Sequence[str], *, dropout: float = 0.0, speaker: Speaker | None = None
) -> keras.Model:
    """Put a new, trainable final layer on a network, in place of the head that it may have.

    Args:
        model: from `load`, or any functional or sequential model; its layers are shared, not copied. Dense
            layers, 1 x 1 convolutions and the like that follow its pooling are cut off; a map that nothing
            pools is pooled by its mean.
        classes: the number of classes, or their names in the order of the labels. 1 is for labels 0 and 1:
            the head then gives the probability of 1.
        dropout: share of the features left out at random while training, in [0, 1).
        speaker: is told what was cut off and put on; by default it is printed.

    Returns:
        A new, uncompiled model from the inputs of `model` to probabilities float32 (b, classes), softmax, or
        for one class (b, 1), sigmoid. The head is a `Dense` layer called "head".

    Raises:
        ConfigError: `classes` or `dropout` cannot be used.
        BackboneError: the model has no graph, or nothing in it to put a head on.
    """
    count = _class_count(classes)
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout is {dropout}; expected a share in [0, 1). 0.2 is a usual value.")
    features, cut = pooled_features(_checked(model))
    below = keras.layers.Dropout(dropout)(features) if dropout else features
    # One input as itself: given as a list, Keras would warn of each photo that is not in a list.
    pixels = model.inputs if len(model.inputs) > 1 else model.inputs[0]
    names = {layer.name for layer in keras.Model(pixels, features).layers}
    head = keras.layers.Dense(
        count,
        activation="sigmoid" if count == 1 else "softmax",
        dtype="float32",  # probabilities of a head in half precision are too coarse to compare
        name="head" if "head" not in names else None,
    )
    result = keras.Model(pixels, head(below), name=model.name)
    gone = f"cut off {', '.join(cut)}; " if cut else ""
    (speaker or Console()).say(
        f"{gone}put a head of {_counted(head.weights)} weights on "
        f"{features.shape[-1]:,} features, for {count} class{'' if count == 1 else 'es'}"
    )
    return result


def _class_count(classes: int | Sequence[str]) -> int:
    count = classes if isinstance(classes, int | np.integer) else _names_counted(classes)
    if isinstance(classes, bool) or count < 1:
        raise ConfigError(
            f"classes is {classes!r}; expected how many classes there are, 1 or more, or their names. "
            'Pass for example classes=["ants", "bees"].'
        )
    return int(count)


def _names_counted(classes: Any) -> int:
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray):
        return 0
    twice = sorted({str(name) for name in classes if list(classes).count(name) > 1})
    if twice:
        raise ConfigError(f"classes names {', '.join(twice)} more than once; expected each class once.")
    if len(classes) == 1:
        raise ConfigError(
            f"classes names one class, {classes[0]!r}; there is nothing to tell it from. Name two or more."
        )
    return len(classes)


# Compile ------------------------------------------------------------------------------------------------


def compile(
    model: keras.Model,
    labels: Any = None,
    *,
    phase: Phase | None = None,
    learning_rate: float | None = None,
    speaker: Speaker | None = None,
) -> keras.Model:
    """Compile a model with the loss its labels need and the optimiser for what can move.

    Args:
        model: a classifier: functional or sequential, ending in softmax, sigmoid, or logits.
        labels: what the labels look like: your training data, of which the first batch is read, an array of
            labels, or "sparse" (integers 0 to k - 1), "categorical" (one column per class, rows sum to 1) or
            "binary" (0 and 1, or one such column per class). None: "binary" for a head of one unit, else
            "sparse".
        phase: "head" when only the head can move, "fine-tuning" when layers below it can; None finds out.
        learning_rate: of Adam; None is 0.001 for the head and 0.0003 for fine-tuning.
        speaker: is told what was chosen; by default it is printed.

    Returns:
        The same model.

    Raises:
        ConfigError: nothing can move, the phase is another than the model's, or the rate is not positive.
        DataError: the labels do not go with the head.
        BackboneError: the model has no graph or no head.
    """
    found = _phase(_checked(model))
    if phase not in (None, found):
        raise ConfigError(
            f"phase is {phase!r}; expected {found!r}, for {_counted(model.trainable_weights)} weights of the "
            "model can move. Leave it out, or call steps.freeze and steps.replace_head, or steps.unfreeze."
        )
    chosen = objective(model, labels)
    rate = _rate(found, learning_rate)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=chosen.loss, metrics=[chosen.accuracy])
    (speaker or Console()).say(
        f"compiled for the {found} phase: {_counted(model.trainable_weights)} weights can move, by Adam at "
        f"{rate:g}; {chosen.loss.name.replace('_', ' ')} for {MEANINGS[chosen.kind]}"
    )
    return model


def _phase(model: keras.Model) -> Phase:
    parts = anatomy(model)
    if not model.trainable_weights:
        raise ConfigError(
            "No weight of the model can move: all its layers are frozen. Put a new head on it with "
            "steps.replace_head, or let blocks move with steps.unfreeze."
        )
    lower = [*parts.pixels, *(layer for block in parts.blocks for layer in block.layers)]
    return "fine-tuning" if any(layer.trainable_weights for layer in lower) else "head"


def _rate(phase: Phase, learning_rate: float | None) -> float:
    rate = _RATES[phase] if learning_rate is None else learning_rate
    if not (rate > 0 and math.isfinite(rate)):
        raise ConfigError(
            f"learning_rate is {rate}; expected a positive number. Leave it out for {_RATES[phase]:g}."
        )
    return float(rate)


# Unfreeze -----------------------------------------------------------------------------------------------


def unfreeze(
    model: keras.Model,
    blocks: int | Literal["all"],
    *,
    learning_rate: float | None = None,
    speaker: Speaker | None = None,
) -> keras.Model:
    """Let the top blocks of the network move, and compile the model anew.

    Where blocks end is read from the graph (`networks.blocks`). Everything below stays frozen, and so does
    each batch-norm layer: `fit` updates the statistics of those that are not, whatever `training=False` a
    model was called with (keras-team/keras#20285). Loss and metrics stay; Adam starts anew at the rate for
    fine-tuning, because an optimiser keeps to the weights it was made for.

    Args:
        model: with a trained head; changed in place.
        blocks: how many blocks to let move, from the top; "all" of them.
        learning_rate: of Adam; None is 0.0003.
        speaker: is told how many weights can move; by default it is printed.

    Returns:
        The same model; compiled if it was.

    Raises:
        ConfigError: the network has not so many blocks.
        BackboneError: the model has no graph.
    """
    parts = anatomy(_checked(model))
    count = _block_count(blocks, len(parts.blocks))
    rate = _rate("fine-tuning", learning_rate)
    below = [*parts.pixels, *(layer for block in parts.blocks[:-count] for layer in block.layers)]
    _let_move(model, below, parts.rest)
    if model.compiled:
        _recompile(model, keras.optimizers.Adam(rate))
    (speaker or Console()).say(_unfrozen(model, count, len(parts.blocks), rate))
    return model


def _let_move(
    model: keras.Model, below: Sequence[keras.layers.Layer], head: Sequence[keras.layers.Layer]
) -> None:
    """Set `trainable` on each layer by itself.

    `model.trainable = True` does nothing to the layers of a model that is trainable already: TensorFlow drops
    the assignment of a value that an attribute has.
    """
    stays = {id(inner) for layer in below for inner in layer._flatten_layers()}
    # Batch-norm in the head is the user's own and stays as it was.
    norms = {id(layer): layer.trainable for layer in head}
    for layer in model._flatten_layers():  # models before the layers in them
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = norms.get(id(layer), False)
        else:
            layer.trainable = id(layer) not in stays


def _block_count(blocks: Any, available: int) -> int:
    count = available if blocks == "all" else blocks
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= available:
        raise ConfigError(
            f'blocks is {blocks!r}; expected 1 to {available}, as many as the network has, or "all". '
            "Few photos carry few blocks: start with 2 or 3."
        )
    return count


def _unfrozen(model: keras.Model, count: int, available: int, rate: float) -> str:
    norms = sum(
        isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable
        for layer in model._flatten_layers()
    )
    still = f"{norms} batch-norm layers stay frozen; " if norms else ""
    compiled = f"compiled anew with Adam at {rate:g}" if model.compiled else "compile it before `fit`"
    return (
        f"unfroze {count} of {available} blocks: {_counted(model.trainable_weights)} of "
        f"{_counted(model.weights)} weights can now move, those of the head among them; {still}{compiled}"
    )


# What several steps need ----------------------------------------------------------------------------------


def _refuse_other_things(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise BackboneError(
            f"Received a {type(model).__name__}; expected a keras.Model. Make one with steps.load, or with "
            "keras.models.load_model."
        )


def _checked(model: Any) -> keras.Model:
    _refuse_other_things(model)
    return model


def _recompile(model: keras.Model, optimizer: Any) -> None:
    """Compile with the settings the model was compiled with, and another optimiser."""
    settings = model._compile_config.config  # as they were given, so custom losses survive
    model.compile(**{**settings, "optimizer": optimizer})


def _counted(weights: Iterable[Any]) -> str:
    return f"{sum(math.prod(weight.shape) for weight in weights):,}"
