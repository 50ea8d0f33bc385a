"""Grouping: the group of each photo, taken from its file name by the user's pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from handful.data.names import counted, printable, some
from handful.data.row import Row
from handful.errors import Problem

_HOW = r"Mark the part that names the group with one pair of brackets, for example 'plant_(\d+)'."


def grouped(rows: Sequence[Row], pattern: str) -> tuple[list[Row], list[Problem]]:
    """Give each row the group that a pattern finds in its name.

    Args:
        rows: without groups so far.
        pattern: a regular expression with one capturing group, searched for in the name below the folder
            read ("rose/plant_7_2.jpg"); photos for which the brackets hold the same text, in whatever class,
            form a group.

    Returns:
        The rows, and what was found: a pattern that cannot be used, or matches nothing, is an error.
    """
    compiled, wrong = _compiled(pattern)
    if any(row.group is not None for row in rows):
        wrong = ("the table has groups already", "Use the group column or --group-by, not both.")
    if compiled is None or wrong:
        return list(rows), [_error(pattern, *(wrong or ("", "")))]
    found = [_group(compiled, row.name) for row in rows]
    named = [group for group in found if group is not None]
    if not named:
        names = some((row.name for row in rows), 3)
        return list(rows), [_error(pattern, f"it matches no file name; there are: {names}", _HOW)]
    given = [replace(row, group=group) for row, group in zip(rows, found, strict=True)]
    return given, _findings(pattern, rows, found)


def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, tuple[str, str] | None]:
    """The pattern, or what is wrong with it and what to do."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return None, (f"not a regular expression: {error}", _HOW)
    if compiled.groups != 1:
        return None, (f"it has {counted(compiled.groups, 'pair')} of brackets that capture", _HOW)
    return compiled, None


def _error(pattern: str, what: str, fix: str) -> Problem:
    return Problem("error", "--group-by", f"received {printable(pattern)!r}: {what}", fix)


def _group(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.search(name)
    return match.group(1) if match else None


def _findings(pattern: str, rows: Sequence[Row], found: Sequence[str | None]) -> list[Problem]:
    named = [group for group in found if group is not None]
    groups = len(set(named))
    told = f"{counted(len(named), 'photo')} in {counted(groups, 'group')} by {printable(pattern)!r}"
    problems = [Problem("note", "", f"{told}; kept together in folds", "Nothing to do.")]
    if groups == len(named):
        what = f"{told}: no two photos share a group, so nothing is kept together"
        problems = [Problem("warning", "--group-by", what, _HOW)]
    if missed := [row.name for row, group in zip(rows, found, strict=True) if group is None]:
        what = f"{printable(pattern)!r} does not match {counted(len(missed), 'photo')}: {some(missed, 3)}"
        fix = "Each of them stands for itself; widen the pattern if they belong to groups."
        problems.append(Problem("warning", "--group-by", what, fix))
    return problems
