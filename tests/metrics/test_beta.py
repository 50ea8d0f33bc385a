"""Quantiles of the beta distribution against closed forms and another library."""

from __future__ import annotations

import pytest
from scipy.special import betaincinv

from handful.metrics.beta import beta_quantile, beta_share


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
@pytest.mark.parametrize("a", [0.3, 1.0, 7.5, 400.0])
def test_with_one_parameter_one_it_is_a_root(share: float, a: float) -> None:
    assert beta_quantile(share, a, 1) == pytest.approx(share ** (1 / a), abs=1e-12)
    assert beta_quantile(share, 1, a) == pytest.approx(1 - (1 - share) ** (1 / a), abs=1e-12)


@pytest.mark.parametrize("a", [0.2, 1.5, 30.0, 5000.0])
@pytest.mark.parametrize("b", [0.4, 2.5, 90.0, 20000.0])
def test_it_agrees_with_scipy(a: float, b: float) -> None:
    for share in (0.025, 0.975):
        assert beta_quantile(share, a, b) == pytest.approx(float(betaincinv(a, b, share)), abs=1e-11)


def test_the_share_below_the_quantile_is_what_was_asked_for() -> None:
    assert beta_share(beta_quantile(0.3, 3.3, 8.1), 3.3, 8.1) == pytest.approx(0.3)


def test_nothing_lies_below_zero_and_all_below_one() -> None:
    assert (beta_share(0, 2, 3), beta_share(1, 2, 3)) == (0, 1)
