"""`handful evaluate`: how a model does on labelled photos it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from handful.cli.options import AsJson, Model, Photos, Quiet, Workers
from handful.cli.running import SOME_REFUSED, print_json, user_errors
from handful.progress import put

if TYPE_CHECKING:
    from handful.evaluation import Evaluation

NAME = "evaluate"
HELP = "Score a model on labelled photos that it was not trained on."
EXAMPLE = "Example: handful evaluate flowers.handful test/"


def command(
    model: Model, photos: Photos, as_json: AsJson = False, quiet: Quiet = False, workers: Workers = None
) -> None:
    """Print accuracy and balanced accuracy with intervals, and every class."""
    with user_errors(as_json=as_json):
        from handful.evaluation import evaluate
        from handful.progress import Console

        speaker = Console(quiet=quiet, machine=as_json)
        result = evaluate(model, photos, speaker=speaker, workers=workers)
        if as_json:
            print_json(_summary(result))
        else:
            put(_told(result))
        if result.skipped:
            raise typer.Exit(SOME_REFUSED)


def _summary(result: Evaluation) -> dict[str, object]:
    """The object of `evaluate --json`; stable."""
    from handful.plain import problem_entry

    return {
        **result.scores.as_dict(),
        "classes": list(result.classes),
        "in_sets": None if result.in_sets is None else result.in_sets.as_dict(),
        "refused": None if result.refused is None else result.refused.as_dict(),
        "suspects": [
            {
                "file": result.photos[one.row].file,
                "label": result.classes[one.label],
                "predicted": result.classes[one.predicted],
                "probability": one.probability,
            }
            for one in result.suspects
            if one.likely
        ],
        "skipped": result.skipped,
        "trained_on": result.trained_on,
        "problems": [problem_entry(problem) for problem in result.problems],
    }


def _told(result: Evaluation) -> str:
    from handful.telling import class_lines, confusion_line, evaluation_lines, score_lines

    lines = [
        *score_lines(result.scores, f"on {result.scores.n} photos"),
        *class_lines(result.scores, result.classes),
        confusion_line(result.scores, result.classes),
        *evaluation_lines(result),
        "intervals: 95 % Wilson; calibration error: resampled",
    ]
    return "\n".join(line for line in lines if line)
