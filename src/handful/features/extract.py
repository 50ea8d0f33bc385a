"""The single pass: read, hash, look up, decode, run, keep. Reading and decoding overlap with the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from handful.data import images
from handful.data.checks import bad_photo, photo_notes
from handful.data.looks import Look, look_of
from handful.engines.base import Engine
from handful.errors import HandfulError, ImageError, Problem
from handful.features.cache import DamagedRecordError, FeatureCache, Record
from handful.files import sha256_of_bytes
from handful.progress import Speaker

_AHEAD = 4  # chunks waiting per worker: enough to keep all cores busy, few enough to keep memory flat


@dataclass(frozen=True)
class Photo:
    """A photo to compute: where it is, and how the user would write it."""

    path: Path
    name: str


@dataclass
class Outcome:
    """What became of one photo.

    Attributes:
        photo: which one.
        sha256: of the file's content; None when it could not be read.
        vector: float32 (d,); None when the photo was refused.
        notes: what the decoder noted.
        named: those of them that the file's name brings; the cache, which goes by content, keeps the others.
        look: its size, camera, time and thumbnail; None when the photo was refused.
        refusal: why the photo was refused.
        cached: the vector came from the cache.
        damage: a cached record was damaged and computed again; its path and fault.
        unwritten: the cache could not be written; why.
    """

    photo: Photo
    sha256: str | None = None
    vector: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    look: Look | None = None
    refusal: ImageError | None = None
    cached: bool = False
    damage: str | None = None
    unwritten: str | None = None
    pixels: np.ndarray | None = field(default=None, repr=False)  # only between decoding and the network


@dataclass(frozen=True)
class Features:
    """Pooled features of the photos that could be read.

    Attributes:
        values: float32 (n, views, d).
        ids: sha256 of each photo, n of them.
        kept: int (n,), position of each among the photos asked for.
        looks: of each photo, n of them.
        problems: refused photos, and notes on kept ones.
        refused: how many photos were refused.
        computed: how many went through the network now; the others came from the cache.
        seconds: wall time of the pass.
    """

    values: np.ndarray
    ids: tuple[str, ...]
    kept: np.ndarray
    looks: tuple[Look, ...]
    problems: tuple[Problem, ...]
    refused: int
    computed: int
    seconds: float


def extract(
    photos: Sequence[Photo], engine: Engine, cache: FeatureCache | None, speaker: Speaker, *, workers: int
) -> Features:
    """Pass every photo once through the frozen network, or take its features from the cache.

    Args:
        photos: what to compute, any number.
        engine: the frozen network.
        cache: where features are looked up and kept; None computes all and keeps nothing.
        speaker: shows a bar, and names damaged records.
        workers: threads that decode and run the network, at least 1.
    """
    start = time.perf_counter()
    outcomes: list[Outcome] = []
    with speaker.bar("photos through the frozen network", len(photos)) as advance:
        for outcome in stream(photos, engine, cache, workers=workers):
            outcomes.append(outcome)
            advance(1)
    _tell_about_the_cache(outcomes, speaker)
    kept = [i for i, outcome in enumerate(outcomes) if outcome.vector is not None]
    values = np.empty((len(kept), 1, engine.feature_dim), dtype=np.float32)
    for row, position in enumerate(kept):
        values[row, 0] = outcomes[position].vector
    return Features(
        values=values,
        ids=tuple(outcomes[i].sha256 or "" for i in kept),
        kept=np.array(kept, dtype=np.int64),
        looks=tuple(outcome.look for outcome in outcomes if outcome.look is not None),
        problems=tuple(problem for outcome in outcomes for problem in problems_of(outcome)),
        refused=len(outcomes) - len(kept),
        computed=sum(outcomes[i].cached is False for i in kept),
        seconds=time.perf_counter() - start,
    )


def stream(
    photos: Iterable[Photo], engine: Engine, cache: FeatureCache | None, *, workers: int
) -> Iterator[Outcome]:
    """Yield the outcome of each photo, in order, while later ones are under way; memory stays flat."""
    waiting: deque[Future[list[Outcome]]] = deque()
    rest = iter(photos)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="handful")
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (chunk := list(islice(rest, engine.batch))):
                waiting.append(pool.submit(_compute, chunk, engine, cache))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _compute(chunk: list[Photo], engine: Engine, cache: FeatureCache | None) -> list[Outcome]:
    outcomes = [_prepare(photo, engine.size, cache) for photo in chunk]
    open_ones = [outcome for outcome in outcomes if outcome.pixels is not None]
    if open_ones:
        vectors = engine.run(
            np.stack([outcome.pixels for outcome in open_ones if outcome.pixels is not None])
        )
        for outcome, vector in zip(open_ones, vectors, strict=True):
            _finish(outcome, vector, cache)
    return outcomes


def _prepare(photo: Photo, size: tuple[int, int], cache: FeatureCache | None) -> Outcome:
    """Read and hash; then take the features from the cache, or decode."""
    outcome = Outcome(photo)
    try:
        data = images.read_file(photo.path)
        outcome.sha256 = sha256_of_bytes(data)
        outcome.named = images.check_name(data, photo.name)
        record = _look_up(outcome, cache)
        if record is not None:
            outcome.vector, outcome.look, outcome.cached = record.vector, record.look, True
            outcome.notes = (*outcome.named, *record.notes)
            return outcome
        decoded = images.decode(data, photo.name, size)
    except ImageError as error:
        outcome.refusal = error
        return outcome
    outcome.pixels, outcome.notes = decoded.pixels, decoded.notes
    outcome.look = look_of(decoded, len(data))
    return outcome


def _look_up(outcome: Outcome, cache: FeatureCache | None) -> Record | None:
    if cache is None or outcome.sha256 is None:
        return None
    try:
        return cache.read(outcome.sha256)
    except DamagedRecordError as error:
        outcome.damage = str(error)
        return None


def _finish(outcome: Outcome, vector: np.ndarray, cache: FeatureCache | None) -> None:
    if not np.isfinite(vector).all():
        raise HandfulError(
            f"The network gave values that are not numbers for {outcome.photo.name}. "
            "The converted backbone is damaged: run `handful cache --clear` and try again."
        )
    outcome.vector, outcome.pixels = vector, None
    if cache is not None and outcome.sha256 is not None and outcome.look is not None:
        try:
            own = tuple(note for note in outcome.notes if note not in outcome.named)
            cache.write(outcome.sha256, Record(vector, own, outcome.look))
        except OSError as error:
            outcome.unwritten = f"{error.filename}: {error.strerror}"


def problems_of(outcome: Outcome) -> list[Problem]:
    """The findings about one photo: its refusal, or the notes on it."""
    if outcome.refusal is not None:
        return [bad_photo(outcome.photo.name, outcome.refusal)]
    return photo_notes(outcome.photo.name, outcome.notes)


def _tell_about_the_cache(outcomes: list[Outcome], speaker: Speaker) -> None:
    damaged = [outcome.damage for outcome in outcomes if outcome.damage]
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        speaker.warn(f"damaged cached features were computed again: {damaged[0]}{more}")
    unwritten = [outcome.unwritten for outcome in outcomes if outcome.unwritten]
    if unwritten:
        speaker.warn(
            f"the features of {len(unwritten)} photos could not be kept for the next run ({unwritten[0]}); "
            "this run is not affected"
        )
