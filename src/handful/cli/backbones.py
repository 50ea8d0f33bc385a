"""`handful backbones`: the catalogue, and what of it is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.cli.options import AsJson
from handful.cli.running import print_json, user_errors

if TYPE_CHECKING:
    from handful.backbones import Backbone

NAME = "backbones"
HELP = "List the pretrained networks: size, accuracy, speed here, preprocessing, licence, on disk or not."
EXAMPLE = "Example: handful backbones"


def command(as_json: AsJson = False) -> None:
    """The best for a CPU first; `auto` takes the first that can be had."""
    with user_errors(as_json=as_json):
        from handful.backbones import AUTO_ORDER, CATALOGUE, EMBEDDED
        from handful.config import cache_folder
        from handful.features.store import NETWORKS
        from handful.networks.sidecars import records_of_catalogue

        # A speed counts at the size that the catalogue names: what was converted at another is left out.
        records = records_of_catalogue(cache_folder() / NETWORKS)
        measured = {(record.architecture, record.size): record.photos_per_second for record in records}
        order = [EMBEDDED, *(CATALOGUE[name] for name in AUTO_ORDER)]
        rows = [_row(backbone, measured) for backbone in order]
        if as_json:
            print_json(rows)
        else:
            _print_table(rows)


def _row(backbone: Backbone, measured: dict[tuple[str, int], float]) -> dict[str, Any]:
    from handful.networks.weights import on_disk, weights_path

    return {
        "name": backbone.name,
        "weights_millions": backbone.millions,
        "megabytes": backbone.size_mb,
        "pixels": backbone.size,
        "features": backbone.feature_dim,
        "imagenet_top1": backbone.top1,
        "photos_per_second_here": measured.get((backbone.name, backbone.size)),
        "photos_per_second_reference": backbone.photos_per_second,
        "preprocessing": backbone.preprocessing,
        "licence": backbone.licence,
        "engine": "litert" if backbone.litert else "keras",
        "on_disk": on_disk(backbone),
        "file": str(weights_path(backbone)),
        "url": backbone.weights_url or None,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("name", "MB", "pixels", "top-1 %", "photos/s", "scaling", "on disk"):
        table.add_column(heading, no_wrap=True)
    table.add_column("licence of the weights", overflow="fold")
    for row in rows:
        cells = (
            row["name"], row["megabytes"], row["pixels"], row["imagenet_top1"] or "-", _speed(row),
            row["preprocessing"], "yes" if row["on_disk"] else "no", row["licence"],
        )  # fmt: skip
        table.add_row(*(Text(str(cell)) for cell in cells))
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    print("The best for a CPU first; weights are fetched on first use.")
    print("photos/s: measured here when it was converted; ~ on two cores of a reference machine.")


def _speed(row: dict[str, Any]) -> str:
    if row["photos_per_second_here"]:
        return f"{row['photos_per_second_here']:.0f}"
    reference = row["photos_per_second_reference"]
    return f"~{reference:.0f}" if reference else "-"
