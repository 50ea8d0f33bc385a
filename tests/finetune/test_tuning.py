"""The story: skipped with a reason, decided on held-out photos, and what is delivered is what was trained."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from handful.artefact import read_moved
from handful.classifier import Classifier
from handful.config import DEFAULT_PENALTY, PENALTIES, Recipe, TrainConfig
from handful.errors import ArtefactError, BackboneError
from handful.evaluation import evaluate
from handful.exporters.registry import export
from handful.features.store import FINE_TUNING
from handful.finetune import material as material_room
from handful.finetune import tuning
from handful.finetune.flips import flips_change_labels
from handful.finetune.lock import take_lock
from handful.finetune.material import Material, key_of, row_weights, why_not
from handful.finetune.trials import hold_out
from handful.heads.fitting import fit_head
from handful.networks.assemble import classifier_model
from handful.progress import Silent
from handful.training import train

Pairs = list[tuple[str, str]]
SETTINGS: dict[str, Any] = {"backbone": "embedded", "size": 64, "folds": 6}


class Listening(Silent):
    """Keeps every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of ten steps of four."""
    for room in (tuning, material_room):
        monkeypatch.setattr(room, "tuning_recipe", lambda photos, effort: Recipe(steps=10, batch=4, views=2))


@pytest.fixture
def winning(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine-tuning wins at the first cut, whatever the photos say."""
    monkeypatch.setattr(tuning, "verdict", lambda compared, rounds: "better")
    monkeypatch.setattr(tuning, "tuning_depths", lambda effort: 1)


# Whether there is anything to try ---------------------------------------------------------------------


def test_a_head_that_is_hardly_ever_wrong_is_left_alone_and_it_is_said(
    colours: Path, cache: Path, tmp_path: Path
) -> None:
    speaker = Listening()
    classifier = train(colours, tmp_path / "x.handful", backbone="embedded", speaker=speaker)
    told = classifier.card["fine_tuning"]
    assert (told["state"], told["chosen"], told["tried"]) == ("done", "frozen", [])
    assert "could not be told from chance" in told["why"]
    assert f"no fine-tuning: {told['why']}" in speaker.lines
    assert not any("checking whether" in line for line in speaker.lines)
    assert not (cache / FINE_TUNING).exists()


def test_reasons_not_to_try(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not(material) == ""
    gone = replace(material.frozen, source=replace(material.frozen.source, path=None))
    assert "no longer on disk" in why_not(replace(material, frozen=gone))
    crossed = material.head.cross_fitted
    head = replace(material.head, cross_fitted=replace(crossed, logits=crossed.logits[:19]))
    few = replace(material, labels=material.labels[:19], head=head)
    assert "19 photos" in why_not(few)
    monkeypatch.setattr(material_room, "find_spec", lambda name: None)
    assert "TensorFlow is not installed" in why_not(material)


def test_the_quick_effort_loads_no_tensorflow(colours: Path, cache: Path, tmp_path: Path) -> None:
    code = (
        "import sys, handful\n"
        "handful.train(sys.argv[1], sys.argv[2], backbone='embedded', effort='quick')\n"
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(colours), str(tmp_path / "x.handful")]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ.copy())
    assert child.stdout.split() == ["False", "False"], child.stderr


# Rounds ---------------------------------------------------------------------------------------------


def test_each_photo_is_held_out_once_and_heads_never_see_theirs(material: Material) -> None:
    rounds = hold_out(material, TrainConfig())
    assert sorted(np.concatenate([rnd.held for rnd in rounds]).tolist()) == list(range(30))
    for rnd in rounds:
        assert not set(rnd.held) & set(rnd.rest)
        assert len(rnd.held) + len(rnd.rest) == 30
        assert set(rnd.halves.tolist()) == {0, 1}
        for half in (0, 1):  # photos of one fold stay together
            folds = material.head.folds[rnd.held]
            assert not set(folds[rnd.halves == half]) & set(folds[rnd.halves != half])
    swapped = material.labels.copy()
    held = rounds[0].held
    swapped[held] = (swapped[held] + 1) % 3
    again = hold_out(replace(material, labels=swapped), TrainConfig())
    assert np.array_equal(again[0].weights, rounds[0].weights)
    # What other folds chose, with the round's photos among theirs, does not count.
    crossed = replace(material.head.cross_fitted, penalties=material.head.fold_penalties * 100)
    other = replace(material, head=replace(material.head, cross_fitted=crossed))
    for rnd, same in zip(rounds, hold_out(other, TrainConfig()), strict=True):
        assert np.array_equal(rnd.weights, same.weights)


