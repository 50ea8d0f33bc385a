"""finetuning, finetuning-scale: deciding and fine-tuning, against both phases of the official guide.

Each case is split once by a seed; the guide and ours train on the same photos and are scored on the same
others. Ours is `handful train` at its defaults: its time holds features, the frozen result, the decision and,
where it pays, the fine-tuning. The converted backbone is on disk; both import TensorFlow within their time.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import BACKBONE, DONE, SOME_REFUSED, Finished, Row, Session, handful, photos_in, run, script

NAMES = ("finetuning", "finetuning-scale")
FINE = (DONE, SOME_REFUSED)
_PER_CLASS, _HELD_OUT = 20, 40
_SCALE = (50, 200, 1000, 5000)
_FROZEN_WITHIN = 6.0  # seconds
_AS_GOOD = 0.94  # hand_digits, 20 of each class


@dataclass(frozen=True)
class _Case:
    """One data set, split: folders of links with a folder per class."""

    name: str
    train: Path
    held_out: Path
    faster: float  # than the guide, at least


def measure(session: Session, names: set[str]) -> Iterator[Row]:
    """Race the guide on each case; then grow the number of photos."""
    if "finetuning" in names:
        for case in _cases(session):
            yield from _race(session, case)
    if "finetuning-scale" in names:
        yield from _grow(session)


def _cases(session: Session) -> list[_Case]:
    hands = session.data("hand_digits")
    few = session.folder("hands-few")
    half = session.folder("hands-half")
    cases = [
        _Case(
            f"hand_digits, {_PER_CLASS} of each class",
            *_split(hands, few, _PER_CLASS, _HELD_OUT),
            faster=1,
        ),
        _Case("ants_bees", session.data("ants_bees/train"), session.data("ants_bees/val"), faster=3),
    ]
    if not session.quick:
        cases.append(_Case("hand_digits, half held out", *_split(hands, half, None, None), faster=3))
    return cases


def _split(source: Path, target: Path, train: int | None, held_out: int | None) -> tuple[Path, Path]:
    """Link photos of each class into two folders: so many each, or half and half."""
    for kind in sorted(path for path in source.iterdir() if path.is_dir()):
        photos = photos_in(kind)
        random.Random(0).shuffle(photos)
        first = train or len(photos) // 2
        last = first + held_out if held_out else len(photos)
        for part, chosen in (("train", photos[:first]), ("held-out", photos[first:last])):
            place = target / part / kind.name
            place.mkdir(parents=True)
            for photo in chosen:
                (place / photo.name).symlink_to(photo)
    return target / "train", target / "held-out"


def _race(session: Session, case: _Case) -> Iterator[Row]:
    guide = _guide(session, case)
    frozen, _, _ = _ours(session, case, "--effort", "quick")
    ours, seconds, first = _ours(session, case)
    accuracy = {"guide": guide.answer["phase2_accuracy"], "frozen": frozen, "ours": ours}
    ratio = guide.seconds / seconds
    values: dict[str, Any] = {"accuracy": accuracy, "seconds": {"guide": guide.seconds, "ours": seconds}}
    what = f"{case.name}: accuracy of the guide, frozen head, ours"
    told = f"{accuracy['guide']:.1%}, {frozen:.1%}, {ours:.1%}"
    target, met = _accuracy_target(case, accuracy)
    yield Row("finetuning", what, told, target, session.judge(met), values)
    what = f"{case.name}: guide's two phases / train with its decision"
    told = f"{ratio:.1f}x: {guide.seconds:.0f} s / {seconds:.0f} s"
    yield Row("finetuning", what, told, f">= {case.faster:g}x", session.judge(ratio >= case.faster))
    what = f"{case.name}: until the frozen result is written"
    met = session.judge(first <= _FROZEN_WITHIN) if case.name == "ants_bees" else None
    target = f"<= {_FROZEN_WITHIN:g} s" if case.name == "ants_bees" else ""
    yield Row("finetuning", what, f"{first:.1f} s", target, met, {"seconds": first})


def _accuracy_target(case: _Case, accuracy: dict[str, float]) -> tuple[str, bool]:
    if case.name == "ants_bees":
        return "no worse than the frozen head", accuracy["ours"] >= accuracy["frozen"]
    if str(_PER_CLASS) in case.name:
        return f">= {_AS_GOOD:.0%}", accuracy["ours"] >= _AS_GOOD
    return "ahead of the guide", accuracy["ours"] > accuracy["guide"]


def _guide(session: Session, case: _Case) -> Finished:
    folder = session.folder("guide")
    epochs = ("--epochs", "1") if session.quick else ()
    words = ("--train", case.train, "--val", case.held_out, "--phases", "2", "--json", *epochs)
    return run(script("guide.py", *words), session.environment(folder), folder)


def _ours(session: Session, case: _Case, *more: str) -> tuple[float, float, float]:
    """Accuracy on the photos held out, seconds of the training, and until its frozen result was written."""
    cache, folder = session.converted_cache("ours"), session.folder("ours")
    words = handful("train", case.train, "-o", folder / "ours.handful", "--backbone", BACKBONE, *more)
    seconds, first = _watched(words, session.environment(cache), folder)
    evaluated = run(
        handful("evaluate", folder / "ours.handful", case.held_out, "--json"),
        session.environment(cache), folder, FINE,
    )  # fmt: skip
    return evaluated.answer["accuracy"]["value"], seconds, first


def _watched(words: list[str | Path], environment: dict[str, str], folder: Path) -> tuple[float, float]:
    """Run a training and note when it says where its first result was written.

    Raises:
        SystemExit: it failed, or never said so.
    """
    start, first, lines = time.perf_counter(), None, []
    environment = {**environment, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [str(word) for word in words], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if first is None and line.startswith("written to"):
                first = time.perf_counter() - start
    if child.returncode not in FINE or first is None:
        raise SystemExit(f"{words}\nended with exit code {child.returncode}:\n{''.join(lines)[-2000:]}")
    return time.perf_counter() - start, first


def _grow(session: Session) -> Iterator[Row]:
    """Time and memory of a whole training as photos grow; more than there are come as altered copies."""
    for photos in _SCALE[: session.often(len(_SCALE), 1)]:
        folder, cache = session.folder("scale"), session.converted_cache("scale")
        made = folder / "photos"
        drawn = script("altered.py", session.data("hand_digits"), made, str(photos))
        run(drawn, session.environment(cache), folder)
        words = handful("train", made, "-o", folder / "x.handful", "--backbone", BACKBONE, "--json")
        ended = run(words, session.environment(cache), folder, FINE)
        chosen = ended.answer["fine_tuning"]["chosen"]
        told = f"{ended.seconds:.0f} s, {ended.cpu:.0f} s of processor time, {ended.peak_mb:.0f} MB, {chosen}"
        values = {"photos": photos, "seconds": ended.seconds, "cpu": ended.cpu, "peak_mb": ended.peak_mb}
        yield Row("finetuning-scale", f"hand_digits, {photos:,} photos", told, values=values)
