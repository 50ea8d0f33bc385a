"""How often the cross-validated 95 % interval holds the true accuracy of the delivered model.

    python benchmarks/coverage.py [--draws 60] [--shared PATH] [--json]

Draws 5, 10 and 20 photos a class of hand_digits, trains on them as `handful train` does, and counts how often
the interval of accuracy, and of balanced accuracy, holds the model's accuracy on all the rest.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from handful.config import DEFAULT_PENALTY, PENALTIES, default_folds
from handful.data.splitting import stratified_folds
from handful.evaluation import score
from handful.heads.apply import apply_head
from handful.heads.fitting import fit_head
from handful.metrics.scores import softmax
from photo_features import Labels, default_shared, features_of, own_home

SIZES = (5, 10, 20)
MEASURES = ("accuracy", "balanced_accuracy")


def main() -> None:
    """Measure and print a table, or one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--shared", type=Path, default=default_shared())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    own_home(options.shared)
    data = features_of(options.shared, "hand_digits")
    result = {str(size): _covered(data, size, options.draws) for size in SIZES}
    print(json.dumps(result) if options.json else "\n".join(f"{k} a class: {v}" for k, v in result.items()))


def _covered(data: Labels, size: int, draws: int) -> dict[str, float]:
    """Share of draws whose interval holds the truth, and the mean of truth minus estimate in points."""
    found = np.array([_draw(data, size, seed) for seed in range(draws)])
    held = dict(zip(MEASURES, found[:, :2].mean(axis=0).round(3).tolist(), strict=True))
    return {**held, "truth_minus_estimate": round(100 * float(found[:, 2].mean()), 2)}


def _draw(data: Labels, size: int, seed: int) -> tuple[bool, bool, float]:
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(data.of_class(c))[:size] for c in range(data.classes)])
    rest = np.setdiff1d(np.arange(len(data.labels)), train)
    labels = data.labels[train]
    folds = stratified_folds(labels, default_folds(labels, np.arange(len(labels))), seed)
    head = fit_head(
        data.values[train],
        labels,
        folds,
        classes=data.classes,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
    )
    told = score(softmax(head.out_of_fold_logits), labels)
    true = score(apply_head(data.values[rest], head.weights, head.bias), data.labels[rest])
    held = [
        getattr(told, name).low <= getattr(true, name).value <= getattr(told, name).high for name in MEASURES
    ]
    return held[0], held[1], true.accuracy.value - told.accuracy.value


if __name__ == "__main__":
    main()
