"""The trained folder: what lies in it, how it is written whole, and how it is opened with suspicion.

    flowers.handful/
        card.json          classes, backbone, settings, data, scores, what was left out and what was said
        backbone.tflite    the frozen network (backbone.keras for networks that only Keras runs)
        weights.npy        float32 (d, k), the new layer
        bias.npy           float32 (k,)
        strangers.npz      features of training photos, to tell photos of none of the classes
        out_of_fold.csv    a row per training photo: its label, fold and the logits of a fit without it, on
                           the frozen network in every case, and not divided by the temperature
        checksums.json     sha256 of every file above

Checksums notice accidents. They do not notice an attacker, who can write new ones: open what you trust.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.arrays import npy, npz, read_npy, read_npz
from handful.contents import (
    BIAS,
    CARD,
    CHECKSUMS,
    STRANGERS,
    TABLE,
    TUNED,
    WEIGHTS,
    all_files,
    checked_files,
    is_sound,
)
from handful.errors import ArtefactError
from handful.files import (
    folder_in_the_making,
    link_or_copy,
    recover_folder,
    sha256_of_file,
)
from handful.plain import finite

FORMAT = 1
_LARGEST_CARD = 64 * 2**20


@dataclass(frozen=True)
class OutOfFold:
    """The out-of-fold table, a row per training photo.

    Attributes:
        files: paths relative to the data's root.
        hashes: sha256 of each photo.
        labels: int (n,).
        folds: int (n,).
        logits: float32 (n, k).
    """

    files: Sequence[str]
    hashes: Sequence[str | None]
    labels: np.ndarray
    folds: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Artefact:
    """A trained folder, opened and checked.

    Attributes:
        folder: where it lies.
        card: the content of card.json.
        weights: float32 (d, k).
        bias: float32 (k,).
    """

    folder: Path
    card: dict[str, Any]
    weights: np.ndarray
    bias: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return tuple(self.card["classes"])

    @property
    def is_fine_tuned(self) -> bool:
        """Whether weights of the network itself were trained, and not the new layer alone."""
        return "tuned" in self.card["network"]

    @property
    def network(self) -> Path:
        """The file of the network, which nothing changes any more."""
        return self.folder / self.card["network"]["file"]


def write_artefact(
    target: Path,
    card: dict[str, Any],
    network: Path,
    weights: np.ndarray,
    bias: np.ndarray,
    table: OutOfFold,
    *,
    network_sha256: str | None = None,
    moved: Mapping[str, np.ndarray] | None = None,
    strangers: Mapping[str, np.ndarray] | None = None,
    overwrite: bool,
) -> None:
    """Write a trained folder beside `target` and rename it into place.

    Args:
        target: the folder to make.
        card: JSON values; "classes" and "network" must be there; "format" is added.
        network: the frozen network's file, hard-linked or copied.
        weights: float32 (d, k).
        bias: float32 (k,).
        table: the out-of-fold table.
        network_sha256: of the network that the features were computed with; None does not compare.
        moved: float32 weights of a fine-tuned network by their place among all of its weights, "0", "1", ...;
            the card's "network" then has "tuned": TUNED.
        strangers: what tells photos of none of the classes (`audit.strangers.Strangers.arrays`); the card's
            "network", whose features they are, then has "strangers": STRANGERS.
        overwrite: replace an existing result.

    Raises:
        ArtefactError: `target` exists and `overwrite` is False, or is no trained folder at all; or the
            network's file changed since.
        WriteError: the disk refused; it says whether what was there is intact.
    """
    refuse_what_is_not_ours(target)
    file = card["network"]["file"]
    with folder_in_the_making(target, overwrite=overwrite, expected=all_files(card)) as folder:
        link_or_copy(network, folder / file)
        _refuse_another_network(network, folder / file, network_sha256)
        (folder / CARD).write_text(_json({"format": FORMAT, **card}), encoding="utf-8")
        (folder / WEIGHTS).write_bytes(npy(weights))
        (folder / BIAS).write_bytes(npy(bias))
        (folder / TABLE).write_text(_csv(table, card["classes"]), encoding="utf-8", newline="")
        if moved is not None:
            (folder / TUNED).write_bytes(npz(moved))
        if strangers is not None:
            (folder / STRANGERS).write_bytes(npz(strangers))
        sums = {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
        (folder / CHECKSUMS).write_text(_json(sums), encoding="utf-8")


def copy_artefact(artefact: Artefact, target: Path, *, overwrite: bool) -> None:
    """Write the same trained folder somewhere else, whole or not at all; raises as `write_artefact`.

    Only the network, which nobody edits, is hard-linked; a change to another file stays in its folder.
    """
    refuse_what_is_not_ours(target)
    network, names = artefact.network.name, all_files(artefact.card)
    with folder_in_the_making(target, overwrite=overwrite, expected=names) as folder:
        for name in names:
            (link_or_copy if name == network else shutil.copyfile)(artefact.folder / name, folder / name)
        read_artefact(folder)  # raises when the original changed, or a byte was lost on the way


def _refuse_another_network(network: Path, copy: Path, expected: str | None) -> None:
    found = sha256_of_file(copy)
    if expected is not None and found != expected:
        raise ArtefactError(
            f"{network} changed while it was used: its sha256 was {expected[:12]} and is {found[:12]} now, "
            "so the new layer does not belong to it. Run the same command again."
        )


def refuse_what_is_not_ours(target: Path) -> None:
    """Raise when something that is no trained folder stands at `target`: it is never replaced."""
    if os.path.exists(target) and not os.path.isfile(target / CARD):
        raise ArtefactError(
            f"{target} exists and is not a trained folder of Handful; it is left as it is. "
            "Choose another name with -o."
        )


def _json(value: Any) -> str:
    return json.dumps(finite(value), indent=2, ensure_ascii=True, sort_keys=True) + "\n"


def _csv(table: OutOfFold, classes: Sequence[str]) -> str:
    text = io.StringIO()
    names = [_plain(name) for name in classes]
    writer = csv.writer(text, lineterminator="\r\n")  # with "\n" alone a "\r" in a name is not quoted
    writer.writerow(["file", "sha256", "label", "fold", "predicted", *(f"logit:{name}" for name in names)])
    predicted = table.logits.argmax(axis=1)
    for file, photo, label, fold, guess, row in zip(
        table.files, table.hashes, table.labels, table.folds, predicted, table.logits, strict=True
    ):
        writer.writerow([_plain(file), photo, names[label], fold, names[guess], *(f"{x:.6g}" for x in row)])
    return text.getvalue()


def _plain(text: str) -> str:
    """Undecodable bytes of a name as \\udcXX escapes, so that the table stays valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_artefact(folder: Path) -> Artefact:
    """Open a trained folder and check every file in it.

    Raises:
        ArtefactError: missing, not a trained folder, of another format, damaged, inconsistent, or not to
            be read.
    """
    try:
        return _read(folder)
    except OSError as error:
        raise _unreadable(Path(error.filename or folder), error) from error


