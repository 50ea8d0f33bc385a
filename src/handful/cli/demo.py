"""`handful demo`: the whole job on photos it draws itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.cli.options import AsJson, Quiet
from handful.cli.running import print_json, user_errors

NAME = "demo"
HELP = "Draw photos of metal parts and do the whole job on them: check, train, predict, evaluate, export."
EXAMPLE = "Example: handful demo --out demo-out"


def command(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the photos and the model.")] = Path(
        "demo-out"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other photos.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Needs no network and no data."""
    with user_errors(as_json=as_json):
        from handful.demo.tour import run_demo
        from handful.progress import Console

        result = run_demo(out, Console(quiet=quiet, machine=as_json), seed=seed)
        if as_json:
            print_json(result)
