"""Features of the shared photos, computed by Handful and kept in its cache: what the analyses work on.

    python benchmarks/photo_features.py --convert    convert the backbone, print where it lies

As a module: `features_of(shared, "hand_digits")`. The photos go through MobileNetV2 at 224. HANDFUL_CACHE and
KERAS_HOME are used as they are set; `own_home` sets them under bench-out/ where they are not.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handful.config import TrainConfig, cache_folder, default_workers
from handful.features.extract import Photo, extract
from handful.frozen import Frozen, open_frozen
from handful.progress import Silent
from measuring import BACKBONE, REPOSITORY, photos_in


@dataclass(frozen=True)
class Labels:
    """Features float32 (n, d), labels int (n,) in [0, classes)."""

    values: np.ndarray
    labels: np.ndarray
    classes: int

    def of_class(self, label: int) -> np.ndarray:
        """Positions of one class's photos."""
        return np.flatnonzero(self.labels == label)


def default_shared() -> Path:
    """HANDFUL_SHARED, or shared/ beside the repository."""
    return Path(os.environ.get("HANDFUL_SHARED") or REPOSITORY.parent / "shared").resolve()


def own_home(shared: Path) -> None:
    """Use bench-out/home for weights and cache, unless the environment names others."""
    home = REPOSITORY / "bench-out" / "home"
    if "KERAS_HOME" not in os.environ:
        models = home / "keras" / "models"
        models.mkdir(parents=True, exist_ok=True)
        for path in (shared / "keras_home" / "models").iterdir():
            shutil.copyfile(path, models / path.name)
        os.environ["KERAS_HOME"] = str(home / "keras")
    os.environ.setdefault("HANDFUL_CACHE", str(home / "cache"))


def backbone() -> Frozen:
    """The frozen backbone on LiteRT, converted now if it is the first time."""
    return open_frozen(TrainConfig(backbone=BACKBONE, engine="litert"), cache_folder(), Silent())


def features_of(shared: Path, *names: str) -> Labels:
    """Features of all photos under shared/data/NAME, their folders' names being the classes."""
    photos = [path for name in names for path in photos_in(shared / "data" / name)]
    frozen = backbone()
    asked = [Photo(path, str(path)) for path in photos]
    found = extract(asked, frozen.engine, frozen.cache, Silent(), workers=default_workers())
    folders = [photos[position].parent.name for position in found.kept]
    classes = sorted(set(folders))
    labels = np.array([classes.index(folder) for folder in folders])
    return Labels(found.values[:, 0], labels, len(classes))


def main() -> int:
    """Convert and print one line of JSON."""
    if sys.argv[1:] != ["--convert"]:
        print((__doc__ or "").strip())
        return 2
    frozen = backbone()
    answer = {"file": str(frozen.network), "pooled": frozen.pooled_output, "map": frozen.map_output}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
