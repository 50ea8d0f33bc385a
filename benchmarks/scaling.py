"""The measurement behind scaling all features by one number, not each by its own deviation.

    python benchmarks/scaling.py [--draws 5] [--shared PATH] [--json]

The same head, its penalty chosen by the same folds, on features divided by one number ("one"), each by its
own deviation over the training photos ("own"), and by the geometric mean of the two ("between").
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from handful.config import DEFAULT_PENALTY, PENALTIES, default_folds
from handful.data.splitting import stratified_folds
from handful.heads.fitting import fit_head
from handful.metrics import scores
from photo_features import Labels, default_shared, features_of, own_home

POWERS = {"one": 0.0, "between": 0.5, "own": 1.0}
# Half of ants_bees is trained on in each draw besides the tutorial's own split: one split says little.
PER_CLASS = {"hand_digits": 20, "ants_bees": 100}


def main() -> None:
    """Measure and print a table, or one line of JSON."""
    options = _options()
    own_home(options.shared)
    result = {name: _set(options.shared, name, options.draws) for name in PER_CLASS}
    result["ants_bees, train to val"] = _tutorial_split(options.shared)
    print(json.dumps(result) if options.json else _table(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shared", type=Path, default=default_shared())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _set(shared: Path, name: str, draws: int) -> dict[str, dict[str, float]]:
    """{scaling: mean over draws of what `_compare` gives}."""
    data = features_of(shared, name)
    found = [_compare(data, *_draw(data, PER_CLASS[name], seed), seed) for seed in range(draws)]
    return {
        scaling: {
            measure: float(np.mean([one[scaling][measure] for one in found]))
            for measure in ("accuracy", "log_loss")
        }
        for scaling in POWERS
    }


def _draw(data: Labels, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(data.of_class(label))[:per_class] for label in range(data.classes)]
    train = np.concatenate(drawn)
    return train, np.setdiff1d(np.arange(len(data.labels)), train)


def _tutorial_split(shared: Path) -> dict[str, dict[str, float]]:
    train, val = features_of(shared, "ants_bees/train"), features_of(shared, "ants_bees/val")
    values, labels = np.vstack([train.values, val.values]), np.concatenate([train.labels, val.labels])
    rows = np.arange(len(labels))
    cut = len(train.labels)
    return _compare(Labels(values, labels, train.classes), rows[:cut], rows[cut:], 0)


def _compare(data: Labels, train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
    """{scaling: {"accuracy", "log_loss"}} on `test` of heads fitted on `train`."""
    labels = data.labels[train]
    folds = stratified_folds(labels, default_folds(labels, np.arange(len(labels))), seed)
    # A thousandth keeps features that hardly vary from being blown up.
    deviation = data.values[train].std(axis=0) + 1e-3
    return {
        name: _score(data.values / deviation**power, data, train, test, folds)
        for name, power in POWERS.items()
    }


def _score(
    values: np.ndarray, data: Labels, train: np.ndarray, test: np.ndarray, folds: np.ndarray
) -> dict[str, float]:
    head = fit_head(
        values[train],
        data.labels[train],
        folds,
        classes=data.classes,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
    )
    probabilities = scores.softmax(values[test] @ head.weights + head.bias)
    labels = data.labels[test]
    right = float((probabilities.argmax(axis=1) == labels).mean())
    return {"accuracy": right, "log_loss": scores.log_loss(probabilities, labels)}


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'set':26}{'scaling':10}{'accuracy':>10}{'log loss':>10}"]
    for name, scalings in result.items():
        for scaling, one in scalings.items():
            lines.append(f"{name:26}{scaling:10}{one['accuracy']:10.2%}{one['log_loss']:10.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
