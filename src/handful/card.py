"""The card: everything about a trained model that a person or a later program may ask."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from handful.audit.numbers import Numbers
from handful.config import TrainConfig
from handful.contents import STRANGERS, TUNED
from handful.data.images import DECODER_VERSION
from handful.data.manifest import Manifest
from handful.engines.base import Engine
from handful.evaluation import Scores
from handful.features.cache import Space
from handful.features.labelled import Labelled
from handful.finetune.tuning import Tuned
from handful.frozen import Frozen
from handful.heads.fitting import FittedHead
from handful.plain import problem_entry
from handful.version import __version__

_PACKAGES = ("ai-edge-litert", "keras", "numpy", "pillow", "tensorflow")
HOW_INTERVALS = {
    "fine_tuned": (
        "95 % Wilson score interval on photos held out from fine-tuning, as many as it took to decide. Each "
        "half of them is scored at the stop that was best for the other half. The network that is delivered "
        "learned from them too, so it is no worse; but they also decided that it is, which flatters a little."
    ),
    "validation": (
        "95 % Wilson score interval; balanced accuracy: Wilson limits of the recalls combined in quadrature "
        "(Zou and Donner 2008)."
    ),
    "test": (
        "95 % Wilson score interval; balanced accuracy as for validation. Scored once, at the end, by what "
        "is delivered; an unfinished result has no such score."
    ),
}


def make_card(
    config: TrainConfig,
    frozen: Frozen,
    labelled: Labelled,
    head: FittedHead,
    scores: dict[str, Scores],
    numbers: Numbers,
    warnings: Sequence[str],
    fine_tuning: dict[str, Any],
) -> dict[str, Any]:
    """Collect the card; plain JSON values, no times, so that the same input gives the same card.

    "fine_tuning" has a "state": "not asked for", "unfinished" (the frozen network lies there meanwhile) or
    "done"; done, also "chosen", "why" and what was "tried".
    """
    return {
        "handful": __version__,
        "classes": list(labelled.manifest.classes),
        "backbone": frozen.backbone_entry(),
        "network": {**frozen.network_entry(), **_strangers_file(numbers)},
        "head": _head_entry(head, config),
        "data": _data_entry(labelled),
        "settings": recorded_settings(config),
        "scores": _scores(scores, numbers),
        "audit": numbers.as_dict(),
        "fine_tuning": fine_tuning,
        "warnings": list(warnings),
        "versions": _versions(),
    }


def decided_card(
    card: dict[str, Any],
    report: dict[str, Any],
    scores: dict[str, Scores],
    numbers: Numbers,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The card once it is decided whether fine-tuning pays.

    Args:
        card: of the frozen network, unfinished.
        report: what was tried, and what came of it.
        scores: of what is delivered, and the cross-validated ones of the frozen network.
        numbers: of the frozen network; with the calibration and sets of the fine-tuned one where that won.
        warnings: all that the user was told.
    """
    return {
        **card,
        "scores": _scores(scores, numbers),
        "audit": numbers.as_dict(),
        "fine_tuning": report,
        "warnings": list(warnings),
    }


def tuned_card(card: dict[str, Any], tuned: Tuned, engine: Engine) -> dict[str, Any]:
    """The decided card of a fine-tuned network, which `engine` runs, from that of the frozen one."""
    space = Space(tuned.network_sha256, engine.size, DECODER_VERSION, engine.id)
    network = {
        **card["network"],
        "pooled_output": tuned.pooled_output,
        "map_output": tuned.map_output,
        "engine": engine.id,
        "space": {**asdict(space), "size": list(space.size)},
        "tuned": TUNED,
    }
    network.pop("strangers", None)  # features of the frozen network, which tell nothing of this one's
    return {**card, "network": network}


def _scores(scores: dict[str, Scores], numbers: Numbers) -> dict[str, Any]:
    how = {**HOW_INTERVALS, "cross_validation": numbers.cross_validated.method}
    return {name: {**value.as_dict(), "how": how[name]} for name, value in scores.items()}


def _strangers_file(numbers: Numbers) -> dict[str, str]:
    return {} if numbers.strangers is None else {"strangers": STRANGERS}


def recorded_settings(config: TrainConfig) -> dict[str, Any]:
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
        **source_entry(manifest),
        "fingerprint": manifest.fingerprint,
        "photos": len(manifest.of("train").rows),
        "per_class": manifest.of("train").counts,
        "validation": len(manifest.of("validation").rows),
        "test": len(manifest.of("test").rows),
        "skipped": labelled.skipped,
        "problems": [problem_entry(problem) for problem in labelled.problems],
    }


def source_entry(manifest: Manifest) -> dict[str, Any]:
    """Where the photos come from and how they were read, all of it known before any is opened."""
    return {
        "root": None if manifest.root is None else str(manifest.root.absolute()),
        "corrections": [asdict(one) for one in manifest.corrections],
        "group_by": manifest.group_by,
        "burst": manifest.burst,
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
