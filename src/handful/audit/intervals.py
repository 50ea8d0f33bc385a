"""Intervals after repeated cross-validation, for the accuracy of the model that was fitted on all photos.

Three things set such an interval apart from that of a plain proportion, and each has a published remedy:

* Folds share training photos, and the delivered model is one draw of a training set. The variance of a score
  over J = R K folds is (1 / J + n_test / n_train) times that of one fold, not 1 / J times: Nadeau and Bengio
  2003, Machine Learning 52(3); for repeated folds Bouckaert and Frank 2004, PAKDD.
* Near 0 and 1, and with few photos, the normal limits fail. The variance is turned into an effective number
  of independent trials, whose exact limits are taken: Korn and Graubard 1998, Survey Methodology 24(2).
* Folds train on fewer photos than the delivered model, so scores are pessimistic. Nested cross-validation
  says by how much: Bates, Hastie and Tibshirani 2024, JASA 119(546), arXiv 2104.00673. Only the upper limit
  is moved by it: the correction is itself noisy, and on the whole brings the estimate no closer to the truth.

benchmarks/trust_coverage.py measures how often these intervals hold the truth.
"""

from __future__ import annotations

import numpy as np

from handful.metrics.intervals import Interval, exact_interval

_TINY = 1e-12


def effective_trials(independent: float, folds: int, repeats: int) -> float:
    """How many independent trials tell as much as R repeats of K folds over so many photos.

    With the binomial variance K share (1 - share) / n of one fold's score, n_test / n_train = 1 / (K - 1)
    and J = R K, the variance of Nadeau and Bengio is share (1 - share) / n times 1 / R + K / (K - 1).

    Args:
        independent: photos, or independent units of them; any number above 0.
        folds: K, at least 2.
        repeats: R, at least 1.
    """
    return independent / (1 / repeats + folds / (folds - 1))


def cross_validated_interval(share: float, gain: float, trials: float) -> Interval:
    """95 % interval of the delivered model's share of right answers.

    Args:
        share: mean over the repeats, in [0, 1].
        gain: what training on all photos is expected to add, see `gain_from_all`; a loss counts as none.
        trials: see `effective_trials`.
    """
    hoped = min(1.0, share + max(gain, 0.0))
    return Interval(share, exact_interval(share, trials).low, exact_interval(hoped, trials).high)


def gain_from_all(right: np.ndarray, nested: np.ndarray, folds: int) -> np.ndarray:
    """What each photo's score is expected to gain when training on all photos rather than all folds but one.

    The step from K - 2 to K - 1 folds is measured, photo by photo; the step from there to all K is
    (K - 2) / K of it where error falls as one over the number of photos.

    Args:
        right: float (n,), the score of each photo under the fit without its fold.
        nested: float (K, n), under the fits without its fold and one more; nan where there is none.
        folds: K.

    Returns:
        float (n,); nan where no nested fit can tell.

    Source: the bias estimate of Bates, Hastie and Tibshirani 2024, arXiv 2104.00673.
    """
    told = np.isfinite(nested)
    number = told.sum(axis=0)
    mean = np.where(told, nested, 0).sum(axis=0) / np.maximum(number, 1)
    return np.where(number > 0, (right - mean) * (folds - 2) / folds, np.nan)


def balanced_units(recalls: np.ndarray, units: np.ndarray) -> float:
    """How many photos, drawn from classes of one size, tell the mean recall as well as these.

    The smaller of two answers: by the classes' sizes alone, k^2 / sum(1 / n_c), and by their variances,
    share (1 - share) / Var, which is smaller where small classes are the ones that are hard.

    Args:
        recalls: float (k,), of classes that have photos.
        units: float (k,), independent photos of each, above 0.

    Source: Kish 1965, Survey Sampling, section 11.7, for the first.
    """
    k = len(recalls)
    by_size = k**2 / float((1 / units).sum())
    share = float(recalls.mean())
    variance = float((recalls * (1 - recalls) / units).sum()) / k**2
    if variance < _TINY:
        return by_size
    return min(by_size, share * (1 - share) / variance)
