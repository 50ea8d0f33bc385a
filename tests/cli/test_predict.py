"""`handful predict`: a line per photo, whatever the photo and whatever its name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.classifier import Classifier
from handful.training import train

from .conftest import Handful

FIELDS = ["file", "label", "probability", "probabilities", "among", "is_known"]


def test_a_photo_is_a_line(trained_once: Path, colours: Path, handful: Handful) -> None:
    photo = colours / "red" / "red_000.png"
    (line,) = handful("predict", trained_once, photo).out.splitlines()
    assert line.startswith(f"{photo}: red ")
    assert "%" in line


def test_json_is_one_object_per_line_in_the_order_given(
    trained_once: Path, colours: Path, handful: Handful
) -> None:
    photos = [colours / name / f"{name}_000.png" for name in ("red", "blue")]
    lines = handful("predict", trained_once, *photos, colours / "green", "--json").lines
    assert len(lines) == 12
    assert [line["file"] for line in lines[:2]] == [str(photo) for photo in photos]
    assert [line["label"] for line in lines] == ["red", "blue"] + ["green"] * 10
    classifier = Classifier.load(trained_once)
    for line in lines:
        assert list(line) == FIELDS
        assert list(line["probabilities"]) == ["blue", "green", "red"]
        assert line["probability"] == line["probabilities"][line["label"]]
        assert line["probabilities"] == classifier.predict(line["file"]).probabilities


def test_photos_that_cannot_be_read_are_lines_too_and_code_3(
    trained_once: Path, colours: Path, handful: Handful, tmp_path: Path
) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    photos = ["none.png", colours / "red" / "red_000.png", tmp_path / "page.jpg"]
    lines = handful("predict", trained_once, *photos, "--json", code=3).lines
    assert [list(line) for line in lines] == [
        ["file", "error"], FIELDS, ["file", "error"],
    ]  # fmt: skip
    assert lines[0]["file"] == "none.png"
    assert "does not exist" in lines[0]["error"]
    assert "HTML" in lines[2]["error"]
    told = handful("predict", trained_once, *photos, code=3).out.splitlines()
    assert len(told) == 3
    assert told[0].startswith("none.png: error: does not exist")


def test_an_empty_folder_is_the_users_mistake(trained_once: Path, handful: Handful, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no photo" in handful("predict", trained_once, tmp_path / "empty", code=2).err


ODD = ["new\nline.png", "-dash.png", "back\\slash.png", "\x1b[31mred.png", "  spaces .png", "\U0001f98e.png"]
NO_TEXT = os.fsdecode(b"\xff\xfe.png")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_file_may_have_any_name(
    trained_once: Path, colours: Path, handful: Handful, tmp_path: Path
) -> None:
    names = [*ODD, NO_TEXT]
    for name in names:
        shutil.copy(colours / "red" / "red_000.png", tmp_path / "here" / name)
    lines = handful("predict", trained_once, "--json", "--", *names).lines
    assert [(line["file"], line["label"]) for line in lines] == [(name, "red") for name in names]
    told = handful("predict", trained_once, "--", *names).out
    assert len(told.splitlines()) == len(names)
    assert "\x1b" not in told
    assert "\\xff\\xfe.png: red" in told


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_refused_file_may_have_any_name(trained_once: Path, handful: Handful, tmp_path: Path) -> None:
    names = [*ODD, NO_TEXT]
    for name in names:
        (tmp_path / "here" / name).write_text("no photo")
    lines = handful("predict", trained_once, "--json", "--", *names, code=3).lines
    assert [line["file"] for line in lines] == names
    assert all(line["error"] for line in lines)
    told = handful("predict", trained_once, "--", *names, code=3).out
    assert len(told.splitlines()) == len(names)
    assert "\x1b" not in told


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_classes_may_have_any_name(colours: Path, handful: Handful, tmp_path: Path) -> None:
    for source, name in (("red", b"r\xff\nd"), ("blue", b"\x1b[31mb")):
        shutil.copytree(colours / source, tmp_path / "photos" / os.fsdecode(name))
    train(tmp_path / "photos", tmp_path / "x.handful", backbone="embedded", effort="quick")
    photo = colours / "red" / "red_000.png"
    told = handful("predict", tmp_path / "x.handful", photo).out
    assert "r\\xff\\nd" in told
    assert "\x1b" not in told
    assert handful("predict", tmp_path / "x.handful", photo, "--json").json["label"] == os.fsdecode(
        b"r\xff\nd"
    )
    told = handful("evaluate", tmp_path / "x.handful", tmp_path / "photos").out
    assert "r\\xff\\nd" in told
    assert "\x1b" not in told


def test_a_damaged_model_is_the_users_mistake(trained: Path, colours: Path, handful: Handful) -> None:
    (trained / "weights.npy").write_bytes(b"")
    result = handful("predict", trained, colours, code=2)
    assert "weights.npy does not match its checksum" in result.err
    assert result.out == ""


def test_quiet_still_prints_what_was_asked_for(trained_once: Path, colours: Path, handful: Handful) -> None:
    photo = colours / "red" / "red_000.png"
    assert (
        handful("predict", trained_once, photo, "--quiet").out == handful("predict", trained_once, photo).out
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells of a closed pipe in another way")
def test_a_reader_that_goes_early_is_no_crash(trained_once: Path, colours: Path) -> None:
    command = [sys.executable, "-m", "handful", "predict", str(trained_once), *[str(colours)] * 2]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait() == 0


# Runs a command as `python -m handful` would, then tells which modules it had loaded.
_RUNNER = """
import json, runpy, sys
target = sys.argv.pop(1)
try:
    runpy.run_module("handful", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
with open(target, "w") as stream:
    json.dump(sorted(sys.modules), stream)
"""


def modules_loaded_by(tmp_path: Path, *arguments: object) -> set[str]:
    target = tmp_path / "modules.json"
    command = [sys.executable, "-c", _RUNNER, str(target), *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return {name.partition(".")[0] for name in json.loads(target.read_text())}


HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "scipy", "h5py"}


def test_on_a_fresh_machine_the_embedded_backbone_never_loads_tensorflow(
    cache: Path, colours: Path, tmp_path: Path
) -> None:
    assert not any(cache.iterdir())
    model, settings = tmp_path / "x.handful", ("--backbone", "embedded", "--effort", "quick")
    loaded = modules_loaded_by(tmp_path, "train", colours, "-o", model, *settings)
    assert "ai_edge_litert" in loaded
    assert not HEAVY & loaded
    assert not HEAVY & modules_loaded_by(tmp_path, "evaluate", model, colours)
    assert not HEAVY & modules_loaded_by(
        tmp_path, "predict", model, colours / "red" / "red_000.png", "--json"
    )
    assert not (HEAVY | {"ai_edge_litert"}) & modules_loaded_by(tmp_path, "check", colours)


def test_a_stranger_is_unknown_when_asked(
    trained_once: Path, colours: Path, handful: Handful, tmp_path: Path
) -> None:
    rows, columns = np.mgrid[:200, :200]
    Image.fromarray(((rows // 10 + columns // 10) % 2 * 255).astype(np.uint8)).save(tmp_path / "stranger.png")
    photos = [colours / "red" / "red_000.png", tmp_path / "stranger.png"]
    lines = handful("predict", trained_once, *photos, "--abstain", "--json").lines
    assert [line["label"] for line in lines] == ["red", "unknown"]
    assert [line["is_known"] for line in lines] == [True, False]
    assert lines[0]["among"] == ["red"]
    without = handful("predict", trained_once, *photos, "--json").lines
    assert without[1]["label"] in ("blue", "green", "red")
    assert "unknown, at best" in handful("predict", trained_once, *photos, "--abstain").out.splitlines()[1]
