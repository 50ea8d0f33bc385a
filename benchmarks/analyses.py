"""head, class_weight, scaling: scripts that work on features, each in a process of its own."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from measuring import Row, Session, run, script, spread

NAMES = ("head", "class_weight", "scaling")
LEAST_RATIO = 5
SAME_ACCURACY = 0.005  # five photos in a thousand
# With two BLAS threads a neighbour's load can slow a small product down tenfold, and scikit-learn's fits are
# many small products: its better setting counts, against ours as `handful train` runs it.
BLAS = {"default": {}, "1": {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}}
MOST_LOSS = 0.005  # of accuracy, for what balancing gains in balanced accuracy


def measure(session: Session, names: set[str]) -> Iterator[Row]:
    """Measure what was asked for."""
    for name, part in (("head", _head), ("class_weight", _class_weight), ("scaling", _scaling)):
        if name in names:
            yield from part(session)


@lru_cache(maxsize=1)
def _features_cache(session: Session) -> Path:
    """One cache for all of them: what is measured here is not the pass over the photos."""
    return session.converted_cache("analyses")


def _answer(session: Session, name: str, *words: str, **variables: str) -> dict[str, Any]:
    environment = {**session.environment(_features_cache(session)), **variables}
    command = script(name, "--shared", session.shared, *words)
    return run(command, environment, session.folder("analysis")).answer


def _head(session: Session) -> Iterator[Row]:
    small = ("--rounds", "1", "--rows", "600") if session.quick else ()
    answers = {name: _answer(session, "head_selection.py", *small, **BLAS[name]) for name in BLAS}
    yield _head_ratio(session, answers)
    for name, answer in answers.items():
        seconds = answer["seconds"]
        words = f"{answer['ratio']:.1f}x: {spread(seconds['sklearn'])} / {spread(seconds['ours'])}"
        yield Row("head", f"both with BLAS threads: {name}", words, values=answer)
    ours, theirs = answers["default"]["ours"], answers["default"]["sklearn"]
    what = "held-out accuracy by the same folds, ours (choice nested) / theirs (not nested)"
    words = f"{ours['accuracy']:.2%} / {theirs['accuracy']:.2%}"
    met = session.judge(ours["accuracy"] >= theirs["accuracy"] - SAME_ACCURACY)
    yield Row("head", what, words, "ours not 0.5 points below", met)
    if not (ours["converged"] and theirs["converged"]):
        words = f"ours {ours['converged']}, theirs {theirs['converged']}"
        yield Row("head", "converged", words, "both", session.judge(False))


def _head_ratio(session: Session, answers: dict[str, dict[str, Any]]) -> Row:
    """The peer at its better number of BLAS threads, ours as it runs."""
    ours = answers["default"]["seconds"]["ours"]
    theirs = min((one["seconds"]["sklearn"] for one in answers.values()), key=statistics.median)
    value = statistics.median(theirs) / statistics.median(ours)
    one = answers["default"]
    what = f"LogisticRegressionCV, its better BLAS setting / fit_head, n = {one['n']:,}, d = {one['d']:,}"
    words = f"{value:.1f}x: {spread(theirs)} / {spread(ours)}"
    return Row("head", what, words, f">= {LEAST_RATIO}x", session.judge(value >= LEAST_RATIO))


def _class_weight(session: Session) -> Iterator[Row]:
    draws = ("--draws", str(session.often(10, 2)))
    for name, tests in _answer(session, "class_weight.py", "--json", *draws).items():
        fair, alike = tests["balanced"], tests["alike"]
        gain = fair["balanced"]["balanced_accuracy"] - fair["none"]["balanced_accuracy"]
        change = alike["balanced"]["accuracy"] - alike["none"]["accuracy"]
        loss = [
            f"{one['none']['log_loss']:.3f} to {one['balanced']['log_loss']:.3f}" for one in (fair, alike)
        ]
        words = (
            f"{100 * gain:+.1f} points, log loss {loss[0]}; {100 * change:+.1f} points, log loss {loss[1]}"
        )
        what = (
            f"{name}: none to balanced; on a balanced test balanced accuracy, on one like training accuracy"
        )
        met = session.judge(gain > 0 and change >= -MOST_LOSS)
        target = f"the first up, the second not down by more than {100 * MOST_LOSS:g}"
        yield Row("class_weight", what, words, target, met, tests)


def _scaling(session: Session) -> Iterator[Row]:
    draws = ("--draws", str(session.often(10, 2)))
    for name, one in _answer(session, "scaling.py", "--json", *draws).items():
        ours, own = one["one"], one["own"]
        words = f"{ours['accuracy']:.1%} / {own['accuracy']:.1%}, "
        words += f"log loss {ours['log_loss']:.3f} / {own['log_loss']:.3f}"
        what = f"{name}: features scaled by one number / each by its own deviation"
        met = session.judge(ours["accuracy"] >= own["accuracy"] - SAME_ACCURACY)
        yield Row("scaling", what, words, "accuracy the same or better", met, one)
