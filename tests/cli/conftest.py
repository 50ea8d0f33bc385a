"""Run the real command line in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON, a value per line."""
        return [json.loads(line, parse_constant=pytest.fail) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        """Standard output as the one JSON value it must be."""
        (value,) = self.lines
        return value


Handful = Callable[..., Result]


@pytest.fixture
def handful(tmp_path: Path) -> Handful:
    """Run `handful` with some arguments in an empty folder; nothing it does may show a traceback unasked."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(*arguments: Any, code: int | None = 0, before: Sequence[str] = (), **environment: str) -> Result:
        command = [sys.executable, *before, "-m", "handful", *map(os.fspath, arguments)]
        child = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, stdin=subprocess.DEVNULL,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment,
        )  # fmt: skip
        if code is not None:
            assert child.returncode == code, child.stderr
        assert "--debug" in arguments or "Traceback" not in child.stderr, child.stderr
        return Result(child.returncode, child.stdout, child.stderr)

    return run
