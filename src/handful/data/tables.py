"""Table: a CSV, TSV or data frame as a header and numbered lines of text.

Spreadsheets write tables in many dialects: the encoding is taken from the byte-order mark or tried in
turn, the delimiter from the header line. What the columns mean is for `records.py`.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from handful.data.names import printable, some
from handful.errors import DataError, Problem

SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})
_DELIMITERS = ",;\t|"
# UTF-32 before UTF-16: its little-endian mark begins with UTF-16's.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]


@runtime_checkable
class Frame(Protocol):
    """What Handful needs of a pandas data frame; pandas itself is never imported."""

    columns: Any

    def itertuples(self, index: bool, name: str | None) -> Iterable[tuple[Any, ...]]:
        """Yield the rows."""
        ...

    def notna(self) -> Any:
        """Say which cells hold a value."""
        ...


@dataclass(frozen=True)
class Line:
    """One row of a table: where it stands ("line 7") and its cells as text, one per column."""

    where: str
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A table read, not yet understood.

    Attributes:
        name: what messages call it ("labels.csv").
        header: the column names as written.
        lines: the rows, without blank ones.
        base: relative paths are resolved from here.
        encoding: how it was decoded; "" when it was text already.
        problems: what was noticed while reading.
    """

    name: str
    header: list[str]
    lines: list[Line]
    base: Path
    encoding: str = ""
    problems: list[Problem] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read a CSV or TSV file; paths in it count from the folder it lies in.

    Raises:
        DataError: unreadable, empty, binary, or a quote is never closed.
    """
    name = printable(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"{printable(str(path))} cannot be read: {error.strerror}"
        raise DataError(f"{what}. Check that it is a file you may open.") from error
    text, encoding = _decoded(data, name)
    hint, text = _separator_line(text)
    delimiter = hint or _delimiter(text)
    lines = list(_lines(text, delimiter, name, first=2 if hint else 1))
    if not lines:
        raise DataError(f"{name} is empty. Expected a header line, path,label, and a line for each photo.")
    problems = _encoding_notes(encoding, name)
    return Table(name, lines[0].cells, lines[1:], path.parent, encoding, problems)


def read_frame(frame: Frame) -> Table:
    """Read a pandas data frame with columns path and label; paths count from the working folder."""
    header = [str(column) for column in frame.columns]
    rows = frame.itertuples(index=False, name=None)
    known = frame.notna().itertuples(index=False, name=None)
    lines = []
    for number, (row, is_there) in enumerate(zip(rows, known, strict=True)):
        cells = [_text(cell) if there else "" for cell, there in zip(row, is_there, strict=True)]
        lines.append(Line(f"row {number}", cells))
    return Table("the data frame", header, lines, Path())


def read_pairs(pairs: Sequence[tuple[str | os.PathLike[str], str]]) -> Table:
    """Read (path, label) pairs; paths count from the working folder.

    Raises:
        DataError: an item is not a pair.
    """
    lines = []
    for number, pair in enumerate(pairs):
        if isinstance(pair, str | os.PathLike) or len(pair) != 2:
            raise DataError(f"Item {number} of the list is {pair!r}. Expected pairs of (path, label).")
        lines.append(Line(f"item {number}", [_text(pair[0]), _text(pair[1])]))
    return Table("the list", ["path", "label"], lines, Path())


def _text(cell: object) -> str:
    """Return a cell as text; a whole float is an integer id that pandas widened beside an empty cell."""
    if cell is None:
        return ""
    if isinstance(cell, os.PathLike | str | bytes):
        return os.fsdecode(cell)
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    """Return the text and its encoding: by mark, by its zero bytes, else UTF-8, else Windows-1252."""
    marked = [encoding for mark, encoding in _MARKS if data.startswith(mark)]
    for encoding in marked[:1] or _likely_encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise DataError(
        f"{name} is not a text table, or its encoding is unknown. Save it as CSV with the encoding UTF-8."
    )


def _likely_encodings(data: bytes) -> list[str]:
    # A path and a label are mostly ASCII, so in UTF-16 nearly every second byte is zero.
    head = data[:4096]
    if head[1::2].count(0) > len(head) // 4:
        return ["utf-16-le"]
    if head[0::2].count(0) > len(head) // 4:
        return ["utf-16-be"]
    return ["utf-8", "cp1252"]


def _encoding_notes(encoding: str, name: str) -> list[Problem]:
    if encoding != "cp1252":
        return []
    what = "not UTF-8; read as Windows-1252"
    return [Problem("note", name, what, "If names look wrong, save it as CSV with the encoding UTF-8.")]


def _separator_line(text: str) -> tuple[str, str]:
    """Split off the "sep=;" line that Excel writes and understands: (delimiter or "", the rest)."""
    head, _, rest = text.partition("\n")
    head = head.strip("\r").strip('"')
    if head.lower().startswith("sep=") and len(head) == 5:
        return head[4], rest
    return "", text


def _delimiter(text: str) -> str:
    """Return the delimiter with which the header names a path and a label, else the most columns."""
    head = next((line for line in text.splitlines() if line.strip()), "")

    def columns(delimiter: str) -> tuple[bool, int]:
        cells = next(csv.reader([head], delimiter=delimiter), [])
        return {"path", "label"} <= {cell.strip().lower() for cell in cells}, len(cells)

    return max(_DELIMITERS, key=columns)


def _lines(text: str, delimiter: str, name: str, first: int) -> Iterator[Line]:
    """Yield the lines that hold something, numbered as an editor numbers them.

    Strict: a quote that is never closed would otherwise swallow the rest of the file as one cell.
    """
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    number = first
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Line(f"line {number}", cells)
            number = first + reader.line_num
    except csv.Error as error:
        fix = "Check the quotes: each needs its pair, and one inside a value is doubled."
        raise DataError(f"{name}, line {number}: {error}. {fix}") from error


def describe_header(header: Sequence[str]) -> str:
    """Return the columns for a message."""
    return some((column or "(no name)" for column in header), most=8)
