"""`handful check`: what is wrong, as a table or as JSON, before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Handful


@pytest.fixture
def photos(tmp_path: Path, draw: Callable[..., Path]) -> Path:
    return draw(tmp_path / "photos", 10)


def test_good_photos_are_said_to_be_good(photos: Path, handful: Handful) -> None:
    assert handful("check", photos).out == (
        "Nothing is wrong with these photos.\n30 photos to learn from: blue 10, green 10, red 10\n"
    )
    assert handful("check", photos, "--json").json == []
    assert handful("check", photos, "--quiet").out == ""


def test_a_class_that_is_thin_is_told_and_refuses_no_file(photos: Path, handful: Handful) -> None:
    (photos / "red" / "red_000.png").unlink()
    problems = handful("check", photos, "--json", code=0).json
    assert [(p["severity"], p["file"]) for p in problems] == [("warning", "red")]


def test_bad_photos_are_listed_with_what_and_fix(photos: Path, handful: Handful) -> None:
    (photos / "red" / "page.jpg").write_text("<html>")
    (photos / "blue" / "empty.png").write_bytes(b"")
    shutil.copy(photos / "red" / "red_000.png", photos / "blue" / "twice.png")
    result = handful("check", photos, "--json", code=3)
    assert {frozenset(problem) for problem in result.json} == {frozenset(["severity", "file", "what", "fix"])}
    assert {"red/page.jpg", "blue/empty.png"} <= {problem["file"] for problem in result.json}
    told = handful("check", photos, code=3).out
    assert "red/page.jpg" in told
    assert "blue/empty.png" in told
    assert "under different labels" in told
    quiet = handful("check", photos, "--quiet", code=3)
    assert quiet.out == ""
    assert "\nwarning: red/page.jpg: " in f"\n{quiet.err}"
    assert "warning: blue/empty.png: is empty: 0 bytes. " in quiet.err


def test_an_error_among_the_findings_is_code_2(photos: Path, handful: Handful) -> None:
    for path in list((photos / "red").iterdir())[1:]:
        path.unlink()
    problems = handful("check", photos, "--json", code=2).json
    assert problems[0]["severity"] == "error"
    assert problems[0]["file"] == "red"


def test_quiet_still_says_which_errors_there_are(photos: Path, handful: Handful) -> None:
    for path in list((photos / "red").iterdir())[1:]:
        path.unlink()
    assert handful("check", photos, "--quiet", code=2).err.startswith("error: red: the class has 1 usable")


def test_json_is_a_list_even_when_nothing_can_be_listed(handful: Handful, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in ("none", tmp_path / "empty"):
        (problem,) = handful("check", place, "--json", code=2).json
        assert set(problem) == {"severity", "file", "what", "fix"}
        assert problem["severity"] == "error"
        assert all(problem.values())


def test_photos_beside_the_class_folders_are_named_and_code_3(photos: Path, handful: Handful) -> None:
    (photos / "red" / "red_000.png").rename(photos / "loose.png")
    assert "loose.png" in [problem["file"] for problem in handful("check", photos, "--json", code=3).json]


def test_nothing_is_written_among_the_photos_or_here(photos: Path, handful: Handful, tmp_path: Path) -> None:
    before = sorted(photos.rglob("*"))
    handful("check", photos)
    assert sorted(photos.rglob("*")) == before
    assert list((tmp_path / "here").iterdir()) == []


def draw_scenes(folder: Path) -> Path:
    """Two classes of soft pictures, twelve each; no two alike."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            grid = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            image = Image.fromarray(grid).resize((120, 90), Image.Resampling.BICUBIC)
            image.save(folder / name / f"{name}_{number % 4}_{number}.png")
    return folder


def test_what_matters_most_comes_first(handful: Handful, tmp_path: Path) -> None:
    photos = draw_scenes(tmp_path / "scenes")
    with Image.open(photos / "cat" / "cat_0_0.png") as image:
        image.save(photos / "dog" / "again.jpg", quality=60)
    with Image.open(photos / "cat" / "cat_1_1.png") as image:
        image.resize((60, 45)).save(photos / "cat" / "small.png")
    (photos / "dog" / "empty.png").write_bytes(b"")
    found = handful("check", photos, "--json", code=3).json
    assert [(p["severity"], p["file"]) for p in found] == [
        ("warning", "cat/cat_0_0.png"),
        ("warning", "dog/empty.png"),
        ("note", "cat/cat_1_1.png"),
    ]
    assert "looks like one picture under different labels" in found[0]["what"]
    assert "look like one picture, re-saved, resized or cropped" in found[2]["what"]


def test_groups_and_corrections_are_understood(handful: Handful, tmp_path: Path) -> None:
    photos = draw_scenes(tmp_path / "scenes")
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("file,label\ncat/cat_0_0.png,dog\ndog/dog_1_1.png,\n")
    result = handful("check", photos, "--group-by", r"/(\w+_\d)_", "--fix", fixes)
    assert "23 photos in 8 groups" in " ".join(result.out.split())
    assert "1 label corrected and 1 photo left out by fixes.csv" in " ".join(result.out.split())
    assert result.out.endswith("23 photos to learn from: cat 11, dog 12\n")


def test_a_bad_pattern_and_a_bad_correction_are_told_together_and_code_2(
    handful: Handful, tmp_path: Path
) -> None:
    photos = draw_scenes(tmp_path / "scenes")
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("file,label\ncat/none.png,dog\n")
    found = handful("check", photos, "--group-by", "(", "--fix", fixes, "--json", code=2).json
    errors = [p["file"] for p in found if p["severity"] == "error"]
    assert errors == ["cat/none.png", "--group-by"]


def test_with_a_backbone_a_photo_of_something_else_is_named(
    handful: Handful, tmp_path: Path, draw: Callable[..., Path]
) -> None:
    photos = draw(tmp_path / "photos", 20)
    rows, columns = np.indices((60, 60))
    board = np.where((rows // 10 + columns // 10) % 2, 255, 0).astype(np.uint8)
    Image.fromarray(board).save(photos / "red" / "board.png")
    found = handful("check", photos, "--backbone", "embedded", "--json").json
    assert [p["file"] for p in found if "unlike all other photos" in p["what"]][:1] == ["red/board.png"]
    assert not any("unlike" in p["what"] for p in handful("check", photos, "--json").json)
