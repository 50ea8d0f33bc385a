"""A training that ends as if by kill -9 at the n-th call that changes or syncs the disk; run by test_resume.

    python interrupted.py PHOTOS.json TARGET CALLS

The rules are forced: tiny runs, and fine-tuning always wins, so that every part of it is gone through.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.config import Recipe
from handful.finetune import material, tuning
from handful.progress import Silent

left = int(sys.argv[3])


def dies(call: Callable[..., Any]) -> Callable[..., Any]:
    """Count the calls down, and die before the one that is too many."""

    def dying(*args: Any, **options: Any) -> Any:
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*args, **options)

    return dying


def tiny(photos: int, effort: str) -> Recipe:
    return Recipe(steps=10, batch=4, views=2)


def begin(target: Path) -> None:
    """Start counting when the frozen result is in place."""
    for name in ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "link"):
        setattr(os, name, dies(getattr(os, name)))


def main() -> None:
    photos, target = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    tuning.tuning_recipe = material.tuning_recipe = tiny  # type: ignore[assignment]
    tuning.verdict = lambda compared, rounds: "better" if rounds > 1 else "unclear"  # type: ignore[assignment]
    tuning.tuning_depths = lambda effort: 1  # type: ignore[assignment]
    from handful import training

    whole = training.fine_tune

    def counted(*args: Any, **options: Any) -> Any:
        begin(target)
        return whole(*args, **options)

    training.fine_tune = counted  # type: ignore[assignment]
    training.train(photos, target, backbone="embedded", size=64, folds=6, speaker=Silent())


if __name__ == "__main__":
    main()
