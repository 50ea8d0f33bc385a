"""Train and evaluate through the Python API in one process, as a notebook would.

python benchmarks/one_process.py TRAIN-FOLDER VAL-FOLDER
"""

import json
import sys

import handful
from measuring import BACKBONE

classifier = handful.train(sys.argv[1], backbone=BACKBONE, effort="quick")
result = handful.evaluate(classifier, sys.argv[2])
print(json.dumps({"accuracy": result.accuracy.value, "tensorflow": "tensorflow" in sys.modules}))
