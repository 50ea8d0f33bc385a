"""Checks: what the photos themselves tell before anything is learnt from them.

Every file is read and decoded to its end; then the set is looked at as a whole: copies, labels that
contradict each other, leaks between splits, classes too thin. All findings are collected, so that nine
bad photos are nine lines and not nine runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handful.data.bonds import bound, find_bursts
from handful.data.layout import found_and_expected
from handful.data.looks import Look
from handful.data.manifest import Manifest, Row
from handful.data.names import counted, printable, some
from handful.data.reading import read_rows
from handful.data.unions import bundles
from handful.errors import DataError, ImageError, Problem
from handful.progress import Speaker

MOST_BAD = 0.2  # above this part of unreadable files something else is wrong: a half copy, a wrong folder
THIN = 10  # photos of a class below which its score says little
MOST_IMBALANCE = 20


@dataclass(frozen=True)
class Checked:
    """A manifest whose files were all read.

    Attributes:
        manifest: sha256 filled, rows that cannot be decoded left out. Conflicts and leaks are still in
            it: `usable` removes them.
        looks: of each row of the manifest.
        problems: everything found, layout and table included, errors first.
        skipped: how many photos training would leave out.
    """

    manifest: Manifest
    looks: tuple[Look, ...]
    problems: tuple[Problem, ...]
    skipped: int


def check_manifest(manifest: Manifest, speaker: Speaker, *, workers: int, allow_bad: bool = False) -> Checked:
    """Decode every photo and look at the set as a whole.

    Args:
        manifest: from `Manifest.read`.
        speaker: shows the bar.
        workers: how many photos are decoded at a time; each costs the memory of one photo.
        allow_bad: more than a fifth of the files may be unreadable.
    """
    rows: list[Row] = []
    looks: list[Look] = []
    own: list[Problem] = []
    with speaker.bar("Reading photos", len(manifest.rows)) as advance:
        for one in read_rows(manifest.rows, workers):
            if one.look is not None:
                rows.append(one.row)
                looks.append(one.look)
            own += photo_notes(one.row.shown, one.notes)
            own += [bad_photo(one.row.shown, one.refusal)] if one.refusal else []
            advance(1)
    checked = bound(manifest.keep(rows), looks)
    n_asked = len(manifest.rows) + manifest.left_out
    kept = usable(checked)
    problems = [
        *find_photo_problems(checked),
        *checked.problems,
        *own,
        *find_class_problems(kept),
        *find_bursts(checked, looks),
        *too_many_bad(n_asked - len(rows), n_asked, allow_bad=allow_bad),
    ]
    return Checked(checked, tuple(looks), tuple(in_order(problems)), n_asked - len(kept.rows))


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
    return [*find_conflicts(manifest), *find_leaks(drop_conflicts(manifest)), *find_copies(manifest)]


def usable(manifest: Manifest) -> Manifest:
    """Return the rows whose label can be trusted and whose score would be honest."""
    return drop_leaks(drop_conflicts(manifest))


def drop_conflicts(manifest: Manifest) -> Manifest:
    """Leave out all copies of a photo that is there under several labels: none can be trusted."""
    bad = {sha256 for sha256, rows in _copies(manifest) if len({row.label for row in rows}) > 1}
    return manifest.keep(row for row in manifest.rows if row.sha256 not in bad)


def drop_leaks(manifest: Manifest) -> Manifest:
    """Leave out validation and test photos bound to one that is trained on; the training photo stays.

    What binds: the same file, a picture that is alike, the same group or burst, directly or through others.
    """
    numbers = bundles(manifest.rows).tolist()
    numbered = list(zip(manifest.rows, numbers, strict=True))
    trained = {number for row, number in numbered if row.split == "train"}
    return manifest.keep(row for row, number in numbered if row.split == "train" or number not in trained)


def find_conflicts(manifest: Manifest) -> list[Problem]:
    """Warn of one photo under several labels, and of one picture."""
    problems = []
    for _, rows in _copies(manifest):
        if len({row.label for row in rows}) > 1:
            what = f"the same photo under different labels: {_with_labels(rows)}; all copies left out"
            problems.append(Problem("warning", rows[0].shown, what, "Keep the copy with the right label."))
    for rows in _alike(drop_conflicts(manifest)):
        if len({row.label for row in rows}) > 1:
            what = f"looks like one picture under different labels: {_with_labels(rows)}; used, kept together"
            fix = (
                "Look at them: correct the wrong label with --fix, or remove one; leave them if they differ."
            )
            problems.append(Problem("warning", rows[0].shown, what, fix))
    return problems


def _with_labels(rows: Sequence[Row]) -> str:
    return some(f"{row.name} ({row.label})" for row in rows)


def find_leaks(manifest: Manifest) -> list[Problem]:
    """Warn of photos, and of groups, on both sides of the line between training and scoring.

    Args:
        manifest: without contradictions, from `drop_conflicts`.
    """
    trained = [row for row in manifest.rows if row.split == "train"]
    kept = {id(row) for row in drop_leaks(manifest).rows}
    leaking = [row for row in manifest.rows if id(row) not in kept]
    by_file = {row.sha256: row for row in reversed(trained) if row.sha256 is not None}
    by_picture = {row.alike: row for row in reversed(trained) if row.alike is not None}
    problems, others = _leak_totals(manifest, leaking), []
    for row in leaking:
        if row.sha256 in by_file:
            what = f"the same photo as {by_file[row.sha256].shown}, trained on"
        elif row.alike in by_picture:
            first = by_picture[row.alike].shown
            what = f"the same picture as {first}, trained on (re-saved, resized or cropped)"
        else:
            others.append(row)
            continue
        what += f"; left out of the {row.split} score"
        problems.append(Problem("warning", row.shown, what, "Remove one of the two."))
    return problems + _group_leaks(trained, others)


def _leak_totals(manifest: Manifest, leaking: Sequence[Row]) -> list[Problem]:
    """Say it loudly, once for each split, where more than one photo leaks."""
    problems = []
    for split in ("validation", "test"):
        leaks, total = sum(row.split == split for row in leaking), len(manifest.of(split).rows)
        if leaks > 1:
            honest = (
                f"the score counts the {total - leaks:,} others" if leaks < total else "there is no score"
            )
            what = f"{leaks:,} of {counted(total, f'{split} photo')} are trained on as well: {honest}"
            problems.append(Problem("warning", "", what, "A score on photos the model has seen flatters."))
    return problems


def _group_leaks(trained: Sequence[Row], leaking: Sequence[Row]) -> list[Problem]:
    """One line for the photos that a group, a burst, or a chain of such binds to trained ones."""
    if not leaking:
        return []
    shared = {row.group for row in leaking if row.group} & {row.group for row in trained}
    named = f"{counted(len(shared), 'group')} trained on and scored: {some(sorted(filter(None, shared)))}"
    what = named if shared else "photos bound to trained ones, by a burst or through others"
    what += f"; {counted(len(leaking), 'photo')} left out of the score"
    return [Problem("warning", "", what, "Give all rows of a group the same split.")]


def find_copies(manifest: Manifest) -> list[Problem]:
    """Note photos, and pictures, that are there several times with one label in one split."""
    problems = []
    kept = drop_conflicts(manifest)
    for _, rows in _copies(kept):
        for same in _by_split(rows):
            what = (
                f"{len(same)} copies of one photo: {some(row.name for row in same)}; kept together in folds"
            )
            problems.append(Problem("note", same[0].shown, what, "Keep one; copies teach nothing new."))
    for rows in _alike(kept):
        for same in _by_split(rows):
            if len({row.label for row in same}) > 1 or len({row.sha256 for row in same}) == 1:
                continue
            names = some(row.name for row in same)
            what = f"{len(same)} photos look like one picture, re-saved, resized or cropped: {names}"
            fix = "Kept together in folds. Keep the best one; copies teach nothing new."
            problems.append(Problem("note", same[0].shown, what, fix))
    return problems


def _by_split(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each split, where there are several."""
    parts = ([row for row in rows if row.split == split] for split in ("train", "validation", "test"))
    return [part for part in parts if len(part) > 1]


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
    numbers = bundles(manifest.rows).tolist()
    pairs = {(row.label, number) for row, number in zip(manifest.rows, numbers, strict=True)}
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
    return _shared((row.sha256, row) for row in manifest.rows)


def _alike(manifest: Manifest) -> list[list[Row]]:
    """Return the rows of each picture that several files show, in order of first appearance."""
    return [rows for _, rows in _shared((row.alike, row) for row in manifest.rows)]


def _shared(keyed: Iterable[tuple[str | None, Row]]) -> list[tuple[str, list[Row]]]:
    """Group rows by a key that more than one has; None is no key."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for key, row in keyed:
        if key is not None:
            rows[key].append(row)
    return [(key, same) for key, same in rows.items() if len(same) > 1]
