"""`handful evaluate`: the score of photos that were set aside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Handful


@pytest.fixture
def fresh(tmp_path: Path, draw: Callable[..., Path]) -> Path:
    return draw(tmp_path / "fresh", 4, first=500)


def test_accuracy_and_every_class_are_told(trained_once: Path, fresh: Path, handful: Handful) -> None:
    told = handful("evaluate", trained_once, fresh).out
    assert "accuracy " in told
    assert "balanced accuracy " in told
    assert "on 12 photos" in told
    for name in ("blue", "green", "red"):
        assert f"  {name}" in told


def test_json_is_one_object_of_scores(trained_once: Path, fresh: Path, handful: Handful) -> None:
    told = handful("evaluate", trained_once, fresh, "--json").json
    for name in ("accuracy", "balanced_accuracy"):
        assert set(told[name]) == {"value", "low", "high"}
    assert (told["n"], told["skipped"], told["problems"]) == (12, 0, [])
    assert told["classes"] == ["blue", "green", "red"]
    assert sum(map(sum, told["confusion"])) == 12
    assert told["in_sets"]["value"] >= 0.5
    assert told["refused"]["value"] <= 0.5
    assert told["suspects"] == []


def test_json_has_null_where_nothing_was_measured(trained_once: Path, fresh: Path, handful: Handful) -> None:
    told = handful("evaluate", trained_once, fresh / "..", "--json", code=None)
    assert told.code in (0, 2)
    (fresh / "blue").rename(fresh.parent / "elsewhere")
    assert handful("evaluate", trained_once, fresh, "--json").json["recall"][0] == {
        "value": None, "low": None, "high": None,
    }  # fmt: skip


def test_refused_photos_are_code_3(trained_once: Path, fresh: Path, handful: Handful) -> None:
    (fresh / "red" / "page.jpg").write_text("<html>")
    told = handful("evaluate", trained_once, fresh, "--json", code=3).json
    assert (told["n"], told["skipped"]) == (12, 1)
    assert [problem["file"] for problem in told["problems"]] == ["red/page.jpg"]
    assert "red/page.jpg" in handful("evaluate", trained_once, fresh, code=3).out


def test_an_unknown_class_is_the_users_mistake(trained_once: Path, fresh: Path, handful: Handful) -> None:
    (fresh / "red").rename(fresh / "reed")
    assert 'Did you mean "red"?' in handful("evaluate", trained_once, fresh, code=2).err


def test_photos_trained_on_are_said_to_flatter(trained_once: Path, colours: Path, handful: Handful) -> None:
    result = handful("evaluate", trained_once, colours)
    assert (result.out + result.err).count("flatters") == 1
    assert "on 30 photos" in result.out


def test_photos_trained_on_are_counted_apart_and_are_no_code_3(
    trained_once: Path, colours: Path, fresh: Path, handful: Handful
) -> None:
    shutil.copy(colours / "red" / "red_000.png", fresh / "red" / "known.png")
    told = handful("evaluate", trained_once, fresh, "--json", code=0).json
    assert (told["n"], told["skipped"], told["trained_on"]) == (12, 0, 1)
    result = handful("evaluate", trained_once, fresh, code=0)
    assert (result.out + result.err).count("trained on and are left out") == 1


def test_quiet_lists_refused_photos_as_lines(trained_once: Path, fresh: Path, handful: Handful) -> None:
    (fresh / "red" / "page.jpg").write_text("<html>")
    assert "warning: red/page.jpg: " in handful("evaluate", trained_once, fresh, "--quiet", code=3).err
