"""The frozen backbone, ready to run: located, converted if need be, opened, its cache beside it.

Nothing here imports TensorFlow while the converted network is on disk and LiteRT runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful.artefact import KERAS_NETWORK, LITERT_NETWORK
from handful.config import TrainConfig
from handful.data.images import DECODER_VERSION
from handful.engines.base import Engine
from handful.engines.registry import gpu_device_is_present, litert_is_installed, open_network
from handful.errors import BackboneError
from handful.features.cache import FeatureCache, Space
from handful.features.store import FEATURES, NETWORKS
from handful.networks import weights
from handful.networks.converted import Converted, converted, runs_on_litert
from handful.progress import Speaker


@dataclass(frozen=True)
class Frozen:
    """A frozen network that can be run and put into a trained folder.

    Attributes:
        source: where its weights come from.
        network: its file: .tflite, or .keras where only Keras runs it.
        engine: runs it.
        cache: features of this network, at this size, by this engine.
        weights_count: how many weights it has, none of which moves.
        pooled_output: position of the pooled vector among the file's outputs.
        map_output: position of the last feature map.
        seconds: what the conversion cost when it was made.
    """

    source: weights.Source
    network: Path
    engine: Engine
    cache: FeatureCache
    weights_count: int
    pooled_output: int
    map_output: int
    seconds: float

    @property
    def description(self) -> str:
        """The backbone in words."""
        if self.source.architecture == "embedded":
            return "embedded, the small backbone inside Handful, pretrained on small photos"
        if self.source.architecture == "file":
            return f"{self.source.name}, your own network"
        kind = "your weights" if self.source.name != self.source.architecture else "pretrained on ImageNet"
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
        """What the card says of the network file."""
        return {
            "file": LITERT_NETWORK if self.network.suffix == ".tflite" else KERAS_NETWORK,
            "feature_dim": self.engine.feature_dim,
            "pooled_output": self.pooled_output,
            "map_output": self.map_output,
            "engine": self.engine.id,
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
        networks=networks,
    )
    if _use_keras(config.engine, source, speaker):
        return _on_keras(source, folder)
    network = converted(source, None, networks, speaker)
    if network is None:
        raise BackboneError(f"{source.name} does not run on LiteRT here. Train with --engine keras.")
    for note in network.notes:
        speaker.warn(note)
    return _on_litert(source, network, folder)


def _use_keras(asked: str, source: weights.Source, speaker: Speaker) -> bool:
    if asked != "auto":
        return asked == "keras"
    if not runs_on_litert(source):
        why = (
            "it does not convert" if litert_is_installed() else "ai-edge-litert has no wheel for this machine"
        )
        speaker.warn(f"Keras runs {source.name}, because {why}; prediction will load TensorFlow")
        return True
    if gpu_device_is_present():
        from handful.engines.keras_engine import gpu_is_usable

        return gpu_is_usable()
    return False


def _on_litert(source: weights.Source, network: Converted, folder: Path) -> Frozen:
    places = {"pooled_output": network.pooled_output, "map_output": network.map_output}
    engine = open_network(network.path, places)
    return Frozen(
        source=source,
        network=network.path,
        engine=engine,
        cache=_cache(source, engine, folder),
        weights_count=network.weights_count,
        seconds=network.seconds,
        **places,
    )


def _on_keras(source: weights.Source, folder: Path) -> Frozen:
    """Keras runs the network; the trained folder gets it as a .keras file."""
    from handful.engines.keras_engine import KerasEngine

    engine = KerasEngine(source, source.size)
    place = folder / NETWORKS / f"{source.architecture}-{source.sha256[:16]}-{source.size}.keras"
    engine.save(place)
    return Frozen(
        source=source,
        network=place,
        engine=engine,
        cache=_cache(source, engine, folder),
        weights_count=engine.weights_count,
        pooled_output=0,
        map_output=1,
        seconds=0.0,
    )


def _cache(source: weights.Source, engine: Engine, folder: Path) -> FeatureCache:
    space = Space(f"{source.sha256}/{source.preprocessing}", engine.size, DECODER_VERSION, engine.id)
    return FeatureCache(folder / FEATURES, space)
