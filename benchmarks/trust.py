"""What the figures beside the accuracy are worth, each held against photos that had no part in it.

    python benchmarks/trust.py [PART ...] [--draws 20] [--shared PATH]

Draws small training sets from hand_digits and ants_bees, trains as `handful train` does and scores the model
on all remaining photos. The parts:

    calibration  calibration error of the delivered model with and without the temperature
    conformal    how often its prediction sets hold the truth, and their size
    strangers    photos of other things that are noticed, and photos of the classes that are taken for them;
                 beside it what the nearest neighbour, the energy and the confidence notice alone
    suspects     planted wrong labels (a tenth) among the most suspicious 15 %, and what is likely wrong;
                 beside it the same by the plain probability of the label, and by its margin
    curve        forecasts for twice the photos that hold what training on them brought
    suggest      accuracy after labelling what is suggested, and after labelling photos at random
    seconds      processor time of all of it at 200 and at 2,000 photos

Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.calibration import calibrate
from handful.audit.conformal import conformal_quantile, fit_prediction_sets
from handful.audit.curve import learning_curve
from handful.audit.strangers import fit_strangers
from handful.audit.suspects import rank_suspects
from handful.audit.to_label import rank_to_label
from handful.config import DEFAULT_PENALTY, PENALTIES, default_folds
from handful.data.splitting import stratified_folds
from handful.heads.apply import apply_head
from handful.heads.fitting import FittedHead, fit_head
from handful.metrics.calibration import calibration_error
from handful.metrics.scores import softmax
from handful.plain import finite
from photo_features import Labels, default_shared, features_of, own_home

NAMES = ("hand_digits", "ants_bees")
SIZES = (5, 10, 20, 50)
FLIPPED, LOOKED_AT = 0.1, 0.15
Sets = dict[str, Labels]


@dataclass(frozen=True)
class Draw:
    """One training set and the head it gave; `rest` are all other photos."""

    data: Labels
    train: np.ndarray
    rest: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    head: FittedHead

    @property
    def features(self) -> np.ndarray:
        return self.data.values[self.train]

    @property
    def rest_labels(self) -> np.ndarray:
        return self.data.labels[self.rest]

    def logits(self, features: np.ndarray) -> np.ndarray:
        return features @ self.head.weights + self.head.bias

    @property
    def accuracy(self) -> float:
        told = apply_head(self.data.values[self.rest], self.head.weights, self.head.bias)
        return float((told.argmax(axis=1) == self.rest_labels).mean())


def main() -> None:
    """Measure and print one line of JSON."""
    options = _options()
    own_home(options.shared)
    sets = {name: features_of(options.shared, name) for name in NAMES}
    wanted = options.parts or PARTS
    print(json.dumps(finite({part: PARTS[part](sets, options.draws) for part in wanted})))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--shared", type=Path, default=default_shared())
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {sorted(unknown)}; there are {', '.join(PARTS)}")
    return options


def _pick(data: Labels, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(data.of_class(c))[:size] for c in range(data.classes)])


def _train(data: Labels, train: np.ndarray, seed: int, labels: np.ndarray | None = None) -> Draw:
    labels = data.labels[train] if labels is None else labels
    folds = stratified_folds(labels, default_folds(labels, np.arange(len(labels))), seed)
    head = fit_head(
        data.values[train], labels, folds,
        classes=data.classes, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY, balanced=True,
    )  # fmt: skip
    return Draw(data, train, np.setdiff1d(np.arange(len(data.labels)), train), labels, folds, head)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the draws in which there was something to measure; nan where there was none."""
    told = {key: [row[key] for row in rows if np.isfinite(row[key])] for key in rows[0]}
    return {key: round(float(np.mean(found)), 4) if found else float("nan") for key, found in told.items()}


def _cells(sets: Sets, draws: int, sizes: tuple[int, ...], one: Callable[[Draw], dict[str, float]]) -> dict:
    return {
        f"{name}:{size}": _mean([one(_train(data, _pick(data, size, seed), seed)) for seed in range(draws)])
        for name, data in sets.items()
        for size in sizes
    }


def _calibration(sets: Sets, draws: int) -> dict[str, Any]:
    def one(draw: Draw) -> dict[str, float]:
        found = calibrate(draw.head.out_of_fold_logits, draw.labels, draw.folds)
        logits = draw.logits(draw.data.values[draw.rest])
        before, after = (_error(logits / t, draw.rest_labels) for t in (1.0, found.temperature))
        return {
            "before": before,
            "after": after,
            "worse": after > before + 0.005,
            "reported_before": found.before.value,
            "reported_after": found.after.value,
            "interval_holds": found.after.low <= after <= found.after.high,
            "temperature": found.temperature,
            "used": found.temperature != 1,
        }

    return _cells(sets, draws, SIZES, one)


