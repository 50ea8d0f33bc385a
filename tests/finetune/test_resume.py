"""A run that is killed, whenever, goes on by itself and ends where an uninterrupted one does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from handful.artefact import read_artefact, read_moved
from handful.classifier import Classifier

SCRIPT = Path(__file__).with_name("interrupted.py")
_MOST_KILLS = 60
_ALL = 1_000_000

pytestmark = pytest.mark.slow


class Training:
    """Runs the script; remembers the photos and the place of the result."""

    def __init__(self, pairs: list[tuple[str, str]], folder: Path) -> None:
        self.photos, self.folder = folder / "photos.json", folder
        self.photos.write_text(json.dumps(pairs))

    def start(self, target: Path, calls: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), str(self.photos), str(target), str(calls)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def run(self, target: Path, calls: int = _ALL) -> int:
        child = self.start(target, calls)
        _, words = child.communicate(timeout=240)
        assert child.returncode in (0, 9), words
        return child.returncode


@pytest.fixture
def training(cache: Path, puzzling: list[tuple[str, str]], tmp_path: Path) -> Training:
    return Training(puzzling, tmp_path)


def outcome(target: Path) -> tuple[dict[int, np.ndarray], np.ndarray, dict[str, object]]:
    artefact = read_artefact(target)
    return read_moved(artefact), artefact.weights, artefact.card["fine_tuning"]


def is_done(target: Path) -> bool:
    """Whether the decision is in place; a kill while tidying up behind it changes nothing."""
    return target.exists() and outcome(target)[2]["state"] == "done"


def same(one: Path, other: Path) -> bool:
    (moved, weights, told), (moved_too, weights_too, told_too) = outcome(one), outcome(other)
    return (
        bool(moved)
        and moved.keys() == moved_too.keys()
        and all(np.array_equal(moved[place], moved_too[place]) for place in moved)
        and np.array_equal(weights, weights_too)
        and told == told_too
    )


def test_a_kill_at_a_write_loses_nothing(training: Training, tmp_path: Path) -> None:
    """One result is killed again and again, each time some writes further on than the run before."""
    whole, killed = tmp_path / "whole.handful", tmp_path / "killed.handful"
    assert training.run(whole) == 0
    assert outcome(whole)[2]["chosen"] == "fine-tuned"
    kills = 0
    rng = random.Random(0)
    while not is_done(killed):
        ended = training.run(killed, calls=rng.randrange(4, 40))
        kills += ended == 9
        assert Classifier.load(killed).classes == ("blue", "green", "red")  # whatever is there is whole
        assert kills < _MOST_KILLS
    assert kills >= 3
    assert same(whole, killed)


def test_a_kill_at_any_moment_loses_nothing(training: Training, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.handful", tmp_path / "killed.handful"
    start = time.monotonic()
    assert training.run(whole) == 0
    took = time.monotonic() - start
    rng = random.Random(1)
    for _ in range(2):
        child = training.start(killed, _ALL)
        time.sleep(rng.uniform(0.4, 0.95) * took)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    if not is_done(killed):
        assert training.run(killed) == 0
    assert same(whole, killed)


def test_a_finished_result_needs_overwrite(training: Training, tmp_path: Path) -> None:
    target = tmp_path / "x.handful"
    assert training.run(target) == 0
    child = training.start(target, _ALL)
    _, words = child.communicate(timeout=240)
    assert child.returncode == 1
    assert "exists already" in words
