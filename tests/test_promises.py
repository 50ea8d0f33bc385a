"""A TODO is a promise: it names the issue, or the version, that will remove it."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def promises_without_a_number(root: Path) -> list[str]:
    """TODO comments that name neither an issue (#12) nor the version that removes them (0.2)."""
    promise = re.compile(r"\bTODO\b(?!\((#\d+|\d+\.\d+)\))")
    files = [p for room in ("src", "benchmarks", "tests") for p in sorted((root / room).rglob("*.py"))]
    return [
        f"{path.relative_to(root)}:{number}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if promise.search(line)
    ]


def test_every_promise_names_its_issue() -> None:
    assert promises_without_a_number(REPOSITORY) == []


def test_a_promise_without_a_number_is_counted(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("# TODO later\n# TODO(#12) then\n# TODO(0.2) then\n")
    assert promises_without_a_number(tmp_path) == ["src/a.py:1"]
