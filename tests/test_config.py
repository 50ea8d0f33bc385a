"""Every setting is checked where it is given, and every default that depends on the data has its rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.config import (
    DEFAULT_PENALTY,
    PENALTIES,
    TrainConfig,
    cache_folder,
    default_folds,
    default_repeats,
    default_workers,
    room_for_views,
    tuning_depths,
    tuning_recipe,
    with_settings,
)
from handful.errors import ConfigError


def test_the_defaults_are_good() -> None:
    config = TrainConfig()
    assert (config.backbone, config.effort, config.class_weight) == ("auto", "standard", "balanced")
    assert (config.engine, config.size, config.folds, config.seed) == ("auto", None, None, 0)


@pytest.mark.parametrize(
    ("setting", "value", "fix"),
    [
        ("effort", "heroic", "Choose one of: quick, standard, thorough"),
        ("class_weight", "fair", "Choose one of: none, balanced"),
        ("engine", "torch", "Choose one of: auto, litert, keras"),
        ("preprocessing", "imagenet", "Choose one of: inside, tf, caffe, torch, unit"),
        ("folds", 1, "Give a whole number from 2 up"),
        ("folds", 2.5, "Give a whole number from 2 up"),
        ("size", 31, "Give a whole number from 32 up"),
        ("size", "128", "Give a whole number from 32 up"),
        ("size", True, "Give a whole number from 32 up"),
        ("workers", 0, "Give a whole number from 1 up"),
        ("seed", -1, "Give a whole number from 0 up"),
        ("seed", None, "Give a whole number from 0 up"),
        ("backbone", None, "Give a name of the catalogue"),
        ("backbone", "", "Give a name of the catalogue"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value_and_what_can(
    setting: str, value: Any, fix: str
) -> None:
    with pytest.raises(ConfigError, match="1 setting cannot be used") as caught:
        with_settings(None, {setting: value})
    assert f"{setting}: received {value!r}. {fix}" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"), [("folds", 2), ("size", 32), ("workers", 1), ("seed", 0), ("preprocessing", None)]
)
def test_the_least_that_is_allowed_is_allowed(setting: str, value: int | None) -> None:
    assert with_settings(None, {setting: value}).as_dict()[setting] == value


def test_all_settings_that_cannot_be_used_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match="3 settings cannot be used") as caught:
        TrainConfig(folds=0, size=1, effort="heroic")
    assert [problem.file for problem in caught.value.problems] == ["effort", "folds", "size"]


def test_an_unknown_setting_is_named_beside_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"Unknown settings \['epochs'\]\. There are: .*backbone") as caught:
        with_settings(None, {"epochs": 3, "seed": 1})
    assert "workers" in str(caught.value)


def test_a_single_setting_goes_over_a_whole_configuration() -> None:
    base = TrainConfig(seed=7, folds=3)
    changed = with_settings(base, {"folds": 4})
    assert (changed.seed, changed.folds) == (7, 4)
    assert base.folds == 3
    assert with_settings(base, {}) == base


def test_a_path_as_backbone_becomes_text_for_the_card() -> None:
    config = TrainConfig(backbone=Path("my") / "network.keras")  # type: ignore[arg-type]  # what users do
    assert json.loads(json.dumps(config.as_dict()))["backbone"] == str(Path("my/network.keras"))


def labels_of(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@pytest.mark.parametrize(
    ("counts", "folds"),
    [
        ((200, 200), 10),
        ((201, 200), 5),
        ((1000, 1000), 5),
        ((20, 20), 10),
        ((4, 3), 4),
        ((2, 2), 2),
        ((1, 1), 2),
        ((2, 50), 10),
    ],
)
def test_folds_follow_the_number_of_photos(counts: tuple[int, ...], folds: int) -> None:
    labels = labels_of(*counts)
    assert default_folds(labels, np.arange(len(labels))) == folds


def test_folds_are_no_more_than_the_groups_that_stay_together() -> None:
    labels = labels_of(30, 30)
    groups = np.arange(60) // 10
    assert default_folds(labels, groups) == 3


def test_penalties_run_from_strong_to_weak_around_the_default() -> None:
    assert list(PENALTIES) == sorted(PENALTIES, reverse=True)
    assert PENALTIES[-1] > 0
    assert PENALTIES[0] > DEFAULT_PENALTY > PENALTIES[-1]


def test_there_is_at_least_one_worker() -> None:
    assert default_workers() >= 1


def test_the_cache_lies_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"


def test_the_cache_lies_in_the_users_cache_folder_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HANDFUL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "handful"


@pytest.mark.parametrize(
    ("photos", "repeats"), [(10, 5), (200, 5), (201, 3), (1000, 3), (3000, 2), (3001, 1)]
)
def test_the_more_photos_the_fewer_repeats(photos: int, repeats: int) -> None:
    assert default_repeats(photos) == repeats


@pytest.mark.parametrize(
    ("photos", "steps"), [(20, 60), (80, 60), (200, 150), (1000, 750), (2000, 1500), (5000, 1500)]
)
def test_steps_follow_the_number_of_photos(photos: int, steps: int) -> None:
    recipe = tuning_recipe(photos, "standard")
    assert recipe.steps == steps
    assert recipe.views == 4
    assert tuning_recipe(photos, "thorough").views == 8


def test_thorough_tries_more_depths() -> None:
    assert tuning_depths("thorough") > tuning_depths("standard") >= 1


@pytest.mark.parametrize(
    ("photos", "free", "expected"),
    [
        (100, 10**12, (4, 4)),
        (6_000, 10**12, (4, 4)),
        (10_000, 10**12, (4, 2)),  # precision is halved first
        (20_000, 10**12, (2, 2)),  # then there are fewer views
        (200_000, 10**12, (0, 2)),  # and then none
        (100, 24 * 10**6, (3, 2)),
        (100, 10**6, (0, 2)),
    ],
)
def test_values_at_a_cut_take_no_more_room_than_there_is(
    photos: int, free: int, expected: tuple[int, int]
) -> None:
    assert room_for_views(photos, 4, 18_816, free) == expected


@pytest.mark.parametrize("name", ["flip", "rotate", "colour", "crop"])
def test_what_views_may_change_is_yes_or_no(name: str) -> None:
    assert getattr(with_settings(None, {name: False}), name) is False
    with pytest.raises(ConfigError, match=f"{name}: received 'maybe'"):
        with_settings(None, {name: "maybe"})
    with pytest.raises(ConfigError, match="rotate: received None"):
        with_settings(None, {"rotate": None})
