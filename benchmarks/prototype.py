"""The bar: 25 lines that do what `handful train` and `handful evaluate` do at their barest, in one process.

    python benchmarks/prototype.py NETWORK.tflite POOLED-OUTPUT TRAIN-FOLDER VAL-FOLDER

No check, no cache, no cross-validation, no interval, nothing kept; .gif files are passed over.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from sklearn.linear_model import LogisticRegression

network, pooled, train, val = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
own = threading.local()


def features(path: Path) -> np.ndarray:
    if not hasattr(own, "net"):
        own.net = Interpreter(network, num_threads=1)
        own.net.allocate_tensors()
    picture = Image.open(path)
    picture.draft("RGB", (224, 224))
    pixels = np.asarray(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    own.net.set_tensor(own.net.get_input_details()[0]["index"], pixels[None])
    own.net.invoke()
    return own.net.get_tensor(own.net.get_output_details()[pooled]["index"])[0]


with ThreadPoolExecutor(2) as pool:
    paths = [sorted(folder.glob("*/*.jpg")) for folder in (train, val)]
    X, X_new = (np.stack(list(pool.map(features, part))) for part in paths)
y, y_new = ([path.parent.name for path in part] for part in paths)
head = LogisticRegression(max_iter=1000).fit(X, y)
print(json.dumps({"accuracy": head.score(X_new, y_new), "photos": [len(y), len(y_new)]}))
