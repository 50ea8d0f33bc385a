"""Dataset layout: each line of the section in docs on bad input, on real folders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from handful.data.manifest import Manifest
from handful.errors import DataError, Problem


def names(manifest: Manifest) -> list[str]:
    return [row.name for row in manifest.rows]


def of_severity(manifest: Manifest, severity: str) -> list[Problem]:
    return [problem for problem in manifest.problems if problem.severity == severity]


def refused(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        Manifest.read(path, **options)
    return str(caught.value)


def test_a_folder_per_class_is_read_in_a_fixed_order(pets):
    manifest = Manifest.read(pets)
    assert names(manifest) == [f"{c}/{n}.png" for c in ("cat", "dog") for n in range(3)]
    assert manifest.classes == ("cat", "dog")
    assert manifest.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert manifest.counts == {"cat": 3, "dog": 3}
    assert (manifest.root, manifest.problems) == (pets, ())


def test_a_path_may_be_text(pets):
    assert Manifest.read(str(pets)).rows == Manifest.read(pets).rows


def test_classes_are_sorted_by_code_point_whatever_the_disk_says(photo, tmp_path):
    for name in ("b", "B", "a10", "a2", "é"):
        photo(f"photos/{name}/1.png")
    assert Manifest.read(tmp_path / "photos").classes == ("B", "a10", "a2", "b", "é")


def test_clutter_is_ignored_and_counted(pets):
    (pets / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "._0.png").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    (pets / "dog" / "Desktop.ini").write_bytes(b"x")
    for folder in ("__MACOSX/cat", ".ipynb_checkpoints", "cat/.hidden", "cat/.ipynb_checkpoints"):
        (pets / folder).mkdir(parents=True)
        (pets / folder / "1.jpg").write_bytes(b"x")
    manifest = Manifest.read(pets)
    assert len(manifest.rows) == 6
    (note,) = manifest.problems
    assert (note.severity, note.what.partition(" (")[0]) == ("note", "ignored 8 hidden or system items")


def test_other_files_are_named_in_one_note(pets):
    (pets / "labels.csv").write_text("x")
    (pets / "cat" / "notes.txt").write_text("x")
    (note,) = Manifest.read(pets).problems
    assert (note.severity, note.what) == ("note", "2 other files left out: labels.csv, cat/notes.txt")


def test_upper_case_suffixes_and_names_without_one_are_rows(photo, pets):
    photo("photos/cat/IMG_1.JPG")
    photo("photos/cat/noname")
    photo("photos/cat/a.webp")
    assert {"cat/IMG_1.JPG", "cat/noname", "cat/a.webp"} <= set(names(Manifest.read(pets)))


@pytest.mark.parametrize("suffix", ["svg", "pdf", "psd", "cr2", "heic"])
def test_pictures_that_are_not_read_are_rows_so_that_each_is_refused_by_name(pets, suffix):
    (pets / "cat" / f"x.{suffix}").write_bytes(b"x")
    assert f"cat/x.{suffix}" in names(Manifest.read(pets))


def test_photos_in_subfolders_belong_to_their_class_and_that_is_said(photo, pets):
    photo("photos/cat/indoor/9.png")
    manifest = Manifest.read(pets)
    assert manifest.counts == {"cat": 4, "dog": 3}
    (note,) = manifest.problems
    assert (note.severity, note.file) == ("note", "cat")
    assert note.what == "1 photo in subfolders (indoor/) counted to this class"


def test_photos_at_the_top_with_no_class_folders_show_both_trees(photo, tmp_path):
    photo("photos/1.png")
    message = refused(tmp_path / "photos")
    assert "1 photo at the top and no class folders" in message
    assert "Found:\n  photos/  1.png" in message
    assert "Expected:\n  photos/\n    cat/" in message


def test_photos_beside_the_class_folders_are_left_out_and_said(photo, pets):
    photo("photos/loose.png")
    (pets / "README").write_text("no photo, and no suffix")
    manifest = Manifest.read(pets)
    assert len(manifest.rows) == 6
    (warning,) = of_severity(manifest, "warning")
    assert warning.file == "loose.png"
    assert "beside the class folders, so it has no label" in warning.what
    assert manifest.left_out == 1


def test_every_photo_without_a_label_is_named_and_counted(photo, pets):
    for name in ("one.png", "two.png"):
        photo(f"photos/{name}")
    manifest = Manifest.read(pets)
    assert [problem.file for problem in of_severity(manifest, "warning")] == ["one.png", "two.png"]
    assert manifest.left_out == 2


def test_a_folder_that_cannot_be_opened_counts_as_left_out(pets, monkeypatch):
    scandir = os.scandir

    def barred(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    (sorted(path for path in pets.iterdir() if path.is_dir())[0] / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", barred)
    manifest = Manifest.read(pets)
    assert manifest.left_out == 1
    assert any("cannot be opened" in problem.what for problem in of_severity(manifest, "warning"))


def test_an_empty_class_is_an_error(pets):
    (pets / "bird").mkdir()
    (pets / "fish").mkdir()
    (pets / "fish" / "notes.txt").write_text("x")
    errors = of_severity(Manifest.read(pets), "error")
    assert [(e.file, e.what) for e in errors] == [
        ("bird", "class folder without photos"),
        ("fish", "class folder without photos (only notes.txt)"),
    ]


def test_a_folder_around_the_class_folders_is_named(photo, tmp_path):
    for name in ("cat", "dog"):
        photo(f"download/pets/{name}/1.png")
    message = refused(tmp_path / "download")
    assert "it holds one folder, pets/, and the class folders are in that" in message
    assert f"Pass {tmp_path / 'download' / 'pets'} instead." in message


def test_a_missing_path_suggests_the_nearest(pets):
    assert 'does not exist. Did you mean "photos"?' in refused(pets.with_name("fotos"))
    assert "does not exist" in refused(pets / "no" / "where")


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tgz", "photos.tar.gz", "photos.7z"])
def test_an_archive_is_to_be_unpacked_first(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    message = refused(tmp_path / name)
    assert "is an archive. Unpack it first" in message
    assert "Expected:" in message


def test_a_folder_that_holds_only_an_archive_says_so(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK")
    assert "no photos were found. Unpack photos.zip first." in refused(tmp_path)


def test_a_file_is_no_data_set(photo, tmp_path):
    assert "is one file." in refused(photo("one.jpg"))
    assert "handful predict" in refused(photo("one.jpg"))
    (tmp_path / "notes.md").write_text("x")
    assert "is one file." in refused(tmp_path / "notes.md")


@pytest.mark.skipif(os.name == "nt", reason="no named pipes in the file system there")
def test_a_pipe_is_no_data_set(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is neither a file nor a folder" in refused(tmp_path / "pipe.csv")


def test_an_empty_folder_shows_what_is_expected(tmp_path):
    (tmp_path / "photos").mkdir()
    message = refused(tmp_path / "photos")
    assert "no photos were found" in message
    assert "photos/  (empty)" in message


def test_a_folder_of_clutter_only_says_how_much_was_ignored(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert "no photos were found (1 hidden or system item ignored)" in refused(tmp_path)


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val", "VALIDATION"])
def test_split_folders_are_known_in_any_case(photo, tmp_path, validation):
    for part in ("Train", validation, "TEST"):
        for name in ("cat", "dog"):
            photo(f"photos/{part}/{name}/1.png")
    manifest = Manifest.read(tmp_path / "photos")
    assert [len(manifest.of(split).rows) for split in ("train", "validation", "test")] == [2, 2, 2]
    assert manifest.classes == ("cat", "dog")
    assert names(manifest.of("validation")) == [f"{validation}/cat/1.png", f"{validation}/dog/1.png"]


def test_a_class_only_in_validation_is_an_error(photo, tmp_path):
    for name in ("train/cat", "train/dog", "val/cat", "val/dog", "val/dgo"):
        photo(f"photos/{name}/1.png")
    manifest = Manifest.read(tmp_path / "photos")
    (error,) = of_severity(manifest, "error")
    assert (error.file, error.what) == ("dgo", "1 photo for validation, none for training")
    assert 'Did you mean "dog"?' in error.fix
    assert len(manifest.rows) == 4


def test_a_class_missing_in_validation_is_noted(photo, tmp_path):
    for name in ("train/cat", "train/dog", "val/cat"):
        photo(f"photos/{name}/1.png")
    (note,) = Manifest.read(tmp_path / "photos").problems
    assert (note.severity, note.file) == ("note", "dog")
    assert note.what == "no photos for validation; the score says nothing of this class"


def test_train_and_test_without_class_folders_are_not_taken_for_classes(photo, tmp_path):
    for name in ("train", "val", "test"):
        photo(f"photos/{name}/1.png")
    message = refused(tmp_path / "photos")
    assert "train/ holds photos but no class folders" in message
    assert "Found:" in message


def test_test_photos_without_a_label_are_left_out_and_said(photo, tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png"):
        photo(f"photos/{name}")
    manifest = Manifest.read(tmp_path / "photos")
    assert len(manifest.rows) == 2
    assert [warning.file for warning in of_severity(manifest, "warning")] == ["test/1.png", "test/2.png"]


@pytest.mark.parametrize("part", ["test/1.png", "test/cat/1.png", "val/1.png"])
def test_a_split_beside_class_folders_is_not_taken_for_a_class(photo, pets, part):
    photo(f"photos/{part}")
    assert "stands beside cat/, dog/: which are classes?" in refused(pets)


def test_validation_without_training_photos_is_refused(photo, tmp_path):
    photo("photos/val/cat/1.png")
    photo("photos/test/cat/2.png")
    assert "test/, val/ but no train/ with photos" in refused(tmp_path / "photos")


def test_two_folders_for_one_split_are_refused(photo, tmp_path):
    for name in ("train/cat", "val/cat", "valid/cat"):
        photo(f"photos/{name}/1.png")
    assert "two folders for one split" in refused(tmp_path / "photos")


def test_vehicles_may_have_a_class_named_train(photo, tmp_path):
    for name in ("car", "bus", "train"):
        photo(f"photos/{name}/1.png")
    manifest = Manifest.read(tmp_path / "photos")
    assert manifest.classes == ("bus", "car", "train")
    (warning,) = manifest.problems
    assert warning.what == "holds photos and stands beside bus, car; read as a class named 'train'"


def test_splits_inside_a_class_folder_are_an_error_not_a_leak(photo, tmp_path):
    for name in ("cat/train", "cat/val", "dog/train", "dog/val"):
        photo(f"photos/{name}/1.png")
    errors = of_severity(Manifest.read(tmp_path / "photos"), "error")
    assert [e.file for e in errors] == ["cat", "dog"]
    assert errors[0].what == "the class folder is divided into train/, val/"


@pytest.mark.parametrize("twins", [("Cat", "cat"), ("cat", "cat "), ("caf\u00e9", "cafe\u0301")])
def test_twin_class_names_stay_separate_and_are_said(photo, tmp_path, twins):
    for name in (*twins, "dog"):
        photo(f"photos/{name}/1.png")
    manifest = Manifest.read(tmp_path / "photos")
    if len(list((tmp_path / "photos").iterdir())) < 3:
        pytest.skip("this file system takes the two names for one")
    assert len(manifest.classes) == 3
    (warning,) = manifest.problems
    assert (warning.severity, "kept as 2 classes" in warning.what) == ("warning", True)
    assert len(manifest.merge_twins().classes) == 2
    assert sum(manifest.merge_twins().counts.values()) == 3


def test_twins_merge_under_the_commonest_spelling(photo, tmp_path):
    for name in ("Cat/1", "cat/2", "cat/3", "dog/4"):
        photo(f"photos/{name}.png")
    if len(list((tmp_path / "photos").iterdir())) < 3:
        pytest.skip("this file system takes the two names for one")
    merged = Manifest.read(tmp_path / "photos").merge_twins()
    assert merged.counts == {"cat": 3, "dog": 1}


@pytest.mark.skipif(os.name == "nt", reason="names that Windows forbids")
@pytest.mark.parametrize("name", ["<script>alert(1)", "$(rm)", "'; --", "-rf", "a\nb"])
def test_a_class_name_is_data(photo, tmp_path, name):
    photo(f"photos/{name}/1.png")
    photo("photos/other/1.png")
    assert name in Manifest.read(tmp_path / "photos").classes


@pytest.mark.skipif(os.name == "nt", reason="names that Windows forbids")
@pytest.mark.parametrize(
    "name",
    [b"caf\xe9.png", b"two\nlines.png", "🐈.png".encode(), b"-rf.png", b"n" * 251 + b".png", b"a\tb\\c.png"],
)
def test_any_file_name_works_and_is_printed_escaped(pets, name):
    path = os.path.join(os.fsencode(pets), b"cat", name)
    try:
        with open(path, "wb") as stream:
            stream.write(b"x")
    except OSError:
        pytest.skip("this file system refuses the name")
    rows = {os.fsencode(row.path): row for row in Manifest.read(pets).rows}
    assert os.fsencode(rows[path].name) == b"cat/" + name
    assert rows[path].shown.isprintable()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_in_circles_are_left_out_and_end(pets):
    (pets / "cat" / "again").symlink_to(pets)
    (pets / "cat" / "self").symlink_to(pets / "cat" / "self")
    (pets / "dog" / "parent").symlink_to("..")
    manifest = Manifest.read(pets)
    assert "cat/self" in names(manifest)  # for the decoder to refuse by name
    warnings = of_severity(manifest, "warning")
    assert [w.file for w in warnings] == ["cat/again", "dog/parent"]
    assert warnings[0].what == "leads to a folder that is read already; left out"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_ten_million_paths_through_links_are_not_walked(photo, tmp_path):
    for level in range(24):
        photo(f"photos/{level}/1.png")
        for side in "ab":
            (tmp_path / "photos" / str(level) / side).symlink_to(tmp_path / "photos" / str((level + 1) % 24))
    manifest = Manifest.read(tmp_path / "photos")
    assert len(manifest.rows) == 24


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_to_photos_and_folders_elsewhere_are_followed(photo, pets, tmp_path):
    photo("elsewhere/1.png")
    (pets / "bird").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "link.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert {"bird/1.png", "cat/link.png"} <= set(names(Manifest.read(pets)))


@pytest.mark.skipif(os.name == "nt", reason="no pipes and sockets in the file system there")
def test_pipes_and_sockets_are_rows_and_are_not_opened(pets, monkeypatch):
    os.mkfifo(pets / "cat" / "pipe.jpg")
    monkeypatch.chdir(pets / "dog")  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        found = names(Manifest.read(pets))
    assert {"cat/pipe.jpg", "dog/socket.jpg"} <= set(found)


def test_a_folder_named_like_a_photo_is_skipped_and_said(pets):
    (pets / "cat" / "x.jpg").mkdir()
    (pets / "y.jpg").mkdir()
    manifest = Manifest.read(pets)
    assert len(manifest.rows) == 6
    assert [(p.severity, p.file) for p in manifest.problems] == [
        ("warning", "y.jpg"),
        ("warning", "cat/x.jpg"),
    ]


def test_a_folder_that_may_not_be_opened_is_said_and_the_rest_goes_on(pets, monkeypatch):
    scan = os.scandir

    def deny(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    (pets / "cat" / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", deny)
    (warning,) = Manifest.read(pets).problems
    assert (warning.file, warning.what) == ("cat/closed", "cannot be opened: Permission denied")


def test_a_very_deep_folder_is_read_to_its_end(pets):
    made = [f"{pets}/cat"]
    try:
        for _ in range(1200):  # deeper than Python recurses, shorter than a path may be
            made.append(made[-1] + "/d")
            os.mkdir(made[-1])
        Path(made[-1], "1.png").write_bytes(b"x")
        assert len(Manifest.read(pets).rows) == 7
        os.unlink(made[-1] + "/1.png")
    finally:
        for folder in reversed(made[1:]):  # pytest's own clean-up recurses
            os.rmdir(folder)


def test_reading_writes_nothing(pets):
    before = {path: path.stat().st_mtime_ns for path in [pets, *pets.rglob("*")]}
    Manifest.read(pets)
    assert {path: path.stat().st_mtime_ns for path in [pets, *pets.rglob("*")]} == before


class TestPhotosToScore:
    """`classes=` is given: the photos are for a trained model."""

    def test_one_class_is_enough_and_the_model_keeps_its_order(self, photo, tmp_path):
        photo("new/dog/1.png")
        manifest = Manifest.read(tmp_path / "new", classes=["dog", "cat"])
        assert manifest.classes == ("dog", "cat")
        assert manifest.to_score().labels.tolist() == [0]
        assert manifest.problems == ()

    def test_an_unknown_class_is_an_error_with_the_nearest(self, photo, tmp_path):
        photo("new/dog/1.png")
        photo("new/Cats/1.png")
        manifest = Manifest.read(tmp_path / "new", classes=["cat", "dog"])
        (error,) = of_severity(manifest, "error")
        assert (error.file, error.what) == ("Cats", "1 photo for test of a class the model does not know")
        assert 'Did you mean "cat"?' in error.fix
        assert names(manifest) == ["dog/1.png"]

    def test_test_photos_are_scored_else_validation_photos_else_nothing(self, photo, tmp_path):
        for part in ("train", "val", "test"):
            photo(f"photos/{part}/cat/1.png")
        manifest = Manifest.read(tmp_path / "photos", classes=["cat"])
        assert names(manifest.to_score()) == ["test/cat/1.png"]
        without = manifest.keep(row for row in manifest.rows if row.split != "test")
        assert names(without.to_score()) == ["val/cat/1.png"]
        with pytest.raises(DataError, match="All 1 photo are training photos"):
            manifest.of("train").to_score()

    def test_train_may_be_missing(self, photo, tmp_path):
        photo("photos/test/cat/1.png")
        assert len(Manifest.read(tmp_path / "photos", classes=["cat"]).to_score().rows) == 1

    def test_an_empty_class_folder_is_only_noted(self, photo, tmp_path):
        photo("new/dog/1.png")
        (tmp_path / "new" / "cat").mkdir()
        (note,) = Manifest.read(tmp_path / "new", classes=["cat", "dog"]).problems
        assert (note.severity, note.file) == ("note", "cat")
