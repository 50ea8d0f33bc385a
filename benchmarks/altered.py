"""As many photos as asked for from a folder with a folder per class: originals first, then altered copies.

    python benchmarks/altered.py SOURCE TARGET COUNT

A copy is turned, cut and relit, and its class stays. Copies make a set easier than so many real photos, so
that only time and memory mean something.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from handful.data import images
from handful.files import sha256_of_file
from handful.finetune.views import ViewRules, draw_view
from measuring import photos_in


def main() -> None:
    """Write the photos."""
    source, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    kinds = sorted(path for path in source.iterdir() if path.is_dir())
    photos = [photos_in(kind) for kind in kinds]
    for number in range(count):
        kind = number % len(kinds)
        again, place = divmod(number // len(kinds), len(photos[kind]))
        photo = photos[kind][place]
        folder = target / kinds[kind].name
        folder.mkdir(parents=True, exist_ok=True)
        if again:
            pixels = images.load(photo).pixels
            view = draw_view(pixels, pixels.shape[:2], ViewRules(), sha256_of_file(photo), again)
            Image.fromarray(view).save(folder / f"{again:03}-{photo.stem}.jpg", quality=92)
        else:
            (folder / photo.name).symlink_to(photo)


if __name__ == "__main__":
    main()
