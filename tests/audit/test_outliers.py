"""Photos that are far from all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handful.audit.outliers import find_outliers, how_far
from handful.data.manifest import Manifest, Row


def features(seed: int, n: int = 200, odd: int = 2) -> np.ndarray:
    """Features about one direction, and the last few of them about another."""
    rng = np.random.default_rng(seed)
    centre, other = np.zeros(64), np.zeros(64)
    centre[0], other[1] = 3, 3
    usual, strange = (place + rng.normal(0, 0.3, (m, 64)) for place, m in ((centre, n), (other, odd)))
    return np.vstack([usual, strange]).astype(np.float32)


def manifest(n: int, groups: dict[int, str] | None = None) -> Manifest:
    named = groups or {}
    rows = (Row(Path(f"{at}"), f"{at}", "cat", group=named.get(at), sha256=f"{at}") for at in range(n))
    return Manifest(tuple(rows), ("cat",))


def test_two_odd_photos_are_named_and_hardly_another() -> None:
    named = [{p.file for p in find_outliers(manifest(202), features(seed))} for seed in range(10)]
    assert all({"200", "201"} <= files for files in named)
    assert sum(len(files) - 2 for files in named) <= 1


def test_photos_of_one_kind_raise_hardly_anything() -> None:
    found = [problem for seed in range(10) for problem in find_outliers(manifest(200), features(seed, odd=0))]
    assert len(found) <= 1
    assert {problem.severity for problem in found} <= {"note"}


def test_copies_of_an_odd_photo_are_no_company_for_it() -> None:
    values = features(0, odd=6)
    assert {p.file for p in find_outliers(manifest(206), values)} == set()
    bound = manifest(206, dict.fromkeys(range(200, 206), "copies"))
    assert {p.file for p in find_outliers(bound, values)} == {str(at) for at in range(200, 206)}


def test_few_photos_are_not_judged() -> None:
    assert find_outliers(manifest(10), features(0, n=8)) == []


def test_blocks_change_nothing() -> None:
    values = np.vstack([features(1, n=700), features(2, n=700)])
    far = how_far(values, np.arange(len(values)))
    order = np.random.default_rng(0).permutation(len(values))
    assert np.allclose(how_far(values[order], np.arange(len(values))), far[order], atol=1e-4)


def test_many_odd_photos_are_not_all_listed() -> None:
    rng = np.random.default_rng(0)
    odd = rng.normal(0, 3, (30, 64)).astype(np.float32)
    found = find_outliers(manifest(430), np.vstack([features(0, n=400, odd=0), odd]))
    assert len(found) == 21
    assert found[-1].what == "10 more photos are unlike all others"
