"""The cache folder as a whole: features/ and networks/ under it, their size, and clearing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from handful.errors import HandfulError
from handful.files import WriteError, is_temporary, sweep_below, write_error

FEATURES, NETWORKS = "features", "networks"
FINE_TUNING = "finetune"  # of runs that were stopped; a run that ends removes its own


_NETWORK = {".tflite", ".keras"}
_ROUNDS = 5  # another process may write into a folder while it is cleared


@dataclass(frozen=True)
class CacheSize:
    """What lies in each part of the cache.

    Attributes:
        features: photos whose features are kept.
        features_bytes: of every file in that part, whatever it is.
        networks: converted networks.
        networks_bytes: of every file in that part, with what lies beside the networks.
        leftovers: files that are being written, or were half-written on another machine.
    """

    features: int
    features_bytes: int
    networks: int
    networks_bytes: int
    leftovers: int

    def as_dict(self) -> dict[str, int]:
        """Plain values, for JSON."""
        return asdict(self)


def measure_cache(folder: Path) -> CacheSize:
    """Count every file in the cache, after sweeping what dead processes left; zeros when there is none."""
    for part in (FEATURES, NETWORKS, FINE_TUNING):
        sweep_below(folder / part)
    features, networks = _sizes(folder / FEATURES), _sizes(folder / NETWORKS)
    whole = {path for path in (*features, *networks) if not is_temporary(path)}
    return CacheSize(
        features=sum(path in whole and path.suffix == ".feature" for path in features),
        features_bytes=sum(features.values()),
        networks=sum(path in whole and path.suffix in _NETWORK for path in networks),
        networks_bytes=sum(networks.values()),
        leftovers=len(features) + len(networks) - len(whole),
    )


def _sizes(folder: Path) -> dict[Path, int]:
    """Bytes of every file below; one that vanishes meanwhile is not counted."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.stat().st_size
    return found


def clear_cache(folder: Path) -> None:
    """Remove features, converted networks and unfinished fine-tuning, and nothing else in the folder.

    Raises:
        HandfulError: the system refused.
    """
    for part in (FEATURES, NETWORKS, FINE_TUNING):
        try:
            _remove(folder / part)
        except OSError as error:
            raise write_error(folder / part, error) from error


def _remove(folder: Path) -> None:
    for _ in range(_ROUNDS):
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        if not folder.exists():
            return
    shutil.rmtree(folder)


@contextlib.contextmanager
def naming_the_cache(folder: Path) -> Iterator[None]:
    """Say how to move the cache when the disk refuses a write in it.

    Raises:
        HandfulError: a write below `folder` failed within the block.
    """
    try:
        yield
    except (WriteError, OSError) as error:
        place = error.path if isinstance(error, WriteError) else Path(error.filename or "")
        if folder.absolute() not in (place.absolute(), *place.absolute().parents):
            raise
        words = error if isinstance(error, WriteError) else write_error(place, error)
        raise HandfulError(
            f"{words} This is Handful's cache: set HANDFUL_CACHE to a folder that can be written to."
        ) from error
