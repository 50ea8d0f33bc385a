"""The frozen backbone, ready to run: located, converted if need be, opened, its cache beside it.

Nothing here imports TensorFlow while the converted network is on disk and LiteRT runs it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from handful.backbones import CATALOGUE
from handful.config import TrainConfig
from handful.contents import KERAS_NETWORK, LITERT_NETWORK
from handful.data.images import DECODER_VERSION
from handful.engines.base import Engine
from handful.engines.registry import gpu_device_is_present, open_network
from handful.errors import BackboneError
from handful.features.cache import FeatureCache, Space
from handful.features.store import FEATURES, NETWORKS
from handful.networks import weights
from handful.networks.converted import Converted, converted, is_converted, runs_on_litert
from handful.networks.litert import litert_is_installed
from handful.networks.saved import SAVED_VERSION, saved
from handful.progress import Speaker


@dataclass(frozen=True)
class Frozen:
    """A frozen network that can be run and put into a trained folder.

    Attributes:
        source: where its weights come from.
        network: its file: .tflite, or .keras where only Keras runs it.
        network_sha256: of that file when it was opened.
        engine: computes the features; Keras may do so though the file is for LiteRT.
        cache: features by this engine.
        space: what the features depend on that `network` gives to whoever opens it; those in `cache`
            where the same engine runs it.
        weights_count: how many weights it has, none of which moves.
        pooled_output: position of the pooled vector among the file's outputs.
        map_output: position of the last feature map.
    """

    source: weights.Source
    network: Path
    network_sha256: str
    engine: Engine
    cache: FeatureCache
    space: Space
    weights_count: int
    pooled_output: int
    map_output: int

    @property
    def description(self) -> str:
        """The backbone in words."""
        if self.source.architecture == "embedded":
            return "embedded, the small backbone inside Handful, distilled from an ImageNet network"
        if self.source.architecture == "file":
            return f"{self.source.name}, your own network"
        kind = "pretrained on ImageNet" if self.source.of_catalogue else "your weights"
        return f"{self.source.architecture}, {kind}"

    def backbone_entry(self) -> dict[str, Any]:
        """What the card says of the backbone."""
        rows, columns = self.engine.size
        return {
            "name": self.source.name,
            "architecture": self.source.architecture,
            "preprocessing": self.source.preprocessing,
            "weights_sha256": self.source.sha256,
            "weights_count": self.weights_count,
            "size": [rows, columns],
            "chosen_because": self.source.chosen_because,
        }

    def network_entry(self) -> dict[str, Any]:
        """What the card says of the network file; "engine" computed the features, "space" is its own."""
        return {
            "file": LITERT_NETWORK if self.network.suffix == ".tflite" else KERAS_NETWORK,
            "feature_dim": self.engine.feature_dim,
            "pooled_output": self.pooled_output,
            "map_output": self.map_output,
            "engine": self.engine.id,
            "space": {**asdict(self.space), "size": list(self.space.size)},
        }


def open_frozen(config: TrainConfig, folder: Path, speaker: Speaker) -> Frozen:
    """Locate, convert if it is the first time, and open the backbone that `config` asks for.

    Args:
        config: names the backbone, its size and its engine.
        folder: the cache: converted networks and features lie under it.
        speaker: told about downloads, conversions and whatever stood in for something.

    Raises:
        BackboneError: the backbone is unknown, cannot be had, or cannot be run as asked.
    """
    networks = folder / NETWORKS
    source = weights.locate(
        config.backbone,
        architecture=config.architecture,
        preprocessing=config.preprocessing,
        size=config.size,
        speaker=speaker,
        networks=networks if config.engine != "keras" and litert_is_installed() else None,
    )
    if _use_keras(config.engine, source, networks, speaker):
        return _on_keras(source, folder, speaker)
    network = converted(source, None, networks, speaker)
    if network is None:
        raise BackboneError(f"{source.name} does not run on LiteRT here. Train with --engine keras.")
    return _on_litert(source, network, folder, speaker)


def _use_keras(asked: str, source: weights.Source, networks: Path, speaker: Speaker) -> bool:
    """Choose the engine; with "auto", LiteRT unless it cannot or a GPU is there and nothing converted."""
    if asked != "auto":
        return asked == "keras"
    if not runs_on_litert(source):
        speaker.warn(f"Keras runs {source.name}, because {_why(source)}; prediction will load TensorFlow")
        return True
    if is_converted(source, networks) or not gpu_device_is_present():
        return False
    from handful.engines.keras_engine import gpu_is_usable

    usable = gpu_is_usable()
    if usable:
        speaker.warn(f"Keras runs {source.name} on the GPU; choose --engine litert to run it on the CPU")
    return usable


def _why(source: weights.Source) -> str:
    """Say why LiteRT does not run a network."""
    listed = CATALOGUE.get(source.architecture)
    if listed and listed.keras_only_reason:
        return listed.keras_only_reason
    return "ai-edge-litert is not installed here"


def _on_litert(source: weights.Source, network: Converted, folder: Path, speaker: Speaker) -> Frozen:
    for note in network.notes:
        speaker.warn(note)
    places = {"pooled_output": network.pooled_output, "map_output": network.map_output}
    engine = open_network(network.path, places)
    # The network's own hash: another converter gives another network, and other features.
    space = Space(network.sha256, engine.size, DECODER_VERSION, engine.id)
    return Frozen(
        source=source,
        network=network.path,
        network_sha256=network.sha256,
        engine=engine,
        cache=FeatureCache(folder / FEATURES, space),
        space=space,
        weights_count=network.weights_count,
        **places,
    )


def _on_keras(source: weights.Source, folder: Path, speaker: Speaker) -> Frozen:
    """Keras computes the features; the trained folder still gets LiteRT's network where there is one."""
    from handful.engines.keras_engine import KerasEngine
    from handful.networks.build import notes_on

    engine = KerasEngine(source)
    built = f"{source.sha256}/{source.preprocessing}/v{SAVED_VERSION}"
    space = Space(built, engine.size, DECODER_VERSION, engine.id)
    cache = FeatureCache(folder / FEATURES, space)
    light = _for_prediction(source, folder / NETWORKS, speaker)
    if light is not None:
        return replace(_on_litert(source, light, folder, speaker), engine=engine, cache=cache)
    for note in notes_on(source):
        speaker.warn(note)
    heavy = saved(source, folder / NETWORKS, engine.save, speaker)
    return Frozen(
        source=source,
        network=heavy.path,
        network_sha256=heavy.sha256,
        engine=engine,
        cache=cache,
        space=space,
        weights_count=engine.weights_count,
        pooled_output=0,
        map_output=1,
    )


def _for_prediction(source: weights.Source, networks: Path, speaker: Speaker) -> Converted | None:
    """Convert the network so that prediction need not load TensorFlow; None where that cannot be."""
    try:
        return converted(source, None, networks, speaker)
    except BackboneError as error:
        why = str(error).partition("\n")[0]
        speaker.warn(f"{source.name} stays with Keras, and prediction will load TensorFlow: {why}")
        return None
