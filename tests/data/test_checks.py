from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from handful.data.checks import (
    check_manifest,
    drop_conflicts,
    drop_leaks,
    find_problems,
    raise_if_errors,
    too_many_bad,
    usable,
)
from handful.data.manifest import Manifest, Row, Split
from handful.errors import DataError, Problem
from handful.files import sha256_of_file
from handful.progress import Advance, Silent


def manifest(*rows: tuple[str, str, str] | tuple[str, str, str, Split]) -> Manifest:
    """Make a manifest of (name, label, content) or (name, label, content, split)."""
    made = tuple(
        Row(Path(r[0]), r[0], r[1], sha256=r[2], split=r[3] if len(r) > 3 else "train") for r in rows
    )
    return Manifest(made, tuple(sorted({row.label for row in made if row.split == "train"})))


def many(label: str, number: int) -> list[tuple[str, str, str]]:
    return [(f"{label}/{at}", label, f"{label}{at}") for at in range(number)]


def said(problems, severity: str) -> list[tuple[str, str]]:
    return [(problem.file, problem.what) for problem in problems if problem.severity == severity]


def check(source, **options):
    return check_manifest(Manifest.read(source), Silent(), workers=2, **options)


class Counting(Silent):
    """Keeps the steps of its bar."""

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        self.steps: list[int] = []
        yield self.steps.append
        assert sum(self.steps) == total


class TestReadingEveryPhoto:
    def test_hashes_are_filled_and_order_stays(self, pets):
        checked = check(pets).manifest
        assert [row.name for row in checked.rows] == [row.name for row in Manifest.read(pets).rows]
        assert all(row.sha256 == sha256_of_file(row.path) for row in checked.rows)
        assert len(checked.fingerprint) == 64

    @pytest.mark.skipif(os.name == "nt", reason="no named pipes in the file system there")
    def test_nine_bad_photos_are_nine_lines_and_the_rest_is_used(self, pets):
        bad = {
            "empty.jpg": b"",
            "page.jpg": b"<!DOCTYPE html><html><body>404 not found</body></html>",
            "random.png": bytes(range(256)) * 4,
            "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "noname": b"just text, nothing else",
        }
        for name, data in bad.items():
            (pets / "cat" / name).write_bytes(data)
        (pets / "dog" / "broken.jpg").symlink_to("nowhere")
        (pets / "dog" / "self.jpg").symlink_to("self.jpg")
        os.mkfifo(pets / "dog" / "pipe.jpg")
        shutil.copy(pets / "dog" / "0.png", pets / "dog" / "short.png")
        os.truncate(pets / "dog" / "short.png", 60)
        checked = check(pets)
        warnings = [p for p in checked.problems if p.severity == "warning" and "/" in p.file]
        assert {p.file for p in warnings} == {
            *(f"cat/{name}" for name in bad),
            *(f"dog/{name}" for name in ("broken.jpg", "self.jpg", "pipe.jpg", "short.png")),
        }
        assert all(p.what and p.fix for p in warnings)
        assert len(checked.manifest.rows) == 6

    @pytest.mark.parametrize("left", [0.3, 0.6, 0.95])
    def test_a_truncated_photo_is_found_though_it_is_decoded_small(self, pets, left):
        path = pets / "cat" / "large.jpg"
        Image.effect_noise((900, 700), 90).convert("RGB").save(path)
        assert len(check(pets).manifest.rows) == 7
        os.truncate(path, int(path.stat().st_size * left))
        checked = check(pets)
        assert len(checked.manifest.rows) == 6
        assert "cat/large.jpg" in dict(said(checked.problems, "warning"))

    def test_notes_of_the_decoder_are_kept_and_the_photo_is_used(self, photo, pets):
        shutil.copy(photo("other/1.png"), pets / "cat" / "png.jpg")
        checked = check(pets)
        assert ("cat/png.jpg", "is a PNG although named .jpg") in said(checked.problems, "note")
        assert len(checked.manifest.rows) == 7

    def test_names_are_printed_escaped(self, pets):
        (pets / "cat" / "a\x1b[31m.png").write_bytes(b"bad")
        assert "cat/a\\x1b[31m.png" in dict(said(check(pets).problems, "warning"))

    def test_findings_of_the_layout_come_along_and_errors_come_first(self, pets):
        (pets / "bird").mkdir()
        (pets / "cat" / "bad.png").write_bytes(b"")
        problems = check(pets).problems
        assert (problems[0].severity, problems[0].file) == ("error", "bird")
        assert "cat/bad.png" in dict(said(problems, "warning"))

    def test_more_than_a_fifth_unreadable_stops_unless_allowed(self, pets):
        for number in range(2):
            (pets / "cat" / f"bad{number}.png").write_bytes(b"")
        assert said(check(pets).problems, "error") == [
            ("", "2 of 8 photos (25%) cannot be used; training stops above 20%")
        ]
        assert said(check(pets, allow_bad=True).problems, "error") == []

    def test_lines_of_a_table_that_cannot_be_used_count_as_bad(self, pets):
        lines = [f"{name}/{n}.png,{name}" for name in ("cat", "dog") for n in (0, 1, 7)]
        (pets / "labels.csv").write_text("path,label\n" + "\n".join(lines))
        assert "2 of 6 photos (33%)" in said(check(pets / "labels.csv").problems, "error")[0][1]

    def test_a_class_whose_photos_are_all_bad_is_an_error(self, pets):
        for path in (pets / "dog").iterdir():
            path.write_bytes(b"")
        checked = check(pets)
        assert ("dog", "the class has no usable photo; it cannot be split") in said(checked.problems, "error")
        assert checked.manifest.classes == ("cat", "dog")

    def test_the_bar_is_advanced_once_for_each_photo(self, pets):
        speaker = Counting()
        check_manifest(Manifest.read(pets), speaker, workers=3)
        assert speaker.steps == [1] * 6

    def test_nothing_is_written_to_the_users_data(self, pets):
        before = {path: path.stat().st_mtime_ns for path in [pets, *pets.rglob("*")]}
        check(pets)
        assert {path: path.stat().st_mtime_ns for path in [pets, *pets.rglob("*")]} == before


