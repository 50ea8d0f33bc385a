"""Rows on the screen, in bench-out/, and as the table of docs/benchmarks.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from measuring import REPOSITORY, Row, machine

RESULTS = REPOSITORY / "bench-out" / "results.json"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
MARKS = "<!-- results -->", "<!-- end of results -->"
_VERDICT = {True: "met", False: "**missed**", None: ""}


def line(row: Row) -> str:
    """One row for the terminal."""
    target = f"   [{row.target}: {_VERDICT[row.met].strip('*') or 'not judged'}]" if row.target else ""
    return f"{row.name:13} {row.what}\n{'':13} {row.measured}{target}"


def describe(computer: dict[str, Any]) -> str:
    """The machine in a sentence."""
    versions = ", ".join(f"{name} {number}" for name, number in computer["versions"].items())
    return (
        f"{computer['cores']} cores of {computer['processor']}, {computer['memory_gb']} GB, "
        f"{computer['system']}, Python {computer['python']}; {versions}."
    )


def keep(rows: list[Row], load: float | None, *, quick: bool) -> Path:
    """Put rows in the place of earlier ones of the same benchmarks; other benchmarks stay.

    Args:
        rows: of whole benchmarks.
        load: of the machine before any of them ran.
        quick: keep them apart from those of full runs.
    """
    path = RESULTS.with_name("quick.json") if quick else RESULTS
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    computer = {**machine(), "load_before": load}
    for name in dict.fromkeys(row.name for row in rows):
        mine = [row.as_dict() for row in rows if row.name == name]
        kept[name] = {"machine": computer, "rows": mine}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return path


def replace_between(page: Path, marks: tuple[str, str], words: str) -> bool:
    """Replace what stands between two lines of a page; False, and said, where it lacks them."""
    text = page.read_text(encoding="utf-8")
    first, last = (text.find(mark) for mark in marks)
    if not 0 <= first < last:
        print(f"{page} lacks the lines {marks[0]} and {marks[1]}, in this order.")
        return False
    page.write_text(f"{text[: first + len(marks[0])]}\n{words}\n{text[last:]}", encoding="utf-8")
    return True


def write_docs() -> int:
    """Replace what stands between the marks of docs/benchmarks.md by the table of the last full runs."""
    if not RESULTS.is_file():
        print(f"{RESULTS} does not exist. Run `make bench` first.")
        return 2
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    if not replace_between(PAGE, MARKS, _section(results)):
        return 2
    print(f"Wrote {sum(len(one['rows']) for one in results.values())} rows into {PAGE}.")
    return 0


def _section(results: dict[str, Any]) -> str:
    """Which machine, when, and the table."""
    described = dict.fromkeys(describe(one["machine"]) for one in results.values())
    when = sorted(one["machine"]["when"] for one in results.values())
    commits = dict.fromkeys(one["machine"]["commit"] for one in results.values())
    load = max(one["machine"]["load_before"] or 0 for one in results.values())
    head = [
        *(f"Measured on {words}" for words in described),
        f"From {when[0]} to {when[-1]}, at commit {', '.join(commits)}; load before it began: {load}.",
        "",
        "| benchmark | what | measured | target | |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *(_table_row(row) for one in results.values() for row in one["rows"])])


def _table_row(row: dict[str, Any]) -> str:
    cells = row["name"], row["what"], row["measured"], row["target"], _VERDICT[row["met"]]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
