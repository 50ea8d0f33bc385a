"""Labels: each line of the section in docs on bad input, on real tables beside real photos."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pandas
import pytest

from handful.data.manifest import Manifest
from handful.errors import DataError, Problem


@pytest.fixture
def labels(photo, tmp_path):
    """Write labels.csv beside img/cat.png and img/dog.png and read it."""
    photo("img/cat.png")
    photo("img/dog.png")

    def read(text: str, **options) -> Manifest:
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return Manifest.read(tmp_path / "labels.csv", **options)

    return read


GOOD = "path,label\nimg/cat.png,cat\nimg/dog.png,dog\n"


def only(manifest: Manifest, severity: str) -> Problem:
    (problem,) = (problem for problem in manifest.problems if problem.severity == severity)
    return problem


def test_paths_count_from_the_folder_of_the_table(labels, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    manifest = labels(GOOD)
    assert [row.path for row in manifest.rows] == [tmp_path / "img/cat.png", tmp_path / "img/dog.png"]
    assert [row.name for row in manifest.rows] == ["img/cat.png", "img/dog.png"]
    assert (manifest.classes, manifest.root, manifest.problems) == (("cat", "dog"), None, ())


def test_absolute_paths_and_tsv_work(labels, tmp_path):
    (tmp_path / "deep").mkdir()
    table = tmp_path / "deep" / "labels.TSV"
    table.write_text(
        f"label\tpath\ncat\t{tmp_path / 'img/cat.png'}\ndog\t../img/dog.png\n", encoding="utf-16"
    )
    assert [row.label for row in Manifest.read(table).rows] == ["cat", "dog"]


def test_group_and_split_are_read_and_columns_may_stand_anywhere(labels):
    manifest = labels("Split, GROUP ,Label,Path\nValid,rex,dog,img/dog.png\n,,dog,img/cat.png\n")
    assert [(row.split, row.group) for row in manifest.rows] == [("validation", "rex"), ("train", None)]


def test_an_unknown_split_is_left_out_with_the_nearest(labels):
    manifest = labels("path,label,split\nimg/cat.png,cat,train\nimg/dog.png,cat,vaild\n")
    warning = only(manifest, "warning")
    assert (warning.file, warning.what) == ("img/dog.png", 'line 3 of labels.csv: unknown split "vaild"')
    assert 'Did you mean "valid"?' in warning.fix
    assert (len(manifest.rows), manifest.left_out) == (1, 1)


def test_a_missing_file_gives_line_value_and_nearest(labels, tmp_path):
    manifest = labels(GOOD + "img/dgo.png,dog\n")
    warning = only(manifest, "warning")
    assert warning.file == "img/dgo.png"
    assert warning.what == f'line 4 of labels.csv: no such file: "img/dgo.png", looked for in {tmp_path}'
    assert warning.fix.endswith('Did you mean "dog.png"?')
    assert (len(manifest.rows), manifest.left_out) == (2, 1)


def test_a_table_of_which_no_file_exists_is_refused(labels, tmp_path):
    with pytest.raises(DataError, match=r"none of 2 lines can be used. Relative paths count from") as caught:
        labels("path,label\nx/1.png,cat\nx/2.png,dog\n")
    assert str(tmp_path) in str(caught.value)
    assert len(caught.value.problems) == 2


def test_a_header_alone_is_refused(labels):
    with pytest.raises(DataError, match="none of 0 lines can be used"):
        labels("path,label\n")


@pytest.mark.parametrize("label", ["", "  ", '""'])
def test_an_empty_label_is_left_out_with_its_line(labels, label):
    manifest = labels(f"path,label\nimg/cat.png,{label}\nimg/dog.png,dog\n")
    warning = only(manifest, "warning")
    assert (warning.file, warning.what) == ("img/cat.png", "line 2 of labels.csv: the label is empty")
    assert manifest.classes == ("dog",)


def test_an_empty_path_is_left_out_with_its_line(labels):
    warning = only(labels(GOOD + ",dog\n"), "warning")
    assert (warning.file, warning.what) == ("labels.csv", "line 4 of labels.csv: the path is empty")


@pytest.mark.parametrize("line", ["img/cat.png", "img, cat.png,cat"])
def test_a_line_with_too_few_or_too_many_values_is_left_out(labels, line):
    warning = only(labels(GOOD + line + "\n"), "warning")
    assert "values, the header names 2" in warning.what
    assert warning.what.startswith("line 4 of labels.csv")


def test_trailing_delimiters_are_no_values(labels):
    assert labels("path,label\nimg/cat.png,cat,,\nimg/dog.png,dog,,\n").problems == ()


def test_conflicting_labels_for_one_path_leave_it_out(labels):
    manifest = labels(GOOD + "./img/dog.png,cat\n")
    warning = only(manifest, "warning")
    assert warning.file == "img/dog.png"
    assert warning.what == 'labels.csv gives it different labels: "dog" in line 3, "cat" in line 4; left out'
    assert [row.name for row in manifest.rows] == ["img/cat.png"]


def test_a_repeated_line_is_used_once_and_said(labels):
    manifest = labels(GOOD + "img/dog.png,dog\nimg/dog.png,dog\n")
    note = only(manifest, "note")
    assert note.what == "labels.csv lists it 3 times: line 3, line 4, line 5; used once"
    assert (len(manifest.rows), manifest.left_out) == (2, 0)


def test_twin_labels_are_said_with_their_lines_and_stay_separate(labels, photo):
    for name in "abc":
        photo(f"img/{name}.png")
    manifest = labels("path,label\nimg/a.png,Cat\nimg/b.png,cat \nimg/c.png,CAT\nimg/dog.png,dog\n")
    warning = only(manifest, "warning")
    assert "'CAT' (line 4 of labels.csv), 'Cat' (line 2 of labels.csv), 'cat ' (line 3" in warning.what
    assert manifest.classes == ("CAT", "Cat", "cat ", "dog")
    assert manifest.merge_twins().classes == ("cat ", "dog")


def test_an_unknown_column_is_named_with_the_nearest(labels):
    note = only(labels("path,label,gruop,width\nimg/cat.png,cat,tom,20\nimg/dog.png,dog,rex,20\n"), "note")
    assert note.what == "unknown columns ignored: gruop, width"
    assert 'Did you mean "group"?' in note.fix


def test_a_missing_column_is_refused_with_what_is_there(labels):
    with pytest.raises(
        DataError, match=r"no column 'label'; its first line is: path, lable. Did you mean \"lable\"\?"
    ):
        labels("path,lable\nimg/cat.png,cat\n")


def test_a_table_without_header_is_refused_with_its_first_line(labels):
    with pytest.raises(
        DataError, match=r"no column 'path'; its first line is: img/cat.png, cat.*add the header line"
    ):
        labels("img/cat.png,cat\nimg/dog.png,dog\n")


def test_a_column_named_twice_is_refused(labels):
    with pytest.raises(DataError, match="two columns named 'label'"):
        labels("path,label,Label\nimg/cat.png,cat,dog\n")


@pytest.mark.parametrize("value", ["1.23E+11", "1,2E+05", "#####", "#NAME?", "1-Mar", "Sep-02"])
def test_ids_changed_by_a_spreadsheet_are_said(labels, value):
    manifest = labels(f'path,label,group\nimg/cat.png,cat,"{value}"\nimg/dog.png,dog,7\n')
    assert only(manifest, "warning").what == f'line 2 of labels.csv: a spreadsheet changed "{value}"?'
    warning = only(labels(GOOD + f'"{value}.png",dog\n'), "warning")
    assert "A spreadsheet seems to have changed the name" in warning.fix


def test_lost_zeros_lead_to_the_file(labels, photo):
    photo("img/00017.png")
    assert 'Did you mean "00017.png"?' in only(labels(GOOD + "img/0017.png,dog\n"), "warning").fix


def test_windows_separators_spaces_and_unicode_forms_still_find_the_file(labels, photo):
    photo("img/" + unicodedata.normalize("NFD", "é.png"))
    manifest = labels("path,label\nimg\\cat.png,cat\n img/dog.png ,dog\nimg/\u00e9.png,dog\n")
    assert len(manifest.rows) == 3


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_table_in_another_encoding_finds_names_in_that_encoding(labels, tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as stream:
        stream.write(b"x")
    (tmp_path / "labels.csv").write_bytes(b"path,label\ncaf\xe9.png,cat\n")
    (row,) = Manifest.read(tmp_path / "labels.csv").rows
    assert os.path.exists(row.path)


def test_a_name_longer_than_the_system_allows_is_missing_like_any_other(labels):
    assert "no such file" in only(labels(GOOD + "x" * 5000 + ".png,dog\n"), "warning").what


@pytest.mark.parametrize("label", ["../x", "<script>alert(1)</script>", "/etc/passwd", "a\nb", "=1+1"])
def test_a_label_is_data(labels, label):
    assert label in labels(f'path,label\nimg/cat.png,"{label}"\nimg/dog.png,dog\n').classes


def test_a_table_of_contradictions_is_refused_with_them(labels):
    with pytest.raises(
        DataError, match=r'None of 0 usable photos .*"cat" in line 2, "dog" in line 3; left out'
    ):
        labels("path,label\nimg/cat.png,cat\nimg/cat.png,dog\n")


def test_only_validation_rows_are_refused(labels):
    with pytest.raises(DataError, match=r"None of 2 usable photos is for training"):
        labels("path,label,split\nimg/cat.png,cat,val\nimg/dog.png,dog,test\n")


def test_labels_to_score_must_be_among_the_classes(labels):
    manifest = labels("path,label\nimg/cat.png,catt\nimg/dog.png,dog\n", classes=["cat", "dog"])
    error = only(manifest, "error")
    assert (error.file, 'Did you mean "cat"?' in error.fix) == ("catt", True)
    assert [row.name for row in manifest.to_score().rows] == ["img/dog.png"]


def test_a_data_frame_is_read_like_a_table(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame(
        {
            "path": ["img/cat.png", Path("img/dog.png"), "img/none.png", "img/cat.png"],
            "label": [1.0, 2.0, 2.0, None],
            "group": pandas.array([7, None, None, None], dtype="Int64"),
        },
        index=[10, 20, 30, 40],
    )
    manifest = Manifest.read(frame)
    assert [(row.name, row.label, row.group) for row in manifest.rows] == [
        ("img/cat.png", "1", "7"),
        ("img/dog.png", "2", None),
    ]
    told = [problem.what.partition(":")[0] for problem in manifest.problems]
    assert told == ["row 2 of the data frame", "row 3 of the data frame"]


def test_pairs_are_read_like_a_table(labels, tmp_path):
    manifest = Manifest.read([(tmp_path / "img/cat.png", "cat"), (str(tmp_path / "img/dog.png"), "dog")])
    assert manifest.counts == {"cat": 1, "dog": 1}
    with pytest.raises(DataError, match=r"Item 0 of the list is 'ab'. Expected pairs"):
        Manifest.read(["ab"])  # type: ignore[list-item]


def test_something_else_is_refused_by_its_type():
    with pytest.raises(DataError, match=r"Photos were given as int. Expected a folder"):
        Manifest.read(7)  # type: ignore[arg-type]
