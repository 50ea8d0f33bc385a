"""The temperature: found where it is known, left alone where it does not help."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handful.audit.calibration import calibrate
from handful.errors import DataError
from handful.metrics.scores import log_loss, softmax


def _drawn(
    n: int, temperature: float, seed: int = 0, classes: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels drawn with their probabilities at `temperature`, and folds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    shares = np.cumsum(softmax(logits / temperature), axis=1)
    labels = (rng.random((n, 1)) > shares[:, :-1]).sum(axis=1)
    return logits, labels, np.arange(n) % 5


@pytest.mark.parametrize("true", [0.6, 1.7])
def test_a_known_temperature_is_found(true: float) -> None:
    logits, labels, folds = _drawn(4000, true)
    found = calibrate(logits, labels, folds)
    assert found.temperature == pytest.approx(true, rel=0.06)
    assert found.after.value < 0.5 * found.before.value
    assert found.log_loss_after < found.log_loss_before
    assert f"temperature {found.temperature:.2f}" in str(found)


def test_the_temperature_lowers_the_log_loss_as_far_as_it_goes() -> None:
    logits, labels, folds = _drawn(4000, 1.7)
    best = calibrate(logits, labels, folds).temperature
    losses = [log_loss(softmax(logits / t), labels) for t in (0.97 * best, best, 1.03 * best)]
    assert losses[1] == min(losses)


def test_honest_logits_are_left_alone_more_often_than_not_and_then_nothing_changes() -> None:
    found = [calibrate(*_drawn(100, 1.0, seed)) for seed in range(30)]
    left = [one for one in found if one.temperature == 1]
    assert len(left) >= 12
    assert all(one.after == one.before and one.log_loss_after == one.log_loss_before for one in left)
    assert all("no temperature" in str(one) for one in left)
    assert all(abs(np.log(one.temperature)) < 0.3 for one in found)


def test_a_model_without_mistakes_is_not_told_to_be_certain() -> None:
    labels = np.arange(20) % 2
    logits = np.where(np.eye(2)[labels] > 0, 1.0, -1.0)
    assert 0.6 < calibrate(logits, labels, np.arange(20) // 2 % 5).temperature <= 1


def test_a_folds_temperature_does_not_see_its_labels() -> None:
    logits, labels, folds = _drawn(500, 1.7)
    changed = labels.copy()
    changed[folds == 2] = (changed[folds == 2] + 1) % 4
    first, second = calibrate(logits, labels, folds), calibrate(logits, changed, folds)
    assert first.fold_temperatures[2] == second.fold_temperatures[2] != 1
    assert first.fold_temperatures[0] != second.fold_temperatures[0]


def test_probabilities_out_of_fold_use_the_temperature_of_their_fold() -> None:
    logits, labels, folds = _drawn(500, 1.7)
    found = calibrate(logits, labels, folds)
    for fold in range(5):
        expected = softmax(logits[folds == fold] / found.fold_temperatures[fold])
        np.testing.assert_array_equal(found.probabilities[folds == fold], expected)


def test_the_result_is_plain_and_the_same_each_time() -> None:
    one, two = (calibrate(*_drawn(200, 1.5)) for _ in range(2))
    assert json.dumps(one.as_dict()) == json.dumps(two.as_dict())


def test_rows_that_do_not_belong_together_are_refused() -> None:
    logits, labels, folds = _drawn(20, 1.0)
    with pytest.raises(DataError, match="20 rows of logits, 19 labels and 20 folds"):
        calibrate(logits, labels[:-1], folds)