def _error(logits: np.ndarray, labels: np.ndarray) -> float:
    told = softmax(logits)
    return calibration_error(told.max(axis=1), told.argmax(axis=1) == labels)


def _conformal(sets: Sets, draws: int) -> dict[str, Any]:
    def one(draw: Draw) -> dict[str, float]:
        logits = draw.head.out_of_fold_logits
        temperature = calibrate(logits, draw.labels, draw.folds).temperature
        found = fit_prediction_sets(softmax(logits / temperature), draw.labels, draw.folds)
        held = found.holds(softmax(draw.logits(draw.data.values[draw.rest]) / temperature))
        return {
            "coverage": float(held[np.arange(len(held)), draw.rest_labels].mean()),
            "size": float(held.sum(axis=1).mean()),
            "single": float((held.sum(axis=1) == 1).mean()),
            "empty": float((held.sum(axis=1) == 0).mean()),
            "reported": found.measured.value,
            "reported_size": found.size,
        }

    return _cells(sets, draws, SIZES, one)


def _strangers(sets: Sets, draws: int) -> dict[str, Any]:
    hands, insects = (sets[name] for name in NAMES)
    others = hands.labels < hands.classes - 1
    known = Labels(hands.values[others], hands.labels[others], hands.classes - 1)
    cases = {
        "ants_among_hands": (hands, insects.values),
        "hands_among_ants": (insects, hands.values),
        "a_digit_left_out": (known, hands.values[~others]),
    }
    result = {}
    for size in (10, 20, 50):
        for name, (data, strange) in cases.items():
            found = [_noticed(data, strange, size, seed) for seed in range(draws)]
            result[f"{name}:{size}"] = _mean(found)
    return result


def _noticed(data: Labels, strange: np.ndarray, size: int, seed: int) -> dict[str, float]:
    draw = _train(data, _pick(data, size, seed), seed)
    found = fit_strangers(draw.features, draw.head.out_of_fold_logits)
    rest = data.values[draw.rest]
    unit, other = _unit(draw.features), _unit(strange)
    among = unit @ unit.T - 2 * np.eye(len(unit))
    logits = draw.logits(strange)
    return {
        "noticed": float(found.are_strangers(strange, logits).mean()),
        "false_alarms": float(found.are_strangers(rest, draw.logits(rest)).mean()),
        "by_distance_alone": _above(-among.max(axis=1), -(other @ unit.T).max(axis=1)),
        "by_energy_alone": _above(_energy(draw.head.out_of_fold_logits), _energy(logits)),
        "by_confidence_alone": _above(-_top(draw.head.out_of_fold_logits), -_top(logits)),
        "rate": found.rate,
    }


def _above(of_training: np.ndarray, of_strangers: np.ndarray) -> float:
    """Share of strangers above the score that five in a hundred training photos exceed."""
    return float((of_strangers > conformal_quantile(of_training, 0.95)).mean())


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _energy(logits: np.ndarray) -> np.ndarray:
    return -np.log(np.exp(logits - logits.mean(axis=1, keepdims=True)).sum(axis=1))


def _top(logits: np.ndarray) -> np.ndarray:
    return softmax(logits).max(axis=1)


def _suspects(sets: Sets, draws: int) -> dict[str, Any]:
    result = {}
    for name, size in (("hand_digits", 50), ("hand_digits", 20), ("ants_bees", 50)):
        for share in (FLIPPED, 0.0):
            found = [_flipped(sets[name], size, share, seed) for seed in range(draws)]
            result[f"{name}:{size}:{share}"] = _mean(found)
    return result


def _flipped(data: Labels, size: int, share: float, seed: int) -> dict[str, float]:
    train = _pick(data, size, seed)
    rng = np.random.default_rng([seed, 1])
    labels = data.labels[train].copy()
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    labels[wrong] = (labels[wrong] + rng.integers(1, data.classes, len(wrong))) % data.classes
    draw = _train(data, train, seed, labels)
    told = softmax(draw.head.out_of_fold_logits)
    found = rank_suspects(told, labels)
    own, others = told[np.arange(len(labels)), labels], told.copy()
    others[np.arange(len(labels)), labels] = 0
    first = [suspect.row for suspect in found.ranked[: round(LOOKED_AT * len(labels))]]
    likely = [suspect.row for suspect in found if suspect.likely]
    return {
        "found": float(np.isin(wrong, first).mean()) if share else float("nan"),
        "found_unsharpened": _among_first(own, wrong),
        "found_by_margin": _among_first(own - others.max(axis=1), wrong),
        "likely": len(likely),
        "likely_and_wrong": float(np.isin(likely, wrong).mean()) if likely and share else float("nan"),
        "stated": found.precision,
        "share": found.share,
    }


