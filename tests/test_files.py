"""Nothing is ever half-written: whatever happens, and whenever, the old content stays or the new is whole."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from handful import files
from handful.errors import ArtefactError, HandfulError
from handful.files import folder_in_the_making, link_or_copy, recover_folder, write_atomically

SOURCE = Path(files.__file__).resolve().parents[1]
OLD, NEW = {"a.txt": "old a", "b.txt": "old b"}, {"a.txt": "new a", "c.txt": "new c"}


def fill(folder: Path, content: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(code: int) -> Callable[..., NoReturn]:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


def make(target: Path, meanwhile: Callable[[], Any], *, overwrite: bool = True) -> None:
    """Fill a new folder for `target`, and let something happen before it is put in place."""
    with folder_in_the_making(target, overwrite=overwrite) as folder:
        fill(folder, NEW)
        meanwhile()


def test_a_file_is_written_whole_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "file", b"content")
    assert (tmp_path / "new" / "file").read_bytes() == b"content"
    assert names(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("place", ["os.fsync", "os.replace", "pathlib.Path.open"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EROFS, "cannot be written to"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_a_file_that_cannot_be_written_leaves_the_old_one(
    place: str, code: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(place, failing(code))
        with pytest.raises(HandfulError, match=advice) as caught:
            write_atomically(target, b"new content")
    assert "11 bytes needed" in str(caught.value)
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_folder_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with folder_in_the_making(tmp_path / "sub" / "result", overwrite=False) as folder:
        fill(folder, NEW)
        assert not (tmp_path / "sub" / "result").exists()
    assert content(tmp_path / "sub" / "result") == NEW
    assert names(tmp_path / "sub") == ["result"]


def test_an_existing_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    fill(tmp_path / "result", OLD)
    with (
        pytest.raises(ArtefactError, match="exists already and is left as it is"),
        folder_in_the_making(tmp_path / "result", overwrite=False),
    ):
        pytest.fail("the block must not run")
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


def test_a_folder_that_appears_meanwhile_is_not_replaced_unasked(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="exists already"):
        make(tmp_path / "result", lambda: fill(tmp_path / "result", OLD), overwrite=False)
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_overwrite_replaces_the_whole_folder(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    fill(tmp_path / "result", OLD)
    with folder_in_the_making(tmp_path / "result", overwrite=True) as folder:
        fill(folder, NEW)
        assert content(tmp_path / "result") == OLD
    assert content(tmp_path / "result") == NEW
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyboardInterrupt()])
def test_what_goes_wrong_in_the_block_leaves_the_old_folder(error: BaseException, tmp_path: Path) -> None:
    fill(tmp_path / "result", OLD)
    with pytest.raises(type(error)):
        make(tmp_path / "result", raising(error))
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("place", ["os.fsync", "handful.files.put_in_place", "handful.files.sync_folder"])
def test_a_full_disk_leaves_the_old_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "result", OLD)
    with monkeypatch.context() as patch:
        patch.setattr(place, failing(errno.ENOSPC))
        with (
            pytest.raises(HandfulError, match="The disk is full"),
            folder_in_the_making(tmp_path / "result", overwrite=True) as folder,
        ):
            fill(folder, NEW)
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


def test_a_disk_that_is_full_within_the_block_leaves_the_old_folder(tmp_path: Path) -> None:
    fill(tmp_path / "result", OLD)
    with pytest.raises(HandfulError, match="What was there before is intact"):
        make(tmp_path / "result", failing(errno.ENOSPC))
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


def test_a_linked_result_is_replaced_where_it_lies(tmp_path: Path) -> None:
    fill(tmp_path / "large disk" / "result", OLD)
    (tmp_path / "result").symlink_to(tmp_path / "large disk" / "result")
    with folder_in_the_making(tmp_path / "result", overwrite=True) as folder:
        fill(folder, NEW)
    assert (tmp_path / "result").is_symlink()
    assert content(tmp_path / "large disk" / "result") == NEW
    assert names(tmp_path) == ["large disk", "result"]
    assert names(tmp_path / "large disk") == ["result"]


@pytest.mark.parametrize("name", ["result", "result [1]", "*"])
def test_what_a_dead_process_left_is_swept_and_what_a_living_one_makes_is_not(
    name: str, tmp_path: Path
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    host = files.temporary_name(Path("x")).name.split(".")[2]
    fill(tmp_path / f".{name}.{host}.{child.pid}-0123abcd.tmp", OLD)
    living = fill(tmp_path / f".{name}.{host}.{os.getpid()}-0123abcd.tmp", OLD)
    others = fill(tmp_path / f".{name}.more.{host}.{child.pid}-0123abcd.tmp", OLD)
    elsewhere = fill(tmp_path / f".{name}.another.{child.pid}-0123abcd.tmp", OLD)
    with folder_in_the_making(tmp_path / name, overwrite=False) as folder:
        fill(folder, NEW)
    assert names(tmp_path) == sorted([living.name, others.name, elsewhere.name, name])


def test_a_temporary_name_tells_machine_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_host", files._host.__wrapped__)
    names = []
    for host in ("Train-Job/\u00e9-0.example.org", "train-job-e-1.example.org"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        names.append(files.temporary_name(Path("x")).name)
        assert files.is_temporary(Path(names[-1]))
        assert re.fullmatch(rf"\.x\.trainjob\w{{6,7}}\.{os.getpid()}-[0-9a-f]{{8}}\.tmp", names[-1])
    assert names[0].split(".")[2] != names[1].split(".")[2]


def test_an_expected_file_that_went_missing_leaves_the_old_folder(tmp_path: Path) -> None:
    fill(tmp_path / "result", OLD)
    with (
        pytest.raises(ArtefactError, match=r"b\.txt went missing"),
        folder_in_the_making(tmp_path / "result", overwrite=True, expected=["a.txt", "b.txt"]) as folder,
    ):
        fill(folder, NEW)
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_cannot_be_synced_is_no_failure(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", failing(code))
    files.sync_folder(tmp_path)


def test_a_failure_after_the_new_content_stands_does_not_claim_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_folder", failing(errno.EIO))
        with pytest.raises(HandfulError, match="The new content is in place") as caught:
            write_atomically(target, b"new")
    assert "intact" not in str(caught.value)
    assert target.read_bytes() == b"new"


def test_a_file_is_synced_through_a_handle_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    modes: list[int] = []
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("os.fsync", lambda handle: modes.append(fcntl.fcntl(handle, fcntl.F_GETFL)))
    files.sync_file(tmp_path / "file")
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_place_that_cannot_be_written_to_is_found_without_leaving_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.refuse_unwritable(tmp_path / "new" / "deep" / "result")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(HandfulError, match="Not a directory"):
        files.refuse_unwritable(tmp_path / "file" / "result")
    with pytest.raises(HandfulError, match="shorter name"):
        files.refuse_unwritable(tmp_path / ("n" * 300))
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
    with pytest.raises(HandfulError, match="choose another folder"):
        files.refuse_unwritable(tmp_path / "result")


def test_a_folder_that_stepped_aside_comes_back(tmp_path: Path) -> None:
    fill(tmp_path / ".result.previous", OLD)
    recover_folder(tmp_path / "result")
    assert content(tmp_path / "result") == OLD
    assert names(tmp_path) == ["result"]


def test_a_folder_that_stepped_aside_goes_once_its_replacement_is_there(tmp_path: Path) -> None:
    fill(tmp_path / ".result.previous", OLD)
    fill(tmp_path / "result", NEW)
    recover_folder(tmp_path / "result")
    assert content(tmp_path / "result") == NEW
    assert names(tmp_path) == ["result"]


def test_recovering_what_never_was_does_nothing(tmp_path: Path) -> None:
    recover_folder(tmp_path / "result")
    assert names(tmp_path) == []


def test_a_folder_that_stepped_aside_counts_as_existing(tmp_path: Path) -> None:
    fill(tmp_path / ".result.previous", OLD)
    with pytest.raises(ArtefactError, match="exists already"):
        files.refuse_existing(tmp_path / "result", overwrite=False)
    assert content(tmp_path / "result") == OLD


def test_a_file_is_copied_where_it_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_bytes(b"content")
    link_or_copy(tmp_path / "one", tmp_path / "linked")
    monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    link_or_copy(tmp_path / "one", tmp_path / "copied")
    inodes = {name: (tmp_path / name).stat().st_ino for name in ("one", "linked", "copied")}
    assert inodes["one"] == inodes["linked"] != inodes["copied"]
    assert (tmp_path / "copied").read_bytes() == b"content"


# A child that ends as if by kill -9 at the n-th call that changes or syncs the disk, whichever it is.
_KILLED = """
import os, sys
from pathlib import Path
from handful import files

