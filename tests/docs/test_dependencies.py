"""docs/dependencies.md gives a reason for each requirement, as pyproject.toml writes it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def _requirements() -> set[str]:
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return {line.partition(";")[0].strip() for lines in lists for line in lines}


def _rows() -> set[str]:
    page = (REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8")
    return {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}


def test_each_requirement_has_its_reason_and_each_reason_its_requirement() -> None:
    assert _rows() == _requirements()
