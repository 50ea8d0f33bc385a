"""pass, memory: how the feature pass holds against a bare loop, and what 10,000 photos cost.

python benchmarks/many_photos.py FOLDER 10000 SHARED     make the photos alone
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measuring import Finished, Row, Session, photos_in, run, script, train_frozen

NAMES = ("pass", "memory")
ROUNDS = 3
LEAST_SHARE = 0.9
MOST_MB = 1.5e9 / 2**20
COUNTS, QUICK_COUNTS = (2500, 5000, 10000), (150, 300, 600)
MOST_BEND = 1.25  # seconds per photo in the second half of the range over those in the first


def measure(session: Session, names: set[str]) -> Iterator[Row]:
    """Measure what was asked for."""
    if "pass" in names:
        for data in ("ants_bees", "hand_digits"):
            yield _pass(session, data)
    if "memory" in names:
        yield from _memory(session)


def _pass(session: Session, data: str) -> Row:
    """Our pass and the bare loop in turn, each in a process of its own."""
    folder = session.data(data) if not session.quick else _some(session, data)
    for path in photos_in(folder):
        path.read_bytes()
    rounds = [_both(session, folder) for _ in range(session.often(ROUNDS + 2))]
    bare, ours = ([_speed(one[side]) for one in rounds] for side in (0, 1))
    shares = [ours_speed / bare_speed for ours_speed, bare_speed in zip(ours, bare, strict=True)]
    share = statistics.median(ours) / statistics.median(bare)
    words = f"{share:.2f}"
    if len(shares) > 1:
        words += f" ({min(shares):.2f} to {max(shares):.2f})"
    words += f": {statistics.median(ours):.0f} / {statistics.median(bare):.0f} photos/s"
    what = f"{data}: our feature pass, cache empty / bare loop, two threads, photos per second"
    numbers = {"ours": ours, "bare": bare}
    return Row("pass", what, words, f">= {LEAST_SHARE}", session.judge(share >= LEAST_SHARE), numbers)


def _some(session: Session, data: str) -> Path:
    folder = session.folder(f"some-{data}")
    for number, path in enumerate(photos_in(session.data(data))[::8]):
        shutil.copyfile(path, folder / f"{number}{path.suffix}")
    return folder


def _both(session: Session, folder: Path) -> tuple[Finished, Finished]:
    cache = session.converted_cache("pass")
    environment = session.environment(cache)
    bare = run(script("bare_loop.py", session.network["file"], folder), environment, cache)
    return bare, run(script("our_pass.py", folder), environment, cache)


def _speed(ended: Finished) -> float:
    answer = ended.answer
    return answer["photos"] / answer["seconds"]


def _memory(session: Session) -> Iterator[Row]:
    counts = QUICK_COUNTS if session.quick else COUNTS
    photos = session.folder("photos")
    run(script("many_photos.py", photos, str(counts[-1]), session.shared), dict(os.environ), photos)
    rounds = [[_train(session, photos, count) for count in counts] for _ in range(session.often(2))]
    peaks = [max(one[at].peak_mb for one in rounds) for at in range(len(counts))]
    seconds = [statistics.median([one[at].seconds for one in rounds]) for at in range(len(counts))]
    words = ", ".join(f"{count:,}: {peak:.0f} MB" for count, peak in zip(counts, peaks, strict=True))
    numbers = {"counts": counts, "peak_mb": peaks, "seconds": [[e.seconds for e in one] for one in rounds]}
    met = session.judge(peaks[-1] < MOST_MB)
    yield Row(
        "memory", f"peak resident memory of train, {counts[-1]:,} photos", words, "< 1.5 GB", met, numbers
    )
    yield _line(session, counts, seconds)


def _line(session: Session, counts: tuple[int, ...], seconds: list[float]) -> Row:
    """A straight line has the same slope in both halves, whatever the start of the process costs."""
    slopes = [
        1000 * (seconds[at + 1] - seconds[at]) / (counts[at + 1] - counts[at])
        for at in range(len(counts) - 1)
    ]
    bend = slopes[1] / slopes[0]
    words = ", ".join(f"{count:,}: {time:.1f} s" for count, time in zip(counts, seconds, strict=True))
    words += f"; {slopes[0]:.1f} then {slopes[1]:.1f} ms a photo more"
    what = "time of train, features not cached: ms per photo, second half / first"
    target = f"<= {MOST_BEND}"
    return Row(
        "memory", what, f"{bend:.2f} ({words})", target, session.judge(bend <= MOST_BEND), {"bend": bend}
    )


def _train(session: Session, photos: Path, count: int) -> Finished:
    """Train on the first `count` photos, hard-linked; they are dealt class by class."""
    folder, cache = session.folder(f"first-{count}"), session.converted_cache("memory")
    for path in photos_in(photos):
        if int(path.stem) < count:
            place = folder / "photos" / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            os.link(path, place / path.name)
    words = train_frozen(folder / "photos", "-o", folder / "ours.handful")
    ended = run([*words, "--json"], session.environment(cache), folder)
    if ended.answer["n"] != count:
        raise SystemExit(f"{ended.answer['n']} of {count} photos were trained on: {ended.err[-1000:]}")
    return ended


def make(folder: Path, count: int, shared: Path) -> None:
    """Write `count` photos of 12 classes: seeded crops of shared photos, each a JPEG unlike all others.

    Photo number i is of class i modulo 12, so that the first n photos are a smaller set of the same kind.
    """
    sources = [photos_in(path) for path in _classes(shared)]
    jobs = [
        (
            number,
            sources[number % len(sources)][(number // len(sources)) % len(sources[number % len(sources)])],
        )
        for number in range(count)
    ]
    for _, source in jobs[: len(sources)]:
        (folder / source.parent.name).mkdir(exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_crop, [folder] * count, *zip(*jobs, strict=True), chunksize=64))


def _classes(shared: Path) -> list[Path]:
    roots = (shared / "data" / "hand_digits", shared / "data" / "ants_bees" / "train")
    return [path for root in roots for path in sorted(root.iterdir()) if path.is_dir()]


def _crop(folder: Path, number: int, source: Path) -> None:
    """Cut a random window of at least three quarters of each side, and save it as a JPEG."""
    from PIL import Image, ImageOps

    draw = random.Random(number)
    with Image.open(source) as opened:
        opened.draft("RGB", (500, 500))
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = (round(side * draw.uniform(0.75, 1)) for side in picture.size)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    window = picture.crop((left, top, left + width, top + height))
    place = folder / source.parent.name / f"{number}.jpg"
    # The comment makes every file unlike all others, even where two windows fall on the same pixels.
    window.save(place, quality=90, comment=str(number).encode())


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
