"""Records: the lines of a table understood as photos with labels, groups and splits.

Each fault is told with its line, the value found and the nearest that exists; the other lines are used.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from handful.data.names import did_you_mean, find_twins, printable, some
from handful.data.row import SPLIT_NAMES, Reading, Row, Split, split_named
from handful.data.tables import Line, Table, describe_header
from handful.errors import DataError, Problem

_COLUMNS = ("path", "label", "group", "split")
_MOST_SUGGESTIONS = 20  # a table of another dataset misses every file: no need to search for each
# What spreadsheets make of ids: 1.23E+11 for 123456789012, ##### for a narrow column, 1-Mar for MAR1.
_MANGLED = re.compile(
    r"\d+([.,]\d+)?E\+\d+|#{3,}|#(NAME\?|N/A|REF!|VALUE!|DIV/0!)"
    r"|\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d\d"
)


@dataclass
class _Reader:
    """One table on its way to rows."""

    table: Table
    columns: dict[str, int]
    default: Split
    reading: Reading = field(default_factory=Reading)
    lines: dict[str, list[tuple[Line, Row]]] = field(default_factory=lambda: defaultdict(list))
    suggestions: int = 0
    mangled: dict[str, str] = field(default_factory=dict)


def read_records(table: Table, default: Split = "train") -> Reading:
    """Understand a table with the columns path and label, and optionally group and split.

    Args:
        table: as read.
        default: the split of rows that name none.

    Raises:
        DataError: a column is missing or named twice, or no line can be used.
    """
    reader = _Reader(table, _columns(table), default)
    reader.reading.problems += table.problems + _unknown_columns(table)
    for line in table.lines:
        _read_line(line, reader)
    _refuse_none(reader)
    reader.reading.rows = list(_rows(reader))
    reader.reading.problems += _mangled_problems(reader) + find_twins(reader.reading.places)
    return reader.reading


def _columns(table: Table) -> dict[str, int]:
    """Return the position of each known column.

    Raises:
        DataError: path or label is missing, or a known column stands there twice.
    """
    names = [column.strip().lower() for column in table.header]
    for wanted in _COLUMNS:
        if names.count(wanted) > 1:
            raise DataError(f"{table.name} has two columns named {wanted!r}. Rename or remove one.")
    for wanted in ("path", "label"):
        if wanted not in names:
            raise DataError(
                f"{table.name} has no column {wanted!r}; its first line is: {describe_header(table.header)}."
                f"{did_you_mean(wanted, table.header)} Expected a header with path and label, and optionally "
                "group and split. Rename the columns, or add the header line."
            )
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _unknown_columns(table: Table) -> list[Problem]:
    unknown = [column for column in table.header if column.strip().lower() not in _COLUMNS]
    if not unknown:
        return []
    near = "".join(did_you_mean(column, ("group", "split")) for column in unknown[:3] if column.strip())
    what = f"unknown columns ignored: {describe_header(unknown)}"
    return [Problem("note", table.name, what, f"Known are path, label, group and split.{near}")]


def _read_line(line: Line, reader: _Reader) -> None:
    """Add one line, or say why it is left out."""
    width = len(reader.table.header)
    if len(line.cells) < max(reader.columns.values()) + 1 or any(cell.strip() for cell in line.cells[width:]):
        what = f"{len(line.cells)} values, the header names {width}: {some(line.cells)}"
        return _leave_out(line, reader, "", what, "Put quotes around a value that holds the delimiter.")
    cells = {name: line.cells[at] for name, at in reader.columns.items()}
    path, label = cells["path"], cells["label"]
    if not path.strip() or "\0" in path:
        return _leave_out(line, reader, "", "the path is empty", "Write it, or remove the line.")
    if not label.strip():
        return _leave_out(line, reader, path, "the label is empty", "Write it, or remove the line.")
    named = cells.get("split", "").strip()
    split = split_named(named) if named else reader.default
    if split is None:
        near = did_you_mean(named, SPLIT_NAMES) or " Expected train, validation or test."
        return _leave_out(line, reader, path, f'unknown split "{printable(named)}"', f"Correct it.{near}")
    found = _locate(path, reader.table)
    if found is None:
        return _leave_out(line, reader, path, _missing(path, reader), _missing_fix(path, reader))
    _keep(line, Row(found, path, label, cells.get("group", "").strip() or None, split), reader)
    return None


def _leave_out(line: Line, reader: _Reader, path: str, what: str, fix: str) -> None:
    reader.reading.left_out += 1
    told = f"{_where(line, reader)}: {what}"
    reader.reading.problems.append(Problem("warning", printable(path) or reader.table.name, told, fix))


def _where(line: Line, reader: _Reader) -> str:
    return f"{line.where} of {reader.table.name}"


def _keep(line: Line, row: Row, reader: _Reader) -> None:
    reader.reading.places.setdefault(row.label, _where(line, reader))
    for value in (row.label, row.group or ""):
        if _MANGLED.fullmatch(value.strip()):
            reader.mangled.setdefault(value, _where(line, reader))
    reader.lines[os.path.abspath(row.path)].append((line, row))


def _locate(path: str, table: Table) -> Path | None:
    """Return the file that a cell means, trying what spreadsheets and other systems change in a name."""
    for spelling in _spellings(path, table.encoding):
        found = table.base / spelling
        try:
            if found.exists() or found.is_symlink():
                return found
        except (OSError, ValueError):  # a name too long for the system is missing like any other
            continue
    return None


def _spellings(path: str, encoding: str) -> Iterator[str]:
    stripped = path.strip()
    yield from (path, stripped, stripped.replace("\\", "/"))
    yield unicodedata.normalize("NFC", stripped)
    yield unicodedata.normalize("NFD", stripped)
    if encoding == "cp1252":  # the table may hold the name's own bytes, which are no UTF-8 on the disk either
        yield os.fsdecode(stripped.encode("cp1252"))


def _missing(path: str, reader: _Reader) -> str:
    return f'no such file: "{printable(path)}", looked for in {printable(str(reader.table.base.absolute()))}'


def _missing_fix(path: str, reader: _Reader) -> str:
    """Say the nearest file that exists in the folder meant, and what a spreadsheet may have done."""
    fix = "Correct the path, or remove the line."
    if _MANGLED.fullmatch(Path(path).stem):
        fix += " A spreadsheet seems to have changed the name: format the column as text and export again."
    reader.suggestions += 1
    if reader.suggestions > _MOST_SUGGESTIONS:
        return fix
    folder = (reader.table.base / path).parent
    try:
        near = did_you_mean(Path(path).name, sorted(os.listdir(folder)))
    except (OSError, ValueError):
        near = ""
    return fix + near


def _refuse_none(reader: _Reader) -> None:
    if reader.lines:
        return
    problems = reader.reading.problems
    first = [f"{p.file}: {p.what}. {p.fix}" for p in problems if p.severity == "warning"][:3]
    raise DataError(
        f"{reader.table.name}: none of {len(reader.table.lines):,} lines can be used. "
        f"Relative paths count from {printable(str(reader.table.base.absolute()))}. " + " ".join(first),
        problems,
    )


def _rows(reader: _Reader) -> Iterator[Row]:
    """Yield each file once; a file with two labels not at all, for neither can be trusted."""
    for kept in reader.lines.values():
        labels = sorted({row.label for _, row in kept})
        if len(labels) > 1:
            reader.reading.left_out += len(kept)
            reader.reading.problems.append(_conflict(kept, reader))
            continue
        by_split: dict[Split, list[tuple[Line, Row]]] = defaultdict(list)
        for line, row in kept:
            by_split[row.split].append((line, row))
        for same in by_split.values():
            yield same[0][1]
            reader.reading.problems += _repeats(same, reader)


def _conflict(kept: list[tuple[Line, Row]], reader: _Reader) -> Problem:
    told = some(f'"{row.label}" in {line.where}' for line, row in kept)
    what = f"{reader.table.name} gives it different labels: {told}; left out"
    return Problem("warning", kept[0][1].shown, what, "Keep the line with the right label.")


def _repeats(same: list[tuple[Line, Row]], reader: _Reader) -> list[Problem]:
    if len(same) == 1:
        return []
    places = some(line.where for line, _ in same)
    what = f"{reader.table.name} lists it {len(same)} times: {places}; used once"
    return [Problem("note", same[0][1].shown, what, "Remove the repeated lines.")]


def _mangled_problems(reader: _Reader) -> list[Problem]:
    fix = "If it should be an id or a name, format the column as text and export the table again."
    return [
        Problem("warning", reader.table.name, f'{where}: a spreadsheet changed "{printable(value)}"?', fix)
        for value, where in reader.mangled.items()
    ]
