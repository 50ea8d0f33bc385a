"""Photos that belong together: by what they show, and by when they were taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.data.bonds import bound, find_bursts, marked_alike
from handful.data.checks import check_manifest, find_photo_problems, usable
from handful.data.looks import Look
from handful.data.manifest import Manifest, Row, Split
from handful.data.splitting import split, stratified_folds
from handful.data.unions import bundles
from handful.errors import ConfigError
from handful.progress import Silent


def picture(seed: int) -> Image.Image:
    grid = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((120, 90), Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image, quality: int = 95, taken: str = "", camera: str = "Acme") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken:
        exif[271] = camera
        exif.get_ifd(0x8769)[36867] = taken
    image.save(path, "JPEG", quality=quality, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of twelve photos; cat/11 is cat/0 re-saved, dog/11 is dog/0 cropped."""
    folder = tmp_path / "photos"
    for base, name in ((0, "cat"), (100, "dog")):
        for number in range(11):
            save(folder / name / f"{number:02}.jpg", picture(base + number))
    save(folder / "cat" / "11.jpg", picture(0), quality=60)
    save(folder / "dog" / "11.jpg", picture(100).crop((0, 0, 114, 86)))
    return folder


def checked(source: Path | Manifest, **options):
    return check_manifest(Manifest.read(source, **options), Silent(), workers=2)


def said(problems) -> list[tuple[str, str]]:
    return [(problem.severity, problem.what) for problem in problems]


def test_re_saved_and_cropped_photos_are_noted_and_kept_together(photos: Path) -> None:
    found = checked(photos)
    assert said(found.problems) == [
        ("note", "2 photos look like one picture, re-saved, resized or cropped: cat/00.jpg, cat/11.jpg"),
        ("note", "2 photos look like one picture, re-saved, resized or cropped: dog/00.jpg, dog/11.jpg"),
    ]
    assert usable(found.manifest) == found.manifest
    manifest = found.manifest
    for seed in range(20):
        folds = stratified_folds(manifest.labels, 4, seed, bundles(manifest.rows))
        assert folds[0] == folds[11]
        assert folds[12] == folds[23]


def test_they_never_fall_on_both_sides_of_a_split(photos: Path) -> None:
    together = [{"cat/00.jpg", "cat/11.jpg"}, {"dog/00.jpg", "dog/11.jpg"}]
    for seed in range(20):
        held = {row.name for row in split(photos, 0.3, seed)[1].rows}
        assert all(len(pair & held) != 1 for pair in together)


def test_one_picture_under_two_labels_is_named_first_with_both(photos: Path) -> None:
    save(photos / "dog" / "12.jpg", picture(3), quality=70)
    save(photos / "dog" / "empty.jpg", picture(3)).write_bytes(b"")
    first = checked(photos).problems[0]
    assert (first.severity, first.file) == ("warning", "cat/03.jpg")
    told = "cat/03.jpg (cat), dog/12.jpg (dog)"
    assert first.what == f"looks like one picture under different labels: {told}; used, kept together"
    assert "--fix" in first.fix


def test_test_photos_that_were_trained_on_in_another_form_are_left_out_of_the_score(
    photos: Path, tmp_path: Path
) -> None:
    photos.rename(tmp_path / "train")
    (tmp_path / "set").mkdir()
    (tmp_path / "train").rename(tmp_path / "set" / "train")
    for number in range(3):
        save(tmp_path / "set" / "test" / "cat" / f"{number}.jpg", picture(number), quality=50)
        save(tmp_path / "set" / "test" / "dog" / f"{number}.jpg", picture(500 + number))
    found = checked(tmp_path / "set")
    warnings = [(p.file, p.what) for p in found.problems if p.severity == "warning"]
    assert warnings[0] == ("", "3 of 6 test photos are trained on as well: the score counts the 3 others")
    assert warnings[1] == (
        "test/cat/0.jpg",
        "the same picture as train/cat/00.jpg, trained on (re-saved, resized or cropped); "
        "left out of the test score",
    )
    assert [row.label for row in usable(found.manifest).of("test").rows] == ["dog"] * 3
    assert found.skipped == 3


def rows_of(*taken: tuple[str, int | None, str]) -> tuple[Manifest, list[Look]]:
    """Rows of (camera, second, name) that are alike in nothing else."""
    rows = tuple(Row(Path(name), name, name[:3], sha256=name) for _, _, name in taken)
    looks = [
        Look(8, 8, "JPEG", 1, camera, second, np.asarray(picture(n).resize((32, 32))))
        for n, (camera, second, _) in enumerate(taken)
    ]
    return Manifest(rows, ("cat", "dog")), looks


BURSTS = (("A", 100, "cat1"), ("A", 101, "cat2"), ("B", 101, "cat3"), ("A", 103, "dog1"), ("A", 106, "dog2"),
          ("", None, "dog3"), ("", None, "dog4"))  # fmt: skip


def test_bursts_are_proposed_and_not_imposed() -> None:
    manifest, looks = rows_of(*BURSTS)
    (problem,) = find_bursts(bound(manifest, looks), looks)
    assert problem.severity == "note"
    assert problem.what.startswith("3 photos look like 1 burst (taken within 2 s of the one before")
    assert problem.what.endswith("for example cat1, cat2, dog1")
    assert "--group-by-burst 2" in problem.fix
    assert len(set(bundles(bound(manifest, looks).rows).tolist())) == 7


