"""Labelled photos through the frozen network: features beside the rows they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handful.data.bonds import bound, find_bursts
from handful.data.checks import (
    check_manifest,
    find_class_problems,
    find_photo_problems,
    find_problems,
    in_order,
    stop_if_errors,
    too_many_bad,
    usable,
)
from handful.data.looks import Look
from handful.data.manifest import Manifest, Split
from handful.engines.base import Engine
from handful.errors import Problem
from handful.features.cache import FeatureCache
from handful.features.extract import Photo, extract
from handful.progress import Speaker


@dataclass(frozen=True)
class Labelled:
    """Usable photos with their features.

    Attributes:
        manifest: the rows that can be used, sha256 filled, pictures that are alike marked.
        values: float32 (n, views, d), row by row.
        looks: what each row's file and thumbnail tell, row by row.
        problems: everything found, errors first.
        skipped: photos that were asked for and are not among the rows.
        computed: photos that went through the network now; the others came from the cache.
        seconds: wall time of the pass.
    """

    manifest: Manifest
    values: np.ndarray
    looks: tuple[Look, ...]
    problems: tuple[Problem, ...]
    skipped: int
    computed: int
    seconds: float

    def of(self, split: Split) -> tuple[Manifest, np.ndarray]:
        """The rows of one split, and their first view float32 (m, d)."""
        chosen = [i for i, row in enumerate(self.manifest.rows) if row.split == split]
        return self.manifest.of(split), self.values[chosen, 0]

    def looks_of(self, split: Split) -> list[Look]:
        """The looks of the rows of one split."""
        pairs = zip(self.manifest.rows, self.looks, strict=True)
        return [look for row, look in pairs if row.split == split]


def refuse_what_cannot_train(manifest: Manifest, speaker: Speaker, *, workers: int, allow_bad: bool) -> None:
    """Raise before anything is computed when the layout or the labels alone rule training out.

    The photos are decoded first, so that all there is to mend is told at once.

    Raises:
        DataError: at least one finding is an error.
    """
    known = [*manifest.problems, *find_problems(manifest)]
    if any(problem.severity == "error" for problem in known):
        checked = check_manifest(manifest, speaker, workers=workers, allow_bad=allow_bad)
        stop_if_errors(checked.problems, speaker, manifest.root)


def pass_labelled(
    manifest: Manifest,
    engine: Engine,
    cache: FeatureCache | None,
    speaker: Speaker,
    *,
    workers: int,
    allow_bad: bool = False,
    for_training: bool = True,
) -> Labelled:
    """Pass every row once; leave out what cannot be read, what contradicts itself and what leaks.

    Nothing is raised here: errors are among the problems. With `for_training` False the classes as such
    are not looked at: photos that are only scored may be few, and of one class.
    """
    asked = [Photo(row.path, row.shown) for row in manifest.rows]
    features = extract(asked, engine, cache, speaker, workers=workers)
    rows = [
        replace(manifest.rows[position], sha256=photo)
        for position, photo in zip(features.kept, features.ids, strict=True)
    ]
    readable = bound(manifest.keep(rows), features.looks)
    kept = usable(readable)
    usables = {id(row) for row in kept.rows}
    good = [id(row) in usables for row in readable.rows]
    bad = features.refused + manifest.left_out
    problems = [
        *find_photo_problems(readable),
        *readable.problems,
        *features.problems,
        *(find_class_problems(kept) if for_training else ()),
        *find_bursts(readable, features.looks),
        *too_many_bad(bad, len(asked) + manifest.left_out, allow_bad=allow_bad),
    ]
    return Labelled(
        manifest=kept,
        values=features.values[good],
        looks=tuple(look for look, used in zip(features.looks, good, strict=True) if used),
        problems=tuple(in_order(problems)),
        skipped=len(asked) - len(kept.rows) + manifest.left_out,
        computed=features.computed,
        seconds=features.seconds,
    )
