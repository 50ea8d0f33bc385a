"""Row: one labelled photo; Reading: what a folder or table gave, before it becomes a Manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from handful.data.names import printable
from handful.errors import Problem

Split = Literal["train", "validation", "test"]

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def split_named(name: str) -> Split | None:
    """Return the split that a folder or table value names, in any case, or None."""
    return SPLIT_NAMES.get(name.strip().lower())


@dataclass(frozen=True)
class Row:
    """One labelled photo.

    Attributes:
        path: where the file is, as given or below the folder as given.
        name: the path as the user would write it, relative to the root, "/" between parts. It may hold
            any character; print `shown` instead.
        label: the class name, any text.
        group: photos of one group (one animal, one patient) are never divided; None is a group of one.
        split: "train", "validation" (scored, never trained or chosen on) or "test" (once, at the end).
        sha256: hex digest of the file's content, filled once the file was read.
        alike: rows with the same value show one picture (re-saved, resized, cropped); filled once the
            photos were compared, None for a picture that is there once.
        burst: rows with the same value were taken within seconds of each other; filled where photos are to
            be grouped so.
    """

    path: Path
    name: str
    label: str
    group: str | None = None
    split: Split = "train"
    sha256: str | None = None
    alike: str | None = None
    burst: str | None = None

    @property
    def shown(self) -> str:
        """The name with everything escaped that could disturb a terminal or a log."""
        return printable(self.name)


@dataclass
class Reading:
    """What was found in a folder or table; filled while reading.

    Attributes:
        rows: the photos, in reading order.
        problems: what was found besides.
        root: the folder read, None for tables.
        places: class name -> where it was first seen, for messages.
        left_out: rows of a table that cannot be used (no such file, no label).
    """

    root: Path | None = None
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
