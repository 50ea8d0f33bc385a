"""`handful cache`: where the cache is, how large it is, and clearing it."""

from __future__ import annotations

from typing import Annotated

import typer

from handful.cli.options import AsJson
from handful.cli.running import print_json, user_errors
from handful.progress import put

NAME = "cache"
HELP = "Show the size of the cache of features and converted networks, or clear it."
EXAMPLE = "Example: handful cache --clear"


def command(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it; results stay.")] = False,
    as_json: AsJson = False,
) -> None:
    """Everything in the cache can be computed again."""
    with user_errors(as_json=as_json):
        from handful.config import cache_folder
        from handful.features.store import clear_cache, measure_cache

        found = measure_cache(cache_folder())
        if clear:
            clear_cache(cache_folder())
        if as_json:
            print_json({"folder": str(cache_folder()), "cleared": clear, **found.as_dict()})
            return
        done = "cleared: " if clear else ""
        left = f", {found.leftovers:,} unfinished files" if found.leftovers else ""
        put(
            f"{cache_folder()}: {done}{found.features:,} features ({found.features_bytes / 1e6:,.1f} MB), "
            f"{found.networks:,} converted networks ({found.networks_bytes / 1e6:,.1f} MB){left}"
        )
