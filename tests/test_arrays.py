"""Arrays in files: what was written comes back, and what is something else is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from handful.arrays import npy, npz, read_npy, read_npz
from handful.errors import ArtefactError

ARRAYS = {"0": np.arange(6, dtype=np.float32).reshape(2, 3), "17": np.ones(4, np.float32)}


def test_what_was_written_comes_back_and_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(npz(ARRAYS))
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    assert all((found[name] == ARRAYS[name]).all() for name in ARRAYS)
    assert npz(ARRAYS) == npz(dict(ARRAYS))
    (tmp_path / "a.npy").write_bytes(npy(ARRAYS["0"]))
    assert (read_npy(tmp_path / "a.npy", 2) == ARRAYS["0"]).all()


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.zeros(3, np.float32), np.array([{}], dtype=object)])
def test_another_kind_of_array_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as stream:
        np.save(stream, array, allow_pickle=True)
    with pytest.raises(ArtefactError, match="found "):
        read_npy(tmp_path / "a.npy", 2)


def test_a_header_that_promises_more_than_there_is_is_not_believed(tmp_path: Path) -> None:
    content = npy(np.zeros((2, 3), np.float32)).replace(b"(2, 3)", b"(2, 9)")
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"found float32 \(2, 9\) in"):
        read_npy(tmp_path / "a.npy", 2)


@pytest.mark.parametrize("content", [b"", b"no archive", npz(ARRAYS)[:-30], npz({})])
def test_a_damaged_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ArtefactError, match="Copy"):
        read_npz(tmp_path / "a.npz")


def test_what_was_packed_is_not_unpacked(tmp_path: Path) -> None:
    """A few kilobytes could become gigabytes."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", npy(np.zeros((1000, 1000), np.float32)))
    with pytest.raises(ArtefactError, match="does not hold arrays as Handful writes them"):
        read_npz(tmp_path / "a.npz")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("0.npy", b"text")
    with pytest.raises(ArtefactError, match="not an array"):
        read_npz(tmp_path / "a.npz")