def _among_first(score: np.ndarray, wrong: np.ndarray) -> float:
    """Share of the wrong labels among the lowest scores."""
    first = np.argsort(score, kind="stable")[: round(LOOKED_AT * len(score))]
    return float(np.isin(wrong, first).mean()) if len(wrong) else float("nan")


def _curve(sets: Sets, draws: int) -> dict[str, Any]:
    return {
        f"{name}:{size}": _mean([_forecast(data, size, seed) for seed in range(draws)])
        for name, data in sets.items()
        for size in (10, 20)
    }


def _forecast(data: Labels, size: int, seed: int) -> dict[str, float]:
    twice = _pick(data, 2 * size, seed)
    half = twice.reshape(data.classes, -1)[:, :size].ravel()
    draw = _train(data, half, seed)
    truth = _train(data, twice, seed).accuracy
    found = learning_curve(
        draw.features, draw.labels, classes=data.classes, penalty=draw.head.penalty, balanced=True, seed=seed
    )
    assert found is not None  # ten of a class are enough
    told = found.forecasts[2 * len(half)]
    return {
        "truth": truth,
        "forecast": told.value,
        "holds": told.low <= truth <= told.high,
        "width": told.high - told.low,
    }


def _suggest(sets: Sets, draws: int) -> dict[str, Any]:
    """Five labelled photos of each class, then as many again, twice: suggested, and at random."""
    result = {}
    for name, data in sets.items():
        rows = [_labelled_more(data, 5, seed) for seed in range(draws)]
        result[name] = _mean(rows)
    return result


def _labelled_more(data: Labels, size: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(data.labels))
    held, pool = order[: len(order) // 2], order[len(order) // 2 :]
    start = np.concatenate([pool[data.labels[pool] == c][:size] for c in range(data.classes)])
    suggested, drawn = start, start
    for _ in range(2):
        left = np.setdiff1d(pool, suggested)
        told = _train(data, suggested, seed)
        probabilities = softmax(told.logits(data.values[left]))
        picks = rank_to_label(data.values[left], probabilities, len(start), seed)
        suggested = np.concatenate([suggested, left[picks]])
        drawn = np.concatenate([drawn, rng.permutation(np.setdiff1d(pool, drawn))[: len(start)]])
    answers = {"suggested": suggested, "at_random": drawn}
    return {key: _right(_train(data, rows, seed), held) for key, rows in answers.items()}


def _right(draw: Draw, held: np.ndarray) -> float:
    return float((draw.logits(draw.data.values[held]).argmax(axis=1) == draw.data.labels[held]).mean())


def _seconds(sets: Sets, draws: int) -> dict[str, Any]:
    result = {}
    for size in (20, 200):
        draw = _train(sets["hand_digits"], _pick(sets["hand_digits"], size, 0), 0)
        result[str(len(draw.train))] = _timed(draw)
    return result


def _timed(draw: Draw) -> dict[str, float]:
    logits = draw.head.out_of_fold_logits
    steps: dict[str, Callable[[], object]] = {
        "calibration": lambda: calibrate(logits, draw.labels, draw.folds),
        "conformal": lambda: fit_prediction_sets(softmax(logits), draw.labels, draw.folds),
        "strangers": lambda: fit_strangers(draw.features, logits),
        "suspects": lambda: rank_suspects(softmax(logits), draw.labels),
        "curve": lambda: learning_curve(
            draw.features, draw.labels, classes=draw.data.classes, penalty=draw.head.penalty, balanced=True
        ),
    }
    taken = {}
    for name, step in steps.items():
        start = time.process_time()
        step()
        taken[name] = round(time.process_time() - start, 3)
    return taken


PARTS: dict[str, Callable[[Sets, int], dict[str, Any]]] = {
    "calibration": _calibration,
    "conformal": _conformal,
    "strangers": _strangers,
    "suspects": _suspects,
    "curve": _curve,
    "suggest": _suggest,
    "seconds": _seconds,
}

if __name__ == "__main__":
    main()
