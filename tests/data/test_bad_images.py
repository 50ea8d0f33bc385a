"""The 630 odd, broken and hostile files of shared/badinputs, decoded in a child with time and memory caps."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from handful.data import images

CHILD = Path(__file__).with_name("decoding_child.py")
GROWTH = 300  # MB over what the first, ordinary photo left


@dataclass(frozen=True)
class Outcome:
    file: str
    expect: str
    resized: dict[str, str] | None  # None: the child died or took more than 5 s
    whole: dict[str, str] | None
    peak: int
    heard: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def outcomes(shared: Path) -> list[Outcome]:
    with (shared / "badinputs" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [(row["file"], row["expect"]) for row in csv.DictReader(stream)]
    found: list[Outcome] = []
    while len(found) < len(rows):  # a child that dies costs its file, and the next child goes on after it
        found.extend(_walk(shared / "badinputs" / "files", rows[len(found) :]))
    return found


def _walk(folder: Path, rows: list[tuple[str, str]]) -> list[Outcome]:
    names = "".join(json.dumps(str(folder / file)) + "\n" for file, _ in rows)
    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[2])}
    child = subprocess.run(
        [sys.executable, str(CHILD)],
        input=names,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    found = [
        Outcome(file, expect, first["answer"], second["answer"], second["peak"], tuple(second["heard"]))
        for (file, expect), first, second in zip(rows, lines[::2], lines[1::2], strict=False)
    ]
    if len(found) < len(rows):
        found.append(Outcome(*rows[len(found)], None, None, 0))
    return found


def test_no_file_kills_or_hangs_the_decoder(outcomes: list[Outcome]) -> None:
    assert [outcome.file for outcome in outcomes if outcome.resized is None] == []
    assert len(outcomes) == 630


def test_no_file_makes_pillow_warn(outcomes: list[Outcome]) -> None:
    assert next((outcome.heard for outcome in reversed(outcomes) if outcome.heard), ()) == ()


def test_memory_stays_within_its_cap(outcomes: list[Outcome]) -> None:
    assert max(outcome.peak for outcome in outcomes) - outcomes[0].peak < GROWTH


@pytest.mark.parametrize("way", ["resized", "whole"])
def test_every_good_file_loads(outcomes: list[Outcome], way: str) -> None:
    lost = {o.file: getattr(o, way) for o in outcomes if o.expect == "accept" and getattr(o, way) != {}}
    assert lost == {}


@pytest.mark.parametrize("way", ["resized", "whole"])
def test_every_bad_file_is_refused(outcomes: list[Outcome], way: str) -> None:
    assert [o.file for o in outcomes if o.expect == "reject" and getattr(o, way) == {}] == []


def test_every_refusal_names_file_reason_and_fix(outcomes: list[Outcome]) -> None:
    answers = [(o.file, answer) for o in outcomes for answer in (o.resized, o.whole) if answer]
    poor = [
        (file, answer)
        for file, answer in answers
        if not (
            answer.get("reason") and answer.get("fix", "").endswith(".") and answer["name"].endswith(file)
        )
        or "0x" in answer["reason"]
    ]
    assert poor == []
