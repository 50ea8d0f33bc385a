"""`handful demo`: the whole job on photos it draws itself, without a network and without data."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from handful.classifier import Classifier

from .conftest import Handful


@pytest.mark.slow
def test_the_demo_does_the_whole_job_and_shows_what_transfer_bought(handful: Handful, tmp_path: Path) -> None:
    result = handful("demo", "--json", "--out", "out").json
    assert result["n"] == 160
    assert result["majority"] == 0.25
    assert result["accuracy"]["value"] - result["raw_pixels"]["value"] >= 0.2
    assert result["new_photos"]["n"] == 60
    assert result["export"]["same_label"] == 1
    out = tmp_path / "here" / "out"
    assert Classifier.load(out / "parts.handful").classes == ("dented", "fine", "scratched", "stained")
    assert zipfile.is_zipfile(out / "parts.keras")
    assert len(list((out / "photos").rglob("*.jpg"))) == 160
    assert len(list((out / "new").rglob("*.jpg"))) == 60


def test_a_folder_that_holds_something_else_is_left_alone(handful: Handful, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("precious")
    assert "left alone" in handful("demo", "--out", tmp_path / "mine", code=2).err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_file_in_the_way_is_the_users_mistake(handful: Handful, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    assert "is a file" in handful("demo", "--out", tmp_path / "mine", code=2).err
    assert (tmp_path / "mine").read_text() == "precious"
