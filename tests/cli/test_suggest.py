"""`handful suggest`: a line per photo to label, best first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .conftest import Handful


def test_lines_and_json_name_the_same_photos(
    trained_once: Path, colours: Path, handful: Handful, draw: Callable[..., Path], tmp_path: Path
) -> None:
    new = draw(tmp_path / "new", each=4, first=70)
    lines = handful("suggest", trained_once, new, "--count", "5").out.splitlines()
    told = handful("suggest", trained_once, new, "-n", "5", "--json").json
    assert list(told) == ["photos", "looked_at", "trained_on", "skipped", "problems"]
    assert [line.partition(": perhaps ")[0] for line in lines] == [photo["file"] for photo in told["photos"]]
    assert (len(lines), told["looked_at"]) == (5, 12)


def test_photos_that_were_trained_on_are_left_out_and_told(
    trained_once: Path, colours: Path, handful: Handful, draw: Callable[..., Path], tmp_path: Path
) -> None:
    new = draw(tmp_path / "new", each=1, first=70)
    result = handful("suggest", trained_once, new, colours / "red")
    assert "10 photos left out: the model was trained on them" in result.err
    assert len(result.out.splitlines()) == 3
    (new / "page.jpg").write_text("<html>")
    assert "page.jpg" in handful("suggest", trained_once, new, code=3).err
    assert "trained on 10" in handful("suggest", trained_once, colours / "red", code=2).err
