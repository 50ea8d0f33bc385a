"""`handful export`: a file for others, compared first."""

from __future__ import annotations

import zipfile
from pathlib import Path

from .conftest import Handful


def test_a_keras_file_is_written_and_its_comparison_told(
    trained_once: Path, handful: Handful, tmp_path: Path
) -> None:
    result = handful("export", trained_once, "--format", "keras", "-o", "x.keras", "--json")
    assert zipfile.is_zipfile(tmp_path / "here" / "x.keras")
    assert result.err == ""  # TensorFlow's own noise never shows
    assert (result.json["photos"], result.json["same_label"], result.json["file"]) == (16, 1, "x.keras")
    assert result.json["largest_difference"] <= result.json["tolerance"]


def test_an_unknown_format_is_the_users_mistake(trained_once: Path, handful: Handful) -> None:
    assert (
        "There is: keras" in handful("export", trained_once, "-o", "x.onnx", "--format", "onnx", code=2).err
    )
