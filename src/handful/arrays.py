"""NumPy arrays as the bytes of a file, and back with suspicion: no header is believed, no pickle opened."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np

from handful.errors import ArtefactError

# What zipfile raises on a damaged, encrypted or strange archive.
_UNREADABLE = (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError)
_NPY_HEADER = 4096  # far more than NumPy writes; refuses a header that promises a giant array


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file; NumPy's own write to a file loses the reason when the disk refuses."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a .npz file, not compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy(array))  # ZipInfo: no time of day
    return stream.getvalue()


def read_npy(path: Path, dimensions: int) -> np.ndarray:
    """Read a float32 array whose header promises no more than the file holds.

    Raises:
        ArtefactError: it is no such array.
    """
    return _array(path.read_bytes(), str(path), dimensions)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the float32 and float16 arrays of a file that `npz` wrote.

    Raises:
        ArtefactError: it is damaged, compressed, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
            if packed or not members:
                raise ArtefactError(f"{path} does not hold arrays as Handful writes them. Copy it again.")
            contents = {member.filename: archive.read(member) for member in members}
    except _UNREADABLE as error:
        raise ArtefactError(f"{path} is damaged ({error}). Copy the folder again.") from error
    return {name.removesuffix(".npy"): _array(data, f"{path}: {name}") for name, data in contents.items()}


def _array(data: bytes, name: str, dimensions: int | None = None) -> np.ndarray:
    stream = io.BytesIO(data)
    try:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_NPY_HEADER)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:  # the last two: no literal
        raise ArtefactError(
            f"{name} is not an array NumPy can read ({error}). Copy the folder again."
        ) from error
    as_promised = dtype.itemsize * math.prod(shape) == len(data) - stream.tell()
    kinds = (np.float32,) if dimensions is not None else (np.float32, np.float16)
    as_asked = dtype in kinds and dimensions in (None, len(shape))
    if min(shape, default=0) < 0 or not (as_asked and as_promised):
        raise ArtefactError(f"{name}: found {dtype} {shape} in {len(data)} bytes. Copy the folder again.")
    return np.load(io.BytesIO(data), allow_pickle=False)
