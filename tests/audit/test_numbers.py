"""All numbers of a result: from one set of out-of-fold predictions, by name, for what is delivered."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from handful.audit.numbers import Measured, Numbers, for_fine_tuned, measure, steps_to_measure
from handful.config import DEFAULT_PENALTY, PENALTIES, TrainConfig
from handful.data.looks import THUMBNAIL_SIDE, Look
from handful.data.splitting import stratified_folds
from handful.heads.fitting import fit_head
from handful.metrics.scores import softmax
from handful.plain import finite

CLASSES = ("cat", "dog", "eel")
EACH = 12
FLIPPED = 5  # this photo of a cat is labelled an eel


def _measured() -> Measured:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), EACH)
    features = (4 * np.eye(3, 16)[truth] + rng.normal(0, 1, (len(truth), 16))).astype(np.float32)
    labels = truth.copy()
    labels[FLIPPED] = 2
    groups = np.arange(len(labels))
    groups[1] = groups[0]  # a copy
    head = fit_head(
        features, labels, stratified_folds(labels, 5, 0, groups),
        classes=3, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY,
    )  # fmt: skip
    pixels = rng.integers(0, 255, (len(labels), THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3), dtype=np.uint8)
    looks = [Look(40, 30, "PNG", 900, "", None, one) for one in pixels]
    return Measured(
        [f"{row}.png" for row in range(len(labels))], CLASSES, features, labels, groups, looks, head
    )


@pytest.fixture(scope="module")
def data() -> Measured:
    return _measured()


@pytest.fixture(scope="module")
def numbers(data: Measured) -> Numbers:
    return measure(data, TrainConfig(class_weight="none"))


def test_every_step_is_counted(data: Measured) -> None:
    done: list[int] = []
    measure(data, TrainConfig(class_weight="none"), advance=done.append)
    assert 0 < sum(done) <= steps_to_measure(len(data.labels))


def test_all_parts_speak_of_the_same_rows(data: Measured, numbers: Numbers) -> None:
    right = softmax(data.head.out_of_fold_logits).argmax(axis=1) == data.labels
    assert numbers.cross_validated.n == len(data.labels)
    assert numbers.cross_validated.independent == len(data.labels) - 1
    spread = numbers.cross_validated.spread["accuracy"]
    assert spread.lowest <= right.mean() <= spread.highest
    assert [one.name for one in numbers.baselines] == ["majority", "pixels", "nearest"]
    everything = next(one for one in numbers.abstentions if one.by == "confidence")
    assert (everything.answered, everything.error) == (1, pytest.approx(1 - right.mean()))


def test_a_flipped_label_leads_the_suspects_by_name(numbers: Numbers) -> None:
    first = numbers.as_dict()["suspects"]["ranked"][0]
    assert (first["file"], first["label"], first["predicted"]) == (f"{FLIPPED}.png", "eel", "cat")
    assert "row" not in first


def test_the_plain_values_go_into_json_and_name_the_classes(numbers: Numbers) -> None:
    plain = json.loads(json.dumps(finite(numbers.as_dict())))
    assert {need["label"] for need in plain["learning_curve"]["needs"]} == set(CLASSES)
    assert plain["calibration"]["of"] == plain["prediction_sets"]["of"] == "frozen"
    assert plain["strangers"]["photos_kept"] == 3 * EACH


def test_a_fine_tuned_network_has_its_own_calibration_and_no_strangers(
    data: Measured, numbers: Numbers
) -> None:
    rows = np.arange(0, len(data.labels), 2)
    certain = 50 * np.eye(3, dtype=np.float32)[data.labels[rows]]
    certain[::3] = np.roll(certain[::3], 1, axis=1)  # one in three is wrong, and as certain
    tuned = for_fine_tuned(
        numbers, certain, data.labels[rows], data.head.folds[rows], data.groups[rows], seed=0
    )
    assert tuned.of == "fine-tuned"
    assert tuned.calibration.temperature > 1
    assert tuned.strangers is None
    assert {one.by for one in tuned.abstentions} == {"confidence"}
    assert tuned.cross_validated is numbers.cross_validated
    assert tuned.as_dict()["strangers"] is None


def test_one_group_alone_tells_no_strangers(data: Measured) -> None:
    found = measure(replace(data, groups=np.zeros(len(data.labels), int)), TrainConfig(class_weight="none"))
    assert found.strangers is None
    assert found.curve is None
    assert {one.by for one in found.abstentions} == {"confidence"}


def test_the_same_input_gives_the_same_numbers(data: Measured, numbers: Numbers) -> None:
    again = measure(data, TrainConfig(class_weight="none"))
    assert finite(again.as_dict()) == finite(numbers.as_dict())
