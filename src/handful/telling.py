"""The words on the screen while training: the five steps, so that a beginner learns what happened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handful.data.manifest import Manifest
from handful.data.names import counted, printable
from handful.evaluation import Scores
from handful.features.labelled import Labelled
from handful.frozen import Frozen
from handful.heads.fitting import FittedHead
from handful.metrics.scores import commonest_confusion
from handful.progress import Speaker

_MOST_CLASSES = 12  # named or listed one by one; more would push the result off the screen
_SCORED = {"validation": "validation", "test": "test"}


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


def finished(
    speaker: Speaker, labelled: Labelled, scores: dict[str, Scores], head: FittedHead, target: Path
) -> None:
    """The result: what to believe, the commonest mistake, what to do next."""
    classes = labelled.manifest.classes
    own = scores["cross_validation"]
    folds = int(head.folds.max()) + 1
    speaker.say("")
    for line in score_lines(own, f"{folds}-fold cross-validation on {own.n} photos"):
        speaker.say(line)
    for split, name in _SCORED.items():
        if split in scores:
            for line in score_lines(
                scores[split], f"{name}, {scores[split].n} photos not trained or chosen on"
            ):
                speaker.say(line)
    speaker.say(
        "intervals: 95 % Wilson; cross-validated ones are somewhat narrow, and pessimistic with few photos"
    )
    for line in [confusion_line(own, classes), next_line(own, classes)]:
        if line:
            speaker.say(line)
    place = printable(str(target))
    speaker.say(f"written to {place}; try it: handful predict {place} new.jpg")


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


def class_lines(scores: Scores, classes: Sequence[str]) -> list[str]:
    """A line per class: how many of it were recognised, how many answers of it were right."""
    width = max(len(printable(name)) for name in classes)
    counts = scores.confusion.sum(axis=1)
    return [
        f"  {printable(name):{width}}  {counts[c]:5d} photos   recall {_share(scores.recall[c])}"
        f"   precision {_share(scores.precision[c])}"
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
    worst = int(np.nanargmin(scores.recall))
    if scores.accuracy.high - scores.accuracy.low > 0.1:
        first = worst if len(set(counts)) == 1 else int(counts.argmin())
        name, photos = printable(classes[first]), counted(int(counts[first]), "photo")
        return f"next: more photos would narrow the interval; start with {name} ({photos})"
    if scores.recall[worst] < 0.8:
        name = printable(classes[worst])
        return f"next: {name} is recognised least ({100 * scores.recall[worst]:.0f} %): add photos of it"
    return ""
