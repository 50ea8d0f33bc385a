"""The data check as a whole, with and without a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.audit.checking import audited, check, findings
from handful.config import TrainConfig, cache_folder
from handful.data.manifest import Manifest
from handful.errors import BackboneError
from handful.features.labelled import pass_labelled
from handful.frozen import open_frozen
from handful.progress import Silent


@pytest.fixture
def photos(tmp_path: Path, draw: Callable[..., Path]) -> Path:
    """Twenty photos a class, all reds larger and in another format, one of them a chess board."""
    folder = draw(tmp_path / "photos", 20)
    for path in sorted((folder / "red").iterdir()):
        with Image.open(path) as image:
            image.resize((280, 200)).save(path.with_suffix(".bmp"))
        path.unlink()
    rows, columns = np.indices((200, 280))
    board = np.where((rows // 40 + columns // 40) % 2, 255, 0).astype(np.uint8)
    Image.fromarray(np.stack([board] * 3, axis=-1)).save(folder / "red" / "board.bmp")
    return folder


def said(problems) -> set[str]:
    words = {"metadata alone": "shortcut", "unlike all other": "outlier"}
    return {name for text, name in words.items() for problem in problems if text in problem.what}


def test_the_plain_check_finds_shortcuts_and_needs_no_network(photos: Path) -> None:
    assert said(check(photos, speaker=Silent())) == {"shortcut"}
    assert not cache_folder().exists() or not any(cache_folder().iterdir())


def test_with_a_backbone_it_finds_outliers_too(photos: Path) -> None:
    problems = check(photos, speaker=Silent(), backbone="embedded")
    assert said(problems) == {"shortcut", "outlier"}
    assert "red/board.bmp" in [p.file for p in problems if "unlike" in p.what]


def test_cached_and_fresh_photos_are_judged_alike(photos: Path) -> None:
    first = check(photos, speaker=Silent(), backbone="embedded", burst=1)
    assert check(photos, speaker=Silent(), backbone="embedded", burst=1) == first


def test_training_gets_the_same_findings(photos: Path) -> None:
    frozen = open_frozen(TrainConfig(backbone="embedded"), cache_folder(), Silent())
    labelled = pass_labelled(Manifest.read(photos), frozen.engine, frozen.cache, Silent(), workers=2)
    problems = list(audited(labelled).problems)
    assert problems == check(photos, speaker=Silent(), backbone="embedded")


def test_a_backbone_that_is_not_there_is_refused_by_name(photos: Path) -> None:
    with pytest.raises(BackboneError, match="resnet_99"):
        check(photos, speaker=Silent(), backbone="resnet_99")


def test_severe_findings_come_first_and_left_out_photos_are_counted(photos: Path) -> None:
    (photos / "blue" / "bad.png").write_bytes(b"")
    found = findings(Manifest.read(photos), Silent(), workers=2)
    rank = {"error": 0, "warning": 1, "note": 2}
    order = [rank[problem.severity] for problem in found.problems]
    assert order == sorted(order)
    assert found.skipped == 1
