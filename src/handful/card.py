"""The card: everything about a trained model that a person or a later program may ask."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from handful.config import TrainConfig
from handful.evaluation import Scores
from handful.features.labelled import Labelled
from handful.frozen import Frozen
from handful.heads.fitting import FittedHead
from handful.plain import problem_entry
from handful.version import __version__

_PACKAGES = ("ai-edge-litert", "keras", "numpy", "pillow", "tensorflow")
HOW_INTERVALS = {
    "cross_validation": (
        "95 % Wilson score interval on out-of-fold predictions, copies and groups counted once (balanced "
        "accuracy: Wilson limits of the recalls combined in quadrature, Zou and Donner 2008). Folds share "
        "photos and train on fewer of them than the delivered model, so it covers less than it says: 82 to "
        "90 % of draws of hand_digits (balanced accuracy 67 to 83 %), the truth mostly above it."
    ),
    "validation": "95 % Wilson score interval; balanced accuracy as for cross-validation.",
    "test": "95 % Wilson score interval; balanced accuracy as for cross-validation. Scored once, at the end.",
}


def make_card(
    config: TrainConfig,
    frozen: Frozen,
    labelled: Labelled,
    head: FittedHead,
    scores: dict[str, Scores],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Collect the card; plain JSON values, no times, so that the same input gives the same card."""
    return {
        "handful": __version__,
        "classes": list(labelled.manifest.classes),
        "backbone": frozen.backbone_entry(),
        "network": frozen.network_entry(),
        "head": _head_entry(head, config),
        "data": _data_entry(labelled),
        "settings": _settings(config),
        "scores": {name: {**value.as_dict(), "how": HOW_INTERVALS[name]} for name, value in scores.items()},
        "warnings": list(warnings),
        "versions": _versions(),
    }


def _settings(config: TrainConfig) -> dict[str, Any]:
    """All settings but the number of threads, which changes no result."""
    return {name: value for name, value in config.as_dict().items() if name != "workers"}


def _head_entry(head: FittedHead, config: TrainConfig) -> dict[str, Any]:
    return {
        "loss": "cross-entropy",
        "solver": "L-BFGS",
        "steps": head.steps,
        "converged": head.converged,
        "penalty": head.penalty,
        "penalty_chosen": head.chosen,
        "penalty_losses": {f"{penalty:g}": loss for penalty, loss in head.losses.items()},
        "folds": int(head.folds.max()) + 1,
        "fold_penalties": head.fold_penalties.tolist(),
        "class_weight": config.class_weight,
    }


def _data_entry(labelled: Labelled) -> dict[str, Any]:
    manifest = labelled.manifest
    return {
        "root": None if manifest.root is None else str(manifest.root.absolute()),
        "fingerprint": manifest.fingerprint,
        "photos": len(manifest.of("train").rows),
        "per_class": manifest.of("train").counts,
        "validation": len(manifest.of("validation").rows),
        "test": len(manifest.of("test").rows),
        "skipped": labelled.skipped,
        "problems": [problem_entry(problem) for problem in labelled.problems],
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