def _unreadable(path: Path, error: OSError) -> ArtefactError:
    return ArtefactError(
        f"{path} cannot be read: {error.strerror or error}. Check its permissions and the disk it is on."
    )


def _read(folder: Path) -> Artefact:
    card = _read_card(folder)
    sums = _read_json(folder / CHECKSUMS)
    _check_sums(folder, sums, card)
    weights = read_npy(folder / WEIGHTS, 2)
    bias = read_npy(folder / BIAS, 1)
    classes = card["classes"]
    if weights.shape != (card["network"]["feature_dim"], len(classes)) or bias.shape != (len(classes),):
        raise ArtefactError(
            f"{folder}: the head has shapes {weights.shape} and {bias.shape}, but the card names "
            f"{len(classes)} classes and {card['network']['feature_dim']} features. Train again."
        )
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ArtefactError(f"{folder}: the head holds values that are not numbers. Train again.")
    return Artefact(folder, card, weights, bias)


def read_moved(artefact: Artefact) -> dict[int, np.ndarray]:
    """The weights that fine-tuning moved, float32, by their place among all of the network's; maybe none.

    Raises:
        ArtefactError: they cannot be read, or are no such weights.
    """
    if not artefact.is_fine_tuned:
        return {}
    path = artefact.folder / TUNED
    arrays = read_npz(path)
    if not all(name.isdecimal() and np.isfinite(array).all() for name, array in arrays.items()):
        raise ArtefactError(f"{path} does not hold the weights of a network. Copy the folder again.")
    return {int(name): array for name, array in arrays.items()}


