"""Values as JSON has them, and shares as people read them."""

from __future__ import annotations

import math
from typing import Any

from handful.errors import Problem


def finite(value: Any) -> Any:
    """Replace nan and infinity, for which JSON has no word, by None, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def problem_entry(problem: Problem) -> dict[str, str]:
    """A finding as {"severity", "file", "what", "fix"}."""
    return {"severity": problem.severity, "file": problem.file, "what": problem.what, "fix": problem.fix}


def percent(share: float, digits: int = 1) -> str:
    """Word a share in [0, 1]; what is not all is never rounded up to 100 %, nor what is something to 0."""
    shown = f"{100 * share:.{digits}f}"
    edge = 10**-digits if digits else 1
    if share < 1 and float(shown) == 100:
        return f"over {100 - edge:.{digits}f} %"
    if share > 0 and float(shown) == 0:
        return f"under {edge:.{digits}f} %"
    return f"{shown} %"
