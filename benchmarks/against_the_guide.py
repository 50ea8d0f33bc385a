"""cold, warm, again, accuracy: ants_bees by the official guide and by Handful, whole processes in turn.

One round is: the guide; ours with nothing cached; ours with the converted backbone on disk; ours again on
the same photos; for the record one process through the Python API, and the 25-line prototype. A round
leaves out what was not asked for.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring import (
    DONE,
    PHOTO_SUFFIXES,
    SOME_REFUSED,
    Finished,
    Row,
    Session,
    handful,
    photos_in,
    ratio,
    run,
    script,
    spread,
    train_frozen,
)

NAMES = ("cold", "warm", "again", "accuracy")
ROUNDS = 3
FINE = (DONE, SOME_REFUSED)
LEAST_ACCURACY = 0.954

Round = dict[str, Finished]


def measure(session: Session, names: set[str]) -> Iterator[Row]:
    """Race for several rounds, then word what was asked for."""
    _warm_the_page_cache(session)
    rounds = [_round(session, names, number) for number in range(session.often(ROUNDS))]
    race = _Race(session, rounds)
    for name, rows in (("cold", race.cold), ("warm", race.warm), ("again", race.again)):
        if name in names:
            yield from rows()
    if "accuracy" in names:
        yield from _accuracy(session, race)


def _photos(session: Session) -> tuple[Path, Path]:
    return session.data("ants_bees/train"), session.data("ants_bees/val")


def _warm_the_page_cache(session: Session) -> None:
    """Read photos and TensorFlow once, so that nobody pays for the disk."""
    for path in photos_in(session.data("ants_bees")):
        path.read_bytes()
    folder = session.folder("warming")
    run(script("photo_features.py", "--convert"), session.environment(folder), folder)


def _round(session: Session, names: set[str], number: int) -> Round:
    result = {"guide": _guide(session, number)}
    if "cold" in names:
        result |= _ours(session, session.folder("cold"), "cold")
    if names & {"warm", "again", "accuracy"}:
        cache = session.converted_cache("warm")
        result |= _ours(session, cache, "warm")
        if "again" in names:
            result |= _ours(session, cache, "again")
    if "warm" in names:
        result |= _for_the_record(session)
    return result


def _guide(session: Session, seed: int) -> Finished:
    train, val = _photos(session)
    folder = session.folder("guide")
    epochs = ("--epochs", "1") if session.quick else ()
    words = ("--train", train, "--val", val, "--phases", "1", "--seed", str(seed), "--json", *epochs)
    return run(script("guide.py", *words), session.environment(folder), folder)


def _ours(session: Session, cache: Path, name: str) -> Round:
    """`train` on the training folder alone and `evaluate` on the validation folder, two processes."""
    photos, val = _photos(session)
    folder = session.folder(name)
    trained = _train(session, photos, folder, cache)
    words = handful("evaluate", folder / "ours.handful", val, "--json")
    evaluated = run(words, session.environment(cache), folder, FINE)
    return {f"{name} train": trained, f"{name} evaluate": evaluated}


def _train(session: Session, photos: Path, folder: Path, cache: Path) -> Finished:
    words = train_frozen(photos, "-o", folder / "ours.handful", "--json")
    return run(words, session.environment(cache), folder, FINE)


def _for_the_record(session: Session) -> Round:
    """One process through the Python API, and the prototype, each with an empty cache of features."""
    photos = _photos(session)
    cache = session.converted_cache("api")
    environment = session.environment(cache)
    network, pooled = session.network["file"], str(session.network["pooled"])
    return {
        "api": run(script("one_process.py", *photos), environment, cache),
        "prototype": run(script("prototype.py", network, pooled, *photos), environment, cache),
    }


@dataclass(frozen=True)
class _Race:
    """All rounds, and how they are worded."""

    session: Session
    rounds: list[Round]

    def seconds(self, *steps: str) -> list[float]:
        """For each round the wall time of these processes together."""
        return [sum(one[step].seconds for step in steps) for one in self.rounds]

    def _cpu(self, *steps: str) -> float:
        """Median over rounds of the processor time of these processes together."""
        return statistics.median(sum(one[step].cpu for step in steps) for one in self.rounds)

    def accuracies(self, step: str) -> list[float]:
        """For each round the accuracy that a process printed last."""
        return [_accuracy_of(one[step]) for one in self.rounds]

    def _against(self, name: str, what: str, least: float | None, *steps: str) -> Row:
        guide, ours = self.seconds("guide"), self.seconds(*steps)
        value, words = ratio(guide, ours)
        words += f" (processor time {self._cpu('guide'):.0f} / {self._cpu(*steps):.1f} s)"
        numbers = {"guide": guide, "ratio": value, **{step: self.seconds(step) for step in steps}}
        numbers["cpu"] = {step: self._cpu(step) for step in ("guide", *steps)}
        if least is None:
            return Row(name, what, words, values=numbers)
        return Row(name, what, words, f">= {least:g}x", self.session.judge(value >= least), numbers)

    def cold(self) -> Iterator[Row]:
        """Nothing cached."""
        what = "guide's frozen phase / train + evaluate with nothing cached, conversion included"
        yield self._against("cold", what, 5, "cold train", "cold evaluate")

    def warm(self) -> Iterator[Row]:
        """The converted backbone on disk; the goal, and what one process takes."""
        what = "guide / train + evaluate on new photos, the converted backbone on disk"
        row = self._against("warm", what, 15, "warm train", "warm evaluate")
        yield row
        met = self.session.judge(row.values["ratio"] >= 20)
        yield Row("warm", "the goal for the same", f"{row.values['ratio']:.1f}x", ">= 20x", met)
        yield self._alone("warm", "train alone, whole process", "warm train")
        yield self._alone("warm", "evaluate alone, whole process", "warm evaluate")
        yield self._against("warm", "guide / train and evaluate in one process, Python API", None, "api")
        yield self._against("warm", "guide / the 25-line prototype in one process", None, "prototype")
        yield _loads_no_tensorflow(self.session)

    def again(self) -> Iterator[Row]:
        """The same photos again: train takes its features from the cache, evaluate computes."""
        what = "guide / train + evaluate on the same photos again, features cached"
        yield self._against("again", what, 40, "again train", "again evaluate")
        yield self._against("again", "guide / train again alone", None, "again train")

    def _alone(self, name: str, what: str, step: str) -> Row:
        seconds = self.seconds(step)
        return Row(name, what, spread(seconds), values={"seconds": seconds})


def _accuracy_of(ended: Finished) -> float:
    answer = ended.answer
    if "phase1_accuracy" in answer:
        return answer["phase1_accuracy"]
    value = answer["accuracy"]
    return value["value"] if isinstance(value, dict) else value


def _loads_no_tensorflow(session: Session) -> Row:
    """Run both commands once more and read from Python itself what they imported."""
    cache, folder = session.converted_cache("imports"), session.folder("imports")
    train, val = _photos(session)
    model = folder / "ours.handful"
    environment = {**session.environment(cache), "PYTHONPROFILEIMPORTTIME": "1"}
    words = train_frozen(train, "-o", model, "--json")
    trained = run(words, environment, folder, FINE)
    evaluated = run(handful("evaluate", model, val, "--json"), environment, folder, FINE)
    loaded = sorted(heavy_imports(trained.err) | heavy_imports(evaluated.err))
    what = "TensorFlow or Keras among the imports of train and evaluate"
    return Row("warm", what, ", ".join(loaded) or "none", "none", session.judge(not loaded))


def heavy_imports(log: str) -> set[str]:
    """TensorFlow and Keras, where they occur in what `-X importtime` wrote.

    Raises:
        SystemExit: the log holds no import at all, so that nothing would be proved.
    """
    names = {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}
    if "handful" not in names:
        raise SystemExit("Python wrote no import times: nothing can be said about what was imported.")
    return {name.partition(".")[0] for name in names} & {"tensorflow", "keras"}


def _accuracy(session: Session, race: _Race) -> Iterator[Row]:
    """Ours as a user would have it, placeholder .gif included, and without it as the guide has it."""
    ours = race.accuracies("warm evaluate")
    guide = race.accuracies("guide")
    without = _without_gif(session)
    target, met = f">= {LEAST_ACCURACY:.1%}", min(ours) >= LEAST_ACCURACY
    numbers = {"ours": ours, "ours_without_gif": without, "guide": guide}
    what = "ants_bees/val, trained with the placeholder .gif as a user has it"
    yield Row("accuracy", what, f"{min(ours):.1%}", target, session.judge(met), numbers)
    what = "the same, the placeholder .gif deleted as for the guide"
    yield Row("accuracy", what, f"{without:.1%}", target, session.judge(without >= LEAST_ACCURACY))
    seeds = f"{statistics.median(guide):.1%} ({min(guide):.1%} to {max(guide):.1%} over seeds)"
    yield Row("accuracy", "the guide's frozen phase there", seeds)


def _without_gif(session: Session) -> float:
    """Train on links to the photos, the .gif left out."""
    photos, val = _photos(session)
    folder, cache = session.folder("no-gif"), session.converted_cache("no-gif")
    for path in photos.glob("*/*"):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            place = folder / "train" / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            (place / path.name).symlink_to(path)
    _train(session, folder / "train", folder, cache)
    words = handful("evaluate", folder / "ours.handful", val, "--json")
    return _accuracy_of(run(words, session.environment(cache), folder, FINE))
