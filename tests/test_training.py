"""Training, whole: photos in, a folder out; the same seed the same bytes; nothing scored that was learned."""

from __future__ import annotations

import csv
import errno
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from handful import training
from handful.artefact import read_artefact
from handful.classifier import Classifier
from handful.config import TrainConfig
from handful.data.manifest import Manifest
from handful.errors import ArtefactError, BackboneError, ConfigError, DataError, HandfulError
from handful.evaluation import evaluate
from handful.progress import Silent
from handful.training import train

from .conftest import draw_colours, draw_noise

RESULT = ("backbone.tflite", "bias.npy", "card.json", "checksums.json", "out_of_fold.csv", "strangers.npz",
          "weights.npy")  # fmt: skip


class Listening(Silent):
    """Keeps every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def out_of_fold(folder: Path) -> list[dict[str, str]]:
    with (folder / "out_of_fold.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def learn(photos: Any, out: Path | None = None, **settings: Any) -> Classifier:
    return train(photos, out, **{"backbone": "embedded", "effort": "quick", **settings})


def head_of(classifier: Classifier) -> bytes:
    return classifier.artefact.weights.tobytes() + classifier.artefact.bias.tobytes()


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """train/ with ten photos a class, val/ and test/ with three."""
    draw_colours(tmp_path / "photos" / "train", 10)
    draw_colours(tmp_path / "photos" / "val", 3, first=100)
    draw_colours(tmp_path / "photos" / "test", 3, first=200)
    return tmp_path / "photos"


def test_a_folder_becomes_a_classifier_that_answers(colours: Path, tmp_path: Path) -> None:
    classifier = learn(colours, tmp_path / "x.handful")
    assert classifier.classes == ("blue", "green", "red")
    assert classifier.predict(colours / "red" / "red_000.png").label == "red"
    card = classifier.card
    assert card["data"]["photos"] == 30
    assert card["data"]["per_class"] == {"blue": 10, "green": 10, "red": 10}
    assert card["data"]["skipped"] == 0
    assert card["backbone"]["name"] == card["backbone"]["architecture"] == "embedded"
    assert card["network"]["feature_dim"] == classifier.artefact.weights.shape[0]
    assert card["head"]["converged"] is True
    assert set(card["scores"]) == {"cross_validation"}
    assert sorted(files_of(tmp_path / "x.handful")) == sorted(RESULT)


def test_scores_are_of_the_out_of_fold_table_and_nothing_else(colours: Path, tmp_path: Path) -> None:
    scores = learn(colours, tmp_path / "x.handful").card["scores"]["cross_validation"]
    rows = out_of_fold(tmp_path / "x.handful")
    assert scores["n"] == len(rows) == 30
    assert scores["accuracy"]["value"] == np.mean([row["label"] == row["predicted"] for row in rows])
    for name in ("accuracy", "balanced_accuracy"):
        assert set(scores[name]) == {"value", "low", "high"}
        assert 0 <= scores[name]["low"] < scores[name]["value"] <= scores[name]["high"] <= 1


def test_labels_that_mean_nothing_are_not_scored_as_if_they_did(colours: Path, tmp_path: Path) -> None:
    """With d far above n any labelling can be learned by heart: only held-out photos tell."""
    rng = np.random.default_rng(0)
    files = sorted(colours.rglob("*.png"))
    pairs = [(file, str(label)) for file, label in zip(files, rng.permutation(30) % 2, strict=True)]
    scores = learn(pairs, tmp_path / "x.handful").card["scores"]["cross_validation"]
    assert scores["accuracy"]["value"] < 0.75


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_seed_gives_the_same_bytes(workers: int, colours: Path, tmp_path: Path) -> None:
    learn(colours, tmp_path / "one.handful", seed=5, workers=2)
    shutil.rmtree(Path(os.environ["HANDFUL_CACHE"]) / "features")
    learn(colours, tmp_path / "two.handful", seed=5, workers=workers)
    assert files_of(tmp_path / "one.handful") == files_of(tmp_path / "two.handful")


def test_another_seed_deals_other_folds(colours: Path, tmp_path: Path) -> None:
    learn(colours, tmp_path / "one.handful", seed=0)
    learn(colours, tmp_path / "two.handful", seed=1)
    one, two = out_of_fold(tmp_path / "one.handful"), out_of_fold(tmp_path / "two.handful")
    assert [row["file"] for row in one] == [row["file"] for row in two]
    assert [row["fold"] for row in one] != [row["fold"] for row in two]


def test_a_second_run_computes_nothing_and_gives_the_same_card(colours: Path, tmp_path: Path) -> None:
    first, second = Listening(), Listening()
    train(colours, tmp_path / "one.handful", backbone="embedded", effort="quick", speaker=first)
    cached = sorted((Path(os.environ["HANDFUL_CACHE"]) / "features").rglob("*.feature"))
    times = [path.stat().st_mtime_ns for path in cached]
    train(colours, tmp_path / "two.handful", backbone="embedded", effort="quick", speaker=second)
    assert len(cached) == 30
    assert [path.stat().st_mtime_ns for path in cached] == times
    assert any("30 of them" in line for line in second.lines)
    assert not any("of them" in line for line in first.lines)
    assert files_of(tmp_path / "one.handful") == files_of(tmp_path / "two.handful")


def test_the_five_steps_are_told(divided: Path, tmp_path: Path) -> None:
    speaker = Listening()
    train(divided, tmp_path / "x.handful", backbone="embedded", effort="quick", speaker=speaker)
    starts = [line.split()[:2] for line in speaker.lines if line[:1].isdigit()]
    assert starts[1:6] == [
        ["1", "load"], ["2", "freeze"], ["3", "replace"], ["4", "compile"], ["5", "train"],
    ]  # fmt: skip
    told = "\n".join(speaker.lines)
    assert "48 photos" in told
    assert "95 % interval" in told
    assert "validation, 9 photos" in told
    assert "test, 9 photos" in told


def test_validation_and_test_photos_are_scored(divided: Path, tmp_path: Path) -> None:
    card = learn(divided, tmp_path / "x.handful").card
    assert (card["data"]["photos"], card["data"]["validation"], card["data"]["test"]) == (30, 9, 9)
    assert [card["scores"][name]["n"] for name in ("cross_validation", "validation", "test")] == [30, 9, 9]
    assert {row["file"].split("/")[0] for row in out_of_fold(tmp_path / "x.handful")} == {"train"}


def test_validation_and_test_photos_are_never_trained_or_chosen_on(divided: Path, tmp_path: Path) -> None:
    before = learn(divided, tmp_path / "before.handful")
    for split in ("val", "test"):  # every label there is wrong from now on
        (divided / split / "red").rename(divided / split / "x")
        (divided / split / "blue").rename(divided / split / "red")
        (divided / split / "x").rename(divided / split / "blue")
    after = learn(divided, tmp_path / "after.handful")
    shutil.rmtree(divided / "val")
    shutil.rmtree(divided / "test")
    without = learn(divided, tmp_path / "without.handful")
    assert before.card["scores"]["validation"]["accuracy"]["value"] > 0.9
    assert after.card["scores"]["validation"]["accuracy"]["value"] < 0.5
    assert after.card["scores"]["test"]["accuracy"]["value"] < 0.5
    assert head_of(before) == head_of(after) == head_of(without)
    assert before.card["head"] == after.card["head"] == without.card["head"]
    assert out_of_fold(before.folder) == out_of_fold(after.folder) == out_of_fold(without.folder)


def test_a_photo_on_both_sides_is_left_out_of_the_score(divided: Path, tmp_path: Path) -> None:
    shutil.copy(divided / "train" / "red" / "red_000.png", divided / "val" / "red" / "again.png")
    card = learn(divided, tmp_path / "x.handful").card
    assert card["scores"]["validation"]["n"] == 9
    assert card["data"]["photos"] == 30
    assert any(problem["file"] == "val/red/again.png" for problem in card["data"]["problems"])


def test_two_photos_a_class_are_enough(tmp_path: Path) -> None:
    classifier = learn(draw_colours(tmp_path / "photos", 2), tmp_path / "x.handful")
    assert classifier.card["head"]["folds"] == 2
    assert classifier.card["head"]["penalty_chosen"] is False
    assert classifier.card["scores"]["cross_validation"]["n"] == 6


def test_one_photo_in_a_class_is_too_few(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 3)
    for path in sorted((photos / "red").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match=r"red: the class has 1 usable photo.*Add at least one more"):
        learn(photos, tmp_path / "x.handful")
    assert not (tmp_path / "x.handful").exists()


def test_copies_of_one_photo_count_as_one(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 3)
    first, *others = sorted((photos / "red").iterdir())
    for path in others:
        shutil.copy(first, path)
    with pytest.raises(DataError, match=r"red: its 3 photos are copies of one"):
        learn(photos, tmp_path / "x.handful")


def test_corrupt_photos_are_skipped_and_listed(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 10)
    (photos / "red" / "page.jpg").write_text("<html>not found</html>")
    whole = (photos / "red" / "red_000.png").read_bytes()
    (photos / "blue" / "half.png").write_bytes(whole[: len(whole) // 2])
    data = learn(photos, tmp_path / "x.handful").card["data"]
    assert (data["photos"], data["skipped"]) == (30, 2)
    listed = {problem["file"]: problem for problem in data["problems"]}
    assert "HTML" in listed["red/page.jpg"]["what"]
    assert listed["blue/half.png"]["severity"] == "warning"
    assert all(problem["what"] and problem["fix"] for problem in data["problems"])


def test_too_many_corrupt_photos_stop_training_unless_allowed(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 4)
    for number in range(4):
        (photos / "red" / f"bad{number}.png").write_text("no photo")
    with pytest.raises(DataError, match=r"4 of 16 photos \(25 ?%\) cannot be used") as caught:
        learn(photos, tmp_path / "x.handful")
    assert len([problem for problem in caught.value.problems if "bad" in problem.file]) == 4
    assert learn(photos, tmp_path / "x.handful", allow_bad=True).card["data"]["skipped"] == 4


def test_a_photo_under_two_labels_is_left_out_with_all_its_copies(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 10)
    shutil.copy(photos / "red" / "red_000.png", photos / "blue" / "same.png")
    classifier = learn(photos, tmp_path / "x.handful")
    data = classifier.card["data"]
    assert (data["photos"], data["skipped"]) == (29, 2)
    assert any("under different labels" in problem["what"] for problem in data["problems"])
    used = {row["file"] for row in out_of_fold(classifier.folder)}
    assert not used & {"red/red_000.png", "blue/same.png"}


def test_copies_and_groups_stay_in_one_fold(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 8)
    for number in range(4):
        shutil.copy(photos / "red" / f"red_00{number}.png", photos / "red" / f"copy_{number}.png")
    learn(photos, tmp_path / "x.handful")
    fold = {row["file"]: row["fold"] for row in out_of_fold(tmp_path / "x.handful")}
    for number in range(4):
        assert fold[f"red/red_00{number}.png"] == fold[f"red/copy_{number}.png"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_existing_result_is_only_replaced_with_overwrite(
    overwrite: bool, trained: Path, tmp_path: Path
) -> None:
    photos, before = draw_colours(tmp_path / "photos", 3), files_of(trained)
    if overwrite:
        train(photos, trained, backbone="embedded", effort="quick", overwrite=True)
        assert read_artefact(trained).card["data"]["photos"] == 9
    else:
        with pytest.raises(ArtefactError, match="exists already and is left as it is"):
            learn(photos, trained)
        assert files_of(trained) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_existing_result_is_refused_before_any_photo_is_read(trained: Path) -> None:
    with pytest.raises(ArtefactError, match="exists already"):
        learn("no photos here", trained)


def test_a_failing_run_with_overwrite_leaves_the_old_result(
    trained: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = files_of(trained)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HandfulError, match="The disk is full"):
            train(colours, trained, backbone="embedded", effort="quick", overwrite=True)
    assert files_of(trained) == before


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Training ends as by Ctrl-C when fine-tuning begins, until this is undone."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fine_tune", interrupted)
    return monkeypatch


def stop_at(target: Path, photos: Any, stopped: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(photos, target, effort="standard")
    assert read_artefact(target).card["fine_tuning"] == {"state": "unfinished"}
    stopped.undo()


def test_an_unfinished_result_goes_on_with_the_same_photos(
    tmp_path: Path, stopped: pytest.MonkeyPatch
) -> None:
    photos, target = draw_colours(tmp_path / "photos", 5), tmp_path / "x.handful"
    stop_at(target, photos, stopped)
    assert learn(photos, target, effort="standard").card["fine_tuning"]["state"] == "done"


@pytest.mark.parametrize("other", ["folder", "classes"])
def test_other_photos_do_not_replace_an_unfinished_result_and_none_is_read(
    other: str, tmp_path: Path, stopped: pytest.MonkeyPatch
) -> None:
    """Same settings, another data set."""
    photos, target = draw_colours(tmp_path / "photos", 3), tmp_path / "x.handful"
    stop_at(target, photos if other == "folder" else table(photos), stopped)
    before = files_of(target)
    stopped.setattr(training, "open_frozen", lambda *_: pytest.fail("the network was opened"))
    renamed = [(path, f"other {label}") for path, label in table(photos)]
    others = draw_colours(tmp_path / "others", 3) if other == "folder" else renamed
    with pytest.raises(ArtefactError, match="exists already"):
        learn(others, target, effort="standard")
    assert files_of(target) == before


@pytest.mark.parametrize("change", ["photo", "label"])
def test_photos_that_changed_do_not_replace_an_unfinished_result(
    change: str, tmp_path: Path, stopped: pytest.MonkeyPatch
) -> None:
    photos, target = draw_colours(tmp_path / "photos", 3), tmp_path / "x.handful"
    stop_at(target, photos, stopped)
    before = files_of(target)
    if change == "photo":
        draw_noise(photos / "red" / "red_000.png", (200, 40, 40), 9000)
    else:
        (photos / "red" / "red_000.png").rename(photos / "blue" / "red_000.png")
    with pytest.raises(ArtefactError, match="exists already"):
        learn(photos, target, effort="standard")
    assert files_of(target) == before


def test_the_test_photos_are_scored_once_the_decision_is_made(
    divided: Path, tmp_path: Path, stopped: pytest.MonkeyPatch
) -> None:
    speaker, target = Listening(), tmp_path / "x.handful"
    with pytest.raises(KeyboardInterrupt):
        train(divided, target, backbone="embedded", speaker=speaker)
    assert set(read_artefact(target).card["scores"]) == {"cross_validation", "validation"}
    assert "the 9 test photos are scored once the decision is made" in speaker.lines
    assert not any("test, 9 photos" in line for line in speaker.lines)
    stopped.undo()
    decided = Listening()
    card = train(divided, target, backbone="embedded", speaker=decided).card
    quick = learn(divided, tmp_path / "quick.handful", effort="quick").card
    assert card["scores"] == quick["scores"]
    assert len([line for line in decided.lines if "test, 9 photos" in line]) == 1


def test_where_keras_cannot_run_the_decision_is_made_all_the_same(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise BackboneError("Keras or TensorFlow cannot be imported")

    monkeypatch.setattr("handful.networks.quiet.import_keras", refused)
    speaker = Listening()
    card = train(colours, tmp_path / "x.handful", backbone="embedded", speaker=speaker).card
    assert card["fine_tuning"]["state"] == "done"
    assert [one["name"] for one in card["audit"]["baselines"]] == ["majority", "pixels", "nearest"]
    expected = (
        "no small network from scratch was trained to compare with: Keras or TensorFlow cannot be imported"
    )
    assert card["warnings"] == speaker.warnings == [expected]
    assert not any("network from scratch" in line for line in speaker.lines)


def test_a_folder_of_photos_is_never_taken_for_a_result(colours: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(colours, tmp_path / "photos")
    with pytest.raises(ArtefactError, match="is not a trained folder of Handful; it is left as it is"):
        train(photos, photos, backbone="embedded", effort="quick", overwrite=True)
    assert len(list(photos.rglob("*.png"))) == 30


def test_nothing_is_written_among_the_photos(colours: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [colours, *colours.rglob("*")]}
    learn(colours, tmp_path / "x.handful")
    assert {path: path.stat().st_mtime_ns for path in [colours, *colours.rglob("*")]} == before


def test_a_model_without_a_place_lives_as_long_as_its_classifier(colours: Path, tmp_path: Path) -> None:
    classifier = learn(colours)
    folder = classifier.folder
    assert classifier.predict(colours / "red" / "red_000.png").label == "red"
    classifier.save(tmp_path / "kept.handful")
    del classifier
    gc.collect()
    assert not folder.parent.exists()
    assert Classifier.load(tmp_path / "kept.handful").classes == ("blue", "green", "red")


def test_a_failing_run_without_a_place_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    with pytest.raises(DataError):
        learn(tmp_path / "none")
    assert list((tmp_path / "t").iterdir()) == []


def test_a_model_without_a_place_is_gone_when_the_program_ends(colours: Path, tmp_path: Path) -> None:
    code = (
        "import sys, handful\n"
        "kept = handful.train(sys.argv[1], backbone='embedded', effort='quick')\n"
        "print(kept.folder)"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", code, str(colours)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""
    assert child.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def table(colours: Path) -> list[tuple[str, str]]:
    return [(str(path), path.parent.name) for path in sorted(colours.rglob("*.png"))]


def test_every_way_to_name_the_same_photos_gives_the_same_head(colours: Path, tmp_path: Path) -> None:
    rows = table(colours)
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream, delimiter=";").writerows([("path", "label"), *rows])
    sources = {
        "folder": colours,
        "text": str(colours),
        "csv": tmp_path / "labels.csv",
        "frame": pd.DataFrame(rows, columns=["path", "label"]),
        "pairs": rows,
        "manifest": Manifest.read(colours),
    }
    heads = {name: head_of(learn(source)) for name, source in sources.items()}
    assert set(heads.values()) == {heads["folder"]}


def test_groups_and_splits_of_a_data_frame_are_kept(colours: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(table(colours), columns=["path", "label"])
    frame["group"] = [f"{label}-{number // 2}" for number, label in enumerate(frame["label"])]
    frame["split"] = ["test" if number % 10 >= 8 else "" for number in range(30)]
    card = learn(frame, tmp_path / "x.handful").card
    assert (card["data"]["photos"], card["data"]["test"], card["data"]["root"]) == (24, 6, None)
    rows = out_of_fold(tmp_path / "x.handful")
    folds = [row["fold"] for row in rows]
    assert folds[::2] == folds[1::2]


def test_another_size_is_what_the_network_sees(colours: Path, tmp_path: Path) -> None:
    classifier = learn(colours, tmp_path / "x.handful", size=128)
    assert classifier.card["backbone"]["size"] == [128, 128]
    assert classifier.card["settings"]["size"] == 128
    assert classifier.engine.size == (128, 128)
    assert classifier.predict(colours / "red" / "red_000.png").label == "red"


ODD_CLASSES = ["../x", "<script>", "a\rb", "C:\\y", "=1+1", "\x1b[31mred", "ünï 🦎"]


def test_a_class_may_have_any_name(tmp_path: Path) -> None:
    pairs = [
        (str(draw_noise(tmp_path / "p" / f"{c}_{n}.png", (30 * c, 200 - 20 * c, 90), 100 * c + n)), name)
        for c, name in enumerate(ODD_CLASSES)
        for n in range(3)
    ]
    classifier = learn(pairs, tmp_path / "sub" / "x.handful")
    assert set(classifier.classes) == set(ODD_CLASSES)
    assert set(classifier.predict(pairs[0][0]).probabilities) == set(ODD_CLASSES)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x.handful"]
    assert sorted(files_of(tmp_path / "sub" / "x.handful")) == sorted(RESULT)
    assert Classifier.load(classifier.folder).classes == classifier.classes


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_class_folder_and_photos_may_have_names_that_are_no_text(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 3)
    odd = os.fsdecode(b"r\xffd")
    (photos / "red").rename(photos / odd)
    (photos / odd / "red_000.png").rename(photos / odd / os.fsdecode(b"\xfe\n.png"))
    classifier = learn(photos, tmp_path / "x.handful")
    assert odd in classifier.classes
    assert len(out_of_fold(tmp_path / "x.handful")) == 9


def test_settings_come_together_or_one_by_one(colours: Path) -> None:
    config = TrainConfig(backbone="embedded", folds=3, class_weight="none")
    card = train(colours, config=config, folds=4).card
    assert card["settings"]["folds"] == card["head"]["folds"] == 4
    assert card["head"]["class_weight"] == "none"
    assert "workers" not in card["settings"]


@pytest.mark.parametrize("effort", ["quick", "thorough"])
def test_every_effort_keeps_the_frozen_head_where_nothing_can_be_won(effort: str, colours: Path) -> None:
    classifier = learn(colours, effort=effort)
    assert head_of(classifier) == head_of(learn(colours))
    told = classifier.card["fine_tuning"]
    assert told["state"] == ("not asked for" if effort == "quick" else "done")


def test_classes_of_unequal_size_are_counted_alike_by_default(tmp_path: Path) -> None:
    photos = draw_colours(tmp_path / "photos", 8)
    for path in sorted((photos / "red").iterdir())[3:]:
        path.unlink()
    balanced, plain = learn(photos), learn(photos, class_weight="none")
    assert balanced.card["head"]["class_weight"] == "balanced"
    assert head_of(balanced) != head_of(plain)


def test_more_folds_than_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot fill 50 folds"):
        learn(draw_colours(tmp_path / "photos", 3), folds=50)


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({"epochs": 3}, ConfigError, "Unknown settings"),
        ({"effort": "heroic"}, ConfigError, "effort: received 'heroic'"),
        ({"backbone": "mobilnet_v2"}, BackboneError, "mobilenet_v2"),
        ({"backbone": "none.keras"}, BackboneError, r"There is no file .*none\.keras"),
        ({"architecture": "mobilenet_v2"}, BackboneError, "--architecture"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    settings: dict[str, Any], error: type[HandfulError], expected: str, colours: Path
) -> None:
    with pytest.raises(error, match=expected):
        learn(colours, **settings)


@pytest.mark.parametrize("source", ["none", 7, None, b"photos"])
def test_what_holds_no_photos_is_refused(source: Any, tmp_path: Path) -> None:
    source = tmp_path / source if source == "none" else source
    with pytest.raises(DataError):
        learn(source)


def test_the_card_is_plain_json_without_times_or_the_output(colours: Path, tmp_path: Path) -> None:
    learn(colours, tmp_path / "x.handful")
    text = (tmp_path / "x.handful" / "card.json").read_text(encoding="ascii")
    assert "x.handful" not in text
    assert "seconds" not in text
    card = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert {
        "classes",
        "backbone",
        "network",
        "head",
        "data",
        "settings",
        "scores",
        "warnings",
        "versions",
    } < set(card)


@pytest.mark.shared
@pytest.mark.slow
def test_twenty_ants_and_twenty_bees_are_enough_for_the_rest(
    insects: Path, shared: Path, tmp_path: Path
) -> None:
    """Real photos, a real backbone. Ants and bees are classes of ImageNet, which flatters."""
    for name in ("ants", "bees"):
        (tmp_path / "new" / name).mkdir(parents=True)
        for path in sorted((shared / "data" / "ants_bees" / "val" / name).iterdir())[:30]:
            shutil.copyfile(path, tmp_path / "new" / name / path.name)
    classifier = Classifier.load(insects / "model.handful")
    assert classifier.card["backbone"]["name"] == "mobilenet_v2"
    assert classifier.card["scores"]["cross_validation"]["accuracy"]["value"] > 0.85
    result = evaluate(classifier, tmp_path / "new")
    assert result.scores.n == 60
    assert result.accuracy.value > 0.85
