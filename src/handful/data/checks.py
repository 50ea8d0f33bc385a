"""Checks: what the photos themselves tell before anything is learnt from them.

Every file is read and decoded to its end; then the set is looked at as a whole: copies, labels that
contradict each other, leaks between splits, classes too thin. All findings are collected, so that nine
bad photos are nine lines and not nine runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from handful.config import default_workers
from handful.data import images
from handful.data.layout import found_and_expected
from handful.data.manifest import Manifest, Row, Source
from handful.data.names import counted, printable, some
from handful.data.splitting import bind
from handful.errors import DataError, ImageError, Problem
from handful.files import sha256_of_bytes
from handful.progress import Speaker, Warnings

MOST_BAD = 0.2  # above this part of unreadable files something else is wrong: a half copy, a wrong folder
THIN = 10  # photos of a class below which its score says little
MOST_IMBALANCE = 20
_SIZE = (64, 64)  # small to keep memory low; the decoder reads to the end of the file all the same


@dataclass(frozen=True)
class Checked:
    """A manifest whose files were all read.

    Attributes:
        manifest: sha256 filled, rows that cannot be decoded left out. Conflicts and leaks are still in
            it: `usable` removes them.
        problems: everything found, layout and table included, errors first.
        skipped: how many photos training would leave out.
    """

    manifest: Manifest
    problems: tuple[Problem, ...]
    skipped: int


def check(
    photos: Source, *, speaker: Speaker | None = None, workers: int | None = None, allow_bad: bool = False
) -> list[Problem]:
    """Tell what is wrong with a data set before anything is trained.

    Args:
        photos: a folder per class, a table, a data frame or (path, label) pairs, as for `train`.
        speaker: told about progress; by default nothing is shown.
        workers: photos decoded at a time; None is one per core.
        allow_bad: more than a fifth of the files may be unreadable.

    Returns:
        All findings, errors first; an empty list means that nothing was found.

    Raises:
        DataError: the source is missing, empty, of an unknown kind, or laid out in a way that cannot be
            meant.

    Example:
        >>> for problem in check("photos/"):                      # doctest: +SKIP
        ...     print(problem.severity, problem.file, problem.what, problem.fix)
    """
    manifest = Manifest.read(photos)
    checked = check_manifest(
        manifest, speaker or Warnings(), workers=workers or default_workers(), allow_bad=allow_bad
    )
    return list(checked.problems)


def check_manifest(manifest: Manifest, speaker: Speaker, *, workers: int, allow_bad: bool = False) -> Checked:
    """Decode every photo and look at the set as a whole.

    Args:
        manifest: from `Manifest.read`.
        speaker: shows the bar.
        workers: how many photos are decoded at a time; each costs the memory of one photo.
        allow_bad: more than a fifth of the files may be unreadable.
    """
    rows: list[Row] = []
    problems = list(manifest.problems)
    with speaker.bar("Reading photos", len(manifest.rows)) as advance:
        for row, findings in _checked_rows(manifest.rows, workers):
            rows += [row] if row.sha256 is not None else []
            problems += findings
            advance(1)
    checked = manifest.keep(rows)
    n_asked = len(manifest.rows) + manifest.left_out
    n_bad = n_asked - len(rows)
    problems += find_problems(checked)
    problems += too_many_bad(n_bad, n_asked, allow_bad=allow_bad)
    return Checked(checked, tuple(in_order(problems)), n_asked - len(usable(checked).rows))


def _checked_rows(rows: Sequence[Row], workers: int) -> Iterator[tuple[Row, list[Problem]]]:
    """Yield each row checked, in order; when the caller stops early, what has not begun is dropped."""
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="handful-check")
    try:
        yield from pool.map(_check_row, rows)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check_row(row: Row) -> tuple[Row, list[Problem]]:
    """Read and decode one photo; a row that fails comes back without a sha256."""
    try:
        data = images.read_file(row.path)
        photo = images.decode(data, row.name, size=_SIZE)
    except ImageError as error:
        return replace(row, sha256=None), [bad_photo(row.shown, error)]
    return replace(row, sha256=sha256_of_bytes(data)), photo_notes(row.shown, photo.notes)


def bad_photo(shown: str, error: ImageError) -> Problem:
    """Word a photo that is skipped."""
    return Problem("warning", shown, error.reason, error.fix)


def photo_notes(shown: str, notes: Sequence[str]) -> list[Problem]:
    """Word what the decoder noticed about a photo that is used."""
    fix = "It is used as it is; replace it if that is not what you want."
    return [Problem("note", shown, note, fix) for note in notes]


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Return errors first, then warnings, then notes, otherwise as found."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(problems, key=lambda problem: rank[problem.severity])


def find_problems(manifest: Manifest) -> list[Problem]:
    """Look at the whole set: contradictions, leaks, copies, then the classes that remain.

    A pure function of the manifest. Rows without a sha256 equal no other, so that it may be called
    before the photos were read, for what labels alone tell.
    """
    return [*find_photo_problems(manifest), *find_class_problems(usable(manifest))]


def find_photo_problems(manifest: Manifest) -> list[Problem]:
    """Find contradictions, leaks and copies: all that also matters when photos are only scored."""
    return [*find_conflicts(manifest), *find_leaks(manifest), *find_copies(manifest)]


def usable(manifest: Manifest) -> Manifest:
    """Return the rows whose label can be trusted and whose score would be honest."""
    return drop_leaks(drop_conflicts(manifest))


def drop_conflicts(manifest: Manifest) -> Manifest:
    """Leave out all copies of a photo that is there under several labels: none can be trusted."""
    bad = {sha256 for sha256, rows in _copies(manifest) if len({row.label for row in rows}) > 1}
    return manifest.keep(row for row in manifest.rows if row.sha256 not in bad)


def drop_leaks(manifest: Manifest) -> Manifest:
    """Leave out validation and test photos that are also trained on; the training photo stays."""
    trained = {row.sha256 for row in manifest.rows if row.split == "train"} - {None}
    return manifest.keep(row for row in manifest.rows if row.split == "train" or row.sha256 not in trained)


def find_conflicts(manifest: Manifest) -> list[Problem]:
    """Warn of one photo under several labels."""
    problems = []
    for _, rows in _copies(manifest):
        if len({row.label for row in rows}) > 1:
            told = some(f"{row.name} ({row.label})" for row in rows)
            what = f"the same photo under different labels: {told}; all copies left out"
            problems.append(Problem("warning", rows[0].shown, what, "Keep the copy with the right label."))
    return problems


def find_leaks(manifest: Manifest) -> list[Problem]:
    """Warn of photos, and of groups, on both sides of the line between training and scoring."""
    problems = []
    for _, rows in _copies(drop_conflicts(manifest)):
        trained = [row for row in rows if row.split == "train"]
        for row in (row for row in rows if row.split != "train" and trained):
            what = f"the same photo as {trained[0].shown}, trained on; left out of the {row.split} score"
            problems.append(Problem("warning", row.shown, what, "Remove one of the two."))
    return problems + _group_leaks(manifest)


def _group_leaks(manifest: Manifest) -> list[Problem]:
    trained = {row.group for row in manifest.rows if row.split == "train" and row.group is not None}
    scored = {row.group for row in manifest.rows if row.split != "train" and row.group is not None}
    if not (shared := sorted(trained & scored)):
        return []
    what = f"{counted(len(shared), 'group')} trained on and scored: {some(shared)}; the score will flatter"
    return [Problem("warning", "", what, "Give all rows of a group the same split.")]


def find_copies(manifest: Manifest) -> list[Problem]:
    """Note photos that are there several times with one label in one split."""
    problems = []
    for _, rows in _copies(drop_conflicts(manifest)):
        for split in ("train", "validation", "test"):
            same = [row for row in rows if row.split == split]
            if len(same) > 1:
                told = some(row.name for row in same)
                what = f"{len(same)} copies of one photo: {told}; kept together in folds"
                problems.append(Problem("note", same[0].shown, what, "Keep one; copies teach nothing new."))
    return problems


def find_class_problems(manifest: Manifest) -> list[Problem]:
    """Find what is wrong with the classes as such: too few, too thin, too uneven.

    Args:
        manifest: only usable rows; the training rows are looked at.
    """
    training = manifest.of("train")
    problems: list[Problem] = []
    if len(manifest.classes) < 2:
        what = f'only one class, "{printable(manifest.classes[0])}"' if manifest.classes else "no classes"
        fix = "A classifier chooses between classes: add a folder of photos, or rows, of at least one more."
        problems.append(Problem("error", "", what, fix))
    for name, apart in _photos_apart(training).items():
        problems += _thin_class(name, training.counts[name], apart)
    return problems + _imbalance(training)


def _photos_apart(manifest: Manifest) -> dict[str, int]:
    """Return for each class how many photos can be divided: copies and members of a group count once."""
    bundles = bind([row.group for row in manifest.rows], [row.sha256 for row in manifest.rows]).tolist()
    pairs = {(row.label, bundle) for row, bundle in zip(manifest.rows, bundles, strict=True)}
    found = Counter(label for label, _ in pairs)
    return {name: found[name] for name in manifest.classes}


def _thin_class(name: str, photos: int, apart: int) -> list[Problem]:
    shown = printable(name)
    if photos < 2:
        number = "1 usable photo" if photos else "no usable photo"
        what = f"the class has {number}; it cannot be split"
        more = "at least one more photo" if photos else "at least two photos"
        return [Problem("error", shown, what, f"Add {more}; ten or more make a score worth reading.")]
    if apart < 2:
        what = f"its {photos:,} photos are copies of one or belong to one group; they cannot be split"
        return [Problem("error", shown, what, "Add at least one more that is different.")]
    if apart < THIN:
        what = f"the class has only {counted(apart, 'different photo')}; its score will be uncertain"
        return [Problem("warning", shown, what, f"Add photos, up to {THIN} or more.")]
    return []


def _imbalance(training: Manifest) -> list[Problem]:
    counts = {name: count for name, count in training.counts.items() if count}
    if len(counts) < 2:
        return []
    least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    if counts[most] <= MOST_IMBALANCE * counts[least]:
        return []
    what = f'{counts[least]:,} photos of it and {counts[most]:,} of "{printable(most)}"'
    fix = "Add photos of the rare class; read its own score, not the overall accuracy."
    return [Problem("warning", printable(least), f"imbalance above 1:{MOST_IMBALANCE}: {what}", fix)]


def too_many_bad(n_bad: int, n: int, *, allow_bad: bool) -> list[Problem]:
    """Return an error when more than a fifth of `n` files are unreadable and that was not allowed."""
    if allow_bad or n_bad <= MOST_BAD * n:
        return []
    found = f"{n_bad:,} of {counted(n, 'photo')} ({n_bad / n:.0%}) cannot be used"
    what = f"{found}; training stops above {MOST_BAD:.0%}"
    fix = "Mend or remove them; to go on with the others, pass --allow-bad (allow_bad=True)."
    return [Problem("error", "", what, fix)]


def raise_if_errors(problems: Sequence[Problem], root: Path | None = None) -> None:
    """Raise all errors as one, each with its subject, what is wrong and what to do.

    Args:
        problems: what was found; warnings and notes do not raise but travel with the error.
        root: the folder read; the tree found there and the one expected end the message.

    Raises:
        DataError: at least one problem is an error.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        return
    lines = [f"{counted(len(errors), 'problem')} to mend first:"]
    lines += [f"  {error.file + ': ' if error.file else ''}{error.what}. {error.fix}" for error in errors]
    tree = "\n" + found_and_expected(root) if root is not None and root.is_dir() else ""
    raise DataError("\n".join(lines) + tree, problems)


def stop_if_errors(problems: Sequence[Problem], speaker: Speaker, root: Path | None = None) -> None:
    """Show what is wrong besides, which photos above all, then raise the errors as one.

    The table and the message share no line: each finding is told once.

    Raises:
        DataError: at least one problem is an error; it carries all of them.
    """
    if any(problem.severity == "error" for problem in problems):
        speaker.show([problem for problem in problems if problem.severity != "error"])
        raise_if_errors(problems, root)


def _copies(manifest: Manifest) -> list[tuple[str, list[Row]]]:
    """Return the contents that more than one row has, in order of first appearance."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in manifest.rows:
        if row.sha256 is not None:
            rows[row.sha256].append(row)
    return [(sha256, same) for sha256, same in rows.items() if len(same) > 1]