class TestTheSetAsAWhole:
    def test_a_good_set_has_no_findings(self):
        assert find_problems(manifest(*many("cat", 10), *many("dog", 12))) == []

    def test_it_may_be_looked_at_before_the_files_were_read(self, pets):
        assert {p.severity for p in find_problems(Manifest.read(pets))} == {"warning"}

    def test_one_class_is_an_error(self):
        (error,) = find_problems(manifest(*many("cat", 10)))
        assert (error.severity, error.what) == ("error", 'only one class, "cat"')

    def test_a_class_of_one_photo_cannot_be_split(self):
        (error,) = find_problems(manifest(*many("cat", 10), *many("dog", 1)))
        assert (error.file, error.what) == ("dog", "the class has 1 usable photo; it cannot be split")
        assert error.fix.startswith("Add at least one more photo")

    def test_a_class_of_copies_of_one_photo_cannot_be_split(self):
        problems = find_problems(manifest(*many("cat", 10), ("a", "dog", "same"), ("b", "dog", "same")))
        assert said(problems, "error") == [
            ("dog", "its 2 photos are copies of one or belong to one group; they cannot be split")
        ]

    def test_a_thin_class_is_a_warning(self):
        assert said(find_problems(manifest(*many("cat", 10), *many("dog", 9))), "warning") == [
            ("dog", "the class has only 9 different photos; its score will be uncertain")
        ]

    @pytest.mark.parametrize(("most", "warned"), [(200, False), (201, True)])
    def test_imbalance_above_one_to_twenty_is_a_warning(self, most, warned):
        problems = find_problems(manifest(*many("cat", most), *many("dog", 10)))
        assert bool(problems) == warned
        assert all("imbalance above 1:20: 10 photos of it and 201" in problem.what for problem in problems)

    def test_copies_in_a_class_are_noted_and_stay(self):
        found = manifest(*many("cat", 10), *many("dog", 10), ("cat/copy", "cat", "cat3"))
        assert said(find_problems(found), "note") == [
            ("cat/3", "2 copies of one photo: cat/3, cat/copy; kept together in folds")
        ]
        assert usable(found) == found

    def test_a_thousand_copies_are_one_line(self):
        copies = [(f"cat/{n}", "cat", "same") for n in range(1000)]
        problems = find_problems(manifest(*copies, *many("cat2", 10), *many("dog", 10)))
        assert len([p for p in problems if "1000 copies" in p.what]) == 1
        assert all(len(p.what) < 200 for p in problems)

    def test_one_photo_under_two_labels_is_left_out_everywhere_and_comes_first(self):
        found = manifest(
            *many("cat", 10), *many("dog", 10), ("dog/x", "dog", "cat0"), ("test/x", "cat", "cat0", "test")
        )
        first = find_problems(found)[0]
        assert first.severity == "warning"
        told = "cat/0 (cat), dog/x (dog), test/x (cat)"
        assert first.what == f"the same photo under different labels: {told}; all copies left out"
        assert "cat0" not in {row.sha256 for row in drop_conflicts(found).rows}
        assert len(drop_conflicts(found).rows) == 19

    def test_a_photo_trained_on_is_left_out_of_the_score(self):
        found = manifest(*many("cat", 10), *many("dog", 10), ("val/x", "cat", "cat0", "validation"))
        assert said(find_problems(found), "warning") == [
            ("val/x", "the same photo as cat/0, trained on; left out of the validation score")
        ]
        assert [row.name for row in drop_leaks(found).rows] == [row.name for row in found.of("train").rows]

    def test_a_group_on_both_sides_is_a_warning(self):
        rows = manifest(*many("cat", 10), *many("dog", 10)).rows
        extra = (
            Row(Path("a"), "a", "cat", group="tom", sha256="1"),
            Row(Path("b"), "b", "cat", group="tom", sha256="2", split="test"),
        )
        problems = find_problems(Manifest((*rows, *extra), ("cat", "dog")))
        assert said(problems, "warning") == [
            ("", "1 group trained on and scored: tom; 1 photo left out of the score")
        ]
        assert [row.name for row in usable(Manifest((*rows, *extra), ("cat", "dog"))).of("test").rows] == []

    def test_unread_files_are_no_copies_of_each_other(self):
        rows = tuple(Row(Path(f"{n}"), f"{n}", "cat" if n < 10 else "dog") for n in range(20))
        assert find_problems(Manifest(rows, ("cat", "dog"))) == []


