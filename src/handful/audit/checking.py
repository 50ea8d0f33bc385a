"""The data check as a whole: what files and labels tell, then shortcuts, then, with a backbone, outliers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from handful.audit.outliers import find_outliers
from handful.audit.shortcuts import find_shortcuts
from handful.config import TrainConfig, cache_folder, default_workers
from handful.data.checks import check_manifest, in_order, usable
from handful.data.manifest import Manifest, Source
from handful.errors import Problem
from handful.features.labelled import Labelled, pass_labelled
from handful.progress import Speaker, Warnings


@dataclass(frozen=True)
class Findings:
    """What a data check found.

    Attributes:
        manifest: the rows that could be read.
        problems: everything found, errors first.
        skipped: how many photos training would leave out.
    """

    manifest: Manifest
    problems: tuple[Problem, ...]
    skipped: int


def check(
    photos: Source,
    *,
    speaker: Speaker | None = None,
    workers: int | None = None,
    allow_bad: bool = False,
    backbone: str | None = None,
    group_by: str | None = None,
    fixes: str | os.PathLike[str] | None = None,
    burst: float | None = None,
) -> list[Problem]:
    """Tell what is wrong with a data set before anything is trained.

    Args:
        photos: a folder per class, a table, a data frame or (path, label) pairs, as for `train`.
        speaker: told about progress; by default only warnings show, on standard error.
        workers: photos decoded at a time; None is one per core.
        allow_bad: more than a fifth of the files may be unreadable.
        backbone: also pass the photos through this network, to find those that are unlike all others;
            "embedded" needs no download. None looks at files and pixels only.
        group_by: a pattern for file names, see `Manifest.read`.
        fixes: a table of corrected labels, see `Manifest.read`.
        burst: keep photos together that were taken within so many seconds.

    Returns:
        All findings, errors first; an empty list means that nothing was found.

    Raises:
        DataError: the source is missing, empty, of an unknown kind, or laid out in a way that cannot be
            meant.
        BackboneError: the backbone cannot be had.

    Example:
        >>> for problem in check("photos/"):                      # doctest: +SKIP
        ...     print(problem.severity, problem.file, problem.what, problem.fix)
    """
    manifest = Manifest.read(photos, group_by=group_by, fixes=fixes, burst=burst)
    found = findings(
        manifest,
        speaker or Warnings(),
        workers=workers or default_workers(),
        allow_bad=allow_bad,
        backbone=backbone,
    )
    return list(found.problems)


def findings(
    manifest: Manifest,
    speaker: Speaker,
    *,
    workers: int,
    allow_bad: bool = False,
    backbone: str | None = None,
) -> Findings:
    """Check a manifest; see `check`."""
    if backbone is not None:
        return _with_backbone(manifest, backbone, speaker, workers=workers, allow_bad=allow_bad)
    checked = check_manifest(manifest, speaker, workers=workers, allow_bad=allow_bad)
    used = {id(row) for row in usable(checked.manifest).rows}
    rows = [at for at, row in enumerate(checked.manifest.rows) if id(row) in used]
    part = checked.manifest.keep(checked.manifest.rows[at] for at in rows)
    problems = [*checked.problems, *find_shortcuts(part, [checked.looks[at] for at in rows])]
    return Findings(checked.manifest, tuple(in_order(problems)), checked.skipped)


def _with_backbone(
    manifest: Manifest, backbone: str, speaker: Speaker, *, workers: int, allow_bad: bool
) -> Findings:
    from handful.frozen import open_frozen

    frozen = open_frozen(TrainConfig(backbone=backbone), cache_folder(), speaker)
    labelled = pass_labelled(
        manifest, frozen.engine, frozen.cache, speaker, workers=workers, allow_bad=allow_bad
    )
    return Findings(labelled.manifest, audited(labelled).problems, labelled.skipped)


def audited(labelled: Labelled) -> Labelled:
    """Add what features and looks tell to the findings: shortcuts and photos unlike all others."""
    found: Sequence[Problem] = [
        *find_shortcuts(labelled.manifest, labelled.looks),
        *find_outliers(labelled.manifest, labelled.values[:, 0]),
    ]
    return replace(labelled, problems=tuple(in_order([*labelled.problems, *found])))
