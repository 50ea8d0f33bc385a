"""Unions: rows joined pair by pair into clusters, and what joins photos that may not be parted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from handful.data.row import Row
from handful.errors import DataError


class Unions:
    """Rows 0 to n - 1, at first each by itself (Tarjan and van Leeuwen 1984).

    Args:
        n: how many rows.
    """

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def join(self, one: int, other: int) -> None:
        """Put two rows, and all that is joined to either, into one cluster."""
        self._parent[self._root(one)] = self._root(other)

    def join_all(self, pairs: Iterable[Sequence[int]]) -> None:
        """Join each pair of rows."""
        for one, other in pairs:
            self.join(int(one), int(other))

    def numbers(self) -> np.ndarray:
        """Return each row's cluster: int64 (n,), numbered from 0 in order of first appearance."""
        return numbered([self._root(row) for row in range(len(self._parent))])

    def _root(self, row: int) -> int:
        """Find a row's representative, halving the path on the way."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row


def numbered(keys: Sequence[Hashable]) -> np.ndarray:
    """Number keys, equal ones alike: int64 (n,), from 0 in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def bind(groups: Sequence[str | None], sha256s: Sequence[str | None]) -> np.ndarray:
    """Number the bundles: rows that share a group or a content, directly or through other rows.

    Args:
        groups: the user's group of each row; None stands for a group of its own.
        sha256s: the content hash of each row; None when unknown, which equals nothing.

    Returns:
        int64, shape (n,), numbered from 0 in order of first appearance.

    Raises:
        DataError: the two have different lengths.
    """
    if len(groups) != len(sha256s):
        raise DataError(
            f"Received {len(groups)} groups and {len(sha256s)} hashes. Each row needs one of each. "
            "Take both from the same rows."
        )
    return _bound(groups, sha256s)


def _bound(*columns: Sequence[str | None]) -> np.ndarray:
    """Number rows int64 (n,): equal values in any column share a number; None equals nothing."""
    unions = Unions(len(columns[0]))
    for column in columns:
        first: dict[str, int] = {}
        for row, key in enumerate(column):
            if key is not None:
                unions.join(row, first.setdefault(key, row))
    return unions.numbers()


def bundles(rows: Sequence[Row]) -> np.ndarray:
    """Number rows int64 (n,) so that what may not be parted shares a number: copies of one photo, pictures
    that are alike, photos of one group or burst.
    """
    columns = ([getattr(row, name) for row in rows] for name in ("group", "sha256", "alike", "burst"))
    return _bound(*columns)
