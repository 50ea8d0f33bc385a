"""The whole job on drawn photos: check, train, predict, evaluate, export, and what transfer bought."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.checking import check
from handful.classifier import Classifier
from handful.config import DEFAULT_PENALTY, PENALTIES
from handful.data import images
from handful.data.manifest import Manifest
from handful.data.splitting import bind, stratified_folds
from handful.demo.parts import CLASSES, draw
from handful.errors import HandfulError
from handful.evaluation import Scores, evaluate, score
from handful.exporters.registry import export
from handful.files import write_error
from handful.heads.fitting import fit_head
from handful.metrics.scores import softmax
from handful.plain import percent
from handful.progress import Speaker
from handful.training import train

_PER_CLASS, _NEW_PER_CLASS = 40, 15
_RAW_SIDE = 32  # 3,072 raw pixel values a photo
_MARK = ".drawn-by-handful"


def run_demo(out: Path, speaker: Speaker, *, seed: int = 0) -> dict[str, Any]:
    """Do everything once, telling each step.

    Args:
        out: photos go to out/photos and out/new, the model to out/parts.handful, its export to
            out/parts.keras. A folder of an earlier demo is replaced, any other is left alone.
        speaker: told each step.
        seed: of the drawing; the demo's training uses the default seed.

    Returns:
        {"majority", "raw_pixels", "accuracy", "balanced_accuracy", "n", "seconds", ...}, for --json.

    Raises:
        HandfulError: `out` holds something else, or cannot be written to.
    """
    start = time.perf_counter()
    photos, new, model = _draw_both(out, speaker, seed)
    _tell_check(photos, speaker)
    speaker.say("\n== handful train: load, freeze, replace, compile, train")
    classifier = train(photos, model, backbone="embedded", effort="quick", overwrite=True, speaker=speaker)
    speaker.say("(without --effort quick, training would go on and measure whether fine-tuning pays)")
    with speaker.busy("the same on raw pixels"):
        raw = raw_pixel_scores(photos, classifier)
    _tell_gain(classifier, raw, speaker)
    _tell_predictions(classifier, new, speaker)
    speaker.say("\n== handful evaluate: photos drawn later, which nothing above has seen")
    fresh = evaluate(classifier, new, speaker=speaker)
    speaker.say(f"accuracy on {fresh.scores.n} new photos: {fresh.accuracy}")
    speaker.say("\n== handful export: a plain Keras model (this loads TensorFlow)")
    parity = export(classifier, out / "parts.keras", overwrite=True, speaker=speaker)
    seconds = time.perf_counter() - start
    speaker.say(
        f"\nDone in {seconds:.0f} s. Look at {photos}, then try: handful train YOUR-PHOTOS -o mine.handful"
    )
    return {
        **classifier.card["scores"]["cross_validation"],
        "majority": 1 / len(CLASSES),
        "raw_pixels": raw.accuracy.as_dict(),
        "new_photos": fresh.scores.as_dict(),
        "export": parity.as_dict(),
        "seconds": round(seconds, 1),
    }


def _draw_both(out: Path, speaker: Speaker, seed: int) -> tuple[Path, Path, Path]:
    _make_room(out)
    drawn = f"{_PER_CLASS} photos each of metal parts: {', '.join(CLASSES)}"
    speaker.say(f"== drawing {drawn}; and {_NEW_PER_CLASS} new ones each for later")
    with speaker.busy("drawing"):
        photos = draw(out / "photos", _PER_CLASS, seed)
        new = draw(out / "new", _NEW_PER_CLASS, seed + 1_000_000)
    return photos, new, out / "parts.handful"


def _make_room(out: Path) -> None:
    """Make the folder, or take one that an earlier demo made.

    Raises:
        HandfulError: `out` holds something else, is a file, or cannot be written to.
    """
    try:
        if out.exists() and not out.is_dir():
            raise HandfulError(f"{out} is a file; it is left alone. Choose a folder with --out.")
        if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
            raise HandfulError(
                f"{out} holds files that no demo made; they are left alone. Choose another --out."
            )
        out.mkdir(parents=True, exist_ok=True)
        (out / _MARK).touch()
    except OSError as error:
        raise write_error(out, error) from error


def _tell_check(photos: Path, speaker: Speaker) -> None:
    speaker.say(f"\n== handful check {photos}")
    problems = check(photos, speaker=speaker)
    for problem in problems:
        speaker.say(f"{problem.severity}: {problem.file}: {problem.what}. {problem.fix}")
    if not problems:
        speaker.say("Nothing is wrong with these photos.")


def raw_pixel_scores(photos: Path, classifier: Classifier) -> Scores:
    """Score the same kind of head on raw pixels, same photos, same folds: what one gets without transfer."""
    manifest = Manifest.read(photos)
    pixels = [images.load(row.path, (_RAW_SIDE, _RAW_SIDE)).pixels for row in manifest.rows]
    rows = np.stack(pixels).reshape(len(pixels), -1).astype(np.float32) / 255
    groups = bind([row.group for row in manifest.rows], [row.name for row in manifest.rows])
    folds = stratified_folds(manifest.labels, classifier.card["head"]["folds"], 0, groups)
    head = fit_head(
        rows,
        manifest.labels,
        folds,
        classes=len(manifest.classes),
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
    )
    return score(softmax(head.out_of_fold_logits), manifest.labels)


def _tell_gain(classifier: Classifier, raw: Scores, speaker: Speaker) -> None:
    """Majority, raw pixels, frozen backbone, side by side."""
    own = classifier.card["scores"]["cross_validation"]["accuracy"]
    speaker.say("\n== what transfer bought (the same photos, the same folds)")
    rows = [
        ("always the commonest class", 1 / len(CLASSES)),
        ("logistic regression on raw pixels", raw.accuracy.value),
        ("the same on the frozen backbone", own["value"]),
    ]
    for name, value in rows:
        speaker.say(f"{name:34}  {100 * value:5.1f} %  {'#' * round(40 * value)}")


def _tell_predictions(classifier: Classifier, new: Path, speaker: Speaker) -> None:
    first = [new / name / f"{name}_001.jpg" for name in CLASSES]
    speaker.say("\n== handful predict: one new photo of each class")
    for name, answer in zip(CLASSES, classifier.predict(first), strict=True):
        verdict = "" if answer.label == name else "   (wrong)"
        speaker.say(f"{Path(answer.file).name}: {answer.label} ({percent(answer.probability, 0)}){verdict}")
