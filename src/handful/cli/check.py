"""`handful check`: what is wrong with the data, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful.cli.options import AllowBad, AsJson, Burst, Fixes, GroupBy, Photos, Quiet, Workers
from handful.cli.running import MISTAKE, SOME_REFUSED, print_json, user_errors

if TYPE_CHECKING:
    from handful.data.manifest import Manifest, Split
    from handful.errors import HandfulError

NAME = "check"
HELP = (
    "Tell what is wrong with the photos and labels, before anything is trained: copies, leaks, shortcuts, "
    "thin classes, bad files; with a backbone also photos unlike all others."
)
EXAMPLE = "Example: handful check photos/ --backbone embedded"

_PURPOSES: dict[Split, str] = {
    "train": "to learn from",
    "validation": "for validation",
    "test": "for the test",
}


def command(
    photos: Photos,
    backbone: Annotated[
        str | None,
        typer.Option(help="Also pass the photos through this network; embedded needs no download."),
    ] = None,
    group_by: GroupBy = None,
    fixes: Fixes = None,
    burst: Burst = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    workers: Workers = None,
    allow_bad: AllowBad = False,
) -> None:
    """Read every photo to its end and print all findings as one table."""
    with user_errors(as_json=as_json, told=lambda error: _findings(error, photos)):
        from handful.audit.checking import findings
        from handful.config import default_workers
        from handful.data.manifest import Manifest
        from handful.plain import problem_entry
        from handful.progress import Console

        speaker = Console(quiet=quiet, machine=as_json)
        checked = findings(
            Manifest.read(photos, group_by=group_by, fixes=fixes, burst=burst),
            speaker,
            workers=workers or default_workers(),
            allow_bad=allow_bad,
            backbone=backbone,
        )
        problems = checked.problems
        if as_json:
            print_json([problem_entry(problem) for problem in problems])
        else:
            speaker.show(problems)
        if not problems:
            speaker.say("Nothing is wrong with these photos.")
        speaker.say(_summary(checked.manifest))
        if any(problem.severity == "error" for problem in problems):
            raise typer.Exit(MISTAKE)
        if checked.skipped:
            raise typer.Exit(SOME_REFUSED)


def _summary(manifest: Manifest) -> str:
    """What was understood: photos per class and split."""
    from handful.data.names import counted, printable

    lines = []
    for split, purpose in _PURPOSES.items():
        part = manifest.of(split)
        if part.rows:
            each = ", ".join(f"{printable(name)} {count:,}" for name, count in part.counts.items())
            lines.append(f"{counted(len(part.rows), 'photo')} {purpose}: {each}")
    return "\n".join(lines)


def _findings(error: HandfulError, photos: Path) -> list[dict[str, Any]]:
    """What `check --json` lists when the photos cannot even be listed: the findings, one of them an error."""
    from handful.errors import Problem
    from handful.plain import problem_entry

    found = list(error.problems)
    if not any(problem.severity == "error" for problem in found):
        what, _, fix = str(error).partition(". ")
        found.insert(0, Problem("error", str(photos), what, fix))
    return [problem_entry(problem) for problem in found]
