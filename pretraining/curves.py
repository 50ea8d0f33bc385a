"""Draw docs/images/embedded-curves.svg: the loss of each kept run, learned and watched, over its steps.

    python pretraining/curves.py

Reads runs/NAME.csv, copies of the `log.csv` that `train.py` writes; every row is the mean over an epoch.
"""

from __future__ import annotations

import csv
from pathlib import Path

RUNS = Path(__file__).parent / "runs"
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "embedded-curves.svg"
WIDTH, HEIGHT, LEFT, TOP, PLOT, RIGHT = 760, 360, 60, 24, 290, 480  # the names stand right of RIGHT
COLOURS = ("#2563eb", "#d97706", "#059669", "#be185d", "#6d28d9", "#475569")

Curve = list[tuple[float, float]]


def main() -> None:
    """Draw every run there is."""
    runs = {path.stem: _read(path) for path in sorted(RUNS.glob("*.csv"))}
    if not runs:
        raise SystemExit(f"{RUNS} holds no .csv; copy the log.csv of a run there, under the run's name.")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(runs), encoding="utf-8")
    print(f"Drew {len(runs)} runs into {PICTURE}.")


def _read(path: Path) -> dict[str, Curve]:
    """Give {"loss" or "val_loss": [(epoch, loss)]}."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [(float(row["epoch"]), float(row[name])) for row in rows] for name in ("loss", "val_loss")}


def drawn(runs: dict[str, dict[str, Curve]]) -> str:
    """Give the picture as SVG: learned dashed, watched solid, a colour a run."""
    points = [point for run in runs.values() for curve in run.values() for point in curve]
    last, low, high = max(p[0] for p in points), min(p[1] for p in points), max(p[1] for p in points)
    span = high - low or 1.0

    def place(point: tuple[float, float]) -> str:
        x = LEFT + (RIGHT - LEFT) * point[0] / last
        return f"{x:.1f},{TOP + PLOT * (high - point[1]) / span:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#334155">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *(_tick(low + span * k / 4, TOP + PLOT * (4 - k) / 4) for k in range(5)),
        f'<text x="{LEFT}" y="{HEIGHT - 8}">epochs of 100 steps, to {last:.0f}; solid: photos only watched, '
        "dashed: learned from</text>",
    ]
    for number, (name, run) in enumerate(runs.items()):
        colour, y = COLOURS[number % len(COLOURS)], TOP + 16 + 20 * number
        for kind, dash in (("val_loss", ""), ("loss", ' stroke-dasharray="5 4"')):
            line = " ".join(map(place, run[kind]))
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dash} points="{line}"/>')
        final = run["val_loss"][-1][1]
        parts.append(f'<text x="{RIGHT + 16}" y="{y}" fill="{colour}">{name}: {final:.3f} at the end</text>')
    return "\n".join([*parts, "</svg>", ""])


def _tick(value: float, y: float) -> str:
    line = f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e8f0"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'


if __name__ == "__main__":
    main()
