"""`handful train`: labelled photos in, a trained folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful.cli.options import AllowBad, AsJson, Burst, Fixes, GroupBy, Overwrite, Photos, Quiet, Workers
from handful.cli.running import SOME_REFUSED, print_json, user_errors

if TYPE_CHECKING:
    from handful.classifier import Classifier

NAME = "train"
HELP = "Turn labelled photos into a classifier: load, freeze, replace, compile, train."
EXAMPLE = "Example: handful train photos/ -o flowers.handful --backbone mobilenet_v2"


def command(
    photos: Photos,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The folder to write, for example flowers.handful.")
    ],
    backbone: Annotated[
        str, typer.Option(help="A name from `handful backbones`, auto, embedded, or a network file.")
    ] = "auto",
    architecture: Annotated[
        str | None, typer.Option(help="The catalogue name that a file of weights alone belongs to.")
    ] = None,
    preprocessing: Annotated[
        str | None, typer.Option(help="inside, tf, caffe, torch or unit; for a file that does not hold it.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the square the network sees, in pixels.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of the cross-validation.")] = None,
    class_weight: Annotated[str, typer.Option(help="balanced (each class alike) or none.")] = "balanced",
    effort: Annotated[
        str, typer.Option(help="quick (head only), standard (fine-tune where it pays) or thorough.")
    ] = "standard",
    group_by: GroupBy = None,
    fix: Fixes = None,
    burst: Burst = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Mirror photos; by default it is measured.")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate/--no-rotate", help="Turn photos a little.")] = True,
    colour: Annotated[bool, typer.Option("--colour/--no-colour", help="Change light and colour.")] = True,
    crop: Annotated[bool, typer.Option("--crop/--no-crop", help="Cut photos, to 60 % at least.")] = True,
    engine: Annotated[str, typer.Option(help="auto, litert or keras.")] = "auto",
    seed: Annotated[int, typer.Option(help="Decides the folds; the same seed gives the same result.")] = 0,
    allow_bad: AllowBad = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train, tell the five steps, and end with what to believe."""
    settings: dict[str, Any] = {
        "backbone": backbone, "architecture": architecture, "preprocessing": preprocessing, "size": size,
        "folds": folds, "class_weight": class_weight, "effort": effort, "engine": engine, "seed": seed,
        "group_by": group_by, "fix": fix and str(fix), "burst": burst,
        "flip": flip, "rotate": rotate, "colour": colour, "crop": crop,
        "allow_bad": allow_bad, "workers": workers,
    }  # fmt: skip
    with user_errors(as_json=as_json):
        from handful.progress import Console
        from handful.training import train

        speaker = Console(quiet=quiet, machine=as_json)
        classifier = train(photos, out, overwrite=overwrite, speaker=speaker, **settings)
        if as_json:
            print_json(_summary(classifier))
        if classifier.card["data"]["skipped"]:
            raise typer.Exit(SOME_REFUSED)


def _summary(classifier: Classifier) -> dict[str, Any]:
    """The object `train --json` ends with; stable: the scores of what is delivered on top, the rest beside.

    "of" tells which of "scores" they are: cross-validation, or the photos held out from fine-tuning.
    """
    card = classifier.card
    own = "fine_tuned" if "fine_tuned" in card["scores"] else "cross_validation"
    scores = card["scores"][own]
    others = {name: value for name, value in card["scores"].items() if name != own}
    return {
        "of": own,
        "accuracy": scores["accuracy"],
        "balanced_accuracy": scores["balanced_accuracy"],
        "n": scores["n"],
        "how": scores["how"],
        **others,
        "model": str(classifier.folder),
        "classes": card["classes"],
        "fine_tuning": card["fine_tuning"],
        "backbone": card["backbone"],
        "skipped": card["data"]["skipped"],
        "problems": card["data"]["problems"],
        "warnings": card["warnings"],
    }
