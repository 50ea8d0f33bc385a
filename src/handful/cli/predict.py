"""`handful predict`: a line per photo."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful.cli.options import AsJson, Model, Quiet, Workers
from handful.cli.running import SOME_REFUSED, print_json, user_errors
from handful.progress import put

if TYPE_CHECKING:
    from handful.classifier import Prediction
    from handful.errors import ImageError

NAME = "predict"
HELP = (
    "Classify photos and folders of photos; a file that cannot be read is a line with an error, not an end."
)
EXAMPLE = "Example: handful predict flowers.handful new.jpg more/ --json"
UNKNOWN = "unknown"
_FEW = 20  # lines that fit on a screen


def command(
    model: Model,
    photos: Annotated[list[Path], typer.Argument(help="Photos, and folders of photos.")],
    abstain: Annotated[
        bool, typer.Option("--abstain", help='Answer "unknown" for photos that are of none of the classes.')
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    workers: Workers = None,
) -> None:
    """Predict in the order given; memory stays flat however many photos there are."""
    with user_errors(as_json=as_json):
        from handful.classifier import Classifier
        from handful.data.listing import photos_under
        from handful.errors import DataError
        from handful.features.extract import Photo
        from handful.progress import Console

        classifier = Classifier.load(model)
        paths, problems = photos_under(photos)
        if not paths:
            raise DataError("There is no photo to classify in what was given.", problems)
        speaker = Console(quiet=quiet, machine=as_json)
        if abstain and not classifier.tells_strangers:
            speaker.warn(
                "this model cannot tell strangers by features (it was fine-tuned, or all is one group): "
                "unknown are photos of which no class is probable enough"
            )
        refusals = [problem for problem in problems if problem.severity != "note"]
        for problem in refusals:
            _print_refusal(problem.file, f"{problem.what}. {problem.fix}", as_json)
        answers = classifier.stream((Photo(path, str(path)) for path in paths), workers=workers)
        bad = 0
        total = len(paths) if _wants_bar(len(paths)) else 0
        with contextlib.closing(answers), speaker.bar("photos", total) as advance:
            for photo, answer in answers:
                if not _print_answer(photo.name, answer, abstain=abstain, as_json=as_json):
                    return  # nobody reads any more, as with `| head`: predicting on would be for nothing
                bad += _is_refusal(answer)
                advance(1)
        for note in (problem for problem in problems if problem.severity == "note"):
            speaker.warn(f"{note.file}: {note.what}" if note.file else note.what)
        if bad or refusals:
            raise typer.Exit(SOME_REFUSED)


def _wants_bar(photos: int) -> bool:
    """The answers themselves show progress on a terminal, until they are many."""
    return photos > _FEW or not sys.stdout.isatty()


def _is_refusal(answer: Prediction | ImageError) -> bool:
    from handful.errors import ImageError

    return isinstance(answer, ImageError)


def _print_answer(file: str, answer: Prediction | ImageError, *, abstain: bool, as_json: bool) -> bool:
    """Print one line; False when nobody reads any more."""
    from handful.errors import ImageError
    from handful.plain import percent

    if isinstance(answer, ImageError):
        return _print_refusal(file, f"{answer.reason}. {answer.fix}", as_json)
    if as_json:
        return print_json(_plain(file, answer, abstain))
    runner_up = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:2]
    others = ", ".join(f"{_shown(name)} {percent(share)}" for name, share in runner_up)
    unknown = f"{UNKNOWN}, at best " if abstain and answer.abstains else ""
    return put(f"{_shown(file)}: {unknown}{others}")


def _print_refusal(file: str, reason: str, as_json: bool) -> bool:
    if as_json:
        return print_json({"file": file, "error": reason})
    return put(f"{_shown(file)}: error: {reason}")


def _plain(file: str, answer: Prediction, abstain: bool) -> dict[str, Any]:
    """The stable line of `predict --json`."""
    return {
        "file": file,
        "label": UNKNOWN if abstain and answer.abstains else answer.label,
        "probability": answer.probability,
        "probabilities": answer.probabilities,
        "among": None if answer.among is None else list(answer.among),
        "is_known": answer.is_known,
    }


def _shown(file: str) -> str:
    from handful.data.names import printable

    return printable(file)
