"""A network cut at one place: its trunk run once for each view, its top ready to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from handful.config import Recipe
from handful.files import write_atomically
from handful.finetune import cuts
from handful.finetune.cuts import Core, Cut
from handful.finetune.runs import Rows, plain_values, run_top
from handful.finetune.state import Journal, Position
from handful.finetune.top import Top
from handful.finetune.trunk import KeptValues, KerasTrunk, Trunk, litert_trunk
from handful.finetune.views import ViewedPhoto, ViewRules
from handful.frozen import Frozen
from handful.networks.build import feature_model, frozen
from handful.networks.convert import output_positions, to_litert
from handful.networks.quiet import without_noise
from handful.networks.sidecars import stem
from handful.progress import Speaker


class Network:
    """The whole network in Keras, and where it can be cut.

    Args:
        opened: the backbone as the frozen part used it.
        networks: folder in which converted trunks are kept.

    Raises:
        BackboneError: its weights are no longer to be had.
    """

    def __init__(self, opened: Frozen, networks: Path) -> None:
        with without_noise():
            self._features: keras.Model = feature_model(opened.source)
        self._frozen, self._networks = opened, networks
        self.core: Core = cuts.core_of(self._features)
        self.size = opened.engine.size
        self._cuts = cuts.cuts_of(self.core)

    def first_cut(self) -> Cut | None:
        """Where fine-tuning starts; None where this network cannot be cut."""
        return cuts.last_stage(self._cuts, int(self._features.outputs[1].shape[1]))

    def deeper_cut(self, cut: Cut) -> Cut | None:
        """The next one below; None where there is none."""
        return cuts.deeper(self._cuts, cut)

    def trunk(self, cut: Cut) -> Trunk:
        """What lies below a cut, run by LiteRT where the frozen network is, else by Keras."""
        if not self._frozen.engine.id.startswith("litert"):
            return KerasTrunk(self.core, cut)
        source = self._frozen.source
        place = self._cuts.index(cut)
        name = f"{stem(source.architecture, source.sha256, source.size, source.preprocessing)}-below{place}"
        return litert_trunk(self.core, cut, self._networks, name)

    def moved(self, weights: Sequence[keras.Variable]) -> dict[str, np.ndarray]:
        """Weights float32 by their place among all of the network's; names differ between processes."""
        places = {id(weight): place for place, weight in enumerate(self._features.weights)}
        return {str(places[id(weight)]): np.array(weight.numpy()) for weight in weights}

    def write(self, folder: Path) -> tuple[Path, int, int]:
        """Write the network as it is now.

        Returns:
            The file, and the positions of the pooled vector and of the map among its outputs.
        """
        if self._frozen.network.suffix == ".keras":
            path = folder / "tuned.keras"
            with without_noise():
                frozen(self._features).save(path)
            return path, 0, 1
        content = to_litert(self._features)
        path = folder / "tuned.tflite"
        write_atomically(path, content)
        return path, *output_positions(content)


@dataclass(frozen=True)
class Plan:
    """What is the same for every run of one candidate.

    Attributes:
        photos: n of them.
        labels: int (n,).
        weights: float32 (n,), how much each counts.
        classes: k.
        rules: of the views.
        views: how many of each photo are kept.
        dtype: in which the values are kept.
        workers: threads.
        seed: of the order of the photos.
    """

    photos: Sequence[ViewedPhoto]
    labels: np.ndarray
    weights: np.ndarray
    classes: int
    rules: ViewRules
    views: int
    dtype: type[np.floating]
    workers: int
    seed: int


class Candidate:
    """One cut of the network; its `name` begins those of its runs.

    Args:
        network: the whole.
        cut: where.
        plan: photos, views, and how much memory.
        recipe: how its top is trained; the steps are given to each run.
        folder: of this candidate's own.
        journal: what interrupted runs go on from.
        speaker: shows bars.
    """

    def __init__(
        self, network: Network, cut: Cut, plan: Plan, recipe: Recipe, folder: Path, journal: Journal,
        speaker: Speaker,
    ) -> None:  # fmt: skip
        self.cut = cut
        self.name = f"{cut.layer}/{plan.views}/{np.dtype(plan.dtype).name}"
        self._network, self._plan, self._journal, self._speaker = network, plan, journal, speaker
        self._kept = KeptValues(folder, plan.photos, plan.views, cut.values, plan.dtype)
        if self._kept.missing:
            trunk = network.trunk(cut)
            with speaker.bar(
                f"{plan.views} views of each photo, up to {cut.layer}", self._kept.missing
            ) as bar:
                self._kept.fill(trunk, network.size, plan.rules, workers=plan.workers, advance=bar)
        self._top = Top(network.core, cut, plan.classes, recipe)

    @property
    def trained_weights(self) -> int:
        """How many weights move, those of the head included."""
        return self._top.trained_weights

    def run(
        self, name: str, what: str, start: tuple[np.ndarray, np.ndarray], trained: np.ndarray,
        watched: np.ndarray, halves: np.ndarray, recipe: Recipe, *, until: float = 1.0,
    ) -> Position:  # fmt: skip
        """Train the top on rows `trained`; see `runs.Rows` and `runs.run_top`."""
        rows = Rows(self._plan.labels, self._plan.weights, trained, watched, halves)
        with self._speaker.bar(what, recipe.steps) as advance:
            return run_top(
                name, self._top, start, self._kept, rows, recipe, self._journal,
                seed=self._plan.seed, until=until, advance=advance,
            )  # fmt: skip

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Logits float32 (m, k) of the plain view of rows, by the top as it is now."""
        return self._top.logits(plain_values(self._kept, rows))

    def reset(self) -> None:
        """Put the pretrained weights back: candidates share their layers."""
        self._top.reset()

    def restore(self, position: Position) -> None:
        """Put a position's weights into the network."""
        self._top.restore(position)

    def moved(self) -> dict[str, np.ndarray]:
        """The weights of the network that this candidate trains, as they are now."""
        return self._network.moved(self._top.layer_weights)
