"""The journal of an interrupted run: whole or not there, and never believed when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handful.finetune import state
from handful.finetune.state import Journal, Position


def a_position(step: int = 7) -> Position:
    rng = np.random.default_rng(step)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3, 2, 4), (5,), (4, 2))]
    return Position(
        step, arrays, [2 * a for a in arrays], [a**2 for a in arrays], {3: arrays[2], 7: arrays[2]}
    )


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state")
    journal.finish("cut/0", {"logits": np.eye(3), "stops": np.array([0.5])})
    journal.reach("cut/1", a_position())
    again = Journal.open(tmp_path / "state")
    assert (again.finished["cut/0"]["logits"] == np.eye(3)).all()
    found, expected = again.position("cut/1"), a_position()
    assert found is not None
    assert found.step == expected.step
    for name in ("variables", "first", "second"):
        pairs = zip(getattr(found, name), getattr(expected, name), strict=True)
        assert all((one == other).all() for one, other in pairs)
    assert sorted(found.watched) == [3, 7]
    assert again.position("cut/0") is None
    assert not list(tmp_path.glob(".*"))


def test_a_finished_run_leaves_no_position_behind(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state")
    journal.reach("a", a_position())
    journal.finish("a", {"x": np.zeros(1)})
    assert Journal.open(tmp_path / "state").position("a") is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "version", "text"])
def test_a_damaged_journal_is_as_good_as_none(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    Journal(path).finish("a", {"x": np.arange(100.0)})
    assert Journal.open(path).finished
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-10]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    elif damage == "empty":
        data = bytearray()
    elif damage == "text":
        data = bytearray(b"<html>")
    else:
        monkeypatch.setattr(state, "STATE_VERSION", state.STATE_VERSION + 1)
    path.write_bytes(data)
    journal = Journal.open(path)
    assert journal.finished == {}
    assert journal.under_way is None


# A child that commits two finished runs and a position, and ends as if by kill -9 at the n-th call that
# changes or syncs the disk.
_KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from handful.finetune.state import Journal, Position

left = int(sys.argv[2])

def dies(call):
    def dying(*args, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*args, **options)
    return dying

for name in ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink"):
    setattr(os, name, dies(getattr(os, name)))
journal = Journal.open(Path(sys.argv[1]))
ones = [np.ones(1000, np.float32)]
journal.finish("a", {"x": np.zeros(1000)})
journal.reach("b", Position(3, ones, ones, ones, {3: np.ones((2, 2))}))
journal.finish("b", {"x": np.ones(1000)})
"""


def test_a_kill_at_any_write_leaves_one_commit_or_the_next(tmp_path: Path) -> None:
    seen = []
    for call in range(40):
        path = tmp_path / str(call) / "state"
        command = [sys.executable, "-c", _KILLED, str(path), str(call)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode in (0, 9), child.stderr
        journal = Journal.open(path)
        position = journal.position("b")
        seen.append((sorted(journal.finished), position.step if position else None))
        journal.finish("c", {"x": np.zeros(1)})  # and the next process commits over it
        assert Journal.open(path).finished["c"]["x"] == 0
        if child.returncode == 0:
            break
    every = [([], None), (["a"], None), (["a"], 3), (["a", "b"], None)]
    assert seen == sorted(seen, key=every.index)  # never back to an earlier one
    assert set(map(str, seen)) == set(map(str, every))
