"""Classes that differ by camera, size, format or background: said, and silent where they do not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.audit.shortcuts import find_shortcuts, measure_shortcut
from handful.audit.traits import traits_of
from handful.data.checks import check_manifest
from handful.data.looks import Look
from handful.data.manifest import Manifest, Row
from handful.progress import Silent

CLASSES = ("cat", "dog", "hen")


def looks_of(rng: np.random.Generator, label: int, difference: str) -> Look:
    """A look like all others, but for one difference of class 0."""
    odd = label == 0
    width = int(rng.integers(400, 600)) * (3 if odd and difference == "size" else 1)
    thumbnail = rng.integers(60, 180, (32, 32, 3), dtype=np.uint8)
    if odd and difference == "background brightness":
        thumbnail[:4], thumbnail[:, :4] = 230, 230
        thumbnail[-4:], thumbnail[:, -4:] = 230, 230
    return Look(
        width,
        3 * width // 4,
        "PNG" if odd and difference == "format" else "JPEG",
        width * 300 + int(rng.integers(0, 20_000)),
        "Acme 5" if odd and difference == "camera" else f"Acme {rng.integers(1, 4)}",
        None,
        thumbnail,
    )


def made(difference: str, each: int = 20, seed: int = 0) -> tuple[Manifest, list[Look]]:
    rng = np.random.default_rng(seed)
    labels = [label for label in range(3) for _ in range(each)]
    rows = tuple(Row(Path(f"{n}"), f"{n}", CLASSES[label], sha256=f"{n}") for n, label in enumerate(labels))
    return Manifest(rows, CLASSES), [looks_of(rng, label, difference) for label in labels]


DIFFERENCES = {
    "size": r"1\.\d+ megapixels, the others 0\.[12]\d+ megapixels",
    "format": r"PNG in 100 %, the others JPEG in 100 %",
    "camera": r"Acme 5 in 100 %, the others Acme \d in",
    "background brightness": r"230 of 255, the others 1[12]\d of 255",
}


@pytest.mark.parametrize("seed", range(20))
def test_photos_that_differ_by_content_only_raise_no_warning(seed: int) -> None:
    assert find_shortcuts(*made("content", seed=seed)) == []


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_class_that_differs_in_one_trait_is_named_with_it(difference: str, classes: int) -> None:
    manifest, looks = made(difference)
    kept = [at for at, row in enumerate(manifest.rows) if row.label in CLASSES[:classes]]
    part = Manifest(tuple(manifest.rows[at] for at in kept), CLASSES[:classes])
    (problem,) = find_shortcuts(part, [looks[at] for at in kept])
    assert (problem.severity, problem.file) == ("warning", "")
    assert f" best, by {difference}: " in problem.what
    assert re.search(DIFFERENCES[difference], problem.what)
    assert f"may learn the {difference} instead of the content" in problem.fix


def test_one_class_of_ten_with_a_camera_of_its_own_is_found() -> None:
    rng = np.random.default_rng(0)
    names = tuple("abcdefghij")
    rows = tuple(Row(Path(f"{n}"), f"{n}", names[n % 10], sha256=f"{n}") for n in range(150))
    looks = [looks_of(rng, n % 10, "camera") for n in range(150)]
    (problem,) = find_shortcuts(Manifest(rows, names), looks)
    assert '"a" best, by camera: Acme 5 in 100 %' in problem.what


def test_only_training_photos_count() -> None:
    manifest, looks = made("camera")
    rows = (Row(row.path, row.name, row.label, sha256=row.sha256, split="test") for row in manifest.rows)
    assert find_shortcuts(manifest.keep(rows), looks) == []


def test_too_few_photos_are_not_judged() -> None:
    manifest, looks = made("camera", each=4)
    assert measure_shortcut(manifest, traits_of(looks)) is None


def test_photos_without_any_difference_are_not_judged() -> None:
    manifest, looks = made("content")
    assert measure_shortcut(manifest, traits_of([looks[0]] * len(looks))) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ants_bees", "hand_digits"])
def test_the_shared_photos_have_no_shortcut(shared: Path, name: str) -> None:
    checked = check_manifest(Manifest.read(shared / "data" / name), Silent(), workers=2)
    assert find_shortcuts(checked.manifest, checked.looks) == []


def test_a_shortcut_in_real_files_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, suffix in (("cat", "png"), ("dog", "jpg")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(12):
            grid = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
            image = Image.fromarray(grid).resize((80, 60), Image.Resampling.BICUBIC)
            image.save(tmp_path / "set" / name / f"{number}.{suffix}")
    checked = check_manifest(Manifest.read(tmp_path / "set"), Silent(), workers=2)
    (problem,) = find_shortcuts(checked.manifest, checked.looks)
    assert "without the picture, recognise 100 % (guessing: 50 %)" in problem.what
