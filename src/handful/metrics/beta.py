"""Quantiles of the beta distribution, which exact limits of proportions are made of; SciPy is not needed."""

from __future__ import annotations

import math

_HALVINGS = 60  # of [0, 1]: closer than rounding
_MOST_TERMS = 10_000
_TINY = 1e-300


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x in [0, 1] below which a share of the beta distribution lies, to 1e-12.

    Args:
        share: between 0 and 1.
        a: positive.
        b: positive.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_share(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function: the share of the beta distribution below x in [0, 1].

    Source: the continued fraction of DLMF 8.17.22 (https://dlmf.nist.gov/8.17.E22), on the side where it
    converges fast, evaluated by Lentz's method (Press et al. 2007, Numerical Recipes, section 6.4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1 / (1 + d2 / (1 + ...)) of the continued fraction."""
    whole, upper, lower = 1.0, 1.0, 0.0
    for term in range(1, _MOST_TERMS):
        part = _part(term, x, a, b)
        lower = 1 / _apart(1 + part * lower)
        upper = _apart(1 + part / upper)
        whole *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return whole


def _part(term: int, x: float, a: float, b: float) -> float:
    m = term // 2
    if term % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _apart(value: float) -> float:
    """Keep a divisor away from zero."""
    return value if abs(value) > _TINY else _TINY
