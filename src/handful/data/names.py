"""Names of files and classes as a user meets them: printed safely, compared, and corrected.

A file name may hold any byte and a class name any character. Both are data: they are escaped where they
are printed and never used to build a path.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from handful.errors import Problem

_JOINERS = {"\u200d", "\ufe0f"}  # hold an emoji of several characters together; harmless on a terminal
_MOST_CANDIDATES = 5000  # difflib compares with each one: about 20 ms for so many


def printable(name: str) -> str:
    """Return `name` with control, bidirectional and undecodable characters escaped.

    Everything else stays as it is, so that an ordinary name can be copied from a message. A byte that
    is not UTF-8 (a surrogate in Python) is shown as `\\xff`.
    """
    return "".join(c if c.isprintable() or c in _JOINERS else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the candidate nearest to `word`, or "" when none is near."""
    known = [c for _, c in zip(range(_MOST_CANDIDATES), candidates, strict=False)]
    by_folded = {folded(c): c for c in reversed(known)}
    near = difflib.get_close_matches(folded(word), by_folded, n=1, cutoff=0.6)
    return f' Did you mean "{printable(by_folded[near[0]])}"?' if near else ""


def some(names: Iterable[str], most: int = 5) -> str:
    """Return the first few names for a message, and how many more there are."""
    listed = list(names)
    shown = ", ".join(printable(name) for name in listed[:most])
    return shown if len(listed) <= most else f"{shown} and {len(listed) - most:,} more"


def counted(number: int, noun: str) -> str:
    """Return "1 photo", "2 photos", "1,000 photos"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def folded(name: str) -> str:
    """Return the form in which "Cat", "cat " and the two Unicode spellings of "é" are equal.

    NFC after casefold: casefolding can itself give a decomposed character (Unicode 3.13, D145).
    """
    composed = unicodedata.normalize("NFC", name).casefold()
    return " ".join(unicodedata.normalize("NFC", composed).split())


def twin_groups(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of two or more distinct names that differ only in case, space or Unicode form."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[folded(name)].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def find_twins(places: Mapping[str, str]) -> list[Problem]:
    """Warn of class names that are probably one class; they stay separate, for nobody asked to merge.

    Args:
        places: class name -> where it was first seen, "line 7" or "train/Cat".
    """
    return [_twin_problem(group, places) for group in twin_groups(places)]


def _twin_problem(group: tuple[str, ...], places: Mapping[str, str]) -> Problem:
    seen = ", ".join(f"{printable(repr(name))} ({printable(places[name])})" for name in group)
    what = f"class names differ only in case, spaces or Unicode form: {seen}; kept as {len(group)} classes"
    fix = "If they are one class, give them one name. Otherwise choose names that can be told apart."
    return Problem("warning", printable(group[0]), what, fix)
