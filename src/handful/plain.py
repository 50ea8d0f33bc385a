"""Values as JSON has them: what the card, the command line and the exports write."""

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
