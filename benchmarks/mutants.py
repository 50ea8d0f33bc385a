"""Damage small real photos in 20,000 ways and decode each in a child with time and memory caps (target R1).

    python benchmarks/mutants.py [--most 20000] [--shared ../shared]

Mutants: cut off at each 37th byte (from a random start), and one to three flipped bits. They are drawn from a
fixed seed, as many from each file. Prints deaths, hangs over 5 s, warnings and other exceptions that got out,
refusals that lack a reason or a fix, and the growth of memory; ends with status 1 when one misses its target.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STEP = 37  # bytes between two cuts
SECONDS = 5  # longer is a hang
GROWTH = 300  # MB
LARGEST = 60_000  # bytes of a file to damage: small files are damaged more densely
PER_FORMAT = 5
SIZE = (224, 224)
SUFFIXES = (".jpg", ".png", ".gif", ".bmp", ".webp", ".tif", ".avif", ".heic")
SEED = 20240


def originals(shared: Path) -> list[Path]:
    """A handful of small files of each format, chosen by name so that each run takes the same."""
    files = [path for path in (shared / "badinputs" / "files").rglob("*") if path.is_file()]
    found: list[Path] = []
    for suffix in SUFFIXES:
        fitting = [p for p in files if p.suffix.lower() == suffix and 200 < p.stat().st_size < LARGEST]
        fitting.sort(key=lambda path: hashlib.sha256(path.name.encode()).digest())  # spread over the suites
        found.extend(fitting[:PER_FORMAT])
    return found


def mutants(path: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (what was done, bytes): half cuts, as far as the file is long enough, the rest flips."""
    data = path.read_bytes()
    draw = random.Random(f"{SEED} {path.name}")
    cuts = list(range(draw.randrange(STEP), len(data), STEP))
    cuts = sorted(draw.sample(cuts, min(len(cuts), count // 2)))
    for cut in cuts:
        yield f"cut at {cut}", data[:cut]
    for _ in range(count - len(cuts)):
        changed = bytearray(data)
        # Half of the flips hit the first 512 bytes, where the headers are.
        reach = len(data) if draw.random() < 0.5 else min(len(data), 512)
        bits = [draw.randrange(8 * reach) for _ in range(draw.randint(1, 3))]
        for bit in bits:
            changed[bit // 8] ^= 1 << bit % 8
        yield f"flip {bits}", bytes(changed)


def work(path: Path, first: int, count: int) -> None:
    """In the child: decode the mutants of one file from number `first` on, a line of JSON for each."""
    from handful.data.images import decode
    from handful.errors import ImageError

    heard: list[str] = []  # "error" would turn a warning into a refusal, and hide it
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_: heard.append(str(message))
    for number, (what, data) in enumerate(mutants(path, count)):
        if number < first:
            continue
        signal.alarm(SECONDS)  # without a handler it ends the process, whatever C code it is in
        start = time.monotonic()
        try:
            decode(data, path.name, SIZE)
            answer = "loaded"
        except ImageError as error:
            good = error.reason and error.fix and path.name in str(error) and "0x" not in error.reason
            answer = "refused" if good else f"poor: {error}"
        except BaseException as error:  # noqa: BLE001 - any other exception is what is looked for
            answer = f"leaked: {type(error).__name__}: {error}"
        signal.alarm(0)
        if heard:
            answer = f"leaked: warning {heard.pop()}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps([what, answer, peak, time.monotonic() - start]), flush=True)


def walk(path: Path, count: int) -> Iterator[tuple[str, str, int, float]]:
    """Run children over one file's mutants; one that dies is noted and the next goes on after it."""
    done = 0
    while done < count:
        command = [sys.executable, __file__, "--child", str(path), str(done), str(count)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        yield from ((what, answer, peak, seconds) for what, answer, peak, seconds in lines)
        done += len(lines)
        if done < count:
            hung = child.returncode == -signal.SIGALRM
            yield (
                f"number {done}",
                "hang" if hung else f"death {child.returncode} {child.stderr[-300:]}",
                0,
                0.0,
            )
            done += 1


def report(paths: list[Path], most: int) -> int:
    """Try all and print the count; 0 when every target is met."""
    tally: collections.Counter[str] = collections.Counter()
    growth, slowest = 0, 0.0
    share = -(-most // len(paths))
    for path in paths:
        base = 0
        for what, answer, peak, seconds in walk(path, share):
            base = base or peak
            growth, slowest = max(growth, peak - base), max(slowest, seconds)
            kind = answer.split()[0].rstrip(":")
            tally[kind] += 1
            if kind not in ("loaded", "refused"):
                print(f"{path.name}, {what}: {answer}")
    bad = sum(count for kind, count in tally.items() if kind not in ("loaded", "refused"))
    print(
        f"{sum(tally.values()):,} mutants of {len(paths)} files: {tally['loaded']:,} loaded, "
        f"{tally['refused']:,} refused with reason and fix"
    )
    print(
        f"deaths {tally['death']}, hangs {tally['hang']}, warnings and other exceptions {tally['leaked']}, "
        f"refusals lacking reason or fix {tally['poor']}"
    )
    print(f"memory growth at most {growth} MB, slowest {slowest:.2f} s")
    return int(bad > 0 or growth >= GROWTH)


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        work(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=20_000, help="how many mutants (default 20,000)")
    default = Path(os.environ.get("HANDFUL_SHARED") or REPOSITORY.parent / "shared")
    parser.add_argument("--shared", type=Path, default=default, help="the folder with badinputs/")
    options = parser.parse_args()
    paths = originals(options.shared)
    if not paths:
        print(f"No files under {options.shared}/badinputs/files. Set --shared or HANDFUL_SHARED.")
        return 2
    return report(paths, options.most)


if __name__ == "__main__":
    sys.exit(main())
