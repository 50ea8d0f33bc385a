"""HandfulError and its tree, and Problem: one finding about one file.

Everything a user can cause is a HandfulError; the command line prints its text and no traceback.
A message says what happened with the value received, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One finding about one file or folder.

    Attributes:
        severity: "error" stops training, "warning" means something was left out or looks wrong,
            "note" is only said (a wrong extension, an animation whose first frame is used).
        file: the path as the user would write it; "" when the finding is about the whole set.
        what: what is wrong, with the value found.
        fix: what to do about it.
    """

    severity: Severity
    file: str
    what: str
    fix: str


class HandfulError(Exception):
    """Base of all errors that a user can cause or mend.

    Attributes:
        problems: the findings behind the message, collected and raised together; may be empty.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = tuple(problems)


class DataError(HandfulError):
    """The photos, folders, tables or labels cannot be used as they are."""


class ImageError(DataError):
    """One file cannot be read as a photo.

    Attributes:
        reason: what is wrong with the file, without its name ("truncated: 10,000 bytes ...").
        fix: what to do about it.
    """

    def __init__(self, name: str, reason: str, fix: str) -> None:
        super().__init__(f"{name}: {reason}. {fix}")
        self.name = name
        self.reason = reason
        self.fix = fix


class ConfigError(HandfulError):
    """An option has a value that cannot be used."""


class BackboneError(HandfulError):
    """A backbone is unknown, cannot be fetched, or its file cannot be used."""


class ArtefactError(HandfulError):
    """A trained folder is missing, damaged, of an unknown version, or in the way."""


class ExportError(HandfulError):
    """A model could not be exported, or the export disagrees with the original."""


class MissingExtraError(HandfulError):
    """An optional package is needed for what was asked."""
