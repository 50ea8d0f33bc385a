"""Folders read to their end; what a folder of classes makes of them is in test_layout.py."""

from __future__ import annotations

from handful.data.listing import Listing, draw, photos_under


class TestPhotosToPredict:
    """`photos_under`: no labels."""

    def test_folders_are_read_to_their_end_and_clutter_is_ignored(self, photo, pets):
        (pets / "cat" / ".DS_Store").write_bytes(b"x")
        photos, problems = photos_under([pets])
        assert photos == [pets / c / f"{n}.png" for c in ("cat", "dog") for n in range(3)]
        assert [problem.severity for problem in problems] == ["note"]

    def test_a_named_file_is_taken_whatever_its_name(self, tmp_path):
        named = [tmp_path / ".hidden.jpg", tmp_path / "notes.txt", tmp_path / "missing.jpg"]
        assert photos_under(named) == (named, [])

    def test_each_file_is_taken_once_in_the_order_named(self, pets):
        last = pets / "dog" / "2.png"
        photos, _ = photos_under([last, pets, last])
        assert photos[0] == last
        assert len(photos) == 6

    def test_a_folder_without_photos_is_said(self, tmp_path):
        photos, (problem,) = photos_under([tmp_path])
        assert (photos, problem.what) == ([], "no photos in this folder")


def test_a_large_tree_is_drawn_in_a_few_lines(photo, tmp_path):
    for number in range(40):
        photo(f"photos/{number:02}/1.png")
    drawn = draw(Listing.of(tmp_path / "photos").tree).splitlines()
    assert len(drawn) == 15
    assert drawn[:2] == ["  photos/", "    00/  1.png"]
