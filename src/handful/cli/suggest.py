"""`handful suggest`: which photos without a label to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handful.cli.options import AsJson, Model, Quiet, Workers
from handful.cli.running import SOME_REFUSED, print_json, user_errors
from handful.progress import put

if TYPE_CHECKING:
    from handful.suggesting import Suggestions

NAME = "suggest"
HELP = "Rank photos without a label by what labelling them would teach the model."
EXAMPLE = "Example: handful suggest flowers.handful unlabelled/ --count 20"


def command(
    model: Model,
    photos: Annotated[list[Path], typer.Argument(help="Photos, and folders of photos, without labels.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to suggest.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed suggests another mix.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    workers: Workers = None,
) -> None:
    """Print the photos in the order in which to label them."""
    with user_errors(as_json=as_json):
        from handful.classifier import Classifier
        from handful.data.names import counted
        from handful.progress import Console
        from handful.suggesting import suggest_photos

        speaker = Console(quiet=quiet, machine=as_json)
        classifier = Classifier.load(model)
        found = suggest_photos(classifier, photos, count, seed=seed, speaker=speaker, workers=workers)
        for problem in found.problems:
            speaker.warn(f"{problem.file}: {problem.what}" if problem.file else problem.what)
        if found.trained_on:
            speaker.warn(f"{counted(found.trained_on, 'photo')} left out: the model was trained on them")
        if as_json:
            print_json(found.as_dict())
        else:
            put(_told(found))
        if found.skipped:
            raise typer.Exit(SOME_REFUSED)


def _told(found: Suggestions) -> str:
    from handful.data.names import printable
    from handful.plain import percent

    return "\n".join(
        f"{printable(one.file)}: perhaps {printable(one.label)} ({percent(one.probability)})"
        for one in found.photos
    )
