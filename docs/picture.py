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

from handful.config import TrainConfig
from handful.demo.parts import draw
from handful.progress import Console as Speaker
from handful.training import train

PICTURE = Path(__file__).parent / "images" / "train.svg"


def main() -> None:
    """Train once so that nothing has to be converted, then once more for the picture."""
    config = TrainConfig(backbone="embedded", effort="quick")
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):  # no path of this machine shows
        draw(Path("parts"))
        train("parts", "first.handful", config=config, seed=1)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            train("parts", "parts.handful", config=config, speaker=Speaker())
    console = Console(record=True, width=112, file=io.StringIO())
    command = "$ handful train parts/ -o parts.handful --backbone embedded --effort quick"
    console.print(Text(command, style="bold green"))
    console.print(Text(printed.getvalue()))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="handful train", theme=MONOKAI)
    # Rich names a web font by its address; any monospaced font serves.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", PICTURE.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