@pytest.mark.parametrize(("seconds", "together"), [(0.5, 7), (1, 6), (2, 5), (3, 4)])
def test_bursts_are_imposed_when_asked(seconds: float, together: int) -> None:
    manifest, looks = rows_of(*BURSTS)
    rows = bound(Manifest.read(manifest, burst=seconds), looks).rows
    assert len(set(bundles(rows).tolist())) == together


def test_what_is_grouped_already_is_not_proposed_again() -> None:
    manifest, looks = rows_of(("A", 1, "cat-a"), ("A", 2, "cat-b"))
    grouped = Manifest.read(manifest, group_by="(cat)")
    assert find_bursts(grouped, looks) == []
    assert find_bursts(manifest, looks) != []


def test_times_are_read_from_the_photos_themselves(tmp_path: Path) -> None:
    for name, base in (("cat", 0), ("dog", 50)):
        for number in range(6):
            time = f"2017:05:24 17:3{base // 10}:{10 * number:02}"
            save(tmp_path / "set" / name / f"{number}.jpg", picture(base + number), taken=time)
    found = checked(tmp_path / "set")
    assert [look.camera for look in found.looks] == ["Acme"] * 12
    taken = [look.taken or 0 for look in found.looks[:6]]
    assert np.diff(taken).tolist() == [10] * 5
    imposed = checked(tmp_path / "set", burst=10)
    assert [row.burst for row in imposed.manifest.rows] == ["burst 0"] * 6 + ["burst 6"] * 6
    assert ("note", "12 photos in 2 bursts of at most 10 s between two; kept together in folds") in said(
        imposed.problems
    )


def test_asking_for_bursts_where_there_are_none_is_said(photos: Path) -> None:
    told = said(checked(photos, burst=2).problems)
    assert ("warning", "no two photos were taken within 2 s of each other, by their EXIF times") in told


def test_seconds_below_zero_are_refused(photos: Path) -> None:
    with pytest.raises(ConfigError, match="Received burst=-1"):
        Manifest.read(photos, burst=-1)


def test_equal_files_are_compared_once_and_marked_together() -> None:
    look = Look(8, 8, "JPEG", 1, "", None, np.asarray(picture(0).resize((32, 32))))
    other = Look(8, 8, "JPEG", 1, "", None, np.asarray(picture(1).resize((32, 32))))
    rows = [Row(Path(n), n, "cat", sha256=s) for n, s in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "3"))]
    rows.append(Row(Path("e"), "e", "cat", sha256="4"))
    marked, problems = marked_alike(rows, [look, look, look, other, other])
    assert [row.alike for row in marked] == ["1", "1", "1", "3", "3"]
    assert problems == []


@pytest.mark.parametrize("of_one", [3, 5, 12])
def test_a_fixed_camera_stops_nothing_and_is_said(tmp_path: Path, of_one: int) -> None:
    """All photos of a class, or very many, are alike: they stay apart, so that there is a score."""
    for number in range(of_one):
        scene = picture(0)
        scene.putpixel((number, 40), (255, 0, 0))
        save(tmp_path / "set" / "fine" / f"{number}.jpg", scene)
        save(tmp_path / "set" / "other" / f"{number}.jpg", picture(50 + number))
    found = checked(tmp_path / "set")
    assert {row.alike for row in found.manifest.rows} == {None}
    assert not any(p.severity == "error" for p in found.problems)
    told = [p for p in found.problems if "used as different ones" in p.what]
    assert [(p.severity, p.file) for p in told] == [("warning", "fine/0.jpg")]
    assert told[0].what.startswith(f"{of_one} photos look like one picture")


def test_files_that_are_equal_are_still_copies_under_a_fixed_camera(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "set" / "fine" / f"{number}.jpg", picture(0))
        save(tmp_path / "set" / "other" / f"{number}.jpg", picture(50 + number))
    errors = [p.what for p in checked(tmp_path / "set").problems if p.severity == "error"]
    assert errors == ["its 3 photos are copies of one or belong to one group; they cannot be split"]


def leaking(split: Split, group: str | None = None, burst: str | None = None) -> list[tuple[str, str]]:
    train = [Row(Path(f"{n}"), f"{n}", "cd"[n % 2], sha256=f"{n}") for n in range(20)]
    seen = Row(Path("s"), "s", "c", sha256="s", group=group, burst=burst)
    scored = Row(Path("t"), "t", "c", sha256="t", split=split, group=group, burst=burst)
    manifest = Manifest((*train, seen, scored), ("c", "d"))
    assert usable(manifest).of(split).rows == ()
    return said(find_photo_problems(manifest))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_group_and_a_burst_bind_as_well(split: Split) -> None:
    assert leaking(split, group="tom") == [
        ("warning", "1 group trained on and scored: tom; 1 photo left out of the score")
    ]
    assert leaking(split, burst="burst 4") == [
        (
            "warning",
            "photos bound to trained ones, by a burst or through others; 1 photo left out of the score",
        )
    ]
