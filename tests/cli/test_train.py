"""`handful train`: five steps on the screen or one object for machines; a folder either way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from handful.classifier import Classifier

from .conftest import Handful

EMBEDDED = ("--backbone", "embedded", "--effort", "quick")


def test_the_five_steps_are_told_and_the_result_is_a_folder(
    colours: Path, handful: Handful, tmp_path: Path
) -> None:
    result = handful("train", colours, "-o", "x.handful", *EMBEDDED)
    for step in ("1 load", "2 freeze", "3 replace", "4 compile", "5 train"):
        assert f"\n{step} " in result.out
    assert "95 % interval" in result.out
    assert "\nnext: " in result.out
    assert "tensorflow" not in (result.out + result.err).lower()
    assert Classifier.load(tmp_path / "here" / "x.handful").classes == ("blue", "green", "red")


def test_json_ends_with_one_object_of_scores(colours: Path, handful: Handful, tmp_path: Path) -> None:
    result = handful("train", colours, "-o", "x.handful", "--json", *EMBEDDED)
    told = result.json
    for name in ("accuracy", "balanced_accuracy"):
        assert set(told[name]) == {"value", "low", "high"}
        assert 0 <= told[name]["low"] <= told[name]["value"] <= told[name]["high"] <= 1
    assert told["n"] == 30
    assert told["classes"] == ["blue", "green", "red"]
    assert told["model"] == "x.handful"
    card = json.loads((tmp_path / "here" / "x.handful" / "card.json").read_text())
    assert told["accuracy"] == card["scores"]["cross_validation"]["accuracy"]


def test_quiet_says_nothing(colours: Path, handful: Handful) -> None:
    result = handful("train", colours, "-o", "x.handful", "--quiet", *EMBEDDED)
    assert (result.out, result.err) == ("", "")


def test_refused_photos_are_code_3_and_listed(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 10)
    (photos / "red" / "page.jpg").write_text("<html>")
    result = handful("train", photos, "-o", "x.handful", "--json", *EMBEDDED, code=3)
    assert result.json["skipped"] == 1
    assert "red/page.jpg" in [problem["file"] for problem in result.json["problems"]]
    told = handful("train", photos, "-o", "y.handful", *EMBEDDED, code=3)
    assert "red/page.jpg" in told.out


def test_an_existing_result_needs_overwrite(colours: Path, handful: Handful, trained: Path) -> None:
    before = (trained / "card.json").read_bytes()
    result = handful("train", colours, "-o", trained, *EMBEDDED, code=2)
    assert "exists already" in result.err
    assert "--overwrite" in result.err
    assert (trained / "card.json").read_bytes() == before
    handful("train", colours, "-o", trained, "--overwrite", "--seed", "3", *EMBEDDED)
    assert Classifier.load(trained).card["settings"]["seed"] == 3


def test_every_setting_reaches_the_card(colours: Path, handful: Handful, tmp_path: Path) -> None:
    settings = (
        "--folds",
        "4",
        "--class-weight",
        "none",
        "--effort",
        "quick",
        "--seed",
        "9",
        "--workers",
        "1",
    )
    result = handful("train", colours, "-o", "x.handful", "--engine", "litert", *settings, *EMBEDDED)
    card = Classifier.load(tmp_path / "here" / "x.handful").card
    expected = {"folds": 4, "class_weight": "none", "effort": "quick", "seed": 9, "engine": "litert"}
    assert expected.items() <= card["settings"].items()
    assert result.err == ""


def test_settings_that_cannot_be_used_are_all_named(colours: Path, handful: Handful) -> None:
    result = handful("train", colours, "-o", "x", "--folds", "1", "--size", "8", *EMBEDDED, code=2)
    assert "folds: received 1" in result.err
    assert "size: received 8" in result.err


def test_an_unknown_backbone_suggests_the_nearest(colours: Path, handful: Handful) -> None:
    result = handful("train", colours, "-o", "x", "--backbone", "mobilnet_v2", code=2)
    assert "mobilenet_v2" in result.err


def test_without_a_network_auto_takes_the_embedded_backbone_and_says_so(
    colours: Path, handful: Handful
) -> None:
    result = handful("train", colours, "-o", "x.handful", "--json")
    assert result.json["backbone"]["name"] == "embedded"
    assert "embedded backbone" in result.json["backbone"]["chosen_because"]
    assert len([line for line in result.err.splitlines() if "could not be had" in line]) == 1


def test_a_folder_that_is_no_data_set_shows_what_was_found_and_expected(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 2)
    shutil.rmtree(photos / "red")
    shutil.rmtree(photos / "blue")
    result = handful("train", photos, "-o", "x", *EMBEDDED, code=2)
    assert "only one class" in result.err
    assert "Expected:" in result.err


def test_every_bad_photo_is_named_when_training_stops(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 10)
    bad = [f"red/bad{number}.png" for number in range(12)]
    for name in bad:
        (photos / name).write_text("no photo")
    result = handful("train", photos, "-o", "x.handful", *EMBEDDED, code=2)
    quiet = handful("train", photos, "-o", "x.handful", "--quiet", *EMBEDDED, code=2)
    for name in bad:
        assert (result.out + result.err).count(name) == 1
        assert quiet.err.count(name) == 1
    assert "12 of 42 photos" in result.err
    assert (result.out + result.err).count("training stops above") == 1
    told = handful("train", photos, "-o", "x.handful", "--json", *EMBEDDED, code=2).json
    assert set(bad) <= {problem["file"] for problem in told["problems"]}


def test_every_bad_photo_is_named_when_the_layout_stops_training(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 10)
    (photos / "empty").mkdir()
    (photos / "red" / "page.jpg").write_text("<html>")
    result = handful("train", photos, "-o", "x.handful", *EMBEDDED, code=2)
    assert (result.out + result.err).count("page.jpg") <= 2  # once in the table, at most once in the tree
    assert "page.jpg" in result.out
    assert "class folder without photos" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells of a closed pipe in another way")
@pytest.mark.parametrize("json_asked", [False, True])
def test_a_reader_that_goes_early_does_not_end_the_training(
    json_asked: bool, colours: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "handful", "train", str(colours), "-o", "x.handful", *EMBEDDED]
    command += ["--json"] if json_asked else []
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait() == 0
    assert Classifier.load(tmp_path / "x.handful").classes == ("blue", "green", "red")


def test_a_place_that_cannot_be_written_to_is_found_before_any_photo_is_read(
    handful: Handful, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = handful("train", "photos-not-there", "-o", tmp_path / "file" / "x.handful", *EMBEDDED, code=2)
    assert "Could not write" in result.err


def test_an_unwritable_cache_is_named(colours: Path, handful: Handful, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "cache")
    without = handful("train", colours, "-o", "x.handful", *EMBEDDED, HANDFUL_CACHE=place)
    assert "could not be kept for the next run" in without.err  # nothing has to be converted
    assert "damaged" not in without.err
    converting = "-o", "y.handful", "--size", "64", *EMBEDDED
    result = handful("train", colours, *converting, HANDFUL_CACHE=place, code=2)
    assert "set HANDFUL_CACHE to a folder" in result.err


def test_a_class_that_the_screen_cannot_show_is_escaped(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 10)
    (photos / "red").rename(photos / "\u732b")
    result = handful("train", photos, "-o", "x.handful", *EMBEDDED, PYTHONIOENCODING="ascii:strict")
    assert "\\u732b" in result.out


def test_what_fine_tuning_may_do_to_photos_reaches_the_card(
    colours: Path, handful: Handful, tmp_path: Path
) -> None:
    without = ("--no-flip", "--no-rotate", "--no-colour", "--no-crop")
    told = handful(
        "train", colours, "-o", "x.handful", "--json", *without, *EMBEDDED, "--effort", "standard"
    ).json
    settings = Classifier.load(tmp_path / "here" / "x.handful").card["settings"]
    assert [settings[name] for name in ("flip", "rotate", "colour", "crop")] == [False] * 4
    assert told["fine_tuning"]["chosen"] == "frozen"
