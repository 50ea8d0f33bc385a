"""The story: is there anything to gain, does a fine-tuned top win on held-out photos; if so, train it on all.

Keras is imported only once there is something to try.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.config import (
    TrainConfig,
    room_for_views,
    tuning_depths,
    tuning_recipe,
)
from handful.features.store import FINE_TUNING, NETWORKS
from handful.files import sha256_of_file, sweep_below, temporary_name
from handful.finetune.decision import Compared, Verdict, best_stops, can_win, compare, verdict
from handful.finetune.flips import flips_change_labels, mirrored_features
from handful.finetune.lock import Lock, take_lock
from handful.finetune.material import Material, key_of, row_weights, why_not
from handful.finetune.state import Journal
from handful.finetune.trials import Round, Trial, hold_out, trial_entry, words_of
from handful.finetune.views import ViewRules
from handful.networks.quiet import import_keras
from handful.progress import Speaker

if TYPE_CHECKING:
    from handful.finetune.candidate import Candidate, Network
    from handful.finetune.cuts import Cut

_FLIPS_LOOKED_AT = 300  # photos whose mirror images are classified; more would only take longer
_PASSES_PER_STEP = 2.0  # training on a view takes about so many passes of one photo through the network
_STARTING = 8.0  # seconds that importing TensorFlow and converting take


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network and its head.

    Attributes:
        network: its file, in a folder of this run's own.
        network_sha256: of the file.
        pooled_output: position of the pooled vector among its outputs.
        map_output: position of the last feature map.
        weights: float32 (d, k), the head.
        bias: float32 (k,).
        moved: the weights that were trained, by their place among all of the network's.
        cut: the layer below which nothing moved.
        blocks: how many blocks were trained.
        trained_weights: how many weights moved, those of the head included.
        rows: int (m,), the photos that were held out in the rounds that were run.
        logits: float32 (m, k) of those, by tops that had not seen them.
        training_accuracy: share of the training photos that the delivered one recognises.
    """

    network: Path
    network_sha256: str
    pooled_output: int
    map_output: int
    weights: np.ndarray
    bias: np.ndarray
    moved: dict[str, np.ndarray]
    cut: str
    blocks: int
    trained_weights: int
    rows: np.ndarray
    logits: np.ndarray
    training_accuracy: float


@dataclass(frozen=True)
class Outcome:
    """What became of the question whether fine-tuning pays.

    Attributes:
        why: the answer in one line.
        tuned: the winner; None where the frozen network stays.
        report: plain JSON values for the card.
        folder: of the run's own files, to be removed once the result is written; None where nothing was run.
        lock: keeps other runs from that folder meanwhile.
    """

    why: str
    tuned: Tuned | None
    report: dict[str, Any]
    folder: Path | None = None
    lock: Lock | None = None


def fine_tune(
    material: Material, config: TrainConfig, cache: Path, speaker: Speaker, *, workers: int
) -> Outcome:
    """Decide by measurement whether fine-tuning pays, and fine-tune if it does.

    Args:
        material: what the frozen part left.
        config: effort, seed, and what views may change.
        cache: the cache folder; an unfinished run lies in it.
        speaker: told what is tried and how it did.
        workers: threads.

    Raises:
        HandfulError: a photo changed meanwhile, or the disk refused.
    """
    if reason := why_not(material):
        return _stays(reason, [])
    rounds = hold_out(material, config)
    if not rounds:
        return _stays("some class has too few photos to hold any of them out", [])
    speaker.say(_announcement(material, config, rounds, workers))
    import_keras()
    from handful.finetune.candidate import Network

    sweep_below(cache / FINE_TUNING)
    folder, lock = _own_folder(cache / FINE_TUNING / key_of(material, config), speaker)
    try:
        journal = Journal.open(folder / "state")
        if journal.finished or journal.under_way:
            speaker.say("going on where an earlier run was stopped")
        network = Network(material.frozen, cache / NETWORKS)
        outcome = _Tuning(material, config, folder, journal, network, rounds, speaker, workers).outcome()
    except BaseException:
        lock.release()
        raise
    return replace(outcome, folder=folder, lock=lock)


def _own_folder(folder: Path, speaker: Speaker) -> tuple[Path, Lock]:
    """The folder in which a run can be taken up again; while another run is in it, one for this run alone.

    Raises:
        WriteError: the disk refused.
    """
    while (lock := take_lock(folder)) is None:
        speaker.say(
            "another run with the same photos and settings is under way: this one works apart from it, "
            "and begins anew if it is stopped"
        )
        folder = temporary_name(folder)  # swept away by a later run if this process dies
    return folder, lock


