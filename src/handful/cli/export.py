"""`handful export`: take the model away in a format of others, compared with the original first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.cli.options import AsJson, Model, Overwrite, Quiet
from handful.cli.running import print_json, user_errors

NAME = "export"
HELP = "Export a model as a plain Keras file that opens without Handful, compared with the original first."
EXAMPLE = "Example: handful export flowers.handful --format keras -o flowers.keras"


def command(
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    format: Annotated[str, typer.Option("--format", help="keras; more formats will follow.")] = "keras",
    photos: Annotated[
        Path | None,
        typer.Option(help="Photos to compare on, when the training photos are no longer where they were."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Nothing is kept that does not agree with the original on real photos."""
    with user_errors(as_json=as_json):
        from handful.exporters.registry import export
        from handful.progress import Console

        speaker = Console(quiet=quiet, machine=as_json)
        parity = export(model, out, format=format, photos=photos, overwrite=overwrite, speaker=speaker)
        if as_json:
            print_json(parity.as_dict())
