"""Groups from file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful.data.manifest import Manifest, Row
from handful.data.splitting import split
from handful.errors import Problem

NAMES = ("rose/plant_1_a.jpg", "rose/plant_1_b.jpg", "rose/plant_2.jpg", "lily/plant_1_c.jpg", "lily/x.jpg")


def manifest(group: str | None = None) -> Manifest:
    rows = tuple(Row(Path(name), name, name[:4], group=group) for name in NAMES)
    return Manifest(rows, ("lily", "rose"))


def grouped(pattern: str) -> tuple[list[str | None], tuple[Problem, ...]]:
    found = Manifest.read(manifest(), group_by=pattern)
    return [row.group for row in found.rows], found.problems


def test_the_brackets_name_the_group_in_whatever_class() -> None:
    groups, problems = grouped(r"plant_(\d+)")
    assert groups == ["1", "1", "2", "1", None]
    assert [(p.severity, p.what) for p in problems] == [
        ("note", r"4 photos in 2 groups by 'plant_(\\d+)'; kept together in folds"),
        ("warning", r"'plant_(\\d+)' does not match 1 photo: lily/x.jpg"),
    ]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("plant_(", "not a regular expression: missing ), unterminated subpattern at position 6"),
        ("plant", "it has 0 pairs of brackets that capture"),
        ("(plant)_(1)", "it has 2 pairs of brackets that capture"),
        ("(patient)", f"it matches no file name; there are: {', '.join(NAMES[:3])} and 2 more"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_an_error_with_a_fix(pattern: str, what: str) -> None:
    groups, (problem,) = grouped(pattern)
    assert groups == [None] * 5
    assert (problem.severity, problem.file) == ("error", "--group-by")
    assert problem.what == f"received {pattern!r}: {what}"
    assert "for example 'plant_(\\d+)'" in problem.fix


def test_groups_of_the_table_and_a_pattern_do_not_mix() -> None:
    found = Manifest.read(manifest(group="g"), group_by=r"plant_(\d+)")
    assert "the table has groups already" in found.problems[0].what
    assert {row.group for row in found.rows} == {"g"}


def test_a_pattern_under_which_no_two_photos_share_a_group_is_a_warning() -> None:
    _, problems = grouped(r"/(.+)\.jpg")
    assert [p.severity for p in problems] == ["warning"]
    assert "no two photos share a group" in problems[0].what


def test_groups_from_names_are_never_parted(tmp_path: Path, photo) -> None:
    for name in ("cat", "dog"):
        for number in range(12):
            photo(f"photos/{name}/{name}{number % 4}_{number}.png")
    for seed in range(10):
        training, held = split(Manifest.read(tmp_path / "photos", group_by=r"/(\w+\d)_"), 0.3, seed)
        assert not {row.group for row in training.rows} & {row.group for row in held.rows}
        assert {
            len(list(filter(None, (row.group for row in part.rows)))) % 3 for part in (training, held)
        } == {0}
