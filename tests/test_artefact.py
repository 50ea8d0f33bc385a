"""The trained folder is written whole, comes back as it was, and is opened with suspicion."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful import artefact as room
from handful.artefact import (
    OutOfFold,
    copy_artefact,
    read_artefact,
    read_out_of_fold_files,
    read_out_of_fold_hashes,
    write_artefact,
)
from handful.errors import ArtefactError, HandfulError
from handful.files import sha256_of_file

FILES = ("backbone.tflite", "bias.npy", "card.json", "out_of_fold.csv", "weights.npy")
CLASSES = ["cat", "dog", "newt"]
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
BIAS = np.array([0.5, -1, 0], dtype=np.float32)


def card(**changes: Any) -> dict[str, Any]:
    """The least card that opens."""
    return {
        "handful": "0.1.0",
        "classes": CLASSES,
        "backbone": {"name": "tiny", "size": [8, 8]},
        "network": {"file": "backbone.tflite", "feature_dim": 4, "pooled_output": 0, "map_output": 1},
        "data": {"root": "/photos", "photos": 3},
        "settings": {},
        "scores": {},
    } | changes


def table(*files: str, classes: int = 3) -> OutOfFold:
    n = len(files)
    return OutOfFold(
        files=files,
        hashes=[f"{number:064x}" for number in range(n)],
        labels=np.arange(n) % classes,
        folds=np.arange(n) % 2,
        logits=np.eye(n, classes, dtype=np.float32) / 3,
    )


def write(target: Path, *, overwrite: bool = False, **changes: Any) -> Path:
    network = target.parent / "network.tflite"
    network.write_bytes(b"a network")
    rows = table("cat/1.png", "dog/1.png", "newt/1.png")
    write_artefact(target, card(**changes), network, WEIGHTS, BIAS, rows, overwrite=overwrite)
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "pets.handful")


def reseal(folder: Path) -> None:
    """Bring checksums.json up to date, as someone who changes a file on purpose would."""
    sums = {path.name: sha256_of_file(path) for path in folder.iterdir() if path.name != "checksums.json"}
    (folder / "checksums.json").write_text(json.dumps(sums))


def change_card(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the card and make its checksum right again."""
    content = json.loads((folder / "card.json").read_text())
    change(content)
    (folder / "card.json").write_text(json.dumps(content))
    reseal(folder)


def test_what_was_written_comes_back(folder: Path) -> None:
    opened = read_artefact(folder)
    assert opened.classes == tuple(CLASSES)
    assert opened.card == {"format": 1, **card()}
    assert opened.weights.dtype == opened.bias.dtype == np.float32
    assert np.array_equal(opened.weights, WEIGHTS)
    assert np.array_equal(opened.bias, BIAS)
    assert opened.network.read_bytes() == b"a network"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "checksums.json"])


