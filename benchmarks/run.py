"""All benchmarks: whole processes as a user starts them, in homes of their own, peers and ours in turn.

    python benchmarks/run.py [NAME ...] [--quick] [--shared PATH]
    python benchmarks/run.py --write-docs

Prints a row for each measurement and keeps all numbers in bench-out/results.json (a quick run, which judges
nothing, in bench-out/quick.json). --write-docs puts the table into docs/benchmarks.md. What each benchmark
does, and what flatters it, is written there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import against_the_guide
import analyses
import commands
import finetuning
import many_photos
import reporting
from measuring import REPOSITORY, Family, Row, Session, machine

FAMILIES: tuple[tuple[tuple[str, ...], Family], ...] = (
    (commands.NAMES, commands.measure),
    (many_photos.NAMES, many_photos.measure),
    (analyses.NAMES, analyses.measure),
    (against_the_guide.NAMES, against_the_guide.measure),
    (finetuning.NAMES, finetuning.measure),
)
BUSY = 0.25  # of load per core before anything of ours runs
NAMES = tuple(name for names, _ in FAMILIES for name in names)


def main() -> int:
    """Run what was asked for; 1 when a target was missed."""
    options = _options()
    if options.write_docs:
        return reporting.write_docs()
    if not (options.shared / "keras_home" / "models").is_dir():
        print(f"No photos and weights under {options.shared}. Set --shared or HANDFUL_SHARED.")
        return 2
    computer = machine()
    print(reporting.describe(computer), flush=True)
    if (computer["load_before"] or 0) > BUSY * (computer["cores"] or 1):
        load = computer["load_before"]
        print(f"The machine is busy (load {load}): do not quote these numbers.", flush=True)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="handful-bench-") as scratch:
        session = Session(options.shared, Path(scratch).resolve(), quick=options.quick)
        for rows in _families(session, set(options.names or NAMES)):
            reporting.keep(rows, computer["load_before"], quick=options.quick)
            missed += sum(row.met is False for row in rows)
    print(f"\n{missed} targets missed." if missed else "\nNo target was missed.")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="less of everything; judges nothing")
    default = Path(os.environ.get("HANDFUL_SHARED") or REPOSITORY.parent / "shared")
    parser.add_argument("--shared", type=Path, default=default, help="the folder with data/ and keras_home/")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"unknown benchmarks {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    options.shared = options.shared.resolve()
    return options


def _families(session: Session, asked: set[str]) -> Iterator[list[Row]]:
    """Yield the rows of each family that has a benchmark among `asked`, printed one by one."""
    for names, measure in FAMILIES:
        chosen = asked & set(names)
        if not chosen:
            continue
        rows = []
        for row in measure(session, chosen):
            print(reporting.line(row), flush=True)
            rows.append(row)
        yield rows


if __name__ == "__main__":
    sys.exit(main())
