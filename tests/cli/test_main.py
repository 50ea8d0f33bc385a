"""The command itself: help with an example everywhere, the version, mistakes without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import handful as package

from .conftest import Handful

COMMANDS = ("check", "train", "predict", "evaluate", "export", "backbones", "demo", "cache")


def test_help_lists_every_command_and_where_to_start(handful: Handful) -> None:
    printed = handful("--help").out
    assert "Start with: handful check photos/" in printed
    for name in COMMANDS:
        assert f"\n  {name}  " in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str, handful: Handful) -> None:
    printed = handful(name, "--help").out
    assert f"Example: handful {name}" in printed
    assert "--json" in printed


def test_the_version_is_printed(handful: Handful) -> None:
    assert handful("--version").out == f"handful {package.__version__}\n"


def test_the_installed_command_is_the_same() -> None:
    command = Path(sys.executable).with_name("handful")
    printed = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=True).stdout
    assert printed == f"handful {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["train"],
        ["train", "photos"],
        ["predict", "x.handful"],
        ["check", "photos", "--fast"],
        ["train", "photos", "-o", "x", "--size", "many"],
        ["check", "photos", "--workers", "0"],
    ],
    ids=" ".join,
)
def test_what_the_command_does_not_know_is_the_users_mistake(arguments: list[str], handful: Handful) -> None:
    result = handful(*arguments, code=2)
    assert "Error" in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "none"], "none"),
        (["train", "none", "-o", "x.handful"], "none"),
        (["train", ".", "-o", "x.handful", "--effort", "heroic"], "effort: received 'heroic'"),
        (["predict", "none.handful", "x.png"], "none.handful does not exist"),
        (["predict", "n" * 300, "x.png"], "does not exist"),
        (["train", ".", "-o", "n" * 300], "error: "),
        (["evaluate", "none.handful", "."], "none.handful does not exist"),
        (["export", "none.handful", "-o", "x.keras"], "none.handful does not exist"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_message_and_code_2(arguments: list[str], expected: str, handful: Handful) -> None:
    result = handful(*arguments, code=2)
    assert result.err.startswith("error: ")
    assert expected in result.err
    assert result.out == ""


def test_a_mistake_is_told_to_machines_as_well(handful: Handful) -> None:
    result = handful("evaluate", "none", "none", "--json", code=2)
    assert result.json["error"] == result.err.removeprefix("error: ").rstrip("\n")
    assert isinstance(result.json["problems"], list)


def test_debug_shows_a_traceback_beside_the_message(handful: Handful) -> None:
    result = handful("--debug", "predict", "none.handful", "x.png", code=2)
    assert "Traceback (most recent call last)" in result.err
    assert "error: none.handful does not exist" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_in_one_line(colours: Path, tmp_path: Path) -> None:
    """Sent while TensorFlow loads, which takes seconds."""
    command = [
        sys.executable,
        "-m",
        "handful",
        "train",
        str(colours),
        "-o",
        "x.handful",
        "--backbone",
        "embedded",
        "--size",
        "64",  # not its own, so that it has to be converted
    ]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert "Converting" in child.stdout.readline()
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "stopped" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
