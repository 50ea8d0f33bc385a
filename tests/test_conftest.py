"""The fixtures every test relies on: nothing leaves this machine, nothing outlives a test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

OUTSIDE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody answers there


def test_connecting_beyond_this_machine_is_refused() -> None:
    with socket.socket() as one, pytest.raises(OSError, match=f"tried to reach {OUTSIDE}"):
        one.connect((OUTSIDE, 80))


def test_looking_up_a_name_is_refused() -> None:
    with pytest.raises(OSError, match=r"tried to reach a\.invalid"):
        socket.getaddrinfo("a.invalid", 80)


def test_connecting_to_this_machine_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_a_child_process_gets_no_further_than_a_closed_port() -> None:
    code = f"import urllib.request as r; r.urlopen('http://{OUTSIDE}/', timeout=5)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "refused" in child.stderr.lower()
    assert "127.0.0.1:9" in urllib.request.getproxies()["http"]


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_cache_of_its_own(turn: int) -> None:
    cache = Path(os.environ["HANDFUL_CACHE"])
    assert not list(cache.iterdir())
    (cache / "left behind").touch()


def test_keras_starts_from_an_empty_home() -> None:
    assert not list(Path(os.environ["KERAS_HOME"]).iterdir())


def test_keras_finds_the_shared_weights_when_asked_for(keras_home: Path) -> None:
    assert os.environ["KERAS_HOME"] == str(keras_home)
    assert [path.suffix for path in (keras_home / "models").iterdir()] == [".h5"]
