"""Corrected labels: applied to the manifest, never to the photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful.data.checks import check_manifest
from handful.data.corrections import Correction
from handful.data.manifest import Manifest
from handful.errors import DataError
from handful.progress import Silent


def table(folder: Path, *lines: str, header: str = "file,label") -> Path:
    path = folder / "fixes.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def read(pets: Path, *lines: str, **options: str) -> Manifest:
    return Manifest.read(pets, fixes=table(pets.parent, *lines, **options))


def labels(manifest: Manifest) -> dict[str, str]:
    return {row.name: row.label for row in manifest.rows}


def test_labels_are_corrected_and_photos_left_out(pets: Path) -> None:
    before = labels(Manifest.read(pets))
    found = read(pets, "cat/1.png,dog", "dog/2.png,", "dog/0.png,dog")
    assert labels(found) == {**{k: v for k, v in before.items() if k != "dog/2.png"}, "cat/1.png": "dog"}
    assert found.corrections == (
        Correction("cat/1.png", "cat", "dog"),
        Correction("dog/2.png", "dog", None),
    )
    (problem,) = found.problems
    assert (problem.severity, problem.what) == ("note", "1 label corrected and 1 photo left out by fixes.csv")


def test_no_file_is_touched(pets: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in pets.rglob("*")}
    read(pets, "cat/1.png,dog", "dog/2.png,")
    assert {p: (p.stat().st_mtime_ns, p.is_dir() or p.read_bytes()) for p in pets.rglob("*")} == before


def test_the_fingerprint_is_that_of_the_corrected_data(pets: Path) -> None:
    plain, fixed = (
        check_manifest(manifest, Silent(), workers=1).manifest
        for manifest in (Manifest.read(pets), read(pets, "cat/1.png,dog"))
    )
    assert plain.fingerprint != fixed.fingerprint
    moved = pets / "cat" / "1.png"
    moved.rename(pets / "dog" / "moved.png")
    assert check_manifest(Manifest.read(pets), Silent(), workers=1).manifest.fingerprint == fixed.fingerprint


@pytest.mark.parametrize("where", ["photos/cat/1.png", "{absolute}"])
def test_a_file_may_be_named_by_its_path(pets: Path, where: str) -> None:
    found = read(pets, f"{where.format(absolute=pets / 'cat' / '1.png')},dog")
    assert labels(found)["cat/1.png"] == "dog"


def test_unknown_files_and_classes_are_errors_told_together(pets: Path) -> None:
    found = read(pets, "cat/7.png,dog", "cat/1.png,dgo", "cat/2.png,dog", "cat/2.png,cat")
    errors = [(p.file, p.what, p.fix) for p in found.problems if p.severity == "error"]
    assert errors == [
        (
            "cat/7.png",
            "line 2 of fixes.csv: no such photo among the data",
            'Correct the name, or remove the line. Did you mean "cat/2.png"?',
        ),
        (
            "cat/1.png",
            'line 3 of fixes.csv: "dgo" is none of the 2 classes',
            'Correct it, or leave the label empty to leave the photo out. Did you mean "dog"?',
        ),
        (
            "cat/2.png",
            "line 5 of fixes.csv: an earlier line gives it another label",
            "Keep the line with the right label.",
        ),
    ]
    assert len(found.problems) == 3


def test_a_table_without_the_columns_is_refused(pets: Path) -> None:
    with pytest.raises(DataError, match=r"fixes\.csv has the columns image, class\. Expected corrections"):
        read(pets, "cat/1.png,dog", header="image,class")


def test_a_table_that_is_not_there_is_refused(pets: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        Manifest.read(pets, fixes=pets / "none.csv")
