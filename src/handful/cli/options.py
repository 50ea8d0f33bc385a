"""Options that several commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Photos = Annotated[
    Path, typer.Argument(help="A folder with a folder per class, or a CSV or TSV with path,label.")
]
Model = Annotated[Path, typer.Argument(help="The folder that `handful train -o` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no story; warnings still show.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; one per core by default.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands at the output.")]
AllowBad = Annotated[
    bool, typer.Option("--allow-bad", help="Go on although more than a fifth of the photos cannot be read.")
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="PATTERN",
        help="Regular expression for file names; photos with the same text in its brackets stay together.",
    ),
]
Fixes = Annotated[
    Path | None,
    typer.Option("--fix", metavar="CSV", help="Corrected labels: file,label; no label leaves the photo out."),
]
Burst = Annotated[
    float | None,
    typer.Option(
        "--group-by-burst",
        metavar="SECONDS",
        min=0,
        help="Keep photos together that one camera took within so many seconds.",
    ),
]
