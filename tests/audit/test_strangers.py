"""Strangers: noticed, at the stated rate of false alarms, and the same after being stored."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from handful.audit import strangers
from handful.audit.strangers import Strangers, abstentions, fit_strangers
from handful.errors import ConfigError, DataError
from handful.metrics.scores import softmax

_DIRECTIONS = np.random.default_rng(99).normal(0, 1, (8, 40))


def _photos(n: int, seed: int, places: range = range(3)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features about directions of their own, logits for the first three of them, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % len(places))
    features = (_DIRECTIONS[np.array(places)[labels]] + rng.normal(0, 0.3, (n, 40))).astype(np.float32)
    unit = _DIRECTIONS[:3] / np.linalg.norm(_DIRECTIONS[:3], axis=1, keepdims=True)
    return features, features @ unit.T.astype(np.float32), labels


def test_photos_of_other_things_are_noticed() -> None:
    found = fit_strangers(*_photos(120, 0)[:2])
    assert found.are_strangers(*_photos(100, 1, range(3, 8))[:2]).mean() > 0.95


def test_false_alarms_come_as_often_as_stated() -> None:
    alarms = []
    for seed in range(20):
        found = fit_strangers(*_photos(100, seed)[:2], rate=0.1)
        alarms.append(found.are_strangers(*_photos(300, 100 + seed)[:2]).mean())
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.03)


def test_a_photo_is_compared_with_others_and_never_with_its_group() -> None:
    features, logits, _ = _photos(100, 0)
    once = fit_strangers(features, logits)
    copied = fit_strangers(
        np.repeat(features, 3, axis=0), np.repeat(logits, 3, axis=0), groups=np.repeat(np.arange(100), 3)
    )
    assert copied.threshold == pytest.approx(once.threshold, abs=1e-6)
    careless = fit_strangers(np.repeat(features, 3, axis=0), np.repeat(logits, 3, axis=0))
    assert careless.are_strangers(*_photos(200, 5)[:2]).mean() > 0.5  # every new photo is farther than a copy


def test_a_confident_photo_is_less_strange_than_a_doubtful_one() -> None:
    features, logits, _ = _photos(100, 0)
    found = fit_strangers(features, logits)
    calm, doubtful = found.score(features[:5], 3 * logits[:5]), found.score(features[:5], 0 * logits[:5])
    assert (calm < doubtful).all()
    np.testing.assert_allclose(
        found.score(features[:5], logits[:5] + 7), found.score(features[:5], logits[:5])
    )


def test_what_is_stored_gives_the_same_answer() -> None:
    found = fit_strangers(*_photos(100, 0)[:2])
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **found.arrays())
    file.seek(0)
    again = Strangers.from_arrays(np.load(file, allow_pickle=False))
    new = _photos(50, 7, range(6))
    np.testing.assert_allclose(again.score(*new[:2]), found.score(*new[:2]), rtol=1e-8)
    alone = np.concatenate(
        [again.score(features[None], row[None]) for features, row, _ in zip(*new, strict=True)]
    )
    np.testing.assert_allclose(alone, found.score(*new[:2]), rtol=1e-8)
    assert (again.threshold, again.rate) == (found.threshold, found.rate)
    assert found.arrays()["bank"].dtype == np.float16


def test_a_part_of_many_photos_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST_KEPT", 60)
    found = fit_strangers(*_photos(200, 0)[:2], rate=0.1)
    assert found.bank.shape == (60, 40)
    assert len(found.scores) == 200
    assert found.are_strangers(*_photos(300, 1)[:2]).mean() == pytest.approx(0.1, abs=0.08)


def test_too_few_photos_tell_the_rate_they_allow() -> None:
    found = fit_strangers(*_photos(9, 0)[:2])
    assert found.rate == pytest.approx(0.1)
    assert found.threshold == pytest.approx(found.scores.max(), rel=1e-6)
    assert "10 %" in str(found)
    assert fit_strangers(*_photos(40, 0)[:2]).rate == 0.05


def test_abstaining_answers_less_and_errs_less() -> None:
    features, logits, labels = _photos(300, 0)
    noise = np.random.default_rng(1).normal(0, 2, logits.shape)
    found = abstentions(softmax(logits + noise), labels, fit_strangers(features, logits).scores)
    by_confidence = [row for row in found if row.by == "confidence"]
    assert by_confidence[0].answered == 1
    assert [row.answered for row in by_confidence] == sorted(
        (r.answered for r in by_confidence), reverse=True
    )
    sure = next(row for row in by_confidence if row.threshold == 0.9)
    assert sure.error < 0.5 * by_confidence[0].error
    by_strangeness = [row for row in found if row.by == "strangeness"]
    assert [round(row.answered, 1) for row in by_strangeness] == [1.0, 1.0, 1.0, 0.9, 0.8]


def test_nobody_answered_has_no_error() -> None:
    found = abstentions(np.full((4, 2), 0.5), np.zeros(4, dtype=int), np.arange(4.0))
    unanswered = next(row for row in found if row.threshold == 0.99)
    assert unanswered.answered == 0
    assert np.isnan(unanswered.error)


def test_the_result_is_plain() -> None:
    plain = fit_strangers(*_photos(60, 0)[:2]).as_dict()
    assert json.loads(json.dumps(plain))["photos_kept"] == 60


def test_wrong_input_is_refused() -> None:
    features, logits, _ = _photos(20, 0)
    with pytest.raises(ConfigError, match=r"rate=0\b.*between 0 and 1"):
        fit_strangers(features, logits, rate=0)
    with pytest.raises(DataError, match="20 rows of features in 20 groups and 19 of logits"):
        fit_strangers(features, logits[:-1])
    with pytest.raises(DataError, match="in 1 groups"):
        fit_strangers(features, logits, groups=np.zeros(20, dtype=int))


def test_a_burst_of_one_odd_photo_does_not_move_the_threshold() -> None:
    features, logits, _ = _photos(100, 0)
    odd = int(fit_strangers(features, logits).scores.argmax())
    rows = np.concatenate([np.arange(100), np.full(50, odd)])
    found = fit_strangers(features[rows], logits[rows], rate=0.1, groups=rows)
    assert found.are_strangers(*_photos(500, 3)[:2]).mean() == pytest.approx(0.1, abs=0.06)