left, exchanges = int(sys.argv[2]), sys.argv[3] == "exchange"

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
files._exchange = dies(files._exchange if exchanges else lambda one, other: False)
with files.folder_in_the_making(Path(sys.argv[1]), overwrite=True) as folder:
    (folder / "a.txt").write_text("new a")
    (folder / "c.txt").write_text("new c")
"""
_MOST_CALLS = 40


def _killed_at(call: int, target: Path, way: str) -> bool:
    """Replace `target` in a child that dies at the given call; False when it got to its end."""
    command = [sys.executable, "-c", _KILLED, str(target), str(call), way]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode in (0, 9), child.stderr
    return child.returncode == 9


@pytest.mark.parametrize("way", ["exchange", "step aside"])
def test_a_kill_at_any_instant_leaves_the_old_folder_or_the_new(way: str, tmp_path: Path) -> None:
    seen = []
    for call in range(_MOST_CALLS):
        target = fill(tmp_path / str(call) / "result", OLD)
        killed = _killed_at(call, target, way)
        if way == "exchange":
            assert target.is_dir()
        recover_folder(target)
        seen.append(content(target))
        assert seen[-1] in (OLD, NEW)
        with folder_in_the_making(target, overwrite=True) as folder:
            fill(folder, OLD)
        assert names(target.parent) == ["result"]  # nobody has to clean up by hand
        if not killed:
            break
    assert len(seen) < _MOST_CALLS
    assert OLD in seen
    assert seen[-1] == NEW