def read_strangers(artefact: Artefact) -> dict[str, np.ndarray] | None:
    """What tells photos of none of the classes: "bank" (m, d), "scale" (4,), "limits" (2,); None without it.

    Raises:
        ArtefactError: it cannot be read, or is something else.
    """
    if "strangers" not in artefact.card["network"]:
        return None
    path = artefact.folder / STRANGERS
    arrays = read_npz(path)
    shapes = {name: array.shape for name, array in arrays.items()}
    photos = len(arrays.get("bank", ()))
    expected = {"bank": (photos, artefact.card["network"]["feature_dim"]), "scale": (4,), "limits": (2,)}
    whole = all(np.isfinite(array).all() for array in arrays.values())
    if not photos or shapes != expected or not whole or (arrays["scale"][[1, 3]] <= 0).any():
        raise ArtefactError(f"{path} does not tell strangers (it holds {shapes}). Copy the folder again.")
    return arrays


def read_out_of_fold_files(artefact: Artefact) -> list[Path]:
    """Paths of the photos the model was trained on, whether or not they are still there."""
    root = Path(artefact.card["data"]["root"] or ".")
    return [root / name for name in _table_column(artefact, "file")]


def read_out_of_fold_hashes(artefact: Artefact) -> frozenset[str]:
    """sha256 of the photos the model was trained on."""
    return frozenset(_table_column(artefact, "sha256"))


def _table_column(artefact: Artefact, column: str) -> list[str]:
    """One column of the table; what was edited by hand, checksum included, is an ArtefactError."""
    path = artefact.folder / TABLE
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            found = [row.get(column) for row in csv.DictReader(stream)]
    except OSError as error:
        raise _unreadable(path, error) from error
    except (csv.Error, ValueError) as error:
        raise ArtefactError(f"{path} is no table ({error}). Copy the folder again.") from error
    values = [value for value in found if isinstance(value, str)]
    if len(values) < len(found):
        raise ArtefactError(f"{path} has rows without {column!r}. Copy the folder again, or train again.")
    return values


def _read_card(folder: Path) -> dict[str, Any]:
    if not os.path.exists(folder):
        with contextlib.suppress(OSError):
            recover_folder(folder)
    if not os.path.exists(folder):
        raise ArtefactError(f"{folder} does not exist. Train one: handful train photos/ -o {folder}")
    if not (folder / CARD).is_file():  # raises where permission lacks
        raise ArtefactError(
            f"{folder} is not a trained folder of Handful (it has no {CARD}). "
            "Give the folder that `handful train -o` wrote."
        )
    card = _read_json(folder / CARD)
    version = card.get("format")
    if not isinstance(version, int) or version < 1:
        raise ArtefactError(f"{folder}: {CARD} names no known format (found {version!r}). Train again.")
    if version > FORMAT:
        raise ArtefactError(
            f"{folder} has format {version}, this Handful reads up to {FORMAT}. "
            f"It was written by Handful {card.get('handful', '?')}: upgrade with pip install -U handful."
        )
    if not is_sound(card):
        raise ArtefactError(f"{folder}: {CARD} lacks what a model needs, or holds it twice. Train again.")
    return card


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ArtefactError(f"{path} is no ordinary file. The folder is damaged: copy it again.")
        size = path.stat().st_size
        if size > _LARGEST_CARD:
            raise ArtefactError(f"{path} is {size:,} bytes, more than any card. It is not Handful's.")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing: the folder is incomplete. Copy it again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(
            f"{path} cannot be read ({error}). The folder is damaged: copy it again."
        ) from error
    if not isinstance(value, dict):
        raise ArtefactError(f"{path} holds a {type(value).__name__}, not an object. Copy the folder again.")
    return value


def _check_sums(folder: Path, sums: dict[str, Any], card: dict[str, Any]) -> None:
    """Compare every file that will be used with its checksum."""
    damaged = []
    for name in checked_files(card):
        path = folder / name
        if not path.is_file():
            damaged.append(f"{name} is missing")
        elif sha256_of_file(path) != sums.get(name):
            damaged.append(f"{name} does not match its checksum")
    if damaged:
        raise ArtefactError(
            f"{folder} is damaged: {'; '.join(damaged)}. Copy the folder again, or train again."
        )