def test_the_same_content_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again.handful")
    for name in (*FILES, "checksums.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_values_that_json_has_no_word_for_become_null(tmp_path: Path) -> None:
    folder = write(tmp_path / "x.handful", more={"recall": [float("nan"), 1.0, (float("inf"),)]})
    assert "NaN" not in (folder / "card.json").read_text()
    assert read_artefact(folder).card["more"] == {"recall": [None, 1.0, [None]]}


def test_the_table_holds_a_row_per_photo_with_fold_and_logits(folder: Path) -> None:
    with (folder / "out_of_fold.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == CLASSES
    assert [row["predicted"] for row in rows] == CLASSES
    assert [row["fold"] for row in rows] == ["0", "1", "0"]
    assert rows[1]["logit:dog"] == "0.333333"
    assert read_out_of_fold_files(read_artefact(folder))[0] == Path("/photos/cat/1.png")
    assert read_out_of_fold_hashes(read_artefact(folder)) == {f"{n:064x}" for n in range(3)}


ODD_NAMES = [
    "new\nline.png",
    "a\rb.png",
    'a","b;c.png',
    "=1+1.png",
    "\U0001f98e.png",
    os.fsdecode(b"\xff.png"),
]


def test_odd_names_of_files_and_classes_keep_the_table_readable(tmp_path: Path) -> None:
    classes = ["../x", "a\rb\nc", os.fsdecode(b"\xff")]
    network = tmp_path / "n"
    network.write_bytes(b"a network")
    target = tmp_path / "x.handful"
    write_artefact(target, card(classes=classes), network, WEIGHTS, BIAS, table(*ODD_NAMES), overwrite=False)
    opened = read_artefact(target)
    assert opened.classes == tuple(classes)
    assert read_out_of_fold_hashes(opened) == {f"{n:064x}" for n in range(len(ODD_NAMES))}
    names = [str(path.relative_to("/photos")) for path in read_out_of_fold_files(opened)]
    assert names == [*ODD_NAMES[:-1], "\\udcff.png"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed_and_the_file_named(name: str, folder: Path) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        read_artefact(folder)


@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
@pytest.mark.parametrize("left", [0, 1, 7])
def test_a_file_cut_short_is_noticed_and_named(name: str, left: int, folder: Path) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        read_artefact(folder)


@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        read_artefact(folder)


def test_all_damaged_files_are_named_at_once(folder: Path) -> None:
    (folder / "bias.npy").unlink()
    (folder / "weights.npy").write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"weights\.npy does not match .*bias\.npy is missing"):
        read_artefact(folder)


def test_a_flipped_bit_in_the_checksums_is_noticed(folder: Path) -> None:
    text = (folder / "checksums.json").read_text()
    digit = text.index('": "') + 4
    (folder / "checksums.json").write_text(
        text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1 :]
    )
    with pytest.raises(ArtefactError, match="does not match its checksum"):
        read_artefact(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        read_artefact(folder)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (2, r"has format 2, this Handful reads up to 1\. It was written by Handful 9\.9"),
        (0, "names no known format"),
        (-1, "names no known format"),
        (None, "names no known format"),
        ("1", "names no known format"),
        (1.5, "names no known format"),
    ],
)
def test_another_format_says_why_it_does_not_open(version: Any, expected: str, folder: Path) -> None:
    change_card(folder, lambda content: content.update(format=version, handful="9.9"))
    with pytest.raises(ArtefactError, match=expected):
        read_artefact(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ["cat", "cat", "dog"]},
        {"classes": ["cat"]},
        {"classes": "cat"},
        {"classes": ["cat", "dog", 3]},
        {"classes": None},
        {"network": None},
        {"network": []},
        {"network": {**card()["network"], "file": "../../etc/passwd"}},
        {"network": {**card()["network"], "file": None}},
        {"network": {**card()["network"], "feature_dim": "4"}},
        {"network": {**card()["network"], "pooled_output": None}},
        {"network": {**card()["network"], "pooled_output": 7}},
        {"network": {**card()["network"], "map_output": 0}},
        {"data": None},
        {"data": []},
        {"data": {"root": 5}},
        {"backbone": None},
        {"backbone": {"name": 3, "size": [8, 8]}},
        {"backbone": {"name": "tiny", "size": 8}},
        {"data": {"root": "/photos"}},
        {"data": {"root": "/photos", "photos": 3, "skipped": "none"}},
        {"warnings": None},
        {"backbone": {"name": "tiny", "size": [8, 8], "weights_sha256": 5}},
        {"scores": []},
        {"scores": {"test": {}}},
        {"scores": {"test": {"n": 3, "accuracy": 1.0, "balanced_accuracy": 1.0}}},
        {"scores": {"test": {"n": 3, "accuracy": {}, "balanced_accuracy": {}}}},
        {"settings": None},
    ],
    ids=str,
)
def test_a_card_with_the_wrong_kinds_is_refused(changes: dict[str, Any], folder: Path) -> None:
    change_card(folder, lambda content: content.update(changes))
    with pytest.raises(ArtefactError, match=r"card\.json lacks what a model needs"):
        read_artefact(folder)


@pytest.mark.parametrize("name", ["card.json", "checksums.json"])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "[1, 2]",
        "null",
        "",
        "\x00\x01",
        '{"a": ' + "9" * 5000 + "}",
        "\ud800",
    ],
    ids=["deep lists", "deep objects", "a list", "null", "empty", "binary", "a huge number", "no UTF-8"],
)
def test_json_that_is_no_card_is_refused(name: str, text: str, folder: Path) -> None:
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        read_artefact(folder)


def test_a_giant_card_is_not_read(folder: Path) -> None:
    with (folder / "card.json").open("wb") as stream:
        stream.truncate(10 * 2**30)  # sparse: takes no room
    with pytest.raises(ArtefactError, match="more than any card"):
        read_artefact(folder)


