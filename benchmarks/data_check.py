"""What the data check says of good sets, and of the same sets with a fault in them.

    python benchmarks/data_check.py [--shared PATH] [--json]

Shortcuts: how well metadata alone (size, shape, compression, format, camera, background brightness) tell the
classes apart, out of fold; then with one class brightened, or saved larger. Outliers: photos flagged in each
set, and five ants put among hands, by the embedded backbone and MobileNetV2.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.outliers import LEAST_FAR, how_far
from handful.audit.shortcuts import Shortcut, measure_shortcut
from handful.audit.traits import traits_of
from handful.config import TrainConfig, cache_folder, default_workers
from handful.data.looks import Look
from handful.data.manifest import Manifest
from handful.data.reading import read_rows
from handful.data.unions import bundles
from handful.features.extract import Photo, extract
from handful.frozen import open_frozen
from handful.progress import Silent
from measuring import BACKBONE
from photo_features import default_shared, own_home

SETS = ("ants_bees", "hand_digits")
DRAWS, ODD = 20, 5


def main() -> None:
    """Measure and print."""
    options = _options()
    own_home(options.shared)
    result = {
        "shortcuts": [line for name in SETS for line in _shortcuts(options.shared / "data" / name)],
        "outliers": [line for name in ("embedded", BACKBONE) for line in _outliers(options.shared, name)],
    }
    print(json.dumps(result) if options.json else _text(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=default_shared())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _shortcuts(folder: Path) -> list[dict[str, Any]]:
    manifest = Manifest.read(folder).of("train")
    read = [one for one in read_rows(manifest.rows, default_workers()) if one.look is not None]
    part = manifest.keep(one.row for one in read)
    looks = [one.look for one in read if one.look is not None]
    odd = part.labels == 0
    sets = {
        "as it is": looks,
        "one class 40 grey levels brighter": _changed(looks, odd, "brighter"),
        "one class twice as large": _changed(looks, odd, "larger"),
    }
    return [_shortcut(folder.name, how, part, changed) for how, changed in sets.items()]


def _changed(looks: Sequence[Look], odd: np.ndarray, how: str) -> list[Look]:
    return [_change(look, how) if is_odd else look for look, is_odd in zip(looks, odd, strict=True)]


def _change(look: Look, how: str) -> Look:
    if how == "larger":
        return replace(look, width=2 * look.width, height=2 * look.height, size=4 * look.size)
    return replace(look, thumbnail=np.clip(look.thumbnail.astype(int) + 40, 0, 255).astype(np.uint8))


def _shortcut(name: str, how: str, manifest: Manifest, looks: Sequence[Look]) -> dict[str, Any]:
    traits = [trait for trait in traits_of(looks) if trait.differs(manifest.labels)]
    found = measure_shortcut(manifest, traits) or Shortcut(0.0, 0.0, 0.0, 0, 0.0, 0)
    return {
        "set": name,
        "how": how,
        "balanced_accuracy": found.balanced_accuracy,
        "chance": found.chance,
        "skill": found.skill,
        "best_f1": found.f1,
        "warned": found.is_one,
        "trait": found.trait,
    }


def _outliers(shared: Path, backbone: str) -> list[dict[str, Any]]:
    frozen = open_frozen(TrainConfig(backbone=backbone), cache_folder(), Silent())
    values = {}
    for name in SETS:
        rows = Manifest.read(shared / "data" / name).rows
        photos = [Photo(row.path, row.name) for row in rows]
        found = extract(photos, frozen.engine, frozen.cache, Silent(), workers=default_workers())
        values[name] = (found.values[:, 0], bundles([rows[at] for at in found.kept]))
    lines: list[dict[str, Any]] = [
        {
            "backbone": backbone,
            "set": name,
            "photos": len(v),
            "flagged": int((how_far(v, g) > LEAST_FAR).sum()),
        }
        for name, (v, g) in values.items()
    ]
    return [*lines, _mixed(backbone, values["hand_digits"][0], values["ants_bees"][0])]


def _mixed(backbone: str, usual: np.ndarray, odd: np.ndarray) -> dict[str, Any]:
    """Five odd photos among 200: how many are flagged, over some draws."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(DRAWS):
        some = [
            usual[rng.choice(len(usual), 200, replace=False)],
            odd[rng.choice(len(odd), ODD, replace=False)],
        ]
        found += int((how_far(np.vstack(some), np.arange(200 + ODD))[200:] > LEAST_FAR).sum())
    what = f"{ODD} ants or bees among 200 hands, {DRAWS} draws"
    return {"backbone": backbone, "set": what, "photos": DRAWS * ODD, "flagged": found}


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"{one['set']}, {one['how']}: {one['balanced_accuracy']:.3f} by metadata alone (chance "
        f"{one['chance']:.2f}), skill {one['skill']:.2f}, best class F1 {one['best_f1']:.2f}: "
        f"{'warned, by ' + one['trait'] if one['warned'] else 'silent'}"
        for one in result["shortcuts"]
    ]
    lines += [
        f"{one['backbone']}, {one['set']}: {one['flagged']} of {one['photos']:,} unlike all others"
        for one in result["outliers"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
