"""Bonds: photos that belong together by what they show or when they were taken; no fold parts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from handful.data.alike import find_alike
from handful.data.looks import Look
from handful.data.manifest import Manifest, Row
from handful.data.names import counted, some
from handful.data.unions import bundles
from handful.errors import Problem

BURST_SECONDS = 2.0  # proposed, never imposed: a finger on the button takes several photos in that time

_MOST_COPIES, _MOST_SHARE = 5, 0.1  # files of one picture, and their share of all, that copies come to


def bound(manifest: Manifest, looks: Sequence[Look]) -> Manifest:
    """Mark pictures that are alike, and bursts where the manifest asks for them.

    Args:
        manifest: rows that were read, sha256 filled.
        looks: of each row.

    Returns:
        The manifest; its problems say which pictures are so many alike that they were not bound.
    """
    rows, problems = marked_alike(manifest.rows, looks)
    if manifest.burst is not None:
        rows = marked_bursts(rows, looks, manifest.burst)
    told = dict.fromkeys((*manifest.problems, *problems))  # it may be bound again, by `train` say
    return replace(manifest, rows=tuple(rows), problems=tuple(told))


def marked_alike(rows: Sequence[Row], looks: Sequence[Look]) -> tuple[list[Row], list[Problem]]:
    """Fill `alike` of rows that show one picture; equal files are compared once and marked together.

    Where very many are alike, or all photos of a class, a fixed camera is likelier than copies: a scratch on
    a part is too small for a thumbnail. Those are not bound, and that is said.
    """
    first: dict[str | None, int] = {}
    for at, row in enumerate(rows):
        first.setdefault(row.sha256, at)
    if not first:
        return [], []
    clusters = find_alike(np.stack([looks[at].thumbnail for at in first.values()])).clusters
    sizes = np.bincount(clusters)
    leader: dict[int, str | None] = {}  # named by a file's content: a key is the same in every part of a set
    key = {
        sha: leader.setdefault(int(cluster), sha)
        for sha, cluster in zip(first, clusters, strict=True)
        if sizes[cluster] > 1
    }
    marked = [replace(row, alike=key.get(row.sha256)) for row in rows]
    most = max(_MOST_COPIES, _MOST_SHARE * len(first))
    too_many = {leader.get(int(cluster)) for cluster in np.flatnonzero(sizes > most)}
    free = too_many | _whole_classes(marked)
    freed = [row for row in marked if row.alike is not None and row.alike in free]
    return [replace(row, alike=None) if row.alike in free else row for row in marked], _freed(freed)


def _whole_classes(rows: Sequence[Row]) -> set[str | None]:
    """The pictures that would leave a class with nothing to divide."""
    free: set[str | None] = set()
    for label in {row.label for row in rows}:
        own = [row for row in rows if row.label == label and row.split == "train"]
        apart = bundles([replace(row, alike=None) for row in own])
        if len(set(bundles(own).tolist())) < 2 <= len(set(apart.tolist())):
            free |= {row.alike for row in own} - {None}
    return free


def _freed(rows: Sequence[Row]) -> list[Problem]:
    if not rows:
        return []
    names = some((row.name for row in rows), 3)
    what = f"{counted(len(rows), 'photo')} look like one picture, or a few: {names}; used as different ones"
    fix = (
        "With a fixed camera that is as it should be. If they are copies or frames of one scene, the score "
        "flatters: keep one of each, or give a group column."
    )
    return [Problem("warning", rows[0].shown, what, fix)]


def marked_bursts(rows: Sequence[Row], looks: Sequence[Look], seconds: float) -> list[Row]:
    """Fill `burst` of rows taken within `seconds` of the one before, by one camera."""
    numbers = _bursts(looks, seconds)
    sizes = np.bincount(numbers, minlength=1)
    return [
        replace(row, burst=f"burst {number}" if sizes[number] > 1 else None)
        for row, number in zip(rows, numbers, strict=True)
    ]


def _bursts(looks: Sequence[Look], seconds: float) -> np.ndarray:
    """Number looks int64 (n,): those of one burst share a number; one without a time is alone."""
    timed = sorted((look.camera, look.taken, at) for at, look in enumerate(looks) if look.taken is not None)
    numbers = np.arange(len(looks))
    for (camera, taken, at), (other, later, follower) in pairwise(timed):
        if camera == other and later - taken <= seconds:
            numbers[follower] = numbers[at]
    return numbers


def find_bursts(manifest: Manifest, looks: Sequence[Look]) -> list[Problem]:
    """Propose to keep bursts together, where nothing else does so yet.

    A second run or a camera without a clock tells nothing: only photos with a time in their EXIF count.
    """
    if manifest.burst is not None:
        return _imposed(manifest)
    numbers, together = _bursts(looks, BURST_SECONDS), bundles(manifest.rows)
    loose = [burst for burst in _members(numbers) if len(set(together[burst].tolist())) > 1]
    if not loose:
        return []
    names = some(manifest.rows[at].name for at in loose[0])
    what = (
        f"{counted(sum(map(len, loose)), 'photo')} look like {counted(len(loose), 'burst')} (taken within "
        f"{BURST_SECONDS:g} s of the one before, by one camera), for example {names}"
    )
    fix = (
        "If those of a burst show the same thing, the score flatters: keep them together with "
        f"--group-by-burst {BURST_SECONDS:g} (burst={BURST_SECONDS:g}) or a group column."
    )
    return [Problem("note", "", what, fix)]


def _members(numbers: np.ndarray) -> list[np.ndarray]:
    """The positions of each number that is there more than once."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _imposed(manifest: Manifest) -> list[Problem]:
    in_bursts = [row.burst for row in manifest.rows if row.burst is not None]
    if in_bursts:
        photos, bursts = counted(len(in_bursts), "photo"), counted(len(set(in_bursts)), "burst")
        what = f"{photos} in {bursts} of at most {manifest.burst:g} s between two; kept together in folds"
        return [Problem("note", "", what, "Nothing to do.")]
    what = f"no two photos were taken within {manifest.burst:g} s of each other, by their EXIF times"
    return [Problem("warning", "", what, "Give more seconds, a group column, or --group-by.")]
