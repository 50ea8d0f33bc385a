"""The words on the screen while training: the five steps, so that a beginner learns what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from handful.audit.numbers import Numbers
from handful.data.manifest import Manifest
from handful.data.names import counted, printable
from handful.errors import HandfulError
from handful.evaluation import Evaluation, Scores
from handful.features.labelled import Labelled
from handful.finetune.tuning import Outcome
from handful.frozen import Frozen
from handful.heads.fitting import FittedHead
from handful.metrics.scores import commonest_confusion
from handful.plain import percent
from handful.progress import Speaker
from handful.results import Result

_MOST_CLASSES = 12  # named or listed one by one; more would push the result off the screen
_MOST_SUSPECTS = 5  # named on the screen; the card lists them all
_SCORED = {"validation": "validation", "test": "test"}
_BESIDE = {
    "majority": "always the commonest class",
    "pixels": "raw pixels",
    "nearest": "nearest photo",
    "scratch": "a small network from scratch",
}


def loaded_and_frozen(speaker: Speaker, frozen: Frozen, manifest: Manifest) -> None:
    """Steps 1 and 2."""
    rows, columns = frozen.engine.size
    names = [printable(name) for name in manifest.classes]
    told = ", ".join(names[:_MOST_CLASSES]) + (", ..." if len(names) > _MOST_CLASSES else "")
    learned = counted(len(manifest.of("train").rows), "photo")
    speaker.say(f"{learned} to learn from, of {len(names)} classes: {told}{_set_aside(manifest)}")
    speaker.say(f"1 load     {frozen.description}, {columns} x {rows} pixels")
    speaker.say(f"2 freeze   all its {frozen.weights_count:,} weights, batch-norm included, stay as they are")


def _set_aside(manifest: Manifest) -> str:
    parts = [(split, len(manifest.of(split).rows)) for split in ("validation", "test")]
    return "".join(f"; {count:,} set aside for {split}" for split, count in parts if count)


def passed(speaker: Speaker, labelled: Labelled) -> None:
    """What the photos turned out to be, before anything is learned from them."""
    speaker.show(labelled.problems)


def replaced_and_trained(speaker: Speaker, labelled: Labelled, head: FittedHead, class_weight: str) -> None:
    """Steps 3 to 5, in the words of what really ran."""
    d, k = head.weights.shape
    weights = f"{d * k + k:,} new weights"
    speaker.say(f"3 replace  a new final layer: {d:,} features to {k} classes, {weights}")
    speaker.say("4 compile  loss: cross-entropy; a penalty on large weights; solver: L-BFGS")
    if balance := _balance(labelled, class_weight):
        speaker.say(f"           {balance}")
    photos = counted(len(labelled.manifest.rows), "photo")
    cached = len(labelled.manifest.rows) - labelled.computed
    taken = f", {cached:,} of them in an earlier run" if cached > 0 else ""
    speaker.say(f"5 train    {photos} passed the frozen network once{taken} ({labelled.seconds:.1f} s);")
    speaker.say(f"           {_how_it_ended(head)}")
    trained = counted(len(labelled.manifest.of("train").rows), "photo")
    speaker.say(f"           {weights} for {trained}: a penalty holds them back, and each photo is")
    speaker.say("           scored by a layer fitted without it, so learning by heart would show")


def _how_it_ended(head: FittedHead) -> str:
    ended = "" if head.converged else " and had NOT converged"
    took = f"the final fit took {head.steps} steps{ended}"
    return f"{took}, penalty {head.penalty:.3g}, {_how_chosen(head)}"


def _balance(labelled: Labelled, class_weight: str) -> str:
    counts = labelled.manifest.of("train").counts.values()
    if class_weight == "none" or len(set(counts)) == 1:
        return ""
    return (
        f"classes of {min(counts):,} to {max(counts):,} photos count alike: photos of small ones weigh more"
    )


def _how_chosen(head: FittedHead) -> str:
    folds = int(head.folds.max()) + 1
    if not head.chosen:
        return "the default: there are too few photos of some class to choose it"
    return f"chosen among {len(head.losses)} by {folds}-fold cross-validation"


def finished(speaker: Speaker, labelled: Labelled, result: Result, head: FittedHead, target: Path) -> None:
    """The result: what to believe, the commonest mistake, what to do next."""
    classes = labelled.manifest.classes
    scores, numbers = result.scores, result.numbers
    own = scores["cross_validation"]
    folds = int(head.folds.max()) + 1
    speaker.say("")
    for line in score_lines(own, f"{_times(numbers)}{folds}-fold cross-validation on {own.n} photos"):
        speaker.say(line)
    for split, name in _SCORED.items():
        if split in scores:
            for line in score_lines(
                scores[split], f"{name}, {scores[split].n} photos not trained or chosen on"
            ):
                speaker.say(line)
    later = labelled.manifest.of("test").rows if "test" not in scores else ()
    if later:
        speaker.say(f"the {counted(len(later), 'test photo')} are scored once the decision is made")
    for line in number_lines(numbers):
        speaker.say(line)
    for line in [confusion_line(own, classes), next_line(own, classes)]:
        if line:
            speaker.say(line)
    place = printable(str(target))
    speaker.say(f"written to {place}; try it: handful predict {place} new.jpg")


def _times(numbers: Numbers) -> str:
    repeats = numbers.cross_validated.repeats
    return "" if repeats == 1 else f"{repeats} times "


@contextlib.contextmanager
def keeping_the_frozen(speaker: Speaker, target: Path | None) -> Iterator[None]:
    """Say on Ctrl-C what lies where and how to go on; without a `target` the model goes with the program."""
    try:
        yield
    except KeyboardInterrupt:
        if target is not None:
            place = printable(str(target))
            speaker.say(f"the frozen model stays at {place}; the same command goes on where this one stopped")
        raise


def gave_up(speaker: Speaker, error: HandfulError) -> None:
    """Say why fine-tuning came to nothing; the frozen model is there all the same."""
    speaker.warn(
        f"fine-tuning was given up, the frozen model stays, and the same command tries again: {error}"
    )


def decided(speaker: Speaker, result: Result, outcome: Outcome, target: Path) -> None:
    """The answer to whether fine-tuning pays, and the scores of what is delivered."""
    speaker.say(f"{'decision' if outcome.report['tried'] else 'no fine-tuning'}: {outcome.why}")
    for one in result.numbers.baselines:
        if one.name == "scratch":
            speaker.say(f"without transfer, {_BESIDE[one.name]} gets {percent(one.accuracy.value)}")
    if outcome.tuned is None:
        if test := result.scores.get("test"):
            for line in score_lines(test, f"test, {counted(test.n, 'photo')} not trained or chosen on"):
                speaker.say(line)
        return
    tuned, held = outcome.tuned, result.scores["fine_tuned"]
    moved = (
        f"{tuned.trained_weights:,} weights of the last {counted(tuned.blocks, 'block')}, batch-norm frozen"
    )
    speaker.say(f"trained {moved}: {percent(tuned.training_accuracy)} of the training photos are recognised,")
    for line in score_lines(held, f"fine-tuned, on {counted(held.n, 'photo')} held out from it"):
        speaker.say(line)
    for split, name in _SCORED.items():
        if split in result.scores:
            scores = result.scores[split]
            for line in score_lines(scores, f"fine-tuned, {name}, {counted(scores.n, 'photo')}"):
                speaker.say(line)
    for line in [
        f"probabilities      {result.numbers.calibration}",
        confusion_line(held, result.measured.classes),
        "a fine-tuned network cannot tell strangers: --abstain goes by probability (--effort quick can)",
        f"the fine-tuned network now lies in {printable(str(target))}",
    ]:
        if line:
            speaker.say(line)


def score_lines(scores: Scores, where: str) -> list[str]:
    """Accuracy and balanced accuracy, a line each, and what their intervals count."""
    lines = [
        f"accuracy           {scores.accuracy}, {where}",
        f"balanced accuracy  {scores.balanced_accuracy}",
    ]
    if scores.independent < scores.n:
        units = counted(scores.independent, "independent group")
        lines.append(f"                   copies and groups count once in the intervals: {units}")
    return lines


def number_lines(numbers: Numbers) -> list[str]:
    """What stands beside the accuracy: cheaper answers, calibration, more photos, doubtful labels."""
    beside = ", ".join(f"{_BESIDE[one.name]} {percent(one.accuracy.value)}" for one in numbers.baselines)
    spread = numbers.cross_validated.spread["accuracy"]
    lines = [
        f"without transfer   {beside}",
        f"by luck of folds   {percent(spread.lowest)} to {percent(spread.highest)}"
        f" in {counted(numbers.cross_validated.repeats, 'repeat')}",
        f"probabilities      {numbers.calibration}",
    ]
    if numbers.curve is not None:
        need = printable(numbers.classes[numbers.curve.needs[0].label])
        lines.append(f"more photos        {numbers.curve}, roughly; {need} gains most")
    if numbers.suspects.likely:
        lines.append(f"labels             {numbers.suspects}; the first:")
        for one in numbers.suspects.ranked[: min(numbers.suspects.likely, _MOST_SUSPECTS)]:
            file, label = printable(numbers.files[one.row]), printable(numbers.classes[one.label])
            taken = printable(numbers.classes[one.predicted])
            sure = percent(one.probability_of_predicted)
            lines.append(f"                   {file} is labelled {label}; the model says {taken} ({sure})")
    return lines


def evaluation_lines(result: Evaluation) -> list[str]:
    """Calibration, sets, strangers and doubtful labels of photos that were scored."""
    error = result.scores.calibration_error
    lines = [
        f"calibration error {percent(error.value)} ({100 * error.low:.1f} to {percent(error.high)}); "
        f"macro F1 {result.scores.macro_f1:.3f}; log loss {result.scores.log_loss:.3f}; "
        f"Brier score {result.scores.brier:.3f}"
    ]
    if result.accuracy.high < result.promised.low:
        lines.append(
            f"training found {result.promised}, for photos like those it learned from: these are others; "
            "add some of their kind to the training photos"
        )
    if result.in_sets is not None:
        lines.append(f"prediction sets, made to hold the label of 90 %, hold it of {result.in_sets}")
    if result.refused is not None:
        lines.append(f"taken for none of these: {result.refused}")
    doubtful = [one for one in result.suspects if one.likely]
    for one in doubtful[:_MOST_SUSPECTS]:
        label, taken = printable(result.classes[one.label]), printable(result.classes[one.predicted])
        file = printable(result.photos[one.row].file)
        lines.append(f"perhaps a wrong label: {file} is labelled {label}; the model says {taken}")
    if len(doubtful) > _MOST_SUSPECTS:
        lines.append(f"and {len(doubtful) - _MOST_SUSPECTS} more labels; --json lists them")
    return lines


def class_lines(scores: Scores, classes: Sequence[str]) -> list[str]:
    """A line per class: how many of it were recognised, how many answers of it were right."""
    width = max(len(printable(name)) for name in classes)
    counts = scores.confusion.sum(axis=1)
    return [
        f"  {printable(name):{width}}  {counts[c]:5d} photos   recall {_share(scores.recall[c].value)}"
        f"   precision {_share(scores.precision[c].value)}"
        for c, name in enumerate(classes)
    ]


def _share(value: float) -> str:
    return f"{100 * value:5.1f} %" if np.isfinite(value) else "      -"


def confusion_line(scores: Scores, classes: Sequence[str]) -> str:
    """The commonest mistake in words; "" when there was none."""
    found = commonest_confusion(scores.confusion)
    if found is None:
        return ""
    label, predicted, times = found
    total = int(scores.confusion[label].sum())
    return (
        f"commonest confusion: {times} of {counted(total, 'photo')} of {printable(classes[label])} "
        f"taken for {printable(classes[predicted])}"
    )


def next_line(scores: Scores, classes: Sequence[str]) -> str:
    """What would help, from the scores alone; "" when nothing stands out."""
    counts = scores.confusion.sum(axis=1)
    recall = np.array([share.value for share in scores.recall])
    worst = int(np.nanargmin(recall))
    if scores.accuracy.high - scores.accuracy.low > 0.1:
        first = worst if len(set(counts)) == 1 else int(counts.argmin())
        name, photos = printable(classes[first]), counted(int(counts[first]), "photo")
        return f"next: more photos would narrow the interval; start with {name} ({photos})"
    if recall[worst] < 0.8:
        name = printable(classes[worst])
        return f"next: {name} is recognised least ({100 * recall[worst]:.0f} %): add photos of it"
    return ""
