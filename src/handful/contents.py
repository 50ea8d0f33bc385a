"""What a trained folder holds: the names of its files, and whether a card has what opening needs."""

from __future__ import annotations

from typing import Any

CARD, CHECKSUMS, TABLE = "card.json", "checksums.json", "out_of_fold.csv"
WEIGHTS, BIAS = "weights.npy", "bias.npy"
LITERT_NETWORK = "backbone.tflite"
KERAS_NETWORK = "backbone.keras"
TUNED = "tuned.npz"
STRANGERS = "strangers.npz"
_ALWAYS = (CARD, WEIGHTS, BIAS, TABLE)


def checked_files(card: dict[str, Any]) -> tuple[str, ...]:
    """The files of a trained folder that have a checksum, as its card says."""
    network = card["network"]
    more = [network[name] for name in ("tuned", "strangers") if name in network]
    return (*_ALWAYS, network["file"], *more)


def all_files(card: dict[str, Any]) -> tuple[str, ...]:
    """Every file of a trained folder."""
    return (*checked_files(card), CHECKSUMS)


def is_sound(card: dict[str, Any]) -> bool:
    """Whether the fields that opening needs are there and of the right kind."""
    classes, network, data = card.get("classes"), card.get("network"), card.get("data")
    backbone = card.get("backbone")
    return (
        isinstance(classes, list)
        and len(classes) >= 2
        and all(isinstance(name, str) for name in classes)
        and len(set(classes)) == len(classes)
        and isinstance(network, dict)
        and network.get("file") in (LITERT_NETWORK, KERAS_NETWORK)
        and isinstance(network.get("feature_dim"), int)
        and network.get("tuned", TUNED) == TUNED
        and network.get("strangers", STRANGERS) == STRANGERS
        and [network.get("pooled_output"), network.get("map_output")] in ([0, 1], [1, 0])
        and isinstance(data, dict)
        and isinstance(data.get("root"), str | None)
        and isinstance(data.get("photos"), int)
        and isinstance(data.get("skipped", 0), int)
        and isinstance(card.get("warnings", []), list)
        and isinstance(backbone, dict)
        and isinstance(backbone.get("name"), str)
        and _is_size(backbone.get("size"))
        and isinstance(backbone.get("weights_sha256", ""), str)
        and _are_scores(card.get("scores"))
        and isinstance(card.get("settings"), dict)
        and _is_audit(card.get("audit", {}))
    )


def _are_scores(value: Any) -> bool:
    """Whether each set that was scored has its number of photos and two shares with their intervals."""
    return isinstance(value, dict) and all(
        isinstance(scores, dict)
        and isinstance(scores.get("n"), int)
        and all(_is_interval(scores.get(name)) for name in ("accuracy", "balanced_accuracy"))
        for scores in value.values()
    )


def _is_interval(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"value", "low", "high"}
        and all(isinstance(number, int | float | None) for number in value.values())
    )


def _is_audit(value: Any) -> bool:
    """Whether the parts that prediction reads are there as objects, if at all."""
    return isinstance(value, dict) and all(
        isinstance(value.get(part, {}), dict) for part in ("calibration", "prediction_sets")
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) for side in value)
