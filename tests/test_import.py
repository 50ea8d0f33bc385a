"""What a fresh interpreter loads and shows: import is silent and light, the public list short and true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
HEAVY = {"tensorflow", "keras", "numpy", "PIL", "sklearn", "scipy", "pandas", "ray"}
IMPORT_BUDGET = 40  # modules that `import handful` may add to a bare interpreter; 27 come with `typing` alone
MOST_NAMES = 10  # and the module `steps`

_REPORT = """
import sys
before = set(sys.modules)
{action}
added = sorted(set(sys.modules) - before)
import json
print(json.dumps(added), file=sys.stderr)
"""
_HELP = """
import runpy
sys.argv = ["handful", "--help"]
try:
    runpy.run_module("handful", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
"""


def _fresh(action: str) -> tuple[str, list[str]]:
    """Run `action` in a new interpreter: what it printed, and which modules it added."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
    command = [sys.executable, "-c", _REPORT.format(action=action)]
    child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert child.returncode == 0, child.stderr
    *rest, last = child.stderr.splitlines()
    return child.stdout + "\n".join(rest), json.loads(last)


def _packages(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_handful_is_silent_and_light() -> None:
    printed, modules = _fresh("import handful")
    assert printed == ""
    assert not HEAVY & _packages(modules)
    assert len(modules) <= IMPORT_BUDGET, modules


def test_help_is_shown_without_loading_what_computes() -> None:
    printed, modules = _fresh(_HELP)
    assert "Usage" in printed
    assert not HEAVY & _packages(modules)


def test_the_public_list_is_sorted_and_short() -> None:
    names = _public_names()
    assert names == sorted(set(names))
    assert len(set(names) - {"steps"}) <= MOST_NAMES


def test_every_public_name_resolves() -> None:
    _fresh("import handful\nfor name in handful.__all__: getattr(handful, name)")


def test_no_public_name_is_the_name_of_its_module() -> None:
    modules = {path.stem for path in (SOURCE / "handful").iterdir()}
    assert set(_public_names()) & modules <= {"steps"}


def test_loading_something_heavy_would_be_seen() -> None:
    printed, modules = _fresh("import numpy; print('loud')")
    assert printed == "loud\n"
    assert HEAVY & _packages(modules) == {"numpy"}


def _public_names() -> list[str]:
    printed, _ = _fresh("import json, handful; print(json.dumps(list(handful.__all__)))")
    return json.loads(printed)
