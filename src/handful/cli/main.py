"""The `handful` command: its commands, --version and --debug."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from handful.cli import backbones, cache, check, demo, evaluate, export, predict, suggest, train

app = typer.Typer(
    help="A handful of labelled photos becomes an image classifier you can trust.",
    epilog="Start with: handful check photos/   then: handful train photos/ -o flowers.handful",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (check, train, predict, evaluate, suggest, export, backbones, demo, cache):
    app.command(module.NAME, help=module.HELP, epilog=module.EXAMPLE)(module.command)


def _version(asked: bool) -> None:
    if asked:
        from handful.version import __version__

        print(f"handful {__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with every error.")] = False,
) -> None:
    if debug:
        os.environ["HANDFUL_DEBUG"] = "1"


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not know a name's characters: escape them
            stream.reconfigure(errors="backslashreplace")
    app()
