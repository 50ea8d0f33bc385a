"""The learning curve: the power law is found, groups stay whole, and forecasts hold what came."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handful.audit import curve
from handful.audit.curve import learning_curve
from handful.errors import DataError
from handful.heads.fitting import fit_head


def _photos(each: int, seed: int, classes: int = 4, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    places = np.random.default_rng(5).normal(0, 1, (classes, 60)) * apart / np.sqrt(8)
    return (places[labels] + rng.normal(0, 1, (len(labels), 60))).astype(np.float32), labels


def test_more_photos_make_it_better_and_the_forecast_goes_on() -> None:
    features, labels = _photos(20, 0)
    found = learning_curve(features, labels, classes=4, penalty=0.1)
    assert found is not None
    shares = [point.accuracy for point in found.points]
    assert shares[0] < shares[-1]
    assert [point.photos for point in found.points] == [16, 24, 32, 40, 56, 72]
    assert list(found.forecasts) == [80, 160, 320]
    told = [found.forecasts[n].value for n in (80, 160, 320)]
    assert told == sorted(told)
    assert all(one.low < one.value < one.high for one in found.forecasts.values())


def test_forecasts_for_twice_the_photos_hold_what_twice_the_photos_brought() -> None:
    held = []
    features, labels = _photos(400, 1)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        twice = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:20] for c in range(4)])
        half = twice.reshape(4, -1)[:, :10].ravel()
        head = fit_head(
            features[twice], labels[twice], np.arange(80) % 5,
            classes=4, penalties=(1.0, 0.1), default_penalty=0.1,
        )  # fmt: skip
        rest = np.setdiff1d(np.arange(len(labels)), twice)
        truth = ((features[rest] @ head.weights + head.bias).argmax(axis=1) == labels[rest]).mean()
        found = learning_curve(features[half], labels[half], classes=4, penalty=0.1, seed=seed)
        assert found is not None
        told = found.forecasts[80]
        held.append(told.low <= truth <= told.high)
    assert sum(held) >= 6


def test_a_power_law_is_followed_to_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "_FLOOR", 0.0)
    shares = np.array([0.2, 0.4, 0.6, 0.9])
    errors = np.array([[0.1 * share**-0.5 for share in shares]])
    ahead = curve._power_law(errors, shares, np.array([1.0, 2.0, 4.0]), np.random.default_rng(0))
    np.testing.assert_allclose(ahead, [[0.1, 0.1 / np.sqrt(2), 0.05]])


def test_a_curve_that_rises_is_taken_to_stand_still() -> None:
    ahead = curve._power_law(
        np.array([[0.1, 0.2, 0.3]]), np.array([0.2, 0.5, 0.9]), np.array([1.0, 2.0]), np.random.default_rng(0)
    )
    assert ahead[0, 0] == ahead[0, 1]


def test_copies_of_a_photo_never_help_to_recognise_it() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (40, 60)).astype(np.float32)  # nothing to learn but the photo itself
    labels = np.repeat(np.arange(40) % 2, 3)
    copies = np.repeat(noise, 3, axis=0)
    found = learning_curve(copies, labels, classes=2, penalty=0.1, groups=np.repeat(np.arange(40), 3))
    careless = learning_curve(copies, labels, classes=2, penalty=0.1)
    assert found is not None
    assert careless is not None
    assert found.points[-1].accuracy < 0.75
    assert careless.points[-1].accuracy > 0.95


def test_the_class_that_is_hard_and_thin_needs_photos_most() -> None:
    features, labels = _photos(20, 0, apart=4.0)
    features[labels == 3] = features[labels == 2] + np.random.default_rng(2).normal(0, 1, (20, 60))
    kept = np.flatnonzero((labels != 3) | (np.arange(80) % 2 == 0))
    found = learning_curve(features[kept], labels[kept], classes=4, penalty=0.1, balanced=True)
    assert found is not None
    assert [need.label for need in found.needs][:2] in ([3, 2], [2, 3])
    assert {need.label: need.photos for need in found.needs} == {0: 20, 1: 20, 2: 20, 3: 10}
    assert found.needs[0].recall < found.needs[-1].recall


def test_a_handful_without_mistakes_is_not_promised_perfection() -> None:
    features, labels = _photos(6, 0, classes=2, apart=20.0)
    found = learning_curve(features, labels, classes=2, penalty=0.1)
    assert found is not None
    assert found.points[-1].accuracy == 1
    assert found.forecasts[12].low < 0.95


def test_too_few_photos_have_no_curve() -> None:
    assert learning_curve(*_photos(4, 0), classes=4, penalty=0.1) is None
    assert learning_curve(*_photos(5, 0), classes=4, penalty=0.1) is not None


def test_groups_of_several_classes_that_cannot_be_dealt_have_no_curve() -> None:
    features, labels = _photos(6, 0, classes=2)
    one_great_group = np.where(np.arange(12) % 6 < 2, 0, np.arange(12))
    few = np.arange(12) % 6 // 2
    for groups in (few, np.zeros(12, dtype=int)):
        assert learning_curve(features, labels, classes=2, penalty=0.1, groups=groups) is None
    assert learning_curve(features, labels, classes=2, penalty=0.1, groups=one_great_group) is not None


def test_a_curve_that_cannot_be_dealt_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise DataError("The groups hold photos of several classes")

    monkeypatch.setattr(curve, "stratified_folds", refuse)
    assert learning_curve(*_photos(10, 0), classes=4, penalty=0.1) is None


def test_the_same_seed_gives_the_same_and_the_line_names_both_ends() -> None:
    one, two = (learning_curve(*_photos(10, 0), classes=4, penalty=0.1, seed=3) for _ in range(2))
    assert one is not None
    assert two is not None
    assert json.dumps(one.as_dict()) == json.dumps(two.as_dict())
    twice = one.forecasts[80]
    assert str(one) == f"with twice the photos expect {100 * twice.low:.0f} to {100 * twice.high:.0f} %"


def test_rows_that_do_not_belong_together_are_refused() -> None:
    features, labels = _photos(10, 0)
    with pytest.raises(DataError, match="40 rows of features and 39 labels"):
        learning_curve(features, labels[:-1], classes=4, penalty=0.1)


def test_what_a_photo_is_worth_is_the_slope_of_the_power_law() -> None:
    labels, shares = np.repeat([0, 1], [40, 10]), np.array([0.2, 0.5, 0.8])
    errors = np.array([0.05, 0.2])[labels, None] * shares**-0.5
    first, second = curve._needs(curve._Outcome(1 - errors, np.ones_like(errors)), shares, labels)
    assert (first.label, first.photos, second.label) == (1, 10, 0)
    assert first.gain == pytest.approx(100 * 0.2 * 0.5 / 10)  # error falls from 20 % by c / n of it per photo
    assert second.gain == pytest.approx(100 * 0.05 * 0.5 / 40)
    assert first.recall == pytest.approx(1 - 0.2 * 0.8**-0.5)
