"""Our feature pass on the photos that bare_loop.py takes, the cache empty before: prints its line of JSON.

python benchmarks/our_pass.py FOLDER ...    (KERAS_HOME and HANDFUL_CACHE say where things are)
"""

import json
import sys
from pathlib import Path

from bare_loop import SUFFIXES
from handful.features.extract import Photo, extract
from handful.progress import Silent
from photo_features import backbone

found = (path for folder in sys.argv[1:] for path in Path(folder).rglob("*"))
photos = sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
frozen = backbone()
features = extract(
    [Photo(path, path.name) for path in photos], frozen.engine, frozen.cache, Silent(), workers=2
)
if features.computed != len(photos):
    raise SystemExit(f"{features.computed} of {len(photos)} photos were computed: the cache was not empty.")
print(json.dumps({"photos": len(photos), "seconds": round(features.seconds, 3)}))
