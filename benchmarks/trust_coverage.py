"""How often the reported 95 % interval holds the true accuracy of the delivered model, and how wide it is.

    python benchmarks/trust_coverage.py [--draws 200] [--cells hand_digits:20 ants_bees:50] [--shared PATH]

Draws 5, 10, 20 and 50 photos a class of hand_digits and ants_bees, trains on them and cross-validates as
`handful train` does, and scores the model on all remaining photos. "width" is the mean width of the interval
in units of the mean width of the binomial (Wilson) one at the same estimate and number of photos; "naive" is
that one, about the first repeat alone. Prints one line of JSON; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.intervals import effective_trials
from handful.audit.repeats import CrossValidated, cross_validated, repeat
from handful.config import DEFAULT_PENALTY, PENALTIES, TrainConfig, default_folds, default_repeats
from handful.data.splitting import stratified_folds
from handful.heads.fitting import cross_fit, fit_head
from handful.metrics.intervals import (
    Interval,
    accuracy_interval,
    balanced_accuracy_interval,
    exact_interval,
    wilson,
)
from handful.metrics.scores import confusion_matrix
from photo_features import Labels, default_shared, features_of, own_home

CELLS = tuple(f"{name}:{size}" for name in ("hand_digits", "ants_bees") for size in (5, 10, 20, 50))
MEASURES = {"accuracy": accuracy_interval, "balanced_accuracy": balanced_accuracy_interval}
TARGETS = {"all": 0.93, "each": 0.90, "width": 1.5}


@dataclass(frozen=True)
class Held:
    """One measure in one draw: whether the interval holds the truth, and the interval beside others.

    Attributes:
        held: the reported interval holds the truth.
        above: the truth lies above it.
        naive: the Wilson interval about the first repeat holds the truth.
        moved: the interval would hold the truth if its lower limit were moved by the expected gain as well.
        width: of the reported interval.
        binomial: width of the Wilson interval at the same estimate.
        error: truth minus estimate.
        corrected: truth minus (estimate plus expected gain).
    """

    held: bool
    above: bool
    naive: bool
    moved: bool
    width: float
    binomial: float
    error: float
    corrected: float


def main() -> None:
    """Measure the cells and print one line of JSON."""
    options = _options()
    own_home(options.shared)
    start = time.perf_counter()
    data = {
        name: features_of(options.shared, name) for name in {cell.partition(":")[0] for cell in options.cells}
    }
    found = {cell: _cell(data, cell, options) for cell in options.cells}
    result = {
        "draws": options.draws,
        "cells": {cell: _summaries(draws) for cell, draws in found.items()},
        "all": _summaries([draw for draws in found.values() for draw in draws]),
        "targets": TARGETS,
        "met": {measure: _met(found, measure) for measure in MEASURES},
        "seconds": round(time.perf_counter() - start),
    }
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="SET:PHOTOS_A_CLASS")
    parser.add_argument("--jobs", type=int, default=2, help="processes; each runs its arithmetic on its own")
    parser.add_argument("--shared", type=Path, default=default_shared())
    return parser.parse_args()


def _cell(data: dict[str, Labels], cell: str, options: argparse.Namespace) -> list[dict[str, Held]]:
    name, _, size = cell.partition(":")
    start = time.perf_counter()
    draw = partial(_draw, data[name], int(size))
    with ProcessPoolExecutor(options.jobs) as pool:
        draws = list(pool.map(draw, range(options.draws), chunksize=5))
    print(f"{cell}: {time.perf_counter() - start:.0f} s {_summaries(draws)}", file=sys.stderr, flush=True)
    return draws


def _draw(data: Labels, size: int, seed: int) -> dict[str, Held]:
    """Train on `size` photos a class, as `handful train` does, and compare what is told with the truth."""
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(data.of_class(c))[:size] for c in range(data.classes)])
    rest = np.setdiff1d(np.arange(len(data.labels)), train)
    labels, alone = data.labels[train], np.arange(len(train))
    how = {
        "classes": data.classes,
        "penalties": PENALTIES,
        "default_penalty": DEFAULT_PENALTY,
        "balanced": TrainConfig().class_weight == "balanced",
    }
    folds = stratified_folds(labels, default_folds(labels, alone), seed)
    head = fit_head(data.values[train], labels, folds, **how)
    fit = partial(cross_fit, data.values[train], labels, **how)
    done = repeat(head.cross_fitted, labels, alone, fit, repeats=default_repeats(len(labels)), seed=seed)
    told = cross_validated(done, labels, alone)
    true = _confusion(data.values[rest] @ head.weights + head.bias, data.labels[rest])
    first = _confusion(head.out_of_fold_logits, labels)
    return {
        measure: _held(getattr(told, measure), interval(first), interval(true).value, told)
        for measure, interval in MEASURES.items()
    }


def _confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])


def _held(reported: Interval, naive: Interval, true: float, told: CrossValidated) -> Held:
    binomial = wilson(reported.value * told.n, told.n)
    hoped = min(1.0, max(0.0, reported.value + told.gain))
    moved = exact_interval(hoped, effective_trials(told.independent, told.folds, told.repeats))
    return Held(
        held=reported.low <= true <= reported.high,
        above=true > reported.high,
        naive=naive.low <= true <= naive.high,
        moved=moved.low <= true <= moved.high,
        width=reported.high - reported.low,
        binomial=binomial.high - binomial.low,
        error=true - reported.value,
        corrected=true - hoped,
    )


def _summaries(draws: Iterable[dict[str, Held]]) -> dict[str, dict[str, Any]]:
    kept = list(draws)
    return {measure: _summary([draw[measure] for draw in kept]) for measure in MEASURES}


def _summary(found: list[Held]) -> dict[str, Any]:
    """Shares of draws, the ratio of mean widths, and errors in points."""
    mean = {name: float(np.mean([asdict(one)[name] for one in found])) for name in asdict(found[0])}
    return {
        **{name: round(mean[name], 3) for name in ("held", "above", "naive", "moved")},
        "width": round(mean["width"] / mean["binomial"], 2),
        "bias": round(100 * mean["error"], 2),
        "error": _root_mean_square([one.error for one in found]),
        "error_corrected": _root_mean_square([one.corrected for one in found]),
    }


def _root_mean_square(values: list[float]) -> float:
    return round(100 * float(np.sqrt(np.mean(np.square(values)))), 2)


def _met(found: dict[str, list[dict[str, Held]]], measure: str) -> bool:
    """Whether coverage over all cells together, coverage in each, and every width are as they should be."""
    cells = [_summary([draw[measure] for draw in draws]) for draws in found.values()]
    everything = np.mean([draw[measure].held for draws in found.values() for draw in draws])
    return bool(
        everything >= TARGETS["all"]
        and all(cell["held"] >= TARGETS["each"] for cell in cells)
        and all(cell["width"] <= TARGETS["width"] for cell in cells)
    )


if __name__ == "__main__":
    main()
