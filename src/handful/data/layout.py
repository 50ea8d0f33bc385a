"""Layout: which folders are classes and which are train, validation and test.

    photos/cat/1.jpg                   a folder per class
    photos/train/cat/1.jpg             the same, divided; also val/ (valid/, validation/) and test/

A layout that cannot be meant raises at once and shows what was found beside what is expected; what
concerns single folders is collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from handful.data.listing import ARCHIVES, Folder, Listing, draw, may_be_photo
from handful.data.names import counted, did_you_mean, find_twins, printable, some
from handful.data.row import Reading, Row, Split, split_named
from handful.errors import DataError, Problem

EXPECTED = """\
Expected:
  photos/
    cat/  1.jpg, 2.jpg ...
    dog/  3.jpg, 4.jpg ...
or, already divided:
  photos/
    train/  cat/ dog/
    val/    cat/ dog/   (optional)
    test/   cat/ dog/   (optional)"""

NOT_OPENED = "cannot be opened"  # how `listing` begins its words on a folder; at least one photo is missed

_Part: TypeAlias = tuple[Split, Folder]


def read_folder(root: Path, classes: Sequence[str] | None = None) -> Reading:
    """Read a folder of class folders.

    Args:
        root: the folder.
        classes: the classes of a trained model, when photos are read to be scored: then one class is
            enough, `train/` may be missing, and photos outside a named split count as "test".

    Raises:
        DataError: missing, not a folder, empty, or laid out in a way that cannot be meant; the message
            shows the tree found and the tree expected.
    """
    refuse_file(root)
    listing = Listing.of(root)
    reading = Reading(root)
    _refuse_no_photos(listing)
    for split, folder in _parts(listing.tree, classes, reading):
        _read_part(folder, split, classes, listing, reading)
    reading.problems += listing.notes() + find_twins(reading.places)
    reading.left_out += sum(problem.what.startswith(NOT_OPENED) for problem in listing.problems)
    return reading


def refuse_file(path: Path) -> None:
    """Raise unless `path` is a folder, saying what to do with what it is.

    Raises:
        DataError: `path` is missing, an archive, a photo, or another kind of file.
    """
    if path.is_dir():
        return
    shown = printable(str(path))
    if not path.exists():
        raise DataError(f"{shown} does not exist.{_nearest_beside(path)} Pass a folder or a table.")
    if path.suffix.lower() in ARCHIVES:
        raise DataError(f"{shown} is an archive. Unpack it first, then pass the folder.\n{EXPECTED}")
    kind = "one file" if path.is_file() else "neither a file nor a folder"
    hint = " To classify one photo, use `handful predict`." if path.is_file() and may_be_photo(path) else ""
    expected = f"Pass a folder of class folders, or a .csv or .tsv table.{hint}\n{EXPECTED}"
    raise DataError(f"{shown} is {kind}. {expected}")


def found_and_expected(root: Path) -> str:
    """Return the tree found at `root` and the one expected, for the end of a message."""
    return _found(Listing.of(root).tree)


def _nearest_beside(path: Path) -> str:
    try:
        return did_you_mean(path.name, (entry.name for entry in path.parent.iterdir()))
    except OSError:
        return ""


def _found(tree: Folder) -> str:
    return f"Found:\n{draw(tree)}\n{EXPECTED}"


def _refuse(tree: Folder, what: str, fix: str) -> DataError:
    """Word a layout that cannot be meant."""
    shown = printable(str(tree.path))
    return DataError(f"{shown}: {what}. {fix}\n{_found(tree)}", [Problem("error", shown, what, fix)])


def _refuse_no_photos(listing: Listing) -> None:
    """Raise when there is nothing to read, saying what is there instead."""
    if listing.tree.has_photos():
        return
    what = "no photos were found"
    if listing.ignored:
        what += f" ({counted(listing.ignored, 'hidden or system item')} ignored)"
    barred = [problem for problem in listing.problems if not problem.file or problem.file == "."]
    if barred:
        what = f"the folder {barred[0].what}"
    archives = [path.name for path in listing.tree.others if path.suffix.lower() in ARCHIVES]
    fix = "Pass a folder that holds a folder of photos for each class."
    raise _refuse(listing.tree, what, f"Unpack {some(archives)} first." if archives else fix)


def _parts(tree: Folder, classes: Sequence[str] | None, reading: Reading) -> list[_Part]:
    """Divide the top folder into its splits; one split for a plain folder of classes."""
    named: list[_Part] = [(s, f) for f in tree.filled() if (s := split_named(f.name)) is not None]
    others = [f for f in tree.filled() if split_named(f.name) is None]
    if not named or _train_is_a_class(named, others, reading):
        _refuse_plain(tree, classes)
        return [("train" if classes is None else "test", tree)]
    _refuse_splits(tree, named, others, classes)
    _warn_loose(tree, reading)
    return named


def _train_is_a_class(named: list[_Part], others: list[Folder], reading: Reading) -> bool:
    """Say whether `train/` is a class of vehicles: photos right in it, beside other class folders."""
    if not others or [split for split, _ in named] != ["train"] or named[0][1].filled():
        return False
    what = f"holds photos and stands beside {some(f.name for f in others)}; read as a class named 'train'"
    fix = "If it is no class, give it class folders of its own."
    reading.problems.append(Problem("warning", "train", what, fix))
    return True


def _refuse_plain(tree: Folder, classes: Sequence[str] | None) -> None:
    """Raise when the top holds photos only, or one folder that wraps the real one."""
    filled = tree.filled()
    if not filled:
        fix = "Make a folder for each class and move the photos there: its name is their label."
        raise _refuse(tree, f"{counted(len(tree.photos), 'photo')} at the top and no class folders", fix)
    only = filled[0]
    if len(filled) == 1 and not only.photos and only.name not in (classes or ()) and len(only.filled()) > 1:
        what = f"it holds one folder, {printable(only.name)}/, and the class folders are in that"
        raise _refuse(tree, what, f"Pass {printable(str(only.path))} instead.")


def _refuse_splits(
    tree: Folder, named: list[_Part], others: list[Folder], classes: Sequence[str] | None
) -> None:
    """Raise when train, validation and test folders are there but cannot be used as such."""
    splits = [split for split, _ in named]
    names = some(f"{f.name}/" for _, f in named)
    if others:
        what = f"{names} stands beside {some(f'{f.name}/' for f in others)}: which are classes?"
        raise _refuse(tree, what, "Move the class folders into train/, or move the other folders away.")
    if len(set(splits)) < len(splits):
        raise _refuse(tree, f"{names}: two folders for one split", "Put their photos into one of them.")
    needed = [f for split, f in named if classes is not None or split == "train"]
    if not needed:
        raise _refuse(tree, f"{names} but no train/ with photos", "Name the training folder train/.")
    if not any(f.filled() for f in needed):
        what = f"{some(f'{f.name}/' for f in needed)} holds photos but no class folders"
        raise _refuse(tree, what, "Make a folder for each class in it: its name is the photos' label.")


def _read_part(
    part: Folder, split: Split, classes: Sequence[str] | None, listing: Listing, reading: Reading
) -> None:
    """Add the rows of one folder of class folders."""
    _warn_loose(part, reading)
    for folder in part.folders:
        if not (photos := folder.photos_below()):
            _report_empty(folder, split, classes, listing, reading)
            continue
        reading.places.setdefault(folder.name, listing.relative(folder.path))
        _report_nested(folder, listing, reading)
        reading.rows += [Row(path, listing.relative(path), folder.name, split=split) for path in photos]


def _warn_loose(folder: Folder, reading: Reading) -> None:
    """Warn of each photo that lies beside class folders and so has no label; it counts as left out."""
    fix = "Move it into the folder of its class. To classify photos without a label, use `handful predict`."
    for path in folder.photos:
        if path.suffix:  # without a suffix: README, LICENSE
            shown = printable(path.relative_to(reading.root or folder.path).as_posix())
            what = "lies beside the class folders, so it has no label; left out"
            reading.problems.append(Problem("warning", shown, what, fix))
            reading.left_out += 1


def _report_empty(
    folder: Folder, split: Split, classes: Sequence[str] | None, listing: Listing, reading: Reading
) -> None:
    """An empty class folder stops training; among photos to be scored it is only said."""
    severity = "error" if classes is None and split == "train" else "note"
    what = "class folder without photos"
    if folder.others:
        what += f" (only {some((path.name for path in folder.others), 3)})"
    fix = "Put photos of the class into it, or remove the folder."
    reading.problems.append(Problem(severity, printable(listing.relative(folder.path)), what, fix))


def _report_nested(folder: Folder, listing: Listing, reading: Reading) -> None:
    """Say that photos of subfolders belong to the class; refuse cat/train/ and cat/val/."""
    inner = folder.filled()
    shown = printable(listing.relative(folder.path))
    names = some((f"{sub.name}/" for sub in inner), 3)
    if len({split_named(sub.name) for sub in inner} - {None}) > 1:
        fix = f"Turn it round: train/{printable(folder.name)}/, val/{printable(folder.name)}/ and so on."
        reading.problems.append(Problem("error", shown, f"the class folder is divided into {names}", fix))
    elif inner:
        count = sum(len(sub.photos_below()) for sub in inner)
        what = f"{counted(count, 'photo')} in subfolders ({names}) counted to this class"
        fix = "If the subfolders are classes, move them one level up."
        reading.problems.append(Problem("note", shown, what, fix))
