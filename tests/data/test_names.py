import pytest

from handful.data.names import counted, did_you_mean, find_twins, folded, printable, some


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat/1 (2).jpg", "cat/1 (2).jpg"),
        ("Füße 猫 🐈.jpg", "Füße 猫 🐈.jpg"),
        ("👩\u200d🚀.jpg", "👩\u200d🚀.jpg"),
        ("two\nlines.jpg", "two\\nlines.jpg"),
        ("\x1b[31mred.jpg", "\\x1b[31mred.jpg"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("gpj\u202egnp.jpg", "gpj\\u202egnp.jpg"),
        ("-rf", "-rf"),
    ],
)
def test_a_name_is_printed_so_that_it_cannot_disturb_a_terminal(name: str, shown: str):
    assert printable(name) == shown


def test_every_printed_name_can_be_encoded():
    for name in map(chr, range(0x3000)):
        printable(name).encode("utf-8")
    printable("".join(map(chr, range(0xD800, 0xE000)))).encode("utf-8")


def test_the_nearest_name_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("IMG_1.JPG", ["img_1.jpg", "other.png"]) == ' Did you mean "img_1.jpg"?'
    assert did_you_mean("cat", ["zebra", "lion"]) == ""
    assert did_you_mean("cat", []) == ""


@pytest.mark.parametrize("twin", ["CAFÉ", "cafe\u0301", "Café ", "  caf\u00e9"])
def test_twins_fold_to_one_form(twin: str):
    assert folded(twin) == folded("café")


def test_twins_are_named_with_their_places_and_others_are_not():
    (problem,) = find_twins({"Cat": "line 2", "cat ": "line 7", "dog": "line 3"})
    assert problem.severity == "warning"
    assert "'Cat' (line 2), 'cat ' (line 7); kept as 2 classes" in problem.what


def test_long_lists_are_cut_and_numbers_agree_with_their_nouns():
    assert some(map(str, range(7)), 3) == "0, 1, 2 and 4 more"
    assert [counted(n, "photo") for n in (0, 1, 1000)] == ["0 photos", "1 photo", "1,000 photos"]
