"""Split: folds and hold-outs that are stratified, grouped, and never part copies of one photo.

The unit that moves is a bundle: all rows of one user group, all rows with the same content, and what
those join. Pure numpy; the same input and seed give the same result everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handful.config import default_workers
from handful.data.bonds import marked_alike
from handful.data.manifest import Manifest, Source
from handful.data.names import counted, printable
from handful.data.reading import read_rows
from handful.data.unions import bind, bundles, numbered
from handful.errors import ConfigError, DataError

__all__ = ["bind", "bundles", "split", "stratified_folds"]

_ATTEMPTS = 20  # other orders to try when bundles of several classes block each other


def stratified_folds(
    labels: np.ndarray, folds: int, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Deal rows into folds so that each fold looks like the whole.

    Without groups, the counts of one class in any two folds differ by at most one, and so do the sizes
    of the folds. With groups, no group is in two folds, and every class of at least two groups is in at
    least two folds: whichever fold is left out, the class is still there to learn from.

    Args:
        labels: int, shape (n,).
        folds: how many, at least 2 and at most the number of groups.
        seed: another seed deals otherwise; the same seed deals the same.
        groups: int, shape (n,), rows that must stay together, from `bind`; None: each row by itself.

    Returns:
        int64, shape (n,), the fold of each row, each in [0, folds).

    Raises:
        ConfigError: fewer than 2 folds.
        DataError: shapes disagree, there are fewer groups than folds, or groups that hold several classes
            cannot be dealt so that each class is in two folds.
    """
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    _check_shapes(labels, folds, groups)
    bundles = _bundles(numbered(labels.tolist()), groups)
    if len(bundles) < folds:
        raise DataError(
            f"{counted(len(bundles), 'group')} of photos cannot fill {folds} folds. "
            f"Copies of one photo count as one. Add photos, or use at most {len(bundles)} folds."
        )
    for attempt in range(_ATTEMPTS):
        deal = _Deal.empty(folds, np.random.default_rng([seed, attempt]))
        for bundle in deal.in_order(bundles):
            deal.place(bundle)
        if not deal.lonely(bundles):
            return deal.fold_of_rows(len(labels))
    raise DataError(
        f"The groups hold photos of several classes: {folds} folds cannot each leave "
        "every class in the others. Use more folds, or smaller groups."
    )


def _check_shapes(labels: np.ndarray, folds: int, groups: np.ndarray) -> None:
    if folds < 2:
        raise ConfigError(f"Received folds={folds}. Cross-validation needs at least 2. Pass 2 or more.")
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise DataError(
            f"Received labels of shape {labels.shape} and groups of shape {groups.shape}. "
            "Expected (n,) twice. Take both from the same rows."
        )


@dataclass(frozen=True)
class _Bundle:
    """Rows that stay together, and how many there are of each class."""

    rows: tuple[int, ...]
    classes: tuple[tuple[int, int], ...]


def _bundles(labels: np.ndarray, groups: np.ndarray) -> list[_Bundle]:
    rows: dict[int, list[int]] = {}
    for row, group in enumerate(groups.tolist()):
        rows.setdefault(group, []).append(row)
    number = labels.tolist()
    return [
        _Bundle(tuple(members), tuple(sorted(Counter(number[row] for row in members).items())))
        for members in rows.values()
    ]


@dataclass
class _Deal:
    """Bundles dealt so far.

    Attributes:
        sizes: rows in each fold.
        count: class -> rows of it in each fold.
        fold: row -> fold.
    """

    rng: np.random.Generator
    sizes: list[int]
    count: dict[int, list[int]]
    fold: dict[int, int]

    @classmethod
    def empty(cls, folds: int, rng: np.random.Generator) -> _Deal:
        return cls(rng, [0] * folds, {}, {})

    def in_order(self, bundles: list[_Bundle]) -> list[_Bundle]:
        """Return the largest first, as they fit worst at the end; then class by class, shuffled.

        Dealing single rows class by class, each round going to the emptiest folds first, keeps both the
        counts of a class and the sizes of the folds within one of each other.
        """
        shuffled = [bundles[at] for at in self.rng.permutation(len(bundles))]
        return sorted(shuffled, key=lambda bundle: (-len(bundle.rows), bundle.classes))

    def place(self, bundle: _Bundle) -> None:
        """Put a bundle into the fold that has least of its classes, then least of all."""
        ties = self.rng.random(len(self.sizes)).tolist()

        def cost(fold: int) -> tuple[float, ...]:
            return self._makes_lonely(bundle, fold), self._crowd(bundle, fold), self.sizes[fold], ties[fold]

        best = min(range(len(self.sizes)), key=cost)
        self.sizes[best] += len(bundle.rows)
        for label, number in bundle.classes:
            self._counts(label)[best] += number
        self.fold.update(dict.fromkeys(bundle.rows, best))

    def _counts(self, label: int) -> list[int]:
        return self.count.setdefault(label, [0] * len(self.sizes))

    def _makes_lonely(self, bundle: _Bundle, fold: int) -> int:
        """Count the classes that so far are in this fold only; a second fold is worth more than balance."""
        counts = [self._counts(label) for label, _ in bundle.classes]
        return sum(any(count) and count[fold] == sum(count) for count in counts)

    def _crowd(self, bundle: _Bundle, fold: int) -> int:
        # The growth of the sum of squares, least when counts are even: (a + b)^2 - a^2 = b (2a + b).
        return sum(number * (2 * self._counts(label)[fold] + number) for label, number in bundle.classes)

    def lonely(self, bundles: list[_Bundle]) -> list[int]:
        """Return the classes that could be in two folds but are in one."""
        parts = Counter(label for bundle in bundles for label, _ in bundle.classes)
        return [label for label, n in parts.items() if n > 1 and sum(c > 0 for c in self.count[label]) < 2]

    def fold_of_rows(self, rows: int) -> np.ndarray:
        return np.array([self.fold[row] for row in range(rows)], dtype=np.int64)


