"""`handful cache`: how large it is, and clearing it without touching anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from handful.files import temporary_name
from handful.training import train

from .conftest import Handful


def test_an_empty_cache_is_empty(handful: Handful) -> None:
    told = handful("cache", "--json").json
    assert told["folder"] == os.environ["HANDFUL_CACHE"]
    assert {told[key] for key in ("features", "features_bytes", "networks", "networks_bytes")} == {0}


def test_a_cache_that_is_not_there_can_be_cleared(handful: Handful, tmp_path: Path) -> None:
    assert handful("cache", "--clear", "--json", HANDFUL_CACHE=str(tmp_path / "none")).json["features"] == 0


def test_the_cache_tells_its_size_and_is_cleared(
    cache_with_network: Path, colours: Path, handful: Handful
) -> None:
    cache = cache_with_network
    train(colours, backbone="embedded", effort="quick")
    (cache / "note.txt").write_text("mine")
    told = handful("cache", "--json").json
    assert (told["features"], told["networks"], told["cleared"]) == (30, 1, False)
    assert told["features_bytes"] > 30 * 1280 * 4
    assert "30 features" in handful("cache").out
    assert "cleared" in handful("cache", "--clear").out
    assert [path.name for path in cache.iterdir()] == ["note.txt"]
    assert handful("cache", "--json").json["features"] == 0


def test_a_result_outlives_the_cache(colours: Path, handful: Handful, tmp_path: Path) -> None:
    train(colours, tmp_path / "x.handful", backbone="embedded", effort="quick")
    handful("cache", "--clear")
    photo = colours / "red" / "red_000.png"
    assert handful("predict", tmp_path / "x.handful", photo, "--json").json["label"] == "red"


def test_every_file_counts_and_what_dead_processes_left_goes(
    cache_with_network: Path, handful: Handful
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    networks = cache_with_network / "networks"
    (networks / "x.keras").write_bytes(bytes(1000))
    living = temporary_name(networks / "x.keras")
    living.write_bytes(bytes(100))
    dead = living.with_name(living.name.replace(f".{os.getpid()}-", f".{child.pid}-"))
    dead.write_bytes(bytes(10))
    told = handful("cache", "--json").json
    assert (told["networks"], told["leftovers"]) == (2, 1)
    assert told["networks_bytes"] == sum(
        path.stat().st_size for path in networks.rglob("*") if path.is_file()
    )
    assert living.exists()
    assert not dead.exists()
    handful("cache", "--clear")
    assert not networks.exists()
