"""Run by test_bad_images.py in a child: decode the files named on stdin, one line of JSON for each.

An alarm without a handler ends this process when a file takes more than 5 s, whatever C code it is in.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import warnings
from pathlib import Path

from handful.data.images import load
from handful.errors import ImageError


def attempt(path: str, size: tuple[int, int] | None) -> dict[str, str]:
    try:
        photo = load(Path(path), size)
    except ImageError as error:
        return {"name": error.name, "reason": error.reason, "fix": error.fix}
    shape = (*(size or (photo.height, photo.width)), 3)
    good = photo.pixels.shape == shape and photo.pixels.dtype == "uint8" and photo.pixels.flags.c_contiguous
    return {} if good else {"wrong": str(photo.pixels.shape)}


def main() -> None:
    heard: list[str] = []  # "error" would turn a warning into a refusal, and hide it
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_: heard.append(str(message))
    for line in sys.stdin:
        path = json.loads(line)
        for size in ((224, 224), None):
            signal.alarm(5)
            answer = attempt(path, size)
            signal.alarm(0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps({"answer": answer, "peak": peak, "heard": heard}), flush=True)


if __name__ == "__main__":
    main()
