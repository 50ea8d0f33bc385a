"""Corrections: labels that the user found wrong, written in a table of their own; no photo is touched.

file,label
cats/12.jpg,dog       this one is a dog
cats/13.jpg,          leave this one out
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from handful.data.names import counted, did_you_mean, printable
from handful.data.row import Row
from handful.data.tables import Table, describe_header, read_table
from handful.errors import DataError, Problem

_FILE, _LABEL = ("file", "path"), "label"


@dataclass(frozen=True)
class Correction:
    """One row whose label was changed.

    Attributes:
        file: its name as the manifest has it.
        label: what the data set said.
        corrected: what the user says; None leaves the photo out.
    """

    file: str
    label: str
    corrected: str | None


@dataclass(frozen=True)
class Corrected:
    """Rows after the corrections.

    Attributes:
        rows: with their new labels, in order; rows to be left out are gone.
        made: the corrections that changed something.
        problems: lines that could not be used, as errors; and how many were made.
    """

    rows: tuple[Row, ...]
    made: tuple[Correction, ...]
    problems: tuple[Problem, ...]


def corrected(rows: Sequence[Row], classes: Sequence[str], path: str | os.PathLike[str]) -> Corrected:
    """Apply a table of corrections.

    Args:
        rows: of the manifest.
        classes: what a label may be.
        path: a CSV or TSV with the columns file (or path) and label; an empty label leaves the photo out.
            A file is named as in Handful's tables, or by its path, relative paths from the table's folder.

    Raises:
        DataError: the table cannot be read, or lacks a column.
    """
    table = read_table(Path(path))
    wanted, problems = _wanted(table, rows, classes)
    made = tuple(
        Correction(row.name, row.label, wanted[at])
        for at, row in enumerate(rows)
        if at in wanted and wanted[at] != row.label
    )
    new = (replace(row, label=wanted.get(at, row.label) or "") for at, row in enumerate(rows))
    kept = tuple(row for at, row in enumerate(new) if wanted.get(at, "") is not None)
    told = [] if problems else [_told(made, table.name)]
    return Corrected(kept, made, (*table.problems, *problems, *told))


def _wanted(
    table: Table, rows: Sequence[Row], classes: Sequence[str]
) -> tuple[dict[int, str | None], list[Problem]]:
    """The label wanted for rows by position, None for leaving out; and what is wrong with the lines."""
    at_file, at_label = _columns(table)
    places = _places(rows)
    wanted: dict[int, str | None] = {}
    problems = []
    for line in table.lines:
        cells = [*line.cells, *[""] * len(table.header)]
        file, label = cells[at_file].strip(), cells[at_label].strip() or None
        found = places.get(file) or places.get(os.path.abspath(table.base / file), [])
        what, fix = _wrong(file, label, found, rows, classes)
        if not what and any(wanted.get(at, label) != label for at in found):
            what, fix = "an earlier line gives it another label", "Keep the line with the right label."
        if what:
            told = f"{line.where} of {table.name}: {what}"
            problems.append(Problem("error", printable(file) or table.name, told, fix))
        else:
            wanted.update(dict.fromkeys(found, label))
    return wanted, problems


def _columns(table: Table) -> tuple[int, int]:
    """Positions of the file and the label.

    Raises:
        DataError: one of them is missing.
    """
    names = [column.strip().lower() for column in table.header]
    file = next((names.index(name) for name in _FILE if name in names), None)
    if file is None or _LABEL not in names:
        raise DataError(
            f"{table.name} has the columns {describe_header(table.header)}. Expected corrections: a header "
            "line with file and label, and a line for each photo to correct. Rename the columns."
        )
    return file, names.index(_LABEL)


def _places(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Every way to name a row, and the rows it names."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for name in {row.name, row.shown, os.path.abspath(row.path)}:
            places[name].append(at)
    return dict(places)


def _wrong(
    file: str, label: str | None, found: list[int], rows: Sequence[Row], classes: Sequence[str]
) -> tuple[str, str]:
    """What is wrong with a line and what to do, or two empty texts."""
    if not found:
        near = did_you_mean(file, (row.name for row in rows))
        return "no such photo among the data", f"Correct the name, or remove the line.{near}"
    if label is not None and label not in classes:
        near = did_you_mean(label, classes)
        what = f'"{printable(label)}" is none of the {len(classes)} classes'
        return what, f"Correct it, or leave the label empty to leave the photo out.{near}"
    return "", ""


def _told(made: Sequence[Correction], name: str) -> Problem:
    out = sum(correction.corrected is None for correction in made)
    what = f"{counted(len(made) - out, 'label')} corrected and {counted(out, 'photo')} left out by {name}"
    return Problem("note", "", what, "The photos and their folders stay as they are.")