def split(source: Source, fraction: float = 0.2, seed: int = 0) -> tuple[Manifest, Manifest]:
    """Hold out a part of the training photos to be scored once, at the end.

    Copies of one photo, pictures that are alike and photos of one group stay on one side; every photo is
    decoded to see which those are. Each class has photos on both sides;
    apart from that the part held out has at most `fraction` of each class, rounded.

    Args:
        source: a Manifest, or whatever `Manifest.read` takes.
        fraction: the part to hold out, between 0 and 1. Take less when photos are few: what is held out
            is not learnt from.
        seed: another seed holds out other photos.

    Returns:
        (training, held out). The second has its rows marked "test". Validation and test photos that were
        there before stay in the first. The hashes of files that could be read are filled.

    Raises:
        ConfigError: the fraction is not between 0 and 1.
        DataError: a class has only one photo, or only copies of one.

    Example:
        >>> training, held_out = split("photos/")  # doctest: +SKIP
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"Received fraction={fraction}. Pass a number between 0 and 1, for example 0.2.")
    manifest = Manifest.read(source)
    manifest = _bound(manifest)
    training = manifest.of("train")
    parts = _bundles(training.labels, bundles(training.rows))
    held = {id(training.rows[at]) for at in _hold_out(parts, training.classes, fraction, seed)}
    kept = manifest.keep(row for row in manifest.rows if id(row) not in held)
    test = manifest.keep(replace(row, split="test") for row in manifest.rows if id(row) in held)
    return kept, replace(test, problems=(), left_out=0)


def _bound(manifest: Manifest) -> Manifest:
    """Fill hashes and mark pictures that are alike, of rows not read yet; a bad file stays as it is."""
    unread = [row for row in manifest.rows if row.sha256 is None]
    found = [(old, new) for old, new in zip(unread, read_rows(unread, default_workers()), strict=True)]
    good = [(old, new.row, new.look) for old, new in found if new.look is not None]
    marked, problems = marked_alike([row for _, row, _ in good], [look for _, _, look in good])
    new = {id(old): row for (old, _, _), row in zip(good, marked, strict=True)}
    rows = tuple(new.get(id(row), row) for row in manifest.rows)
    return replace(manifest, rows=rows, problems=(*manifest.problems, *problems))


def _hold_out(bundles: list[_Bundle], classes: Sequence[str], fraction: float, seed: int) -> list[int]:
    """Choose the rows to hold out: bundles in random order while they fit, then one for each class without.

    Raises:
        DataError: a class has no bundle to spare.
    """
    rng = np.random.default_rng(seed)
    order = [bundles[at] for at in rng.permutation(len(bundles))]
    held = _HeldOut.of(bundles, fraction)
    for bundle in order:
        if held.is_spare(bundle) and held.has_room(bundle):
            held.take(bundle)
    for label, name in enumerate(classes):
        if label in held.classes:
            continue
        spare = [b for b in order if label in dict(b.classes) and held.is_spare(b)]
        if not spare:
            raise _too_few(name, held.total[label])
        held.take(min(spare, key=lambda bundle: len(bundle.rows)))
    return held.rows


@dataclass
class _HeldOut:
    """What is held out so far.

    Attributes:
        total: class -> its rows.
        room: class -> rows that may still be held out.
        left: class -> bundles that are not held out.
        classes: the classes that have a row held out.
        rows: the rows held out.
    """

    total: Counter[int]
    room: dict[int, int]
    left: Counter[int]
    classes: set[int]
    rows: list[int]

    @classmethod
    def of(cls, bundles: list[_Bundle], fraction: float) -> _HeldOut:
        total: Counter[int] = Counter()
        for bundle in bundles:
            total.update(dict(bundle.classes))
        room = {label: max(1, round(number * fraction)) for label, number in total.items()}
        left = Counter(label for bundle in bundles for label, _ in bundle.classes)
        return cls(total, room, left, set(), [])

    def is_spare(self, bundle: _Bundle) -> bool:
        """Say whether each of its classes keeps another bundle to train on."""
        return all(self.left[label] > 1 for label, _ in bundle.classes)

    def has_room(self, bundle: _Bundle) -> bool:
        return all(self.room[label] >= number for label, number in bundle.classes)

    def take(self, bundle: _Bundle) -> None:
        self.rows += bundle.rows
        for label, number in bundle.classes:
            self.left[label] -= 1
            self.room[label] -= number
            self.classes.add(label)


def _too_few(name: str, photos: int) -> DataError:
    what = f'Class "{printable(name)}" cannot be split: it has {counted(photos, "photo")}'
    why = "" if photos < 2 else ", all copies of one or bound to one group"
    return DataError(f"{what}{why}. Each side needs at least one. Add photos of this class.")
