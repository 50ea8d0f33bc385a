"""Planted duplicates: how many the data check finds, and which other pairs it takes for duplicates.

    python benchmarks/planted_duplicates.py [--each 50] [--seeds 2 3 4] [--sheet DIR] [--features] [--json]

Photos are re-saved at JPEG quality 60, resized to half, cropped to 95 % of each side at a random place,
or brightened by 10 %; and, harder than the target, cropped by 5 % at every side, or all of it at once. The
copies go into a copy of the data set. The thresholds of `data/alike.py` were chosen with seed 1, so report
others. `--sheet` draws each false pair side by side, to be looked at. `--features` prints what the features
of the frozen network would tell instead.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from handful.config import default_workers
from handful.data.alike import Alike, find_alike
from handful.data.manifest import Manifest, Row
from handful.data.reading import read_rows
from measuring import BACKBONE
from photo_features import default_shared, own_home

SETS = ("hand_digits", "ants_bees")
QUALITY = 90  # of copies that are not re-saved on purpose
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _same(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image


def _half(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = round(0.95 * image.width), round(0.95 * image.height)
    left, top = (int(rng.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    return image.crop((left, top, left + width, top + height))


def _cropped_all_round(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    across, down = round(0.05 * image.width), round(0.05 * image.height)
    return image.crop((across, down, image.width - across, image.height - down))


def _brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.1)


def _all(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _brightened(_cropped(_half(image, rng), rng), rng)


KINDS: dict[str, tuple[Change, int]] = {
    "re-saved at quality 60": (_same, 60),
    "resized to half": (_half, QUALITY),
    "cropped by 5 %": (_cropped, QUALITY),
    "brightened by 10 %": (_brightened, QUALITY),
    "beyond the target: 5 % off every side": (_cropped_all_round, QUALITY),
    "beyond the target: all four at once": (_all, 60),
}
TARGET = tuple(KINDS)[:4]


@dataclass(frozen=True)
class Planted:
    """A copy: which kind it is, and the names of both files."""

    kind: str
    original: str
    copy: str


def main() -> None:
    """Plant, look, print."""
    options = _options()
    own_home(options.shared)
    results = []
    for name in SETS:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                results.append(_measure(name, seed, Path(folder) / name, options))
                if not options.json:
                    print(_text(results[-1]))
    if options.json:
        print(json.dumps(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--shared", type=Path, default=default_shared())
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _measure(name: str, seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    shutil.copytree(options.shared / "data" / name, folder)
    planted = plant(folder, options.each, seed)
    read = [one for one in read_rows(Manifest.read(folder).rows, default_workers()) if one.look is not None]
    rows = [one.row for one in read]
    start = time.perf_counter()
    alike = find_alike(np.stack([one.look.thumbnail for one in read if one.look is not None]))
    seconds = time.perf_counter() - start
    false = _false_pairs(alike, rows, planted)
    if options.sheet and false:
        _draw(false, folder, options.sheet / f"{name}_{seed}.png")
    return {
        "set": name,
        "seed": seed,
        "photos": len(rows),
        "seconds": round(seconds, 2),
        "found": _found(alike, rows, planted),
        "planted": options.each,
        "false_pairs": false,
        "features": _features(rows, planted) if options.features else None,
    }


def plant(folder: Path, each: int, seed: int) -> list[Planted]:
    """Write `each` copies of every kind beside their originals, each original copied once."""
    rng = np.random.default_rng(seed)
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    chosen = rng.choice(len(photos), each * len(KINDS), replace=False).reshape(len(KINDS), each)
    planted = []
    for number, (kind, (change, quality)) in enumerate(KINDS.items()):
        for at in chosen[number]:
            path = photos[at]
            copy = path.with_name(f"planted_{number}_{path.stem}.jpg")
            with Image.open(path) as image:
                change(image.convert("RGB"), rng).save(copy, quality=quality)
            names = (one.relative_to(folder).as_posix() for one in (path, copy))
            planted.append(Planted(kind, *names))
    return planted


def _found(alike: Alike, rows: list[Row], planted: list[Planted]) -> dict[str, int]:
    cluster = {row.name: number for row, number in zip(rows, alike.clusters.tolist(), strict=True)}
    found = dict.fromkeys(KINDS, 0)
    for one in planted:
        found[one.kind] += cluster[one.original] == cluster[one.copy]
    return found


def _false_pairs(alike: Alike, rows: list[Row], planted: list[Planted]) -> list[tuple[str, str, float]]:
    """Pairs that were not planted: (file, file, correlation), the most alike first."""
    origin = {one.copy: one.original for one in planted}
    pairs = [
        (rows[one].name, rows[other].name, float(strength))
        for (one, other), strength in zip(alike.pairs.tolist(), alike.correlation, strict=True)
    ]
    false = [pair for pair in pairs if origin.get(pair[0], pair[0]) != origin.get(pair[1], pair[1])]
    return sorted(false, key=lambda pair: -pair[2])


def _draw(pairs: list[tuple[str, str, float]], folder: Path, path: Path) -> None:
    """Draw the pairs side by side, a row each."""
    side, space = 200, 10
    sheet = Image.new("RGB", (2 * side + space, len(pairs) * (side + space)), "white")
    for number, (one, other, _) in enumerate(pairs):
        for column, name in enumerate((one, other)):
            with Image.open(folder / name) as image:
                small = image.convert("RGB").resize((side, side))
            sheet.paste(small, (column * (side + space), number * (side + space)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _features(rows: list[Row], planted: list[Planted]) -> dict[str, float]:
    """For each kind, the share of copies whose original is their nearest photo by the cosine of features."""
    from handful.config import TrainConfig, cache_folder
    from handful.features.extract import Photo, extract
    from handful.frozen import open_frozen
    from handful.progress import Silent

    frozen = open_frozen(TrainConfig(backbone=BACKBONE), cache_folder(), Silent())
    photos = [Photo(row.path, row.name) for row in rows]
    values = extract(photos, frozen.engine, None, Silent(), workers=default_workers()).values[:, 0]
    centred = values - values.mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    place = {row.name: at for at, row in enumerate(rows)}
    nearest: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for one in planted:
        likeness = directions @ directions[place[one.copy]]
        likeness[place[one.copy]] = -1
        nearest[one.kind].append(int(likeness.argmax()) == place[one.original])
    return {kind: float(np.mean(hits)) for kind, hits in nearest.items()}


def _text(result: dict[str, Any]) -> str:
    each = result["planted"]
    target = sum(result["found"][kind] for kind in TARGET)
    lines = [
        f"{result['set']}, seed {result['seed']}: {result['photos']:,} photos compared in "
        f"{result['seconds']} s; {target} of {each * len(TARGET)} found "
        f"({100 * target / (each * len(TARGET)):.1f} %), {len(result['false_pairs'])} false pairs"
    ]
    lines += [f"  {kind:40} {count:3} of {each}" for kind, count in result["found"].items()]
    lines += [f"  false: {one} and {other}, correlation {r:.4f}" for one, other, r in result["false_pairs"]]
    if result["features"]:
        lines += ["  nearest photo by the features' cosine is the original:"]
        lines += [f"  {kind:40} {100 * share:3.0f} %" for kind, share in result["features"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
