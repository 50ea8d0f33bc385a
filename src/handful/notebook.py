"""How a result shows itself in a notebook: a small table, all text escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from handful.metrics.intervals import Interval


def table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """An HTML table of two columns under a title."""
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows
    )
    return f"<table><caption>{escape(title)}</caption>{lines}</table>"


def interval_text(score: dict[str, Any]) -> str:
    """Word a score {"value", "low", "high"} as the card has it; None stands for not measured."""
    return str(Interval(**{key: math.nan if value is None else value for key, value in score.items()}))


def _state(card: dict[str, Any]) -> str:
    return "fine-tuned" if "tuned" in card["network"] else "frozen"


def classifier_html(card: dict[str, Any]) -> str:
    """Show a trained model: classes, backbone, photos, scores of every set that was scored."""
    rows = [
        ("classes", ", ".join(card["classes"])),
        ("backbone", f"{card['backbone']['name']}, {_state(card)}"),
        ("photos", str(card["data"]["photos"])),
    ]
    if skipped := card["data"].get("skipped", 0):
        rows.append(("photos left out", f"{skipped}, listed in card['data']['problems']"))
    rows += [("note", str(warning)) for warning in card.get("warnings", [])]
    for name, scores in card.get("scores", {}).items():
        what = name.replace("_", "-")
        rows.append((f"accuracy, {what}, n = {scores['n']}", interval_text(scores["accuracy"])))
        rows.append((f"balanced accuracy, {what}", interval_text(scores["balanced_accuracy"])))
    return table("Handful classifier", rows)