@pytest.mark.parametrize(
    ("bad", "total", "stops"), [(0, 0, False), (1, 5, False), (2, 9, True), (5, 5, True)]
)
def test_one_fifth_is_the_limit(bad, total, stops):
    assert bool(too_many_bad(bad, total, allow_bad=False)) == stops
    assert too_many_bad(bad, total, allow_bad=True) == []


class TestRaising:
    ERROR = Problem("error", "bird", "class folder without photos", "Remove the folder.")
    WARNING = Problem("warning", "cat/1.jpg", "empty file", "Copy it again.")

    def test_warnings_do_not_raise(self):
        raise_if_errors([self.WARNING])

    def test_all_errors_are_raised_as_one_and_carry_everything(self):
        whole = Problem("error", "", 'only one class, "cat"', "Add one.")
        with pytest.raises(DataError) as caught:
            raise_if_errors([self.WARNING, self.ERROR, whole])
        assert str(caught.value).splitlines() == [
            "2 problems to mend first:",
            "  bird: class folder without photos. Remove the folder.",
            '  only one class, "cat". Add one.',
        ]
        assert caught.value.problems == (self.WARNING, self.ERROR, whole)

    def test_one_class_shows_the_tree_found_and_the_tree_expected(self, photo, tmp_path):
        photo("photos/cat/1.png")
        found = Manifest.read(tmp_path / "photos")
        with pytest.raises(DataError, match=r"only one class, \"cat\"") as caught:
            raise_if_errors(find_problems(found), found.root)
        assert "Found:\n  photos/\n    cat/  1.png\nExpected:" in str(caught.value)
