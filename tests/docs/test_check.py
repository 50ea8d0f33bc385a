"""The check of the pages finds what it should, and the pages pass it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer
import typer.main

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_check"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands() -> object:
    app = typer.Typer()

    @app.command()
    def train(photos: str, epochs: int = 1) -> None: ...

    @app.command()
    def predict(model: str) -> None: ...

    return typer.main.get_command(app)


def test_the_pages_are_in_order(check: ModuleType) -> None:
    found = [one for page in check.pages(check.REPOSITORY) for one in check.check(page, check._commands())]
    assert found == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("see [x](gone.md#part)", ":1: the link to gone.md leads nowhere"),
        ("```python\n\nx = = 1\n```", ":3: the Python block does not compile"),
        ("```sh\nhandful trian photos/\n```", ":2: `handful` has no command trian"),
        ("```sh\n$ handful train photos/ --epoch 3 | tee log\n```", ":2: `handful` has no option --epoch"),
        ("```sh\nhandful predict m.handful --epochs 3\n```", ":2: `handful` has no option --epochs"),
    ],
)
def test_a_fault_is_found(
    text: str, complaint: str, check: ModuleType, commands: object, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    found = check.check(page, commands)
    assert len(found) == 1
    assert complaint in found[0]


def test_a_good_page_passes(check: ModuleType, commands: object, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[me](page.md) [web](https://example.org) [part](#part)\n"
        "```python\nx = 1\n```\n"
        "```sh\nhandful train photos/ --epochs=3 > log.txt  # and --more\nhandful --help\nls --color\n```\n"
        "```text\n[not a link](gone.md)\n```\n"
    )
    assert check.check(page, commands) == []
