"""Handful: a handful of labelled photos becomes an image classifier you can trust.

    import handful
    classifier = handful.train("photos/")
    classifier.predict("new.jpg")

Names are loaded on first use; importing the package reads no file and no other library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handful.version import __version__ as __version__

if TYPE_CHECKING:
    from handful.audit.checking import check
    from handful.classifier import Classifier
    from handful.config import TrainConfig
    from handful.data.manifest import Manifest
    from handful.data.splitting import split
    from handful.errors import HandfulError
    from handful.evaluation import evaluate
    from handful.exporters.registry import export
    from handful.training import train

__all__ = [
    "Classifier",
    "HandfulError",
    "Manifest",
    "TrainConfig",
    "check",
    "evaluate",
    "export",
    "split",
    "train",
]

_HOMES = {
    "Classifier": "handful.classifier",
    "HandfulError": "handful.errors",
    "Manifest": "handful.data.manifest",
    "TrainConfig": "handful.config",
    "check": "handful.audit.checking",
    "evaluate": "handful.evaluation",
    "export": "handful.exporters.registry",
    "split": "handful.data.splitting",
    "train": "handful.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'handful' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
