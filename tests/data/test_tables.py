"""Tables: encodings, delimiters and quotes as spreadsheets write them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from handful.data.tables import read_table
from handful.errors import DataError


@pytest.fixture
def table(tmp_path: Path):
    """Write bytes to labels.csv and read them as header and cells."""

    def read(data: bytes):
        path = tmp_path / "labels.csv"
        path.write_bytes(data)
        return read_table(path)

    return read


PLAIN = "path,label\nFüße/1.jpg,Füße\n"
CELLS = [["Füße/1.jpg", "Füße"]]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        codecs.BOM_UTF8 + PLAIN.encode(),
        codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("cp1252"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "|").encode(),
        PLAIN.replace(",", ", ").encode(),
        b"sep=;\r\n" + PLAIN.replace(",", ";").encode(),
        ("\n\n" + PLAIN + "\n , \n").encode(),
        b'"path","label"\n"F\xc3\xbc\xc3\x9fe/1.jpg","F\xc3\xbc\xc3\x9fe"\n',
    ],
)
def test_every_dialect_gives_the_same_cells(table, data):
    read = table(data)
    assert read.header == ["path", "label"]
    assert [line.cells for line in read.lines] == CELLS


def test_windows_1252_is_said(table):
    (note,) = table(PLAIN.encode("cp1252")).problems
    assert (note.severity, note.file, note.what) == ("note", "labels.csv", "not UTF-8; read as Windows-1252")


def test_quoted_delimiters_quotes_and_line_breaks_are_kept(table):
    read = table(b'path,label\n"a, b.jpg","say ""hi"""\n"two\nlines.jpg",dog\nlast.jpg,cat\n')
    assert [line.cells for line in read.lines] == [
        ["a, b.jpg", 'say "hi"'],
        ["two\nlines.jpg", "dog"],
        ["last.jpg", "cat"],
    ]
    assert [line.where for line in read.lines] == ["line 2", "line 3", "line 5"]


def test_a_delimiter_inside_values_does_not_win_over_the_header(table):
    read = table(b"path;label\na,b,c,d.jpg;cat\n")
    assert [line.cells for line in read.lines] == [["a,b,c,d.jpg", "cat"]]


def test_lines_are_numbered_as_an_editor_does_below_a_separator_line(table):
    assert [line.where for line in table(b"sep=,\npath,label\n\na.jpg,cat\n").lines] == ["line 4"]


def test_a_quote_that_is_never_closed_is_refused_with_its_line(table):
    with pytest.raises(DataError, match=r"labels\.csv, line 3: .*Check the quotes"):
        table(b'path,label\na.jpg,cat\n"b.jpg,dog\nc.jpg,cat\n')


@pytest.mark.parametrize("data", [b"", b"\n\n", codecs.BOM_UTF8])
def test_an_empty_table_is_refused(table, data):
    with pytest.raises(DataError, match=r"labels\.csv is empty. Expected a header line"):
        table(data)


@pytest.mark.parametrize("data", [b"PK\x03\x04\x00\x00\x00\x00\x81\x8d", b"\x00" * 50, bytes(range(256))])
def test_a_spreadsheet_file_named_csv_is_refused(table, data):
    with pytest.raises(DataError, match="is not a text table"):
        table(data)


def test_a_huge_cell_is_refused_not_read_forever(table):
    with pytest.raises(DataError, match="field larger than field limit"):
        table(b"path,label\n" + b"a" * 200_000 + b",cat\n")


def test_an_unreadable_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_table(tmp_path)
