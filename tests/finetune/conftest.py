"""Networks and photos small enough to fine-tune in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from handful.config import TrainConfig
from handful.data.manifest import Manifest
from handful.data.splitting import stratified_folds
from handful.features.labelled import Labelled, pass_labelled
from handful.finetune.material import Material, material_of
from handful.frozen import Frozen, open_frozen
from handful.heads.fitting import FittedHead, fit_head
from handful.progress import Silent

SETTINGS = TrainConfig(backbone="embedded", size=64)


@pytest.fixture
def puzzling(tmp_path: Path, draw: Callable[..., Path]) -> list[tuple[str, str]]:
    """Thirty photos in three colours of which a third is called otherwise: a head gets many of them wrong."""
    files = sorted(draw(tmp_path / "photos", 10).rglob("*.png"))
    names = ["blue", "green", "red"]
    rng = np.random.default_rng(0)
    wrong = rng.permutation(30)[:10]
    labels = [path.parent.name for path in files]
    for at in wrong:
        labels[at] = names[(names.index(labels[at]) + 1) % 3]
    return [(str(path), label) for path, label in zip(files, labels, strict=True)]


@pytest.fixture
def frozen(cache: Path) -> Frozen:
    """The embedded backbone at 64 pixels."""
    return open_frozen(SETTINGS, cache, Silent())


@pytest.fixture
def material(frozen: Frozen, puzzling: list[tuple[str, str]]) -> Material:
    """What the frozen part leaves, of the puzzling photos."""
    labelled = pass_labelled(Manifest.read(puzzling), frozen.engine, frozen.cache, Silent(), workers=2)
    return material_of(frozen, labelled, head_of(labelled))


def head_of(labelled: Labelled) -> FittedHead:
    training, values = labelled.of("train")
    folds = stratified_folds(training.labels, 6, 0)
    return fit_head(values, training.labels, folds, classes=3, penalties=(0.1,), default_penalty=0.1)
