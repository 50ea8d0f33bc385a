"""The cache folder as a whole: features/ and networks/ under it, their size, and clearing."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from handful.files import write_error

FEATURES, NETWORKS = "features", "networks"


@dataclass(frozen=True)
class CacheSize:
    """Files and bytes of each part of the cache."""

    features: int
    features_bytes: int
    networks: int
    networks_bytes: int

    def as_dict(self) -> dict[str, int]:
        """Plain values, for JSON."""
        return asdict(self)


def measure_cache(folder: Path) -> CacheSize:
    """Count what lies in the cache; zeros when there is none."""
    features = [path.stat().st_size for path in (folder / FEATURES).rglob("*.feature")]
    networks = [path.stat().st_size for path in (folder / NETWORKS).rglob("*.tflite")]
    return CacheSize(len(features), sum(features), len(networks), sum(networks))


def clear_cache(folder: Path) -> None:
    """Remove features and converted networks, and nothing else that may lie in the folder.

    Raises:
        HandfulError: the system refused.
    """
    for part in (FEATURES, NETWORKS):
        try:
            shutil.rmtree(folder / part)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise write_error(folder / part, error) from error