def forget(outcome: Outcome) -> None:
    """Remove what a run kept for itself, once its result is written.

    It steps aside first: what a kill leaves of it is then known as such, and the next run sweeps it away.
    """
    if outcome.folder is not None:
        aside = temporary_name(outcome.folder)
        with contextlib.suppress(OSError):
            os.rename(outcome.folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    if outcome.lock is not None:
        outcome.lock.release()


def _stays(why: str, tried: list[dict[str, Any]], **more: Any) -> Outcome:
    return Outcome(why, None, {"state": "done", "chosen": "frozen", "why": why, "tried": tried, **more})


def _announcement(material: Material, config: TrainConfig, rounds: list[Round], workers: int) -> str:
    """What follows, and about how long it takes, from the time one photo takes."""
    engine = material.frozen.engine
    pixels = np.zeros((1, *engine.size, 3), np.uint8)
    engine.run(pixels)
    start = time.perf_counter()
    engine.run(pixels)
    photo = (time.perf_counter() - start) / (workers if engine.id.startswith("litert") else 1)
    n = len(material.photos)
    recipe = tuning_recipe(n, config.effort)
    views = n * recipe.views
    trained = recipe.steps * recipe.batch * (1 + 1 / len(rounds))  # one round, and all photos if it is won
    seconds = _STARTING + photo * (views + _PASSES_PER_STEP * trained)
    told = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"checking whether fine-tuning pays, about {told}; Ctrl-C keeps the frozen model"


class _Tuning:
    """One decision, with all it needs at hand."""

    def __init__(
        self, material: Material, config: TrainConfig, folder: Path, journal: Journal, network: Network,
        rounds: list[Round], speaker: Speaker, workers: int,
    ) -> None:  # fmt: skip
        self._material, self._config, self._folder, self._journal = material, config, folder, journal
        self._network, self._rounds, self._speaker, self._workers = network, rounds, speaker, workers
        self._recipe = tuning_recipe(len(material.photos), config.effort)

    def outcome(self) -> Outcome:
        """Try cut after cut while the one before was worth it; then train the best on all photos."""
        cut = self._network.first_cut()
        if cut is None:
            return _stays("this network has no place where it could be cut", [])
        rules = self._rules()
        best: tuple[Candidate, Trial] | None = None
        trials: list[Trial] = []
        while cut is not None and len(trials) < tuning_depths(self._config.effort):
            candidate = self._candidate(cut, rules, len(trials))
            if candidate is None:
                break
            trial = self._try(candidate, best[1] if best else None)
            trials.append(trial)
            if trial.answer != "better":
                break
            best = candidate, trial
            errors = trial.compared.photos - trial.compared.right
            cut = self._network.deeper_cut(cut) if can_win(errors, len(trial.logits)) else None
        tried = [trial_entry(trial) for trial in trials]
        settings = {"views": {**rules.as_dict(), "each": self._recipe.views}}
        if best is None:
            return self._kept_frozen(trials, tried, settings)
        tuned = self._train_on_all(*best)
        why = f"{words_of(best[1])}: the fine-tuned one is kept"
        report = {
            "state": "done", "chosen": "fine-tuned", "why": why, "tried": tried, **settings,
            "cut": tuned.cut, "blocks": tuned.blocks, "trained_weights": tuned.trained_weights,
            "training_accuracy": tuned.training_accuracy,
        }  # fmt: skip
        return Outcome(why, tuned, report)

    def _kept_frozen(
        self, trials: list[Trial], tried: list[dict[str, Any]], settings: dict[str, Any]
    ) -> Outcome:
        why = f"{words_of(trials[0])}: the frozen one is kept" if trials else "too little room for its values"
        return _stays(why, tried, **settings)

    # What every candidate shares ------------------------------------------------------------------

    def _rules(self) -> ViewRules:
        config = self._config
        flip = self._flips_are_safe() if config.flip is None else config.flip
        return ViewRules(crop=config.crop, rotate=config.rotate, colour=config.colour, flip=flip)

    def _flips_are_safe(self) -> bool:
        """Ask the heads of the rounds about the mirror images of photos that they have not seen."""
        known = self._journal.finished.get("flips")
        if known is None:
            change = self._flips_change_labels()
            known = {"change": np.array(change)}
            self._journal.finish("flips", known)
        change = bool(known["change"])
        told = "change what a photo is taken for, so there are none" if change else "change no class"
        self._speaker.say(f"mirror images {told}")
        return not change

    def _flips_change_labels(self) -> bool:
        material = self._material
        held = [(rnd, rnd.held[: _FLIPS_LOOKED_AT // len(self._rounds)]) for rnd in self._rounds]
        labels, plain, mirrored = [], [], []
        for rnd, rows in held:
            photos = [material.photos[row] for row in rows]
            features = mirrored_features(photos, material.frozen.engine, workers=self._workers)
            labels.append(material.labels[rows])
            plain.append(material.features[rows] @ rnd.weights + rnd.bias)
            mirrored.append(features @ rnd.weights + rnd.bias)
        return flips_change_labels(np.concatenate(labels), np.concatenate(plain), np.concatenate(mirrored))

    def _candidate(self, cut: Cut, rules: ViewRules, number: int) -> Candidate | None:
        """Open a cut; None, and told so, where its values find no room."""
        from handful.finetune.candidate import Candidate, Plan

        material, n = self._material, len(self._material.photos)
        self._folder.mkdir(parents=True, exist_ok=True)
        views, precision = self._room(cut, number)
        if views < self._recipe.views:
            self._speaker.warn(
                f"{self._recipe.views} views of {n:,} photos, as they are at {cut.layer}, find no room in "
                f"the cache: {f'{views} views are used' if views else 'this cut is not tried'}"
            )
        if not views:
            return None
        dtype = np.float32 if precision == 4 else np.float16
        plan = Plan(
            material.photos, material.labels, row_weights(material, self._config), material.classes, rules,
            views, dtype, self._workers, self._config.seed,
        )  # fmt: skip
        folder = self._folder / f"cut{number}"
        return Candidate(self._network, cut, plan, self._recipe, folder, self._journal, self._speaker)

    def _room(self, cut: Cut, number: int) -> tuple[int, int]:
        """Views to keep, and bytes of each number: settled once, as the disk is fuller when a run goes on."""
        name, n = f"room/{number}", len(self._material.photos)
        if name not in self._journal.finished:
            free = shutil.disk_usage(self._folder).free
            views, precision = room_for_views(n, self._recipe.views, cut.values, free)
            self._journal.finish(name, {"views": np.array(views), "bytes": np.array(precision)})
        known = self._journal.finished[name]
        return int(known["views"]), int(known["bytes"])

    # One candidate --------------------------------------------------------------------------------

    def _try(self, candidate: Candidate, beaten: Trial | None) -> Trial:
        """Run rounds until the answer is clear; with effort "thorough" every round."""
        rounds = self._rounds[: len(beaten.logits)] if beaten else self._rounds
        before, logits, stops, training = [], [], [], []
        answer: Verdict = "unclear"
        compared = Compared(0, 0, 0, 0, len(rounds))
        for place, rnd in enumerate(rounds):
            found = self._round(candidate, place, rnd)
            frozen = self._material.features[rnd.held] @ rnd.weights + rnd.bias
            before.append(beaten.logits[place] if beaten else frozen)
            logits.append(found["logits"])
            stops.extend(found["stops"].tolist())
            training.append(float(found["training"]))
            compared = compare(
                self._labels(place + 1), np.concatenate(before), np.concatenate(logits), len(rounds)
            )
            answer = "better" if answer == "better" else verdict(compared, place + 1)
            if answer == "no better" or (answer == "better" and self._config.effort != "thorough"):
                break
        against = f"fine-tuning the last {beaten.cut.blocks}" if beaten else "the frozen network"
        trial = Trial(
            candidate.cut, candidate.trained_weights, against, before, logits, compared, answer,
            float(np.median(stops)), float(np.mean(training)),
        )  # fmt: skip
        candidate.reset()
        self._speaker.say(f"tried: {words_of(trial)}")
        return trial

    def _round(self, candidate: Candidate, place: int, rnd: Round) -> dict[str, np.ndarray]:
        """Train on all but the held-out photos, and score those."""
        name, what = f"{candidate.name}/{place}", f"held-out photos, round {place + 1}"
        if name in self._journal.finished:
            return self._journal.finished[name]
        recipe = tuning_recipe(len(rnd.rest), self._config.effort)
        start = rnd.weights, rnd.bias
        position = candidate.run(name, what, start, rnd.rest, rnd.held, rnd.halves, recipe)
        logits, chosen = best_stops(position.watched, self._material.labels[rnd.held], rnd.halves)
        fitted = candidate.logits(rnd.rest).argmax(axis=1) == self._material.labels[rnd.rest]
        found = {
            "logits": logits,
            "stops": np.array(chosen) / recipe.steps,
            "training": np.array(fitted.mean()),
        }
        self._journal.finish(name, found)
        return found

    def _labels(self, rounds: int) -> np.ndarray:
        return np.concatenate([self._material.labels[rnd.held] for rnd in self._rounds[:rounds]])

    # The last run ---------------------------------------------------------------------------------

    def _train_on_all(self, candidate: Candidate, trial: Trial) -> Tuned:
        material, everyone = self._material, np.arange(len(self._material.photos))
        none = np.empty(0, np.int64)
        start = material.head.weights, material.head.bias
        position = candidate.run(
            f"{candidate.name}/all", "all photos", start, everyone, none, none, self._recipe,
            until=trial.until,
        )  # fmt: skip
        candidate.restore(position)
        right = candidate.logits(everyone).argmax(axis=1) == material.labels
        network, pooled, spatial = self._network.write(self._folder)
        return Tuned(
            network=network,
            network_sha256=sha256_of_file(network),
            pooled_output=pooled,
            map_output=spatial,
            weights=position.variables[-2],
            bias=position.variables[-1],
            moved=candidate.moved(),
            cut=trial.cut.layer,
            blocks=trial.cut.blocks,
            trained_weights=trial.trained_weights,
            rows=np.concatenate([rnd.held for rnd in self._rounds[: len(trial.logits)]]),
            logits=np.concatenate(trial.logits),
            training_accuracy=float(right.mean()),
        )
