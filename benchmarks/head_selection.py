"""Our choice of a head against scikit-learn's: same features, folds, scaling and penalties, in turn.

    python benchmarks/head_selection.py [--rounds 3] [--rows 2000] [--shared PATH]

2,000 photos of hand_digits, 1,280 features of MobileNetV2, 10 classes, 5 folds, 12 penalties. scikit-learn's
LogisticRegressionCV fits 5 x 12 heads, chooses by accuracy and reports the accuracy of the folds it chose
by. Ours does more: it also fits every pair of folds, so that the accuracy it reports comes from folds that
had no part in the choice; and less: it stops going down the penalties once the loss has turned.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from handful.config import DEFAULT_PENALTY, PENALTIES
from handful.data.splitting import stratified_folds
from handful.heads.fitting import fit_head
from photo_features import Labels, default_shared, features_of, own_home

FOLDS = 5
MOST_STEPS = 2000


def main() -> None:
    """Measure and print one line of JSON."""
    options = _options()
    own_home(options.shared)
    data = features_of(options.shared, "hand_digits")
    chosen = np.random.default_rng(0).permutation(len(data.labels))[: options.rows]
    data = Labels(data.values[chosen], data.labels[chosen], data.classes)
    folds = stratified_folds(data.labels, FOLDS, 0)
    rounds = [{"ours": _ours(data, folds), "sklearn": _sklearn(data, folds)} for _ in range(options.rounds)]
    print(json.dumps(_summary(rounds, data)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--shared", type=Path, default=default_shared())
    return parser.parse_args()


def _ours(data: Labels, folds: np.ndarray) -> dict[str, Any]:
    start = time.perf_counter()
    head = fit_head(
        data.values,
        data.labels,
        folds,
        classes=data.classes,
        penalties=PENALTIES,
        default_penalty=DEFAULT_PENALTY,
    )
    seconds = time.perf_counter() - start
    accuracy = float((head.out_of_fold_logits.argmax(axis=1) == data.labels).mean())
    return {
        "seconds": seconds,
        "accuracy": accuracy,
        "penalty": head.penalty,
        "penalties_tried": len(head.losses),
        "converged": head.converged,
    }


def _sklearn(data: Labels, folds: np.ndarray) -> dict[str, Any]:
    """The peer: features centred and divided by one number, penalties as C for the rows of four folds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import PredefinedSplit

    strengths = [1 / (penalty * len(folds) * (1 - 1 / FOLDS)) for penalty in PENALTIES]
    settings: dict[str, Any] = {
        "Cs": strengths,
        "cv": PredefinedSplit(folds),
        "l1_ratios": (0,),
        "scoring": "accuracy",
        "max_iter": MOST_STEPS,
        "use_legacy_attributes": False,
    }
    model = LogisticRegressionCV(**settings)
    start = time.perf_counter()
    scaled = data.values - data.values.mean(axis=0)
    scaled /= np.sqrt(np.mean(scaled**2))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(scaled, data.labels)
    seconds = time.perf_counter() - start
    by_strength = np.asarray(model.scores_).reshape(FOLDS, len(strengths)).mean(axis=0)
    strength = float(np.ravel(model.C_)[0])
    return {
        "seconds": seconds,
        "accuracy": float(by_strength[int(np.argmin(np.abs(np.array(strengths) - strength)))]),
        "penalty": 1 / (strength * len(folds) * (1 - 1 / FOLDS)),
        "converged": not any(issubclass(one.category, ConvergenceWarning) for one in heard),
    }


def _summary(rounds: list[dict[str, Any]], data: Labels) -> dict[str, Any]:
    seconds = {side: [one[side]["seconds"] for one in rounds] for side in ("ours", "sklearn")}
    return {
        "n": len(data.labels),
        "d": data.values.shape[1],
        "k": data.classes,
        "seconds": seconds,
        "ratio": statistics.median(seconds["sklearn"]) / statistics.median(seconds["ours"]),
        "ours": rounds[-1]["ours"],
        "sklearn": rounds[-1]["sklearn"],
    }


if __name__ == "__main__":
    main()
