"""What a training run came to, frozen or fine-tuned: its scores, its card, its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import OutOfFold, read_artefact, write_artefact
from handful.audit.numbers import Measured, Numbers, for_fine_tuned, measure, steps_to_measure, with_scratch
from handful.card import decided_card, make_card, recorded_settings, source_entry, tuned_card
from handful.config import TrainConfig
from handful.data.manifest import Manifest, Split
from handful.data.splitting import bundles
from handful.engines.base import Engine
from handful.engines.registry import open_network
from handful.errors import ArtefactError, BackboneError
from handful.evaluation import Scores, cross_validated_scores, score
from handful.features.extract import Photo, extract
from handful.features.labelled import Labelled
from handful.finetune.tuning import Outcome, Tuned
from handful.frozen import Frozen
from handful.heads.apply import apply_head
from handful.heads.fitting import FittedHead
from handful.plain import finite
from handful.progress import Speaker

UNFINISHED = {"state": "unfinished"}
NOT_ASKED = {"state": "not asked for"}


@dataclass(frozen=True)
class Result:
    """All that a trained folder holds.

    Attributes:
        card: see `card.make_card`.
        scores: by the name of what was scored.
        network: the network's file.
        network_sha256: of it.
        weights: float32 (d, k), the new layer.
        bias: float32 (k,).
        measured: the training photos and the head on the frozen network.
        numbers: what was measured of them.
        table: the out-of-fold table, always of the frozen network.
        moved: weights of the network that were trained, by their place; None where it is frozen.
    """

    card: dict[str, Any]
    scores: dict[str, Scores]
    network: Path
    network_sha256: str
    weights: np.ndarray
    bias: np.ndarray
    measured: Measured
    numbers: Numbers
    table: OutOfFold
    moved: Mapping[str, np.ndarray] | None = None


def frozen_result(
    config: TrainConfig, frozen: Frozen, labelled: Labelled, head: FittedHead, speaker: Speaker
) -> Result:
    """The head on the frozen network, scored by cross-validation and on the photos set aside.

    The head that is delivered is divided by the temperature, so that every export is calibrated too. The test
    photos are scored once: here where nothing follows, else by `decided_result`, for what is delivered.
    """
    training, values = labelled.of("train")
    measured = _measured(labelled, training, values, head)
    with speaker.bar("what the result is worth", steps_to_measure(len(values))) as advance:
        numbers = measure(measured, config, advance=advance)
    temperature = np.float32(numbers.calibration.temperature)
    weights, bias = head.weights / temperature, head.bias / temperature
    calibrated = numbers.calibration.probabilities
    scores = {"cross_validation": cross_validated_scores(numbers, calibrated, training.labels)}
    state = NOT_ASKED if config.effort == "quick" else UNFINISHED
    splits: tuple[Split, ...] = ("validation",) if state == UNFINISHED else ("validation", "test")
    for split in splits:
        scores |= _frozen_set_aside(split, weights, bias, labelled)
    table = OutOfFold(
        files=training.locations,
        hashes=[row.sha256 for row in training.rows],
        labels=training.labels,
        folds=head.folds,
        logits=head.out_of_fold_logits,
    )
    card = make_card(config, frozen, labelled, head, scores, numbers, speaker.warnings, state)
    return Result(
        card, scores, frozen.network, frozen.network_sha256, weights, bias, measured, numbers, table
    )


def _measured(labelled: Labelled, training: Manifest, values: np.ndarray, head: FittedHead) -> Measured:
    return Measured(
        files=training.locations,
        classes=training.classes,
        features=values,
        labels=training.labels,
        groups=bundles(training.rows),
        looks=labelled.looks_of("train"),
        head=head,
    )


def decided_result(
    before: Result, outcome: Outcome, labelled: Labelled, speaker: Speaker, *, workers: int
) -> Result:
    """The result after the decision: the same, or that of the fine-tuned network; the test photos scored."""
    before = replace(before, numbers=_beside(before, speaker))
    if outcome.tuned is None:
        scores = before.scores | _frozen_set_aside("test", before.weights, before.bias, labelled)
        card = decided_card(before.card, outcome.report, scores, before.numbers, speaker.warnings)
        return replace(before, card=card, scores=scores)
    tuned, numbers = _calibrated(before, outcome.tuned, labelled)
    places = {"pooled_output": tuned.pooled_output, "map_output": tuned.map_output}
    engine = open_network(tuned.network, places)
    scores = before.scores | {"fine_tuned": _held_out(tuned, numbers.calibration.probabilities, labelled)}
    for split in ("validation", "test"):
        scores |= _set_aside(split, tuned, engine, labelled, speaker, workers)
    card = decided_card(before.card, outcome.report, scores, numbers, speaker.warnings)
    card = tuned_card(card, tuned, engine)
    return Result(
        card,
        scores,
        tuned.network,
        tuned.network_sha256,
        tuned.weights,
        tuned.bias,
        before.measured,
        numbers,
        before.table,
        tuned.moved,
    )


def _calibrated(before: Result, tuned: Tuned, labelled: Labelled) -> tuple[Tuned, Numbers]:
    """Divide the fine-tuned head by the temperature that the photos held out from it ask for."""
    training, _ = labelled.of("train")
    rows, seed = tuned.rows, before.card["settings"]["seed"]
    numbers = for_fine_tuned(
        before.numbers, tuned.logits, training.labels[rows], before.table.folds[rows],
        bundles(training.rows)[rows], seed,
    )  # fmt: skip
    temperature = np.float32(numbers.calibration.temperature)
    scaled = replace(tuned, weights=tuned.weights / temperature, bias=tuned.bias / temperature)
    return scaled, numbers


def _beside(before: Result, speaker: Speaker) -> Numbers:
    """What was measured, with a small network from scratch beside it where TensorFlow runs."""
    try:
        with speaker.busy("a small network from scratch, to compare with"):
            return with_scratch(before.numbers, before.measured, before.card["settings"]["seed"])
    except BackboneError as error:
        speaker.warn(f"no small network from scratch was trained to compare with: {error}")
        return before.numbers


def is_unfinished(
    target: Path, config: TrainConfig, manifest: Manifest | None = None, fingerprint: str | None = None
) -> bool:
    """Whether the same run was stopped after it had written the frozen result to `target`.

    Args:
        target: where a result may lie.
        config: the settings; they have to be the same.
        manifest: of the photos, once they are listed; it has to come from the same place in the same way.
        fingerprint: of the usable photos, once they are read; it has to be the same.
    """
    try:
        card = read_artefact(target).card
    except ArtefactError:
        return False
    data = card.get("data", {})
    source = {} if manifest is None else finite(source_entry(manifest))
    return (
        card.get("fine_tuning") == UNFINISHED
        and card["settings"] == finite(recorded_settings(config))
        and source == {name: data.get(name) for name in source}
        and (manifest is None or list(manifest.classes) == card["classes"])
        and fingerprint in (None, data.get("fingerprint"))
    )


def _held_out(tuned: Tuned, probabilities: np.ndarray, labelled: Labelled) -> Scores:
    """On the photos that were held out to decide, by tops that had not seen them."""
    training, _ = labelled.of("train")
    groups = bundles(training.rows)
    return score(probabilities, training.labels[tuned.rows], groups[tuned.rows])


def _frozen_set_aside(
    split: Split, weights: np.ndarray, bias: np.ndarray, labelled: Labelled
) -> dict[str, Scores]:
    """On the photos of a split, under its name; empty where there are none."""
    part, values = labelled.of(split)
    if not part.rows:
        return {}
    return {split: score(apply_head(values, weights, bias), part.labels, bundles(part.rows))}


def _set_aside(
    split: Split, tuned: Tuned, engine: Engine, labelled: Labelled, speaker: Speaker, workers: int
) -> dict[str, Scores]:
    """As `_frozen_set_aside`, by the fine-tuned network, which the photos pass once."""
    part, _ = labelled.of(split)
    if not part.rows:
        return {}
    photos = [Photo(row.path, row.shown) for row in part.rows]
    features = extract(photos, engine, None, speaker, workers=workers)
    logits = apply_head(features.values[:, 0], tuned.weights, tuned.bias)
    return {split: score(logits, part.labels, bundles(part.rows))}


def write_result(result: Result, target: Path, *, overwrite: bool) -> None:
    """Write the folder whole, or leave what is there; raises as `write_artefact`."""
    strangers = result.numbers.strangers if "strangers" in result.card["network"] else None
    write_artefact(
        target, result.card, result.network, result.weights, result.bias, result.table,
        network_sha256=result.network_sha256, moved=result.moved,
        strangers=None if strangers is None else strangers.arrays(), overwrite=overwrite,
    )  # fmt: skip
