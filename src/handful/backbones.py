"""The catalogue: every backbone of keras.applications with ImageNet weights, and the embedded one.

Data only. Weights files, addresses and hashes are what Keras 3.15.1 itself asks for with
`weights="imagenet", include_top=False`; a test compares them with Keras, entry by entry. Accuracies are
ImageNet top-1 from https://keras.io/api/applications/ (MobileNetV3: the docstring of its Keras file).
docs/backbones.md has the table and the reasoning, docs/catalogue.md what was converted and compared.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from handful.errors import BackboneError

_KERAS = "https://storage.googleapis.com/"

# The licence Keras or the weights' first publisher gives; all were trained on ImageNet, whose photos are for
# research: whether that binds users of weights is not settled anywhere.
_LICENCES = {
    "convnext": "MIT (facebookresearch/ConvNeXt)",
    "densenet": "BSD-3-Clause (liuzhuang13/DenseNet)",
    "efficientnet": "Apache-2.0 (Google, tensorflow/tpu)",
    "efficientnet_v2": "Apache-2.0 (Google, google/automl)",
    "inception_resnet_v2": "Apache-2.0 (Google, tensorflow/models)",
    "inception_v3": "Apache-2.0 (Google, tensorflow/models)",
    "mobilenet": "Apache-2.0 (Google, tensorflow/models)",
    "mobilenet_v2": "Apache-2.0 (Google, tensorflow/models)",
    "mobilenet_v3": "Apache-2.0 (Google, tensorflow/models)",
    "nasnet": "Apache-2.0 (Google, tensorflow/models)",
    "resnet": "MIT (KaimingHe/deep-residual-networks)",
    "resnet_v2": "unclear: Keras names no source (preprocessed as in tensorflow/models, Apache-2.0)",
    "vgg16": "CC-BY-4.0 (Visual Geometry Group, Oxford)",
    "vgg19": "CC-BY-4.0 (Visual Geometry Group, Oxford)",
    "xception": "MIT (trained by the author of Keras)",
}

# Photos per second of the converted network at its own size, random weights, two threads' processor time, on
# two AVX-512 cores (benchmarks/backbone_speed.py): trust the ratios.
_SPEEDS: dict[str, float] = {
    "convnext_tiny": 14.6,
    "densenet121": 40.4,
    "efficientnet_b0": 154.7,
    "efficientnet_b1": 87.9,
    "efficientnet_v2_b0": 119.6,
    "efficientnet_v2_b1": 75.3,
    "efficientnet_v2_b2": 55.3,
    "mobilenet": 227.6,
    "mobilenet_v2": 363.0,
    "mobilenet_v3_large": 378.3,
    "mobilenet_v3_small": 1340.1,
    "nasnet_mobile": 71.4,
    "resnet50": 26.9,
}

# Entries left to Keras, with the reason; all others were converted and compared (docs/catalogue.md).
_KERAS_ONLY: dict[str, str] = {
    "convnext_large": "converting it takes more than 15 GB of memory",
    "convnext_xlarge": "nearly twice convnext_large, whose conversion takes more than 15 GB of memory",
}

PREPROCESSINGS = ("inside", "tf", "caffe", "torch", "unit")


@dataclass(frozen=True)
class Backbone:
    """One pretrained network without its classifier, pooled by the mean (include_top=False, pooling="avg").

    Attributes:
        name: how users call it ("mobilenet_v2").
        keras_name: its function in keras.applications ("MobileNetV2"); "" for the embedded one.
        module: its module in keras.applications ("mobilenet_v2"); "" for the embedded one.
        size: side in pixels of the square it was trained on.
        min_size: smallest side Keras accepts.
        preprocessing: "inside" the network, or what must precede it: "tf" (to -1..1), "caffe" (BGR, mean
            subtracted), "torch" (0..1, mean and deviation of ImageNet).
        feature_dim: d, the length of the pooled vector.
        millions: weights without the classifier, in millions.
        top1: published ImageNet accuracy in percent, None where there is none.
        weights_file: name under $KERAS_HOME/models.
        weights_url: where Keras fetches it.
        weights_hash: md5 (32 digits) or sha256 (64), as Keras checks it; None where Keras checks nothing.
        licence: of the weights, with their source.
    """

    name: str
    keras_name: str
    module: str
    size: int
    min_size: int
    preprocessing: str
    feature_dim: int
    millions: float
    top1: float | None
    weights_file: str
    weights_url: str
    weights_hash: str | None
    licence: str

    @property
    def size_mb(self) -> int:
        """About how large the weights file is, in MB: four bytes a weight."""
        return round(self.millions * 4) or 1

    @property
    def litert(self) -> bool:
        """Whether it converts to LiteRT; False means that only Keras runs it."""
        return self.name not in _KERAS_ONLY

    @property
    def keras_only_reason(self) -> str | None:
        """Why it does not convert, or None."""
        return _KERAS_ONLY.get(self.name)

    @property
    def photos_per_second(self) -> float | None:
        """Measured with LiteRT on two threads at `size`; None where not measured."""
        return _SPEEDS.get(self.name)


def _entry(
    name: str,
    keras_name: str,
    module: str,
    size: int,
    min_size: int,
    preprocessing: str,
    feature_dim: int,
    millions: float,
    top1: float,
    folder: str,
    weights_file: str,
    weights_hash: str | None,
    remote_file: str | None = None,
) -> Backbone:
    url = f"{_KERAS}{folder}{remote_file or weights_file}"
    return Backbone(
        name,
        keras_name,
        module,
        size,
        min_size,
        preprocessing,
        feature_dim,
        millions,
        top1,
        weights_file,
        url,
        weights_hash,
        _LICENCES[module],
    )


# fmt: off
_ENTRIES = (
    _entry("convnext_base", "ConvNeXtBase", "convnext", 224, 32, "inside", 1024, 87.57, 85.3,
           "tensorflow/keras-applications/convnext/", "convnext_base_notop.h5",
           "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
    _entry("convnext_large", "ConvNeXtLarge", "convnext", 224, 32, "inside", 1536, 196.23, 86.3,
           "tensorflow/keras-applications/convnext/", "convnext_large_notop.h5",
           "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
    _entry("convnext_small", "ConvNeXtSmall", "convnext", 224, 32, "inside", 768, 49.45, 82.3,
           "tensorflow/keras-applications/convnext/", "convnext_small_notop.h5",
           "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
    _entry("convnext_tiny", "ConvNeXtTiny", "convnext", 224, 32, "inside", 768, 27.82, 81.3,
           "tensorflow/keras-applications/convnext/", "convnext_tiny_notop.h5",
           "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
    _entry("convnext_xlarge", "ConvNeXtXLarge", "convnext", 224, 32, "inside", 2048, 348.15, 86.7,
           "tensorflow/keras-applications/convnext/", "convnext_xlarge_notop.h5",
           "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
    _entry("densenet121", "DenseNet121", "densenet", 224, 32, "torch", 1024, 7.04, 75.0,
           "tensorflow/keras-applications/densenet/",
           "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "30ee3e1110167f948a6b9946edeeb738"),
    _entry("densenet169", "DenseNet169", "densenet", 224, 32, "torch", 1664, 12.64, 76.2,
           "tensorflow/keras-applications/densenet/",
           "densenet169_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "b8c4d4c20dd625c148057b9ff1c1176b"),
    _entry("densenet201", "DenseNet201", "densenet", 224, 32, "torch", 1920, 18.32, 77.3,
           "tensorflow/keras-applications/densenet/",
           "densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "c13680b51ded0fb44dff2d8f86ac8bb1"),
    _entry("efficientnet_b0", "EfficientNetB0", "efficientnet", 224, 32, "inside", 1280, 4.05, 77.1,
           "keras-applications/", "efficientnetb0_notop.h5",
           "50bc09e76180e00e4465e1a485ddc09d"),
    _entry("efficientnet_b1", "EfficientNetB1", "efficientnet", 240, 32, "inside", 1280, 6.58, 79.1,
           "keras-applications/", "efficientnetb1_notop.h5",
           "74c4e6b3e1f6a1eea24c589628592432"),
    _entry("efficientnet_b2", "EfficientNetB2", "efficientnet", 260, 32, "inside", 1408, 7.77, 80.1,
           "keras-applications/", "efficientnetb2_notop.h5",
           "111f8e2ac8aa800a7a99e3239f7bfb39"),
    _entry("efficientnet_b3", "EfficientNetB3", "efficientnet", 300, 32, "inside", 1536, 10.78, 81.6,
           "keras-applications/", "efficientnetb3_notop.h5",
           "af6d107764bb5b1abb91932881670226"),
    _entry("efficientnet_b4", "EfficientNetB4", "efficientnet", 380, 32, "inside", 1792, 17.67, 82.9,
           "keras-applications/", "efficientnetb4_notop.h5",
           "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    _entry("efficientnet_b5", "EfficientNetB5", "efficientnet", 456, 32, "inside", 2048, 28.51, 83.6,
           "keras-applications/", "efficientnetb5_notop.h5",
           "38879255a25d3c92d5e44e04ae6cec6f"),
    _entry("efficientnet_b6", "EfficientNetB6", "efficientnet", 528, 32, "inside", 2304, 40.96, 84.0,
           "keras-applications/", "efficientnetb6_notop.h5",
           "9ecce42647a20130c1f39a5d4cb75743"),
    _entry("efficientnet_b7", "EfficientNetB7", "efficientnet", 600, 32, "inside", 2560, 64.10, 84.3,
           "keras-applications/", "efficientnetb7_notop.h5",
           "cbcfe4450ddf6f3ad90b1b398090fe4a"),
    _entry("efficientnet_v2_b0", "EfficientNetV2B0", "efficientnet_v2", 224, 32, "inside", 1280, 5.92, 78.7,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-b0_notop.h5",
           "893217f2bb855e2983157299931e43ff"),
    _entry("efficientnet_v2_b1", "EfficientNetV2B1", "efficientnet_v2", 240, 32, "inside", 1280, 6.93, 79.8,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-b1_notop.h5",
           "0e80663031ca32d657f9caa404b6ec37"),
    _entry("efficientnet_v2_b2", "EfficientNetV2B2", "efficientnet_v2", 260, 32, "inside", 1408, 8.77, 80.5,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-b2_notop.h5",
           "1dfe2e7a5d45b6632553a8961ea609eb"),
    _entry("efficientnet_v2_b3", "EfficientNetV2B3", "efficientnet_v2", 300, 32, "inside", 1536, 12.93, 82.0,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-b3_notop.h5",
           "f6abf7b5849ac99a89b50dd3fd532856"),
    _entry("efficientnet_v2_l", "EfficientNetV2L", "efficientnet_v2", 480, 32, "inside", 1280, 117.75, 85.7,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-l_notop.h5",
           "b0b66b5c863aef5b46e8608fe1711615"),
    _entry("efficientnet_v2_m", "EfficientNetV2M", "efficientnet_v2", 480, 32, "inside", 1280, 53.15, 85.3,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-m_notop.h5",
           "1b8dc055df72dde80d614482840fe342"),
    _entry("efficientnet_v2_s", "EfficientNetV2S", "efficientnet_v2", 384, 32, "inside", 1280, 20.33, 83.9,
           "tensorflow/keras-applications/efficientnet_v2/", "efficientnetv2-s_notop.h5",
           "af0682fb74e8c54910f2d4393339c070"),
    _entry("inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2", 299, 75, "tf", 1536, 54.34,
           80.3, "tensorflow/keras-applications/inception_resnet_v2/",
           "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "d19885ff4a710c122648d3b5c3b684e4"),
    _entry("inception_v3", "InceptionV3", "inception_v3", 299, 75, "tf", 2048, 21.80, 77.9,
           "tensorflow/keras-applications/inception_v3/",
           "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "bcbd6486424b2319ff4ef7d526e38f63"),
    _entry("mobilenet", "MobileNet", "mobilenet", 224, 32, "tf", 1024, 3.23, 70.4,
           "tensorflow/keras-applications/mobilenet/", "mobilenet_1_0_224_tf_no_top.h5",
           None),
    _entry("mobilenet_v2", "MobileNetV2", "mobilenet_v2", 224, 32, "tf", 1280, 2.26, 71.3,
           "tensorflow/keras-applications/mobilenet_v2/",
           "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
           None),
    _entry("mobilenet_v3_large", "MobileNetV3Large", "mobilenet_v3", 224, 32, "inside", 960, 3.00, 75.6,
           "tensorflow/keras-applications/mobilenet_v3/",
           "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
           "07fb09a5933dd0c8eaafa16978110389"),
    _entry("mobilenet_v3_small", "MobileNetV3Small", "mobilenet_v3", 224, 32, "inside", 576, 0.94, 68.1,
           "tensorflow/keras-applications/mobilenet_v3/",
           "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
           "d3e8ec802a04aa4fc771ee12a9a9b836"),
    _entry("nasnet_large", "NASNetLarge", "nasnet", 331, 32, "tf", 4032, 84.92, 82.5,
           "tensorflow/keras-applications/nasnet/", "nasnet_large_no_top.h5",
           "d81d89dc07e6e56530c4e77faddd61b5", "NASNet-large-no-top.h5"),
    _entry("nasnet_mobile", "NASNetMobile", "nasnet", 224, 32, "tf", 1056, 4.27, 74.4,
           "tensorflow/keras-applications/nasnet/", "nasnet_mobile_no_top.h5",
           "1ed92395b5b598bdda52abe5c0dbfd63", "NASNet-mobile-no-top.h5"),
    _entry("resnet101", "ResNet101", "resnet", 224, 32, "caffe", 2048, 42.66, 76.4,
           "tensorflow/keras-applications/resnet/", "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "88cf7a10940856eca736dc7b7e228a21"),
    _entry("resnet101_v2", "ResNet101V2", "resnet_v2", 224, 32, "tf", 2048, 42.63, 77.2,
           "tensorflow/keras-applications/resnet/",
           "resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "c0ed64b8031c3730f411d2eb4eea35b5"),
    _entry("resnet152", "ResNet152", "resnet", 224, 32, "caffe", 2048, 58.37, 76.6,
           "tensorflow/keras-applications/resnet/", "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    _entry("resnet152_v2", "ResNet152V2", "resnet_v2", 224, 32, "tf", 2048, 58.33, 78.0,
           "tensorflow/keras-applications/resnet/",
           "resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "ed17cf2e0169df9d443503ef94b23b33"),
    _entry("resnet50", "ResNet50", "resnet", 224, 32, "caffe", 2048, 23.59, 74.9,
           "tensorflow/keras-applications/resnet/", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "4d473c1dd8becc155b73f8504c6f6626"),
    _entry("resnet50_v2", "ResNet50V2", "resnet_v2", 224, 32, "tf", 2048, 23.56, 76.0,
           "tensorflow/keras-applications/resnet/",
           "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "fac2f116257151a9d068a22e544a4917"),
    _entry("vgg16", "VGG16", "vgg16", 224, 32, "caffe", 512, 14.71, 71.3,
           "tensorflow/keras-applications/vgg16/", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "6d6bbae143d832006294945121d1f1fc"),
    _entry("vgg19", "VGG19", "vgg19", 224, 32, "caffe", 512, 20.02, 71.3,
           "tensorflow/keras-applications/vgg19/", "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "253f8cb515780f3b799900260a226db6"),
    _entry("xception", "Xception", "xception", 299, 71, "tf", 2048, 20.86, 79.0,
           "tensorflow/keras-applications/xception/",
           "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
           "b0042744bf5b25fce3cb969f33bebb97"),
)
# fmt: on

CATALOGUE: dict[str, Backbone] = {entry.name: entry for entry in _ENTRIES}

EMBEDDED = Backbone(
    name="embedded",
    keras_name="",
    module="",
    size=144,
    min_size=32,
    preprocessing="inside",
    feature_dim=1280,
    millions=2.21,
    top1=None,
    weights_file="backbone.tflite",
    weights_url="",
    weights_hash=None,
    licence="Apache-2.0 (ours; starts from Keras' MobileNetV2, Apache-2.0: docs/embedded-backbone.md)",
)

# Best first for a CPU (docs/backbones.md has the numbers). First the most accurate that passes 1,000 photos
# in about ten seconds on two cores; then its neighbours within a factor of two, by accuracy; then
# the faster and less accurate; then what is slower than 60 photos a second.
_WEIGHED = (
    "efficientnet_v2_b0",
    "efficientnet_v2_b1", "efficientnet_b1", "efficientnet_b0",
    "mobilenet_v3_large", "mobilenet_v2", "mobilenet",
    "efficientnet_v2_b2", "nasnet_mobile", "densenet121", "resnet50", "convnext_tiny", "mobilenet_v3_small",
)  # fmt: skip

# `auto` without a network takes the first of these that is on disk. The unweighed are slow: small first.
AUTO_ORDER: tuple[str, ...] = _WEIGHED + tuple(
    sorted(set(CATALOGUE) - set(_WEIGHED), key=lambda name: (CATALOGUE[name].millions, name))
)


def find(name: str) -> Backbone:
    """Return the backbone called `name`, in the catalogue's spelling or in Keras' ("MobileNetV2").

    Raises:
        BackboneError: there is none; the message names the nearest.
    """
    known = {**CATALOGUE, EMBEDDED.name: EMBEDDED}
    if name in known:
        return known[name]
    for backbone in CATALOGUE.values():
        if _plain(name) in (_plain(backbone.name), _plain(backbone.keras_name)):
            return backbone
    near = difflib.get_close_matches(name.lower(), [*known, "auto"], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise BackboneError(
        f"No backbone is called {name!r}. {hint}`handful backbones` lists all {len(known)}; the path of a "
        ".keras file works too."
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
