"""A backbone by its source -> a frozen Keras model with its preprocessing inside, pooled vector and map out.

Plain built-in layers only, so that the model opens without Handful and converts to every format: no
Lambda, no custom layer, and no Normalization layer but those that Keras itself puts into its networks.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from handful.backbones import CATALOGUE, EMBEDDED, Backbone
from handful.errors import BackboneError
from handful.networks import safety
from handful.networks.embedded_network import read_network
from handful.networks.weights import Source

# keras.applications.imagenet_utils.preprocess_input (Keras 3.15.1): modes "caffe" and "torch", RGB order.
CAFFE_BGR_MEAN = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_DEVIATION = (0.229, 0.224, 0.225)
_RESCALINGS: dict[str, tuple[Any, Any]] = {
    "tf": (1 / 127.5, -1.0),
    "unit": (1 / 255, 0.0),
    "torch": (
        [1 / (255 * deviation) for deviation in TORCH_DEVIATION],
        [-mean / deviation for mean, deviation in zip(TORCH_MEAN, TORCH_DEVIATION, strict=True)],
    ),
}
_POOLINGS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)


def feature_model(source: Source, size: int | None = None) -> keras.Model:
    """Build the frozen network of `source`.

    Args:
        source: what `weights.locate` found; its file must be on disk.
        size: side of the square of pixels; None is `source.size`.

    Returns:
        A model from pixels 0 to 255, float32 or uint8 (b, size, size, 3), RGB, to two outputs: the pooled
        vector float32 (b, d), equal to what `include_top=False, pooling="avg"` gives in Keras, and the
        last feature map float32 (b, r, c, d'). Every layer has `trainable` False, batch-norm included.

    Raises:
        BackboneError: the file is missing, damaged, unsafe, of another architecture, or refuses the size.
    """
    with standard_settings():
        if source.architecture in CATALOGUE:
            core = _catalogue_core(source, size or source.size)
        elif source.architecture == EMBEDDED.name:
            core = read_network(_path_of(source), size or source.size)
        else:
            core = _file_core(source, size or source.size)
        return with_outputs(core, source.preprocessing, source.name)


@contextlib.contextmanager
def standard_settings() -> Iterator[None]:
    """Build under Keras' own defaults, whatever keras.json or the user's program has set."""
    before = keras.config.image_data_format(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before[0])
        keras.config.set_dtype_policy(before[1])


def frozen(model: keras.Model) -> keras.Model:
    """Set `trainable` False on the model and on each layer in it, however deeply nested.

    The model's own flag is not enough for batch-norm: once someone sets `model.trainable = True` on a
    wrapper, `fit` updates the moving statistics whatever `training=` says (keras-team/keras#20285).
    """
    for layer in model._flatten_layers():  # the public `layers` stops at the first nested model
        layer.trainable = False
    return model


def architecture_model(backbone: Backbone, size: int, *, include_preprocessing: bool = True) -> keras.Model:
    """Return Keras' own network with random weights, as its ImageNet weights need it, pooled by the mean.

    Args:
        backbone: an entry of the catalogue.
        size: side of the square of pixels.
        include_preprocessing: False leaves out the scaling of networks that have it inside.

    Raises:
        BackboneError: the network takes no such size, or cannot do without its own scaling.
    """
    options: dict[str, Any] = {}
    if not include_preprocessing:
        options["include_preprocessing"] = False
    try:
        model = getattr(keras.applications, backbone.keras_name)(
            weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3), **options
        )
    except TypeError as error:
        raise BackboneError(
            f"{backbone.name} scales its pixels inside and cannot do without. Leave --preprocessing out."
        ) from error
    except ValueError as error:
        raise BackboneError(
            f"{backbone.name} does not take pixels of {size} x {size} ({error}). "
            f"Choose a --size of at least {backbone.min_size}; it was trained at {backbone.size}."
        ) from error
    return _with_imagenet_rescaling(model) if backbone.module == "efficientnet" else model


def _with_imagenet_rescaling(model: keras.Model) -> keras.Model:
    """Add the layer that Keras gives EfficientNet for `weights="imagenet"` only.

    keras/src/applications/efficientnet.py divides by the square root of the deviations once more there
    (tensorflow/tensorflow#49930). It has no weights, so the file's order of layers stays.
    """
    scale = [1 / math.sqrt(deviation) for deviation in TORCH_DEVIATION]

    def call(layer: keras.layers.Layer, *args: Any, **options: Any) -> Any:
        result = layer(*args, **options)
        return keras.layers.Rescaling(scale)(result) if layer.name.startswith("normalization") else result

    return keras.models.clone_model(model, call_function=call)


def _catalogue_core(source: Source, size: int) -> keras.Model:
    backbone = CATALOGUE[source.architecture]
    outside = backbone.preprocessing == "inside" and source.preprocessing != "inside"
    model = architecture_model(backbone, size, include_preprocessing=not outside)
    _load_weights(model, source)
    return model


def _load_weights(model: keras.Model, source: Source) -> None:
    path = _path_of(source)
    safety.check_weights(path)
    try:
        model.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise BackboneError(
            f"The weights in {path} are not those of {source.architecture} without its classifier ({error}). "
            "Pass the --architecture they were saved from, built with include_top=False."
        ) from error


def _path_of(source: Source) -> Any:
    if source.path is None:
        raise BackboneError(
            f"The weights of {source.name} are no longer on disk, only its converted network is. Fetch them "
            "again with the network on, or train with the size and engine used before."
        )
    return source.path


def _file_core(source: Source, size: int) -> keras.Model:
    path = _path_of(source)
    model = open_model(path)
    # The outputs are found before the size changes: after that each layer has two inputs and two outputs.
    return _of_size(_two_outputs(_without_classifier(model), source.name), path, size)


def open_model(path: Path) -> Any:
    """Open a .keras file that passes `safety.check_keras_file`, in Keras' safe mode, without compiling it.

    Raises:
        BackboneError: the file is unsafe, damaged, or not of this Keras.
    """
    safety.check_keras_file(path)
    try:
        return keras.models.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything on a strange config; translated at the door
        raise BackboneError(
            f"{path} is not a model that Keras {keras.__version__} opens ({type(error).__name__}: {error}). "
            "Save it again with `model.save('name.keras')` from this version of Keras."
        ) from error


def _without_classifier(model: keras.Model) -> keras.Model:
    """Cut off what follows the last pooled vector: dense layers, dropout, softmax."""
    if len(model.outputs) != 1 or len(model.inputs) != 1:
        raise BackboneError(
            f"The model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs. "
            "A backbone has one of each: save `keras.Model(model.inputs[0], the features)`."
        )
    if not _ends_in_classifier(model):
        return model
    layers = model.layers
    last = len(layers) - 1
    while last > 0 and isinstance(layers[last], _HEAD_LAYERS):
        last -= 1
    # What enters the head: the `output` of a model that is a layer belongs to itself, not to the outer graph.
    return keras.Model(model.inputs[0], layers[last + 1].input, name=model.name)


_HEAD_LAYERS = (
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Softmax,
    keras.layers.Activation,
)


def _ends_in_classifier(model: keras.Model) -> bool:
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return True
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    return isinstance(last, keras.layers.Dense) or activation in ("softmax", "sigmoid")


def notes_on(source: Source) -> tuple[str, ...]:
    """What a user should know of the network that `feature_model` builds: that a classifier was cut off."""
    cut = source.architecture == "file" and safety.check_keras_file(_path_of(source)).has_classifier
    return ("the classifier of the file was cut off",) if cut else ()


def _of_size(model: keras.Model, path: Any, size: int) -> keras.Model:
    """Run the model on pixels of `size`, where its layers allow that."""
    shape = model.inputs[0].shape
    if len(shape) != 4 or shape[-1] != 3:
        raise BackboneError(
            f"{path} takes input of shape {tuple(shape[1:])}; a backbone takes colour photos (h, w, 3). "
            "Save a model whose input is (h, w, 3), RGB."
        )
    if tuple(shape[1:3]) == (size, size):
        return model
    pixels = keras.Input((size, size, 3), name="pixels")
    try:
        return keras.models.clone_model(model, input_tensors=pixels, clone_function=lambda layer: layer)
    except (ValueError, TypeError) as error:
        raise BackboneError(
            f"{path} takes only pixels of {shape[1]} x {shape[2]}, not {size} x {size} ({error}). "
            "Leave --size out."
        ) from error


def _two_outputs(model: keras.Model, name: str) -> keras.Model:
    """Give the model its pooled vector and, beside it, the map that was pooled."""
    output = model.outputs[0]
    inner, calls, _ = output._keras_history  # how Keras says which layer made a tensor
    if isinstance(inner, keras.Model) and len(inner.inputs) == len(inner.outputs) == 1:  # as our exports are
        pooled, spatial = _two_outputs(inner, name)(inner._inbound_nodes[calls].input_tensors[0])
    elif len(output.shape) == 4:
        pooled, spatial = keras.layers.GlobalAveragePooling2D(name="handful_pool")(output), output
    elif len(output.shape) == 2:
        pooled, spatial = output, _last_map(model)
    else:
        raise BackboneError(
            f"The network {name!r} gives an output of shape {tuple(output.shape[1:])}. A backbone gives a "
            "feature map (r, c, d) or a vector (d,): save the model cut at one of them."
        )
    return keras.Model(model.inputs[0], [pooled, spatial], name=model.name)


def _last_map(model: keras.Model) -> Any:
    """Find the input of the last global pooling; else the last map; else the vector as a map of one cell."""
    for layer in reversed(model.layers):
        if isinstance(layer, _POOLINGS):
            return layer.input
    for layer in reversed(model.layers):
        output = getattr(layer, "output", None)
        if output is not None and not isinstance(output, list) and len(output.shape) == 4:
            return output
    vector = model.outputs[0]
    return keras.layers.Reshape((1, 1, vector.shape[-1]), name="handful_map")(vector)


def with_outputs(core: keras.Model, preprocessing: str, name: str) -> keras.Model:
    """Freeze a network and give it its preprocessing and both outputs; `name` is for messages."""
    both = core if len(core.outputs) == 2 else _two_outputs(core, name)
    return frozen(_with_preprocessing(both, preprocessing))


def _with_preprocessing(core: keras.Model, preprocessing: str) -> keras.Model:
    if preprocessing == "inside":
        return core
    pixels = keras.Input(core.inputs[0].shape[1:], dtype="float32", name="pixels")
    return keras.Model(pixels, core(preprocess(pixels, preprocessing)), name=f"{core.name}_on_pixels")


def preprocess(pixels: Any, preprocessing: str) -> Any:
    """Scale pixels 0 to 255 (b, h, w, 3), RGB, as a network was trained with, by built-in layers.

    Args:
        pixels: a Keras tensor.
        preprocessing: "tf" (to -1..1), "unit" (to 0..1), "torch" (0..1, then mean and deviation of
            ImageNet) or "caffe" (BGR, mean of ImageNet subtracted).
    """
    if preprocessing != "caffe":
        scale, offset = _RESCALINGS[preprocessing]
        return keras.layers.Rescaling(scale, offset, name=f"preprocess_{preprocessing}")(pixels)
    # Keras has no layer that swaps channels; a fixed 1 x 1 convolution does it exactly, mean included.
    swap = keras.layers.Conv2D(3, 1, name="preprocess_caffe", trainable=False)
    result = swap(pixels)
    swap.set_weights([np.eye(3, dtype=np.float32)[::-1][None, None], -np.array(CAFFE_BGR_MEAN, np.float32)])
    return result
