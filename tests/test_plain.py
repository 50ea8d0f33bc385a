"""Plain values: JSON without nan, and shares that are never rounded up to all."""

from __future__ import annotations

import math

import pytest

from handful.errors import Problem
from handful.plain import finite, percent, problem_entry


@pytest.mark.parametrize(
    ("share", "digits", "shown"),
    [
        (1.0, 1, "100.0 %"),
        (0.9999, 1, "over 99.9 %"),
        (0.997, 0, "over 99 %"),
        (0.5, 0, "50 %"),
        (0.954, 1, "95.4 %"),
        (0.0, 1, "0.0 %"),
        (0.0001, 1, "under 0.1 %"),
    ],
)
def test_a_share_is_never_rounded_up_to_all_nor_down_to_nothing(
    share: float, digits: int, shown: str
) -> None:
    assert percent(share, digits) == shown


def test_nan_and_infinity_become_none_at_any_depth() -> None:
    assert finite({"a": [1.0, math.nan, (math.inf, "x")]}) == {"a": [1.0, None, [None, "x"]]}


def test_a_finding_is_four_words() -> None:
    assert problem_entry(Problem("note", "a.jpg", "w", "f")) == {
        "severity": "note", "file": "a.jpg", "what": "w", "fix": "f",
    }  # fmt: skip
