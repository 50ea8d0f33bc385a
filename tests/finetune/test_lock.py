"""A folder is held by one run at a time, and by none that has died."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handful.files import WriteError
from handful.finetune import lock
from handful.finetune.lock import take_lock

HOLDING = """
import sys
from pathlib import Path
from handful.finetune import lock
if sys.argv[2] == "named":
    lock.fcntl = None
held = lock.take_lock(Path(sys.argv[1]))
print(held is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["system", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The system's own lock, and what stands in for it."""
    if request.param == "named":
        monkeypatch.setattr(lock, "fcntl", None)
    elif lock.fcntl is None:
        pytest.skip("this system has no flock")
    return request.param


def test_one_run_at_a_time(kind: str, tmp_path: Path) -> None:
    held = take_lock(tmp_path / "run")
    assert held is not None
    assert take_lock(tmp_path / "run") is None
    assert take_lock(tmp_path / "other") is not None
    held.release()
    held.release()
    again = take_lock(tmp_path / "run")
    assert again is not None


def test_a_lock_that_nothing_refers_to_is_free(kind: str, tmp_path: Path) -> None:
    take_lock(tmp_path / "run")
    assert take_lock(tmp_path / "run") is not None


@pytest.mark.skipif(sys.platform == "win32", reason="there a dead process cannot be told from a live one")
def test_another_process_holds_it_until_it_is_killed(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "run"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline().strip() == "True"
        assert take_lock(tmp_path / "run") is None
        child.kill()
        child.wait()
        assert take_lock(tmp_path / "run") is not None


def test_a_folder_that_was_removed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run before removes its folder between our opening the lock's file and our taking it."""
    system: Any = pytest.importorskip("fcntl")
    flock, calls = system.flock, []

    def late(*args: Any) -> None:
        if not calls:
            os.rename(tmp_path / "run", tmp_path / "gone")
        calls.append(args)
        flock(*args)

    monkeypatch.setattr(system, "flock", late)
    held = take_lock(tmp_path / "run")
    assert held is not None
    assert len(calls) == 2
    assert (tmp_path / "run" / "lock").exists()


def test_a_disk_without_locks_gets_a_named_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system: Any = pytest.importorskip("fcntl")

    def refused(*args: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(system, "flock", refused)
    held = take_lock(tmp_path / "run")
    assert held is not None
    assert take_lock(tmp_path / "run") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"):
        take_lock(tmp_path / "file" / "run")
