"""Folds and hold-outs: properties over many random data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from handful.data.manifest import Manifest, Row
from handful.data.splitting import bind, split, stratified_folds
from handful.errors import ConfigError, DataError

SEEDS = range(60)


def random_labels(rng: np.random.Generator) -> np.ndarray:
    """Between 2 and 8 classes of 2 to 40 rows, shuffled, with gaps in the numbers."""
    sizes = rng.integers(2, 40, rng.integers(2, 8))
    return rng.permutation(np.repeat(rng.permutation(50)[: len(sizes)], sizes))


def counts(labels: np.ndarray, fold: np.ndarray, folds: int) -> np.ndarray:
    """Rows of each class in each fold, shape (k, folds)."""
    return np.array([np.bincount(fold[labels == label], minlength=folds) for label in np.unique(labels)])


class TestBind:
    def test_rows_of_a_group_or_a_content_share_a_number(self):
        assert bind(["a", None, "a", None], ["1", "2", "3", "2"]).tolist() == [0, 1, 0, 1]

    def test_groups_and_contents_join_through_other_rows(self):
        assert bind(["a", "a", "b", "b", "c"], ["1", "2", "2", "3", "4"]).tolist() == [0, 0, 0, 0, 1]

    def test_a_group_is_not_a_content_of_the_same_name(self):
        assert bind(["a", None], [None, "a"]).tolist() == [0, 1]

    def test_unknown_equals_nothing(self):
        assert bind([None] * 3, [None] * 3).tolist() == [0, 1, 2]

    def test_no_rows_give_no_numbers(self):
        assert bind([], []).shape == (0,)

    def test_a_long_chain_is_one_bundle(self):
        groups = [str(n // 2) for n in range(20_000)]
        contents = [str((n + 1) // 2) for n in range(20_000)]
        assert set(bind(groups, contents).tolist()) == {0}

    def test_lengths_must_agree(self):
        with pytest.raises(DataError, match="Received 1 groups and 2 hashes"):
            bind([None], [None, None])

    @pytest.mark.parametrize("seed", SEEDS)
    def test_it_agrees_with_following_all_connections(self, seed):
        rng = np.random.default_rng(seed)
        groups, contents = rng.integers(0, 12, (2, 15))
        reach = (groups[:, None] == groups) | (contents[:, None] == contents)
        for _ in range(15):
            reach = (reach.astype(int) @ reach.astype(int)) > 0
        bundles = bind([str(g) for g in groups], [str(c) for c in contents])
        assert ((bundles[:, None] == bundles) == reach).all()


class TestFolds:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_without_groups_classes_and_sizes_are_even_to_one_row(self, seed):
        rng = np.random.default_rng(seed)
        labels = random_labels(rng)
        folds = int(rng.integers(2, min(10, len(labels)) + 1))
        fold = stratified_folds(labels, folds, seed)
        assert (fold.dtype, fold.shape) == (np.int64, labels.shape)
        assert np.ptp(counts(labels, fold, folds), axis=1).max() <= 1
        assert np.ptp(np.bincount(fold, minlength=folds)) <= 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_class_of_two_is_in_every_training_part(self, seed):
        labels = np.repeat(np.arange(6), 2)
        assert ((counts(labels, stratified_folds(labels, 5, seed), 5) > 0).sum(1) == 2).all()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_groups_inside_classes_stay_whole_and_classes_are_spread(self, seed):
        rng = np.random.default_rng(seed)
        labels = random_labels(rng)
        groups = labels * 1000 + rng.integers(0, rng.integers(2, 12), len(labels))
        folds = int(rng.integers(2, 6))
        if len(np.unique(groups)) < folds:
            pytest.skip("fewer groups than folds")
        fold = stratified_folds(labels, folds, seed, groups)
        for group in np.unique(groups):
            assert len(np.unique(fold[groups == group])) == 1
        for label in np.unique(labels):
            apart = len(np.unique(groups[labels == label]))
            assert len(np.unique(fold[labels == label])) >= min(2, apart)
        largest = max(np.bincount(np.unique(groups, return_inverse=True)[1]))
        assert np.ptp(np.bincount(fold, minlength=folds)) <= 2 * largest

    @pytest.mark.parametrize("seed", SEEDS)
    def test_groups_across_classes_stay_whole_and_classes_are_spread(self, seed):
        rng = np.random.default_rng(seed)
        labels = random_labels(rng)
        groups = rng.integers(0, max(8, len(labels) // 3), len(labels))
        fold = stratified_folds(labels, 4, seed, groups)
        for group in np.unique(groups):
            assert len(np.unique(fold[groups == group])) == 1
        for label in np.unique(labels):
            apart = len(np.unique(groups[labels == label]))
            assert len(np.unique(fold[labels == label])) >= min(2, apart)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_few_copies_hardly_disturb_the_balance(self, seed):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(4), 25)
        groups = np.arange(100)
        for _ in range(6):
            at = int(rng.integers(0, 99))
            groups[at + 1] = groups[at]
        fold = stratified_folds(labels, 5, seed, groups)
        assert np.ptp(counts(labels, fold, 5), axis=1).max() <= 2
        assert np.ptp(np.bincount(fold)) <= 2

    def test_a_thousand_copies_are_in_one_fold(self):
        labels = np.repeat([0, 1], [1010, 20])
        groups = np.r_[np.zeros(1000, int), np.arange(1, 31)]
        fold = stratified_folds(labels, 5, 0, groups)
        assert len(np.unique(fold[:1000])) == 1
        assert np.ptp(counts(labels, fold, 5)[1]) <= 1

    def test_the_same_seed_deals_the_same_and_another_otherwise(self):
        labels = np.repeat([0, 1, 2], 20)
        first = stratified_folds(labels, 5, 3)
        assert (first == stratified_folds(labels, 5, 3)).all()
        assert (first != stratified_folds(labels, 5, 4)).any()

    def test_the_deal_is_the_same_on_every_machine(self):
        assert stratified_folds(np.repeat([0, 1], 5), 3, 0).tolist() == [0, 2, 1, 0, 2, 2, 1, 0, 2, 1]

    def test_a_class_of_one_is_dealt_once(self):
        assert sorted(stratified_folds(np.array([0, 1, 1, 1]), 2, 0).tolist()) == [0, 0, 1, 1]

    def test_fewer_groups_than_folds_are_refused(self):
        with pytest.raises(DataError, match="3 groups of photos cannot fill 5 folds"):
            stratified_folds(np.array([0, 0, 1, 1]), 5, 0, np.array([0, 0, 1, 2]))

    def test_groups_that_cannot_be_dealt_are_refused(self):
        # Three groups, each pair sharing a class: in two folds one pair is always together.
        labels, groups = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
        with pytest.raises(DataError, match="2 folds cannot each leave every class in the others"):
            stratified_folds(labels, 2, 0, groups)
        assert set(stratified_folds(labels, 3, 0, groups)) == {0, 1, 2}

    @pytest.mark.parametrize("folds", [1, 0, -3])
    def test_fewer_than_two_folds_are_refused(self, folds):
        with pytest.raises(ConfigError, match=f"Received folds={folds}"):
            stratified_folds(np.array([0, 1]), folds, 0)

    def test_shapes_must_agree(self):
        with pytest.raises(DataError, match=r"labels of shape \(2,\) and groups of shape \(3,\)"):
            stratified_folds(np.array([0, 1]), 2, 0, np.arange(3))

    def test_twenty_thousand_rows_take_seconds(self):
        labels = np.arange(20_000) % 10
        assert np.ptp(counts(labels, stratified_folds(labels, 5, 0), 5)) == 0


def made(rng: np.random.Generator) -> Manifest:
    """A manifest with hashes, some copies and some groups, all inside classes of at least two bundles."""
    rows = []
    for label in range(int(rng.integers(2, 6))):
        for at in range(int(rng.integers(2, 30))):
            content = at if at < 2 else int(rng.integers(0, at + 1))
            group = f"{label}-{content % 7}" if at > 1 and rng.random() < 0.2 else None
            name = f"{label}/{at}"
            rows.append(Row(Path(name), name, f"c{label}", group=group, sha256=f"{label}-{content}"))
    return Manifest(tuple(rows), tuple(sorted({row.label for row in rows})))


def is_divisible(manifest: Manifest) -> bool:
    bundles = bind([row.group for row in manifest.rows], [row.sha256 for row in manifest.rows])
    return all(len(set(bundles[manifest.labels == label])) > 1 for label in range(len(manifest.classes)))


class TestSplit:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_nothing_crosses_and_every_class_is_on_both_sides(self, seed):
        rng = np.random.default_rng(seed)
        manifest = made(rng)
        if not is_divisible(manifest):
            with pytest.raises(DataError, match="cannot be split"):
                split(manifest, 0.2, seed)
            return
        training, held = split(manifest, 0.2, seed)
        assert not {row.sha256 for row in training.rows} & {row.sha256 for row in held.rows}
        assert not ({row.group for row in training.rows} & {row.group for row in held.rows}) - {None}
        assert sorted(row.name for row in (*training.rows, *held.rows)) == sorted(
            r.name for r in manifest.rows
        )
        assert min(training.counts.values()) >= 1
        assert min(held.counts.values()) >= 1
        assert training.classes == held.classes == manifest.classes
        assert {row.split for row in held.rows} == {"test"}

    @pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.9])
    def test_without_copies_the_part_is_exact_in_each_class(self, fraction):
        rows = tuple(Row(Path(f"{n}"), f"{n}", "ab"[n % 2], sha256=f"{n}") for n in range(40))
        training, held = split(Manifest(rows, ("a", "b")), fraction)
        assert held.counts == {"a": round(20 * fraction), "b": round(20 * fraction)}
        assert training.counts["a"] == 20 - held.counts["a"]

    def test_copies_on_the_disk_are_found_by_reading(self, photo, tmp_path):
        for number in range(10):
            photo(f"photos/cat/{number}.png", like=number // 5)
            photo(f"photos/dog/{number}.png", like=100 + number)
        training, held = split(tmp_path / "photos", 0.3)
        assert held.counts == {"cat": 5, "dog": 3}
        assert {row.name for row in held.rows if row.label == "cat"} in (
            {f"cat/{n}.png" for n in range(5)},
            {f"cat/{n}.png" for n in range(5, 10)},
        )
        assert all(row.sha256 for row in (*training.rows, *held.rows))

    def test_a_file_that_cannot_be_read_is_left_to_the_check(self, pets):
        (pets / "cat" / "broken.png").symlink_to("nowhere")
        training, held = split(pets, 0.2)
        assert len(training.rows) + len(held.rows) == 7

    def test_what_is_held_out_can_be_scored(self, pets):
        _, held = split(pets)
        assert held.to_score() == held

    def test_parts_that_were_there_stay_in_the_first(self, photo, tmp_path):
        for name in ("train/cat", "train/dog", "val/cat"):
            for number in range(4):
                photo(f"photos/{name}/{number}.png")
        training, held = split(tmp_path / "photos", 0.25)
        assert len(training.of("validation").rows) == 4
        assert len(held.rows) == 2

    def test_the_same_seed_gives_the_same(self, pets):
        assert split(pets, seed=1) == split(pets, seed=1)

    def test_a_class_of_one_photo_is_refused_by_name(self, photo, pets):
        photo("photos/bi\trd/1.png")
        with pytest.raises(DataError, match=r'Class "bi\\trd" cannot be split: it has 1 photo\. '):
            split(pets)

    def test_a_class_of_copies_is_refused_by_name(self, photo, pets):
        for number in range(3):
            photo(f"photos/bird/{number}.png", like=5)
        with pytest.raises(DataError, match="it has 3 photos, all copies of one or bound to one group"):
            split(pets)

    @pytest.mark.parametrize("fraction", [0, 1, -0.2, 20, float("nan")])
    def test_a_fraction_outside_zero_and_one_is_refused(self, pets, fraction):
        with pytest.raises(ConfigError, match="Pass a number between 0 and 1"):
            split(pets, fraction)
