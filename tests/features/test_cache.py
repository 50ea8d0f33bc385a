"""Cached features: found again, shared without locks, and never trusted when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handful.data.looks import Look
from handful.features.cache import DamagedRecordError, FeatureCache, Record, Space

SPACE = Space(weights="ab" * 32, size=(96, 96), decoder=1, engine="litert-1")
PHOTO = "cd" * 32


THUMBNAIL = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
LOOK = Look(4032, 3024, "JPEG", 2_500_000, "Acme Köln 5", 1_495_000_000, THUMBNAIL)


def record() -> Record:
    return Record(np.linspace(-1, 1, 50, dtype=np.float32), ("first frame of an animation",), LOOK)


def test_a_record_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, SPACE)
    cache.write(PHOTO, record())
    found = cache.read(PHOTO)
    assert found is not None
    assert np.array_equal(found.vector, record().vector)
    assert found.notes == record().notes
    assert replace(found.look, thumbnail=THUMBNAIL) == LOOK
    assert np.array_equal(found.look.thumbnail, THUMBNAIL)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert FeatureCache(tmp_path, SPACE).read(PHOTO) is None


@pytest.mark.parametrize(
    "change",
    [{"weights": "ef" * 32}, {"size": (96, 97)}, {"decoder": 2}, {"engine": "keras-1"}, {"view": "flipped"}],
)
def test_another_network_size_decoder_engine_or_view_is_another_record(tmp_path: Path, change: dict) -> None:
    FeatureCache(tmp_path, SPACE).write(PHOTO, record())
    assert FeatureCache(tmp_path, replace(SPACE, **change)).read(PHOTO) is None


def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, SPACE)
    cache.write(PHOTO, record())
    path = cache.path_of(PHOTO)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1 << position % 8]) + good[position + 1 :])
        with pytest.raises(DamagedRecordError, match=path.name):
            cache.read(PHOTO)


def test_every_truncation_and_a_zeroed_file_are_noticed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, SPACE)
    cache.write(PHOTO, record())
    path = cache.path_of(PHOTO)
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(DamagedRecordError):
            cache.read(PHOTO)
    path.write_bytes(bytes(len(good)))
    with pytest.raises(DamagedRecordError):
        cache.read(PHOTO)


def test_a_record_under_another_photos_name_is_noticed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, SPACE)
    cache.write(PHOTO, record())
    other = "cd" * 31 + "00"
    cache.path_of(PHOTO).rename(cache.path_of(other))
    with pytest.raises(DamagedRecordError, match="another photo"):
        cache.read(other)


_WRITER = """
import sys, numpy as np
from pathlib import Path
from handful.data.looks import Look
from handful.features.cache import FeatureCache, Record, Space
from handful.data.looks import Look
LOOK = Look(1, 1, "PNG", 1, "", None, np.zeros((32, 32, 3), np.uint8))
cache = FeatureCache(Path(sys.argv[1]), Space("ab" * 32, (96, 96), 1, "litert-1"))
for turn in range(200):
    photo = f"{turn % 20:064x}"
    found = cache.read(photo)
    assert found is None or np.array_equal(found.vector, np.full(50, turn % 20, np.float32))
    cache.write(photo, Record(np.full(50, turn % 20, np.float32), (), LOOK))
"""


def test_several_processes_share_a_cache_and_one_may_be_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    processes = [subprocess.Popen(command, env={**os.environ}) for _ in range(4)]
    processes[0].kill()
    assert [process.wait() for process in processes[1:]] == [0, 0, 0]
    processes[0].wait()
    cache = FeatureCache(tmp_path, SPACE)
    for number in range(20):
        found = cache.read(f"{number:064x}")
        assert found is not None
        assert found.vector[0] == number
