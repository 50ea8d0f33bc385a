"""predict, help, demo, digits: single commands, started as a user starts them."""

from __future__ import annotations

import csv
import random
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from against_the_guide import heavy_imports
from measuring import Row, Session, handful, photos_in, run, script, spread, train_frozen

NAMES = ("predict", "help", "demo", "digits")
REPEATS = 10
PER_CLASS = 20
SEEDS = (0, 1, 2)
GUIDE_VALIDATION = 40  # per class; the guide scores them after each of its epochs


def measure(session: Session, names: set[str]) -> Iterator[Row]:
    """Measure what was asked for, in this order."""
    for name, part in (("predict", _predict), ("help", _help), ("demo", _demo), ("digits", _digits)):
        if name in names:
            yield from part(session)


def _predict(session: Session) -> Iterator[Row]:
    cache, folder = session.converted_cache("predict"), session.folder("predict")
    environment, model = session.environment(cache), folder / "ours.handful"
    words = train_frozen(_few(session, folder), "-o", model, "--quiet")
    run(words, environment, folder)
    photo = photos_in(session.data("ants_bees/val"))[0]
    command = handful("predict", model, photo)
    ended = [run(command, environment, folder) for _ in range(session.often(REPEATS, 3))]
    seconds = [one.seconds for one in ended]
    met = session.judge(statistics.median(seconds) < 1)
    memory = max(one.peak_mb for one in ended)
    yield Row(
        "predict",
        "one photo, whole process",
        f"{spread(seconds)}, {memory:.0f} MB",
        "< 1 s",
        met,
        {"seconds": seconds},
    )
    log = run([command[0], "-X", "importtime", *command[1:]], environment, folder).err
    loaded = sorted(heavy_imports(log))
    what = "TensorFlow or Keras among its imports"
    yield Row("predict", what, ", ".join(loaded) or "none", "none", session.judge(not loaded))


def _few(session: Session, folder: Path) -> Path:
    """Ten photos of each class: the model's size does not depend on them."""
    for path in session.data("ants_bees/train").iterdir():
        if path.is_dir():
            place = folder / "few" / path.name
            place.mkdir(parents=True)
            for photo in photos_in(path)[:10]:
                shutil.copyfile(photo, place / photo.name)
    return folder / "few"


def _help(session: Session) -> Iterator[Row]:
    folder = session.folder("help")
    installed = Path(sys.executable).with_name("handful")
    command = [installed, "--help"] if installed.is_file() else handful("--help")
    environment = session.environment(folder)
    run(command, environment, folder)
    seconds = [run(command, environment, folder).seconds for _ in range(session.often(REPEATS, 3))]
    met = session.judge(statistics.median(seconds) < 0.3)
    yield Row("help", "handful --help, whole process", spread(seconds), "< 0.3 s", met, {"seconds": seconds})


def _demo(session: Session) -> Iterator[Row]:
    ended = []
    for _ in range(session.often(3)):
        folder = session.folder("demo")
        words = handful("demo", "--out", folder / "out", "--json")
        ended.append(run(words, session.environment(folder / "cache"), folder))
    seconds, answer = [one.seconds for one in ended], ended[-1].answer
    frozen, raw = answer["accuracy"]["value"], answer["raw_pixels"]["value"]
    what = "handful demo with nothing cached, whole process"
    met = session.judge(max(seconds) < 60)
    yield Row("demo", what, spread(seconds, digits=1), "< 60 s", met, {"seconds": seconds})
    words = f"{100 * (frozen - raw):.1f} points: {frozen:.1%} / {raw:.1%}, majority {answer['majority']:.0%}"
    met = session.judge(frozen - raw >= 0.2)
    yield Row("demo", "frozen backbone above raw pixels", words, ">= 20 points", met, {"answer": answer})


def _digits(session: Session) -> Iterator[Row]:
    cache = session.converted_cache("digits")
    seeds = SEEDS[:1] if session.quick else SEEDS
    values = [_digits_once(session, cache, seed) for seed in seeds]
    least = min(values)
    what = f"hand_digits, {PER_CLASS} per class, accuracy on the rest, seeds {', '.join(map(str, seeds))}"
    words = f"{statistics.mean(values):.1%} on average ({least:.1%} to {max(values):.1%})"
    met = session.judge(least >= 0.84)
    yield Row("digits", what, words, ">= 84 %", met, {"accuracy": values})
    yield _guide_on_digits(session)


def _draw(session: Session, seed: int) -> tuple[list[Path], list[Path]]:
    """PER_CLASS photos of each class, and the rest."""
    chosen, rest = [], []
    for folder in sorted(session.data("hand_digits").iterdir()):
        photos = photos_in(folder)
        random.Random(f"{seed} {folder.name}").shuffle(photos)
        chosen += photos[:PER_CLASS]
        rest += photos[PER_CLASS:]
    return chosen, rest


def _digits_once(session: Session, cache: Path, seed: int) -> float:
    """One draw through the command line; the rest is the test split of a CSV."""
    folder = session.folder("digits")
    train, rest = _draw(session, seed)
    rest = rest[::10] if session.quick else rest
    with (folder / "digits.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "split"])
        writer.writerows([path, path.parent.name, "train"] for path in train)
        writer.writerows([path, path.parent.name, "test"] for path in rest)
    words = train_frozen(folder / "digits.csv", "-o", folder / "ours.handful")
    answer = run([*words, "--json"], session.environment(cache), folder).answer
    if answer["test"]["n"] != len(rest) or answer["n"] != len(train):
        raise SystemExit(f"Trained on {answer['n']} and scored {answer['test']['n']} photos, not as drawn.")
    return answer["test"]["accuracy"]["value"]


def _guide_on_digits(session: Session) -> Row:
    """The guide, both phases, on the first draw, scored on a part of the rest."""
    folder = session.folder("guide-digits")
    train, rest = _draw(session, SEEDS[0])
    few = [path for label in "0123456789" for path in _of(rest, label)[:GUIDE_VALIDATION]]
    for name, photos in (("train", train), ("val", few)):
        for path in photos:
            place = folder / name / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            (place / path.name).symlink_to(path)
    words = ["--train", folder / "train", "--val", folder / "val", "--phases", "2", "--json"]
    words += ["--epochs", "1"] if session.quick else []
    ended = run(script("guide.py", *words), session.environment(folder), folder)
    value = ended.answer["phase2_accuracy"]
    what = f"the guide, both phases, same draw (seed {SEEDS[0]}), {GUIDE_VALIDATION} per class of the rest"
    words = f"{value:.1%} ({ended.answer['phase1_accuracy']:.1%} before fine-tuning), {ended.seconds:.0f} s"
    return Row("digits", what, words, values=ended.answer)


def _of(photos: list[Path], label: str) -> list[Path]:
    return [path for path in photos if path.parent.name == label]
