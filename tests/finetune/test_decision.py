"""Whether fine-tuning pays: beyond the noise, on the same photos, and no label chooses its own score."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from handful.finetune.decision import (
    ERROR_RATE,
    Compared,
    best_stops,
    can_win,
    compare,
    rounds_of,
    sign_test,
    stop_early,
    verdict,
)


def logits_for(guesses: list[int], classes: int = 3, height: float = 5.0) -> np.ndarray:
    return height * np.eye(classes, dtype=np.float32)[guesses]


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (7, 0), (5, 3), (3, 5), (60, 40)])
def test_the_sign_test_is_the_binomial_one(won: int, lost: int) -> None:
    expected = stats.binomtest(won, won + lost, alternative="greater").pvalue if won + lost else 1.0
    assert sign_test(won, lost) == pytest.approx(expected, rel=1e-12)


def test_only_photos_on_which_the_two_disagree_count() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    before = logits_for([0, 1, 1, 0, 2, 0])
    after = logits_for([0, 0, 0, 1, 2, 1])
    found = compare(labels, before, after, looks=3)
    assert (found.photos, found.won, found.lost, found.right, found.right_before) == (6, 2, 1, 4, 3)


@pytest.mark.parametrize(
    ("won", "lost", "rounds", "expected"),
    [
        (6, 0, 1, "better"),  # 1 in 64 is less than 0.05 / 3
        (5, 0, 1, "unclear"),  # 1 in 32 is not
        (5, 0, 3, "no better"),  # and this was the last look
        (3, 3, 1, "no better"),  # nothing gained
        (0, 0, 1, "no better"),
        (2, 9, 1, "no better"),
        (3, 1, 1, "unclear"),
        (3, 1, 2, "no better"),  # three more wins in the last round would be 6 to 1: p = 0.06
        (30, 10, 2, "better"),
    ],
)
def test_a_verdict_needs_more_than_noise(won: int, lost: int, rounds: int, expected: str) -> None:
    assert verdict(Compared(80 * rounds, won, lost, 70, looks=3), rounds) == expected


def test_models_that_are_equally_good_are_seldom_called_better() -> None:
    """Simulated: both right with 85 %, independently, three rounds of 60 photos."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(400):
        won, lost, answer = 0, 0, "unclear"
        for number in range(1, 4):
            one, other = rng.random((2, 60)) < 0.85
            won, lost = won + int((other & ~one).sum()), lost + int((one & ~other).sum())
            answer = verdict(Compared(60 * number, won, lost, 50, looks=3), number)
            if answer != "unclear":
                break
        called += answer == "better"
    assert called / 400 <= ERROR_RATE


def test_a_gain_as_large_as_on_hand_digits_is_found() -> None:
    """85 to 95 %, as measured: 10 % of photos gained, 1 % lost, three rounds of a third of 200 photos."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(200):
        won, lost, answer = 0, 0, "unclear"
        for number in range(1, 4):
            kind = rng.random(67)
            won, lost = won + int((kind < 0.11).sum()), lost + int((kind > 0.99).sum())
            answer = verdict(Compared(67 * number, won, lost, 50, looks=3), number)
            if answer != "unclear":
                break
        called += answer == "better"
    assert called / 200 >= 0.95


@pytest.mark.parametrize(("errors", "expected"), [(0, False), (5, False), (6, True)])
def test_too_few_errors_leave_nothing_to_win(errors: int, expected: bool) -> None:
    assert can_win(errors, looks=3) is expected


@pytest.mark.parametrize(("folds", "most", "expected"), [(10, 3, 3), (5, 3, 3), (2, 3, 2)])
def test_rounds_hold_each_fold_once(folds: int, most: int, expected: int) -> None:
    rounds = rounds_of(np.arange(50) % folds, most)
    assert len(rounds) == expected
    assert sorted(np.concatenate(rounds).tolist()) == list(range(folds))


def test_no_photo_is_scored_at_a_stop_that_its_own_label_chose() -> None:
    labels = np.zeros(4, int)
    halves = np.array([0, 0, 1, 1])
    early = logits_for([0, 0, 1, 1])  # right for the first half alone
    late = logits_for([1, 1, 0, 0])  # right for the second alone
    logits, chosen = best_stops({10: early, 20: late}, labels, halves)
    assert chosen == [20, 10]
    assert (logits.argmax(axis=1) == 1).all()  # each half gets the stop that is wrong for it


def test_the_best_stop_is_used_where_both_halves_agree() -> None:
    labels = np.array([0, 1, 0, 1])
    right, wrong = logits_for([0, 1, 0, 1]), logits_for([1, 0, 1, 0])
    logits, chosen = best_stops({10: right, 20: wrong}, labels, np.array([0, 0, 1, 1]))
    assert chosen == [10, 10]
    assert (logits.argmax(axis=1) == labels).all()


def test_photos_that_cannot_be_parted_are_scored_at_the_last_stop() -> None:
    labels = np.array([0, 1])
    right, wrong = logits_for([0, 1]), logits_for([1, 0])
    logits, chosen = best_stops({10: right, 20: wrong}, labels, np.zeros(2, int))
    assert chosen == [20]
    assert (logits == wrong).all()


def test_a_run_stops_once_the_held_out_loss_has_not_fallen_for_long() -> None:
    labels = np.array([0, 1])
    good, bad = logits_for([0, 1]), logits_for([1, 0])
    halves, together = np.array([0, 1]), np.array([0, 0])
    assert not stop_early({}, labels, halves, 2)
    assert not stop_early({1: bad, 2: good, 3: bad}, labels, halves, 2)
    assert stop_early({1: bad, 2: good, 3: bad, 4: bad}, labels, halves, 2)
    assert not stop_early({1: bad, 2: good, 3: bad, 4: bad}, labels, together, 2)


def test_a_run_goes_on_while_either_half_gains() -> None:
    labels, halves = np.array([0, 1]), np.array([0, 1])
    both, first = logits_for([0, 1]), logits_for([0, 0])
    watched = {1: both, 2: first * 2, 3: both / 2}
    assert not stop_early(watched, labels, halves, 2)
    assert best_stops(watched, labels, halves, 2)[1] == [1, 2]
    later = {**watched, 4: both * 3}  # best of all, but behind the end of the second half's patience
    assert best_stops(later, labels, halves, 2)[1] == [1, 4]


def test_a_photo_s_own_label_does_not_even_choose_when_its_run_ends() -> None:
    """Runs are watched, ended and scored with some labels of a half changed: its stop stays what it was."""
    rng, halves = np.random.default_rng(0), np.arange(8) % 2
    ended = 0
    for _ in range(200):
        all_stops = {step: rng.normal(0, 2, (8, 3)) for step in range(1, 7)}
        labels = rng.integers(0, 3, 8)
        other = labels.copy()
        other[halves == 0] = rng.integers(0, 3, 4)
        stops, lengths = [], []
        for own in (labels, other):
            watched: dict[int, np.ndarray] = {}
            for step, logits in all_stops.items():
                if stop_early(watched, own, halves):
                    break
                watched[step] = logits
            stops.append(best_stops(watched, own, halves)[1][0])
            lengths.append(len(watched))
        assert stops[0] == stops[1]
        ended += lengths[0] != lengths[1]
    assert ended > 10