def test_the_penalty_of_a_round_is_chosen_by_its_other_photos(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hold_out(material, TrainConfig())
    for place, rnd in enumerate(whole):
        folds = np.unique(material.head.folds[rnd.rest], return_inverse=True)[1]
        chosen = fit_head(
            material.features[rnd.rest], material.labels[rnd.rest], folds, classes=3, penalties=PENALTIES,
            default_penalty=DEFAULT_PENALTY, balanced=True,
        )  # fmt: skip
        assert np.array_equal(whole[place].weights, chosen.weights)
    # Two folds: one is left, which cannot choose.
    two = replace(material.head, cross_fitted=replace(material.head.cross_fitted, folds=np.arange(30) % 2))
    rounds = hold_out(replace(material, head=two), TrainConfig())
    assert [len(rnd.rest) for rnd in rounds] == [15, 15]


def test_each_class_counts_alike_where_the_head_counts_so(material: Material) -> None:
    labels = np.repeat([0, 1, 2], [20, 6, 4])
    weights = row_weights(replace(material, labels=labels), TrainConfig())
    assert [weights[labels == kind].sum() for kind in range(3)] == pytest.approx([10, 10, 10])
    assert row_weights(material, TrainConfig(class_weight="none")).tolist() == [1] * 30


def test_mirror_images_that_are_misread_are_a_sign() -> None:
    labels = np.zeros(20, int)
    right, wrong = np.tile([5.0, 0.0], (20, 1)), np.tile([0.0, 5.0], (20, 1))
    assert flips_change_labels(labels, right, wrong)
    assert not flips_change_labels(labels, right, right)
    assert not flips_change_labels(labels, wrong, right)
    few = right.copy()
    few[:3] = wrong[:3]
    assert not flips_change_labels(labels, right, few)


def test_another_setting_is_another_run(material: Material) -> None:
    keys = [
        key_of(one, config)
        for one, config in (
            (material, TrainConfig()),
            (material, TrainConfig(seed=1)),
            (material, TrainConfig(flip=False)),
            (material, TrainConfig(effort="thorough")),
            (replace(material, labels=material.labels[::-1]), TrainConfig()),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(material, TrainConfig(workers=1)) == keys[0]


# The whole ------------------------------------------------------------------------------------------


def test_what_does_not_win_changes_nothing(
    tiny: None, puzzling: Pairs, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "verdict", lambda compared, rounds: "no better")
    frozen = train(puzzling, tmp_path / "quick.handful", effort="quick", **SETTINGS)
    decided = train(puzzling, tmp_path / "x.handful", **SETTINGS)
    told = decided.card["fine_tuning"]
    assert told["chosen"] == "frozen"
    assert [trial["answer"] for trial in told["tried"]] == ["no better"]
    assert told["tried"][0]["n"] == 10
    assert (decided.artefact.weights == frozen.artefact.weights).all()
    assert decided.artefact.network.read_bytes() == frozen.artefact.network.read_bytes()
    assert decided.card["scores"] == frozen.card["scores"]
    assert not list((cache / FINE_TUNING).iterdir())


def test_what_wins_is_delivered_and_is_what_was_trained(
    winning: None, puzzling: Pairs, cache: Path, tmp_path: Path
) -> None:
    speaker = Listening()
    target = tmp_path / "x.handful"
    classifier = train(puzzling, target, speaker=speaker, **SETTINGS)
    frozen = train(puzzling, tmp_path / "quick.handful", effort="quick", **SETTINGS)
    told = classifier.card["fine_tuning"]
    assert (told["state"], told["chosen"]) == ("done", "fine-tuned")
    assert classifier.card["scores"]["fine_tuned"]["n"] == told["tried"][0]["n"] == 10
    assert classifier.card["scores"]["cross_validation"] == frozen.card["scores"]["cross_validation"]
    assert (classifier.artefact.weights != frozen.artefact.weights).any()
    moved = read_moved(classifier.artefact)
    assert (
        sum(array.size for array in moved.values()) + classifier.artefact.weights.size + 3
        == (told["trained_weights"])
    )
    lines = "\n".join(speaker.lines)
    assert lines.index("written to") < lines.index("checking whether fine-tuning pays")
    assert "Ctrl-C keeps the frozen model" in lines
    assert "the fine-tuned one is kept" in lines
    assert not list((cache / FINE_TUNING).iterdir())
    # The export rebuilds the network from the source's weights and the moved ones, and is compared.
    parity = export(classifier, tmp_path / "x.keras", photos=Path(puzzling[0][0]).parent.parent)
    assert parity.largest_difference < 1e-4
    # A copy holds all of it; evaluation takes the fine-tuned network's own features.
    classifier.save(tmp_path / "copy.handful")
    copy = Classifier.load(tmp_path / "copy.handful")
    assert (copy.predict_proba(puzzling[0][0]) == classifier.predict_proba(puzzling[0][0])).all()
    result = evaluate(copy, puzzling)
    again = classifier.predict_proba([path for path, _ in puzzling]).max(axis=1)
    assert [row.probability for row in result.photos] == pytest.approx(again.tolist(), abs=1e-6)
    # Damage is found.
    (tmp_path / "copy.handful" / "tuned.npz").write_bytes(b"other")
    with pytest.raises(ArtefactError, match=r"tuned\.npz does not match its checksum"):
        Classifier.load(tmp_path / "copy.handful")
    source = classifier_source(classifier)
    wrong = {place: array[..., :1] for place, array in moved.items()}
    with pytest.raises(BackboneError, match="fine-tuned weights have the shape"):
        classifier_model(source, 64, classifier.artefact.weights, classifier.artefact.bias, moved=wrong)


def classifier_source(classifier: Classifier) -> Any:
    from handful.networks.weights import locate

    return locate("embedded", size=64, speaker=Silent())


def test_photos_set_aside_are_scored_by_the_tuned_network(
    winning: None, puzzling: Pairs, cache: Path, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    table = tmp_path / "labels.csv"
    new = [(str(path), path.parent.name) for path in sorted(draw(tmp_path / "new", 4, 500).rglob("*.png"))]
    with table.open("w", newline="") as stream:
        rows = [(*pair, "train") for pair in puzzling] + [(*pair, "test") for pair in new]
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    classifier = train(table, tmp_path / "x.handful", **SETTINGS)
    told = classifier.card["scores"]["test"]["accuracy"]["value"]
    labels = [label for _, label in new]
    answers = [one.label for one in classifier.predict([path for path, _ in new])]
    assert told == pytest.approx(np.mean([one == other for one, other in zip(labels, answers, strict=True)]))


@pytest.mark.parametrize(("second", "blocks"), [("better", 1), ("no better", 0)])
def test_a_deeper_cut_has_to_beat_the_one_before(
    second: str, blocks: int, tiny: None, puzzling: Pairs, cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    answers = iter(["better", second])
    monkeypatch.setattr(tuning, "verdict", lambda compared, rounds: next(answers))
    monkeypatch.setattr(tuning, "can_win", lambda errors, looks: True)
    classifier = train(puzzling, tmp_path / "x.handful", **SETTINGS)
    told = classifier.card["fine_tuning"]
    first, deeper = told["tried"]
    assert first["blocks"] < deeper["blocks"]
    assert deeper["accuracy_before"] == first["accuracy"]
    assert told["blocks"] == told["tried"][blocks]["blocks"]
    # Built anew from the source and what moved: nothing that the other candidate did is left in the network.
    parity = export(classifier, tmp_path / "x.keras", photos=Path(puzzling[0][0]).parent.parent)
    assert parity.largest_difference < 1e-4


def test_ctrl_c_keeps_the_frozen_model_and_the_same_command_goes_on(
    winning: None, puzzling: Pairs, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.handful"
    speaker = Listening()
    with monkeypatch.context() as patch:

        def interrupted(*args: Any, **options: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(tuning._Tuning, "_train_on_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(puzzling, target, speaker=speaker, **SETTINGS)
    assert any("the frozen model stays at" in line for line in speaker.lines)
    kept = Classifier.load(target)
    assert kept.card["fine_tuning"] == {"state": "unfinished"}
    assert kept.predict(puzzling[0][0]).label in kept.classes
    with pytest.raises(ArtefactError, match="exists already"):
        train(puzzling, target, **{**SETTINGS, "seed": 1})
    again = Listening()
    full = SimpleNamespace(free=0)  # not counted anew: the run's own values are what fills the disk
    monkeypatch.setattr(tuning.shutil, "disk_usage", lambda folder: full)
    classifier = train(puzzling, target, speaker=again, **SETTINGS)
    assert classifier.card["fine_tuning"]["chosen"] == "fine-tuned"
    assert any("going on where an earlier run was stopped" in line for line in again.lines)
    with pytest.raises(ArtefactError, match="exists already"):
        train(puzzling, target, **SETTINGS)


def test_a_run_beside_another_one_works_apart_from_it(
    winning: None, puzzling: Pairs, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "key_of", lambda material, config: "key")
    held = take_lock(cache / FINE_TUNING / "key")
    assert held is not None
    (cache / FINE_TUNING / "key" / "state").write_bytes(b"of the other run")
    speaker = Listening()
    classifier = train(puzzling, tmp_path / "x.handful", speaker=speaker, **SETTINGS)
    assert classifier.card["fine_tuning"]["chosen"] == "fine-tuned"
    assert any("another run with the same photos and settings is under way" in line for line in speaker.lines)
    assert (cache / FINE_TUNING / "key" / "state").read_bytes() == b"of the other run"
    assert [path.name for path in (cache / FINE_TUNING).iterdir()] == ["key"]


def test_what_stands_in_the_way_leaves_the_frozen_model_and_is_said(
    winning: None, puzzling: Pairs, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any, **options: Any) -> Any:
        raise BackboneError("the disk refused")

    monkeypatch.setattr(tuning._Tuning, "outcome", refused)
    speaker = Listening()
    classifier = train(puzzling, tmp_path / "x.handful", speaker=speaker, **SETTINGS)
    assert classifier.card["fine_tuning"] == {"state": "unfinished"}
    assert [line for line in speaker.warnings if "the disk refused" in line]
