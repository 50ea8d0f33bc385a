"""Folder: what lies below a path, with clutter ignored, links followed once, and everything else named.

Nothing is opened here: whether a file is a photo is for the decoder to say. A name without a suffix may
be a photo; a name with another suffix (notes.txt) is left out and said.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handful.data.images import PHOTO_SUFFIXES
from handful.data.names import counted, printable, some
from handful.errors import Problem

ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".txz", ".xz", ".zip", ".zst"})
# Left by Windows, macOS, Synology and file systems; "@eaDir" holds thumbnails that look like photos.
_CLUTTER = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r", "@eadir",
    "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
_TREE_LINES = 14


@dataclass
class Folder:
    """A folder and what counts below it, all sorted by name.

    Attributes:
        path: the folder as given, or below it.
        folders: its folders, without ignored ones and links already read.
        photos: its files with the suffix of a photo or none.
        others: its other files.
    """

    path: Path
    folders: list[Folder] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the path; for "." the name of the folder it stands for."""
        return self.path.name or self.path.absolute().name or str(self.path)

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all below it, depth first, in order; no recursion, so any depth works."""
        waiting: list[Folder] = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(reversed(folder.folders))

    def photos_below(self) -> list[Path]:
        """Return the photos of this folder and of all folders below it."""
        return [path for folder in self.walk() for path in folder.photos]

    def filled(self) -> list[Folder]:
        """Return the direct subfolders with a photo somewhere below them."""
        return [folder for folder in self.folders if folder.has_photos()]

    def has_photos(self) -> bool:
        """Say whether any photo lies in this folder or below it."""
        return any(folder.photos for folder in self.walk())


@dataclass
class Listing:
    """A folder read to its end, with what was passed over.

    Attributes:
        tree: the folder.
        problems: folders that could not be opened or were reached twice, folders named like photos.
        ignored: how many hidden or system files and folders were passed over.
    """

    tree: Folder
    problems: list[Problem] = field(default_factory=list)
    ignored: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, root: Path) -> Listing:
        """Read `root` and everything below it. Never follows a link in circles, never opens a file."""
        listing = cls(Folder(root))
        listing._remember(root)
        waiting = deque([listing.tree])
        while waiting:  # breadth first: a real folder near the top is met before a deep link to it
            folder = waiting.popleft()
            listing._fill(folder)
            folder.folders = [sub for sub in folder.folders if listing._is_new(sub)]
            waiting.extend(folder.folders)
        for folder in listing.tree.walk():
            folder.folders = [sub for sub in folder.folders if not listing._is_named_like_photo(sub)]
        return listing

    def notes(self) -> list[Problem]:
        """Return all problems, with one note on ignored and one on other files."""
        others = [self.relative(path) for folder in self.tree.walk() for path in folder.others]
        notes = list(self.problems)
        if self.ignored:
            what = f"ignored {counted(self.ignored, 'hidden or system item')} (.DS_Store, Thumbs.db ...)"
            notes.append(Problem("note", "", what, "Nothing to do."))
        if others:
            what = f"{counted(len(others), 'other file')} left out: {some(others)}"
            fix = "Nothing to do, unless one is a photo: give it its suffix back."
            notes.append(Problem("note", "", what, fix))
        return notes

    def relative(self, path: Path) -> str:
        """Return `path` below the root, "/" between parts, unescaped."""
        return path.relative_to(self.tree.path).as_posix()

    def _fill(self, folder: Folder) -> None:
        try:
            with os.scandir(folder.path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            what = f"cannot be opened: {error.strerror}"
            self._warn(folder.path, what, "Check its permissions, or move it away.")
            return
        for entry in found:
            self._sort_in(entry, folder)

    def _sort_in(self, entry: os.DirEntry[str], folder: Folder) -> None:
        path = folder.path / entry.name
        if is_ignored(entry.name):
            self.ignored += 1
        elif _is_folder(entry):
            folder.folders.append(Folder(path))
        elif may_be_photo(path):
            folder.photos.append(path)
        else:
            folder.others.append(path)

    def _is_new(self, folder: Folder) -> bool:
        if self._remember(folder.path):
            return True
        self._warn(folder.path, "leads to a folder that is read already; left out", "Remove the link.")
        return False

    def _remember(self, path: Path) -> bool:
        """Note the folder's identity; False when it was noted before under another name."""
        try:
            status = path.stat()
        except OSError:
            return True  # `_fill` meets the same error and words it
        key = (status.st_dev, status.st_ino)
        known = key in self._seen
        self._seen.add(key)
        return not known

    def _is_named_like_photo(self, folder: Folder) -> bool:
        if folder.path.suffix.lower() not in PHOTO_SUFFIXES or folder.has_photos():
            return False
        self._warn(folder.path, "is a folder, not a photo; skipped", "Remove it or rename it.")
        return True

    def _warn(self, path: Path, what: str, fix: str) -> None:
        self.problems.append(Problem("warning", printable(self.relative(path)), what, fix))


def is_ignored(name: str) -> bool:
    """Say whether a file or folder is hidden or left by the system, and so no user's photo."""
    return name.startswith(".") or name.lower() in _CLUTTER


def may_be_photo(path: Path) -> bool:
    """Say whether a name could be a photo's: a known suffix, or none (then the content decides)."""
    suffix = path.suffix.lower()
    return suffix in PHOTO_SUFFIXES or not suffix


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself: the decoder's door words that
        return False


def draw(tree: Folder) -> str:
    """Draw a folder in a few lines: two levels, with the number of photos in each."""
    lines = [f"{printable(tree.name)}/{_content(tree)}"]
    for folder in tree.folders:
        below = "" if folder.folders else _content(folder)
        lines.append(f"  {printable(folder.name)}/{below}")
        lines += [f"    {printable(sub.name)}/  {_count(sub)}" for sub in folder.folders[:4]]
        lines += [f"    ... {len(folder.folders) - 4} more folders"] if len(folder.folders) > 4 else []
    if len(lines) > _TREE_LINES:
        lines = [*lines[:_TREE_LINES], "  ..."]
    return "\n".join(f"  {line}" for line in lines)


def _content(folder: Folder) -> str:
    files = some((path.name for path in [*folder.photos, *folder.others]), most=3)
    return f"  {files}" if files else ("" if folder.folders else "  (empty)")


def _count(folder: Folder) -> str:
    return counted(len(folder.photos_below()), "photo")


def photos_under(paths: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Collect unlabelled photos: files as named, folders to their end, each file once.

    A file that is named is taken whatever its name is, for the user asked for it; in folders the same
    files are ignored as in training. What is missing is left to the decoder, which names it.

    Args:
        paths: files and folders, in the order wanted.

    Returns:
        The photos, in order, folders sorted by name; and what was passed over.
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        photos, findings = _under(path)
        problems += findings
        for photo in photos:
            found.setdefault(os.path.abspath(photo), photo)
    return list(found.values()), problems


def _under(path: Path) -> tuple[list[Path], list[Problem]]:
    if not path.is_dir():
        return [path], []
    listing = Listing.of(path)
    photos = listing.tree.photos_below()
    problems = listing.notes()
    if not photos:
        what = "no photos in this folder"
        problems.append(Problem("warning", printable(str(path)), what, "Pass a folder that holds photos."))
    return photos, problems