def npy(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def giant_header(shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(48)


@pytest.mark.parametrize(
    "content",
    [
        giant_header((2**20, 2**20)),
        giant_header((2**62, 4)),
        giant_header((-1, 3)),
        npy(WEIGHTS.astype(np.float64)),
        npy(WEIGHTS.astype(">f4")),
        npy(np.array([[{"code": "object"}]], dtype=object), allow_pickle=True),
        npy(WEIGHTS.ravel()),
        npy(WEIGHTS) + b"more",
        b"PK\x03\x04 a zip",
        b"",
        b"\x93NUMPY\x03\x00" + bytes(60),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 60) + b"__import__('os').abort()".ljust(59) + b"\n",
    ],
    ids=[
        "giant", "beyond memory", "negative", "doubles", "other end first", "pickle", "one dimension",
        "too long", "a zip", "empty", "version 3", "code",
    ],
)  # fmt: skip
def test_a_head_that_is_no_plain_array_is_refused_before_it_takes_memory(
    content: bytes, folder: Path
) -> None:
    (folder / "weights.npy").write_bytes(content)
    reseal(folder)
    with pytest.raises(ArtefactError, match=r"weights\.npy"):
        read_artefact(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["weights.npy", "bias.npy"])
def test_a_head_that_holds_no_numbers_is_refused(name: str, value: float, folder: Path) -> None:
    array = np.load(folder / name)
    array.flat[1] = value
    np.save(folder / name, array)
    reseal(folder)
    with pytest.raises(ArtefactError, match="values that are not numbers"):
        read_artefact(folder)


@pytest.mark.parametrize("shape", [(5, 3), (4, 2)])
def test_a_head_that_does_not_fit_the_card_is_refused(shape: tuple[int, int], folder: Path) -> None:
    np.save(folder / "weights.npy", np.zeros(shape, dtype=np.float32))
    reseal(folder)
    with pytest.raises(ArtefactError, match="3 classes and 4 features"):
        read_artefact(folder)


def test_a_folder_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"none\.handful does not exist\. Train one: handful train"):
        read_artefact(tmp_path / "none.handful")


def test_a_name_that_no_file_can_have_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        read_artefact(tmp_path / ("x" * 300))


