r"""Manifest: the photos of one data set with their labels, read from a folder, a table or pairs.

    Manifest.read("photos/")            a folder per class; train/, val/ and test/ are understood
    Manifest.read("labels.csv")         path,label and optionally group,split
    Manifest.read([("a.jpg", "cat"), ("b.jpg", "dog")])
    Manifest.read("photos/", group_by=r"plant_(\d+)", fixes="corrected.csv")

Reading opens no photo and writes nothing. What was found besides is in `problems`; `checks.py` adds what
only the photos can tell.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from handful.data.corrections import Correction, corrected
from handful.data.grouping import grouped
from handful.data.layout import read_folder
from handful.data.listing import photos_under
from handful.data.names import counted, did_you_mean, printable, twin_groups
from handful.data.records import read_records
from handful.data.row import Reading, Row, Split
from handful.data.tables import SUFFIXES, Frame, read_frame, read_pairs, read_table
from handful.errors import ConfigError, DataError, Problem

__all__ = ["Manifest", "Row", "Source", "Split", "photos_under"]


@dataclass(frozen=True)
class Manifest:
    """Labelled photos and the classes their labels are among.

    Attributes:
        rows: the photos, in reading order: folders by name, tables by line.
        classes: class names by code point, from the training rows; the order is fixed from here on and
            position is the label's number.
        root: the folder read; None for a table, a data frame or pairs.
        problems: what reading found, errors included: `checks.raise_if_errors` raises them together.
        left_out: rows of a table that cannot be used; they count as bad beside unreadable photos.
        corrections: labels that `fixes` changed.
        group_by: the pattern that gave the groups; None where a column did, or nothing.
        burst: photos taken within so many seconds of each other are kept together; None: they are not.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    root: Path | None = None
    problems: tuple[Problem, ...] = ()
    left_out: int = 0
    corrections: tuple[Correction, ...] = ()
    group_by: str | None = None
    burst: float | None = None

    @classmethod
    def read(
        cls,
        source: Source,
        *,
        classes: Sequence[str] | None = None,
        group_by: str | None = None,
        fixes: str | os.PathLike[str] | None = None,
        burst: float | None = None,
    ) -> Manifest:
        """Read a data set.

        Args:
            source: a folder, a .csv or .tsv file, a pandas data frame, (path, label) pairs, or a
                Manifest, which is returned as it is.
            classes: the classes of a trained model, in its order, when the photos are to be scored.
                Every label must be among them; one class is enough, training rows may be missing, and
                rows outside a named split count as "test". Then use `to_score`.
            group_by: a regular expression with one capturing group, for file names: photos for which it
                captures the same text (one plant, one patient) are never parted by a fold or split.
            fixes: a table of corrected labels with the columns file and label; an empty label leaves the
                photo out. The photos are not touched.
            burst: keep photos of one camera together that were taken within so many seconds of the one
                before, by their EXIF times.

        Raises:
            DataError: the source is missing, empty, of an unknown kind, or laid out in a way that cannot
                be meant. Faults of single files, lines and classes are collected in `problems`.
            ConfigError: the seconds of a burst are negative.
        """
        if isinstance(source, Manifest):
            manifest = source if classes is None else _manifest(_reading_of(source), classes)
        else:
            manifest = _manifest(_read(source, classes), classes)
        return _in_bursts(_grouped(_corrected(manifest, fixes), group_by), burst)

    def of(self, split: Split) -> Manifest:
        """Return the rows of one split; classes stay."""
        return self.keep(row for row in self.rows if row.split == split)

    def keep(self, rows: Iterable[Row]) -> Manifest:
        """Return the manifest with these rows instead; classes, root and problems stay."""
        return replace(self, rows=tuple(rows))

    def to_score(self) -> Manifest:
        """Return the rows to score: the test photos, or the validation photos where there are none.

        Raises:
            DataError: there are training photos only; scoring those would flatter.
        """
        for split in ("test", "validation"):
            part = self.of(split)
            if part.rows:
                return part
        raise DataError(
            f"All {counted(len(self.rows), 'photo')} are training photos. A score needs photos that were not "
            "trained on. Pass the path of a folder with test/ or val/, or of a plain folder per class."
        )

    @property
    def labels(self) -> np.ndarray:
        """The rows' labels as numbers: int64, shape (n,), each in [0, k), k the number of classes."""
        number = {name: at for at, name in enumerate(self.classes)}
        return np.array([number[row.label] for row in self.rows], dtype=np.int64)

    @property
    def locations(self) -> list[str]:
        """Where each row's file is: its name below `root`, or its absolute path where there is no root."""
        return [row.name if self.root is not None else str(row.path.absolute()) for row in self.rows]

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each class, in class order, zero included."""
        found = Counter(row.label for row in self.rows)
        return {name: found[name] for name in self.classes}

    @property
    def fingerprint(self) -> str:
        """The hex sha256 over the sorted (sha256, label, split) of all rows: equal for equal data.

        Names and places do not count, so a moved or renamed data set keeps its fingerprint.

        Raises:
            DataError: a file's sha256 is not known yet.
        """
        unread = [row for row in self.rows if row.sha256 is None]
        if unread:
            raise DataError(
                f"{unread[0].shown} was not read yet, so the data have no fingerprint. "
                "Use the manifest that check_manifest or train gives back."
            )
        content = sorted((row.sha256, row.label, row.split) for row in self.rows)
        return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()

    def merge_twins(self) -> Manifest:
        """Join classes whose names differ only in case, spaces or Unicode form, under the commonest spelling.

        Never done unasked: `read` only warns of them.
        """
        count = Counter(row.label for row in self.rows)
        new = {
            name: max(group, key=lambda spelling: (count[spelling], spelling))
            for group in twin_groups(self.classes)
            for name in group
        }
        rows = tuple(replace(row, label=new.get(row.label, row.label)) for row in self.rows)
        return replace(self, rows=rows, classes=tuple(sorted({new.get(name, name) for name in self.classes})))


def _corrected(manifest: Manifest, fixes: str | os.PathLike[str] | None) -> Manifest:
    if fixes is None:
        return manifest
    found = corrected(manifest.rows, manifest.classes, fixes)
    problems = (*manifest.problems, *found.problems)
    return replace(
        manifest, rows=found.rows, problems=problems, corrections=(*manifest.corrections, *found.made)
    )


def _grouped(manifest: Manifest, pattern: str | None) -> Manifest:
    if pattern is None:
        return manifest
    rows, problems = grouped(manifest.rows, pattern)
    return replace(manifest, rows=tuple(rows), problems=(*manifest.problems, *problems), group_by=pattern)


def _in_bursts(manifest: Manifest, seconds: float | None) -> Manifest:
    if seconds is None:
        return manifest
    if not seconds >= 0:
        raise ConfigError(f"Received burst={seconds}. Expected seconds between two photos, for example 2.")
    return replace(manifest, burst=seconds)


# Whatever labelled photos can be read from. `str` and PathLike name a folder or a table.
Source: TypeAlias = "str | os.PathLike[str] | Sequence[tuple[str | os.PathLike[str], str]] | Frame | Manifest"


def _reading_of(manifest: Manifest) -> Reading:
    problems = list(manifest.problems)
    return Reading(manifest.root, list(manifest.rows), problems, left_out=manifest.left_out)


def _read(source: object, classes: Sequence[str] | None) -> Reading:
    """Read any source but a Manifest.

    Raises:
        DataError: see `Manifest.read`.
    """
    default: Split = "train" if classes is None else "test"
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        if path.suffix.lower() in SUFFIXES and path.is_file():
            return read_records(read_table(path), default)
        return read_folder(path, classes)
    if isinstance(source, Frame):
        return read_records(read_frame(source), default)
    if isinstance(source, Sequence) and not isinstance(source, bytes):
        return read_records(read_pairs(source), default)
    raise DataError(
        f"Photos were given as {type(source).__name__}. Expected a folder, a .csv or .tsv file, a pandas "
        "data frame, or a list of (path, label) pairs."
    )


def _manifest(reading: Reading, classes: Sequence[str] | None) -> Manifest:
    """Fix the classes and report labels outside them.

    Raises:
        DataError: no row is for training and no classes are given.
    """
    for_training = {row.label for row in reading.rows if row.split == "train"}
    fixed = tuple(sorted(for_training) if classes is None else classes)
    if not fixed:
        raise _nothing_to_train_on(reading)
    known = set(fixed)
    rows = tuple(row for row in reading.rows if row.label in known)
    strange = [row for row in reading.rows if row.label not in known]
    problems = [*reading.problems, *_unknown_classes(strange, fixed, classes is not None)]
    manifest = Manifest(rows, fixed, reading.root, tuple(problems), reading.left_out)
    if classes is not None:
        return manifest
    return replace(manifest, problems=(*problems, *_missing_classes(manifest)))


def _nothing_to_train_on(reading: Reading) -> DataError:
    warnings = [f"{p.file}: {p.what}." for p in reading.problems if p.severity == "warning"]
    return DataError(
        f"None of {counted(len(reading.rows), 'usable photo')} is for training; the others are for "
        "validation or test. Mark some rows train, or leave their split empty. " + " ".join(warnings[:3]),
        reading.problems,
    )


def _unknown_classes(rows: Sequence[Row], classes: Sequence[str], are_given: bool) -> list[Problem]:
    """Report each class that has photos to score but none to train on: the model cannot answer it."""
    problems = []
    for (label, split), count in sorted(Counter((row.label, row.split) for row in rows).items()):
        near = did_you_mean(label, classes)
        where = f"{counted(count, 'photo')} for {split}"
        if are_given:
            what = f"{where} of a class the model does not know"
            fix = f"Correct the label, or leave these photos out.{near}"
        else:
            what = f"{where}, none for training"
            fix = f"Add training photos of this class, or remove these.{near}"
        problems.append(Problem("error", printable(label), what, fix))
    return problems


def _missing_classes(manifest: Manifest) -> list[Problem]:
    """Note classes without photos in a validation or test part that is there."""
    problems = []
    for split in ("validation", "test"):
        counts = manifest.of(split).counts
        if not any(counts.values()):
            continue
        for name in (name for name, count in counts.items() if count == 0):
            what = f"no photos for {split}; the score says nothing of this class"
            problems.append(Problem("note", printable(name), what, f"Add some for {split}."))
    return problems
