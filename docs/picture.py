"""Draw docs/images/train.svg, the README's picture: what `handful train` really prints on drawn photos.

python docs/picture.py
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from handful.demo.parts import draw
from handful.progress import Console as Speaker
from handful.training import train

PICTURE = Path(__file__).parent / "images" / "train.svg"


def main() -> None:
    """Train once so that nothing has to be converted, then once more for the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "parts")
        train(folder / "parts", folder / "first.handful", backbone="embedded", seed=1)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            train(folder / "parts", folder / "parts.handful", backbone="embedded", speaker=Speaker())
    console = Console(record=True, width=112, file=io.StringIO())
    console.print(Text("$ handful train parts/ -o parts.handful --backbone embedded", style="bold green"))
    console.print(Text(printed.getvalue()))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="handful train", theme=MONOKAI)
    # Rich names a web font by its address; any monospaced font serves.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", PICTURE.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