@pytest.mark.parametrize("kind", ["an empty folder", "a file"])
def test_what_is_no_trained_folder_is_named_as_such(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.mkdir() if kind == "an empty folder" else place.write_text("hello")
    with pytest.raises(ArtefactError, match=r"is not a trained folder of Handful \(it has no card\.json\)"):
        read_artefact(place)


def test_an_existing_result_is_only_replaced_with_overwrite(folder: Path) -> None:
    with pytest.raises(ArtefactError, match="exists already"):
        write(folder, classes=["ant", "bee", "wasp"])
    assert read_artefact(folder).classes == tuple(CLASSES)
    write(folder, overwrite=True, classes=["ant", "bee", "wasp"])
    assert read_artefact(folder).classes == ("ant", "bee", "wasp")


@pytest.mark.parametrize("kind", ["a folder of photos", "an empty folder", "a file"])
def test_what_is_not_ours_is_never_replaced(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "holiday"
    if kind == "a file":
        place.write_text("precious")
    else:
        place.mkdir()
    if kind == "a folder of photos":
        (place / "1.png").write_text("precious")
    with pytest.raises(ArtefactError, match="is not a trained folder of Handful; it is left as it is"):
        write(place, overwrite=True)
    with pytest.raises(ArtefactError, match="it is left as it is"):
        copy_artefact(read_artefact(write(tmp_path / "x.handful")), place, overwrite=True)
    left = place.read_text() if kind == "a file" else [path.read_text() for path in place.iterdir()]
    assert left == {"a file": "precious", "an empty folder": [], "a folder of photos": ["precious"]}[kind]


def test_a_copy_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    copy_artefact(read_artefact(folder), tmp_path / "copy.handful", overwrite=False)
    for name in (*FILES, "checksums.json"):
        assert (tmp_path / "copy.handful" / name).read_bytes() == (folder / name).read_bytes()


def test_a_copy_shares_the_network_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    copy_artefact(read_artefact(folder), tmp_path / "copy.handful", overwrite=False)
    shared = [n for n in FILES if (folder / n).stat().st_ino == (tmp_path / "copy.handful" / n).stat().st_ino]
    assert shared == ["backbone.tflite"]


def test_an_original_that_was_damaged_since_it_was_opened_is_not_copied(folder: Path, tmp_path: Path) -> None:
    opened = read_artefact(folder)
    (folder / "weights.npy").write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"weights\.npy does not match"):
        copy_artefact(opened, tmp_path / "copy.handful", overwrite=False)
    assert not (tmp_path / "copy.handful").exists()


def test_a_network_that_changed_meanwhile_is_refused_with_both_sums(tmp_path: Path) -> None:
    network = tmp_path / "network.tflite"
    network.write_bytes(b"another network")
    with pytest.raises(ArtefactError, match=f"aaaaaaaaaaaa and is {sha256_of_file(network)[:12]} now"):
        write_artefact(
            tmp_path / "x.handful", card(), network, WEIGHTS, BIAS, table("a"),
            network_sha256="a" * 64, overwrite=False,
        )  # fmt: skip
    assert not (tmp_path / "x.handful").exists()


@pytest.mark.parametrize("column", ["file", "sha256"])
def test_a_table_without_a_column_is_refused(column: str, folder: Path) -> None:
    text = (folder / "out_of_fold.csv").read_text()
    (folder / "out_of_fold.csv").write_text(text.replace(column, "else", 1))
    reseal(folder)
    read = read_out_of_fold_files if column == "file" else read_out_of_fold_hashes
    with pytest.raises(ArtefactError, match=f"rows without '{column}'"):
        read(read_artefact(folder))


def test_a_table_with_a_giant_cell_is_refused(folder: Path) -> None:
    with (folder / "out_of_fold.csv").open("a") as stream:
        stream.write("x" * 200_000 + ",1,2\r\n")
    reseal(folder)
    with pytest.raises(ArtefactError, match="is no table"):
        read_out_of_fold_files(read_artefact(folder))


@pytest.mark.parametrize("place", ["card.json", "weights.npy", "backbone.tflite"])
def test_a_file_that_may_not_be_read_is_named(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def barred(path: Path) -> bool:
        if path.name == place:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", barred)
    with pytest.raises(ArtefactError, match=f"{place} cannot be read: Permission denied"):
        read_artefact(folder)


def test_a_model_can_be_copied_onto_itself(folder: Path) -> None:
    copy_artefact(read_artefact(folder), folder, overwrite=True)
    assert read_artefact(folder).classes == tuple(CLASSES)


def test_a_copy_takes_what_belongs_to_the_model_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "notes").mkdir()
    (folder / ".DS_Store").write_text("")
    copy_artefact(read_artefact(folder), tmp_path / "copy.handful", overwrite=False)
    assert sorted(path.name for path in (tmp_path / "copy.handful").iterdir()) == [
        "backbone.tflite", "bias.npy", "card.json", "checksums.json", "out_of_fold.csv", "weights.npy",
    ]  # fmt: skip


def test_a_result_that_stepped_aside_for_one_that_never_came_still_opens(folder: Path) -> None:
    """Without an exchange in one step (not on Linux), a kill can come between the two renames."""
    folder.rename(folder.with_name(f".{folder.name}.previous"))
    assert read_artefact(folder).classes == tuple(CLASSES)


@pytest.mark.parametrize("name", ["write_text", "write_bytes"])
def test_a_write_that_fails_leaves_the_old_result(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, name, full)
        with pytest.raises(HandfulError, match="The disk is full"):
            write_artefact(
                folder, card(), folder.parent / "network.tflite", WEIGHTS, BIAS, table("a"), overwrite=True
            )
    assert read_artefact(folder).classes == tuple(CLASSES)
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


# A child whose files may not grow beyond so many bytes: every write is real, the first too large one fails.
_LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_artefact import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
from handful.errors import HandfulError
try:
    write(Path(sys.argv[1]), overwrite=True)
except HandfulError as error:
    assert "File too large" in str(error), error
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
@pytest.mark.parametrize("room_left", [20, 150, 170, 250])
def test_a_real_write_that_fails_leaves_the_old_result_and_says_why(room_left: int, folder: Path) -> None:
    command = [sys.executable, "-c", _LIMITED, str(folder), str(room_left), str(Path(__file__).parent)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 7, child.stderr
    assert read_artefact(folder).classes == tuple(CLASSES)


def test_a_limit_on_file_size_can_be_set_here() -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    assert hasattr(signal, "SIGXFSZ")
    assert room.FORMAT == 1
