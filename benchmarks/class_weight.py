"""The measurement behind class_weight="balanced": unbalanced draws, weighed by 1, 1/sqrt(n) and 1/n.

    python benchmarks/class_weight.py [--draws 10] [--shared PATH] [--json]

Each draw trains on photos of unequal classes and scores others twice: as many of each class (balanced), and
in the proportions of the training photos (alike). "root" lies between and is no setting of Handful.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handful.config import DEFAULT_PENALTY, PENALTIES, default_folds
from handful.data.splitting import stratified_folds
from handful.heads.fitting import fit_head
from handful.metrics import scores
from photo_features import Labels, default_shared, features_of, own_home

CHOICES = {"none": False, "balanced": True}
MEASURES = ("accuracy", "balanced_accuracy", "log_loss")
SETS = {
    "hand_digits 5 x 40, 5 x 8": ("hand_digits", (40,) * 5 + (8,) * 5),
    "hand_digits 60 down to 3": ("hand_digits", (60, 40, 30, 20, 15, 10, 8, 6, 4, 3)),
    "ants_bees 100, 20": ("ants_bees", (100, 20)),
    "ants_bees 120, 8": ("ants_bees", (120, 8)),
}
Split = Callable[[dict[int, np.ndarray], dict[int, int]], np.ndarray]


def main() -> None:
    """Measure and print a table, or one line of JSON."""
    options = _options()
    own_home(options.shared)
    data = {name: features_of(options.shared, name) for name in ("hand_digits", "ants_bees")}
    result = {name: _set(data[which], sizes, options.draws) for name, (which, sizes) in SETS.items()}
    print(json.dumps(result) if options.json else _table(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--shared", type=Path, default=default_shared())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _set(data: Labels, sizes: tuple[int, ...], draws: int) -> dict[str, dict[str, dict[str, float]]]:
    """{test: {weighing: {measure: mean over draws}}}."""
    found = [_draw(data, sizes, seed) for seed in range(draws)]
    return {
        test: {
            choice: {
                measure: float(np.mean([one[test][choice][measure] for one in found])) for measure in MEASURES
            }
            for choice in CHOICES
        }
        for test in ("balanced", "alike")
    }


def _draw(data: Labels, sizes: tuple[int, ...], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    size_of = dict(enumerate(rng.permutation(sizes).tolist()))
    shuffled = {label: rng.permutation(data.of_class(label)) for label in size_of}
    train = np.concatenate([shuffled[label][:size] for label, size in size_of.items()])
    rest = {label: shuffled[label][size:] for label, size in size_of.items()}
    tests = {"balanced": _balanced(rest), "alike": _alike(rest, size_of)}
    heads = {name: _fit(data, train, choice, seed) for name, choice in CHOICES.items()}
    return {
        test: {name: _score(data, head, rows) for name, head in heads.items()} for test, rows in tests.items()
    }


def _balanced(rest: dict[int, np.ndarray]) -> np.ndarray:
    most = min(len(rows) for rows in rest.values())
    return np.concatenate([rows[:most] for rows in rest.values()])


def _alike(rest: dict[int, np.ndarray], sizes: dict[int, int]) -> np.ndarray:
    """As many as can be had in the proportions of the training photos, at least one of each class."""
    share = min(len(rows) / sizes[label] for label, rows in rest.items())
    return np.concatenate([rows[: max(1, int(share * sizes[label]))] for label, rows in rest.items()])


def _fit(data: Labels, train: np.ndarray, balanced: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = data.labels[train]
    folds = default_folds(labels, np.arange(len(labels)))
    head = fit_head(
        data.values[train],
        labels,
        stratified_folds(labels, folds, seed),
        classes=data.classes,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
        balanced=balanced,
    )
    return head.weights, head.bias


def _score(data: Labels, head: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    probabilities = scores.softmax(data.values[rows] @ head[0] + head[1])
    labels = data.labels[rows]
    confusion = scores.confusion_matrix(labels, probabilities.argmax(axis=1), data.classes)
    return {
        "accuracy": scores.accuracy(confusion),
        "balanced_accuracy": scores.balanced_accuracy(confusion),
        "log_loss": scores.log_loss(probabilities, labels),
    }


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'set':27}{'test':10}{'weights':10}{'accuracy':>10}{'balanced':>10}{'log loss':>10}"]
    for name, tests in result.items():
        for test, weighings in tests.items():
            for choice, one in weighings.items():
                numbers = f"{one['accuracy']:10.1%}{one['balanced_accuracy']:10.1%}{one['log_loss']:10.3f}"
                lines.append(f"{name:27}{test:10}{choice:10}{numbers}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
