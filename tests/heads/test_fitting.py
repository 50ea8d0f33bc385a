"""The head: converged, chosen without the rows it is scored on, and honest about too little data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from handful.config import DEFAULT_PENALTY, PENALTIES
from handful.errors import DataError
from handful.heads.fitting import FittedHead, cross_fit, fit_head
from handful.heads.span import into_span, out_of_span
from handful.metrics.scores import softmax


def draw(n: int, d: int, k: int, seed: int = 0, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 (n, d) around k centres, labels in turn."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % k
    centres = random.normal(size=(k, d))
    return (centres[labels] + noise * random.normal(size=(n, d))).astype(np.float32), labels


def fit(features: np.ndarray, labels: np.ndarray, folds: int = 4, **options: object) -> FittedHead:
    settings = {"penalties": PENALTIES, "default_penalty": DEFAULT_PENALTY, **options}
    fold_of = np.random.default_rng(1).permutation(len(labels)) % folds
    return fit_head(features, labels, fold_of, classes=int(labels.max()) + 1, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "d", "k"), [(60, 20, 3), (40, 200, 2), (90, 30, 9)])
def test_it_converges_to_the_solution_scikit_learn_finds(n: int, d: int, k: int) -> None:
    features, labels = draw(n, d, k)
    head = fit(features, labels)
    centred = features - features.mean(axis=0)
    scaled = centred / np.sqrt(np.mean(centred**2))
    other = LogisticRegression(C=1 / (head.penalty * n), tol=1e-8, max_iter=5000).fit(scaled, labels)
    expected = other.predict_proba(scaled)
    assert head.converged
    assert np.abs(softmax(features @ head.weights + head.bias) - expected).max() < 1e-3


def test_the_span_changes_no_prediction() -> None:
    features, _ = draw(30, 100, 3)
    span = into_span(features)
    coefficients = np.random.default_rng(0).normal(size=(span.rows.shape[1], 3))
    weights, bias = out_of_span(span, coefficients)
    inside = span.rows @ coefficients
    outside = features @ weights + bias
    assert (
        np.abs((inside - inside.mean(1, keepdims=True)) - (outside - outside.mean(1, keepdims=True))).max()
        < 1e-3
    )


@pytest.mark.parametrize("balanced", [False, True])
def test_out_of_fold_logits_of_a_fold_do_not_depend_on_its_labels(balanced: bool) -> None:
    features, labels = draw(48, 30, 3)
    labels[:9] = 0  # unbalanced
    folds = np.arange(48) // 3 % 4
    changed = labels.copy()
    inside = folds == 2
    changed[inside] = (changed[inside] + 1) % 3
    one, other = (
        fit_head(
            features,
            y,
            folds,
            classes=3,
            penalties=PENALTIES,
            default_penalty=DEFAULT_PENALTY,
            balanced=balanced,
        )
        for y in (labels, changed)
    )
    assert one.fold_penalties[2] == other.fold_penalties[2]
    assert np.abs(one.out_of_fold_logits[inside] - other.out_of_fold_logits[inside]).max() < 1e-3
    assert np.abs(one.out_of_fold_logits[~inside] - other.out_of_fold_logits[~inside]).max() > 0.1


def test_out_of_fold_logits_do_not_depend_on_another_row_left_out_with_them() -> None:
    features, labels = draw(48, 30, 3)
    folds = np.arange(48) // 3 % 4
    inside = np.flatnonzero(folds == 2)
    changed = features.copy()
    changed[inside[0]] *= 20
    one, other = (
        fit_head(x, labels, folds, classes=3, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY)
        for x in (features, changed)
    )
    first, second = (softmax(head.out_of_fold_logits[inside[1:]]) for head in (one, other))
    assert one.fold_penalties[2] == other.fold_penalties[2]
    assert np.abs(first - second).max() < 1e-2  # to what scored fits converge


def test_each_fold_is_predicted_by_a_fit_without_it() -> None:
    features, labels = draw(45, 10, 3)
    folds = np.arange(45) // 3 % 5
    head = fit_head(features, labels, folds, classes=3, penalties=(0.5,), default_penalty=0.5)
    rest = folds != 3
    centred = features - features.mean(axis=0)
    scaled = centred / np.sqrt(np.mean(centred**2))
    other = LogisticRegression(C=1 / (0.5 * rest.sum()), tol=1e-8, max_iter=5000).fit(
        scaled[rest], labels[rest]
    )
    expected = other.predict_proba(scaled[~rest])
    assert np.abs(softmax(head.out_of_fold_logits[~rest]) - expected).max() < 1e-3


def test_cross_fitting_alone_gives_what_fitting_the_head_gives() -> None:
    features, labels = draw(48, 30, 3)
    folds = np.arange(48) // 3 % 4
    how = {"classes": 3, "penalties": PENALTIES, "default_penalty": DEFAULT_PENALTY, "balanced": True}
    head, alone = fit_head(features, labels, folds, **how), cross_fit(features, labels, folds, **how)
    assert np.array_equal(head.out_of_fold_logits, alone.logits)
    assert np.array_equal(head.cross_fitted.nested, alone.nested)
    assert np.array_equal(head.fold_penalties, alone.penalties)
    assert np.array_equal(head.folds, folds)


def test_nested_predictions_come_from_fits_without_either_fold() -> None:
    features, labels = draw(45, 10, 3, noise=3.0)
    folds = np.random.default_rng(0).permutation(45) % 5
    found = cross_fit(features, labels, folds, classes=3, penalties=(0.5,), default_penalty=0.5)
    centred = features - features.mean(axis=0)
    scaled = centred / np.sqrt(np.mean(centred**2))
    for outer in range(5):
        assert (found.nested[outer, folds == outer] == -1).all()
        for inner in set(range(5)) - {outer}:
            rest, inside = ~np.isin(folds, (outer, inner)), folds == inner
            other = LogisticRegression(C=1 / (0.5 * rest.sum()), tol=1e-8, max_iter=5000)
            expected = other.fit(scaled[rest], labels[rest]).predict(scaled[inside])
            # Fits that only choose a penalty stop a little early: a photo on the edge may fall either way.
            assert (found.nested[outer, inside] == expected).mean() >= 8 / 9


def test_a_nested_fit_says_nothing_of_a_class_it_never_saw() -> None:
    features, labels = draw(40, 20, 2)
    labels[:] = 0
    labels[[0, 1]] = 1
    folds = np.arange(40) % 4
    found = cross_fit(
        features, labels, folds, classes=2, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY
    )
    assert found.nested[1, 0] == found.nested[0, 1] == -1
    assert found.nested[2, 0] >= 0
    assert (found.nested[0, folds == 1][1:] >= 0).all()


def test_labels_drawn_at_random_score_no_better_than_chance() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(200, 400)).astype(np.float32)
    labels = np.arange(200) % 2
    head = fit(features, labels, folds=5)
    right = (head.out_of_fold_logits.argmax(axis=1) == labels).mean()
    assert 0.38 < right < 0.62  # five standard deviations would be 0.18
    assert (
        softmax(features @ head.weights + head.bias).argmax(axis=1) == labels
    ).mean() > 0.65  # fitted rows


def test_two_photos_a_class_work_with_the_default_penalty() -> None:
    features, labels = draw(6, 50, 3, noise=0.1)
    folds = np.array([0, 0, 0, 1, 1, 1])
    head = fit_head(features, labels, folds, classes=3, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY)
    assert not head.chosen
    assert head.penalty == DEFAULT_PENALTY
    assert (head.out_of_fold_logits.argmax(axis=1) == labels).all()


def test_a_class_of_two_among_large_ones_does_not_break_the_choice() -> None:
    features, labels = draw(62, 20, 3)
    keep = np.concatenate([np.flatnonzero(labels < 2), np.flatnonzero(labels == 2)[:2]])
    features, labels = features[keep], labels[keep]
    folds = np.arange(len(labels)) // 2 % 5
    folds[labels == 2] = [0, 1]
    head = fit_head(features, labels, folds, classes=3, penalties=PENALTIES, default_penalty=DEFAULT_PENALTY)
    assert head.chosen
    assert np.isfinite(head.out_of_fold_logits).all()
    assert all(np.isfinite(loss) for loss in head.losses.values())


def test_balanced_classes_weigh_the_same_as_copies_that_balance_them() -> None:
    features, labels = draw(40, 8, 2)
    keep = np.flatnonzero((labels == 0) | (np.arange(40) % 4 == 1))  # 20 of one class, 10 of the other
    features, labels = features[keep], labels[keep]
    folds = np.arange(len(labels)) // 3 % 3
    twice = np.concatenate([np.arange(len(labels)), np.flatnonzero(labels == 1)])
    options = {"classes": 2, "penalties": (0.1,), "default_penalty": 0.1}
    one = fit_head(features, labels, folds, balanced=True, **options)
    other = fit_head(features[twice], labels[twice], folds[twice], **options)
    # The two have other means, by which the unit of the penalty moves a little.
    apart = softmax(features @ one.weights + one.bias) - softmax(features @ other.weights + other.bias)
    assert np.abs(apart).max() < 0.02


def test_the_same_input_gives_the_same_bits() -> None:
    features, labels = draw(80, 40, 4)
    one, other = fit(features, labels), fit(features, labels)
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(one.out_of_fold_logits, other.out_of_fold_logits)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y, f: (x[:-1], y, f), "one label and one fold per row"),
        (lambda x, y, f: (x, np.where(y == 1, 0, y), f), r"Classes \[1\] of 3 have no photo"),
        (lambda x, y, f: (np.where(x > 3, np.nan, x), y, f), "not finite"),
    ],
)
def test_bad_input_is_refused_in_words(change: object, words: str) -> None:
    features, labels = draw(30, 8, 3, noise=3)
    arguments = change(features, labels, np.arange(30) // 3 % 3)  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        fit_head(*arguments, classes=3, penalties=(1.0,), default_penalty=1.0)
