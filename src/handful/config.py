"""TrainConfig, and every default that depends on the data, as pure functions.

Each rule carries its reason and the measurement behind it; docs/benchmarks.md says how to repeat them.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import ConfigError, Problem

EFFORTS = ("quick", "standard", "thorough")
CLASS_WEIGHTS = ("none", "balanced")
ENGINES = ("auto", "litert", "keras")
PREPROCESSINGS = ("inside", "tf", "caffe", "torch", "unit")

# Strong to weak, in units of the mean cross-entropy on features of root mean square one; half a power of ten
# apart, wide enough that the choice lies inside. Weaker ones are only tried while they help.
PENALTIES = tuple(float(penalty) for penalty in np.logspace(1.5, -4.0, 12).round(6))

# Where too few photos are there to choose (two of a class): in the middle of what is chosen elsewhere.
DEFAULT_PENALTY = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are meant to be right.

    Attributes:
        backbone: a name of the catalogue ("mobilenet_v2"), "auto", "embedded", or the path of a network
            file. Change it when accuracy matters more than speed, or for photos unlike ImageNet's.
        architecture: catalogue name that a weights-only file belongs to.
        preprocessing: "inside", "tf", "caffe", "torch" or "unit", for a file that does not hold it.
        size: side of the square of pixels the network sees; None is what it was trained with. Smaller is
            faster and sees less detail.
        folds: for cross-validation; None lets `default_folds` decide.
        class_weight: "balanced" counts each class alike, "none" each photo. A penalised fit leans towards
            large classes: on unbalanced draws of hand_digits and ants_bees (5:1 to 20:1) balancing raised
            balanced accuracy by 3 to 15 points and cost no accuracy even on test photos that are as
            unbalanced as the training (benchmarks/class_weight.py).
        effort: "quick" learns the head alone; "standard" then measures whether fine-tuning the last stage of
            the network pays, and fine-tunes where it does; "thorough" looks at every photo, at more depths
            and more views.
        group_by: a pattern for file names whose bracket says what belongs together ("plant_(\\d+)"): such
            photos are never on both sides of a fold.
        burst: keep photos together that one camera took within so many seconds.
        fix: path of a table of corrected labels; the photos themselves are never touched.
        flip: whether fine-tuning may mirror photos; None measures it on the frozen head.
        rotate: whether fine-tuning may turn photos by some degrees. Off where that changes the class.
        colour: whether fine-tuning may change light and colour. Off where the colour is the class.
        crop: whether fine-tuning may cut photos, never below 60 % of the area. Off where the edge matters.
        engine: "litert", "keras", or "auto": LiteRT on a CPU and wherever the network is converted already;
            Keras on a GPU that TensorFlow can use, and where LiteRT is missing.
        allow_bad: go on although more than a fifth of the photos cannot be read.
        seed: decides the folds; the same seed gives the same result.
        workers: threads that decode and run the network; None is one per core.
    """

    backbone: str = "auto"
    architecture: str | None = None
    preprocessing: str | None = None
    size: int | None = None
    folds: int | None = None
    class_weight: str = "balanced"
    effort: str = "standard"
    group_by: str | None = None
    burst: float | None = None
    fix: str | None = None
    flip: bool | None = None
    rotate: bool = True
    colour: bool = True
    crop: bool = True
    engine: str = "auto"
    allow_bad: bool = False
    seed: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.backbone, os.PathLike):  # taken from Python callers; the card holds text
            object.__setattr__(self, "backbone", os.fspath(self.backbone))
        problems = [problem for problem in _findings(self) if problem]
        if problems:
            lines = "\n".join(f"  {problem.file}: {problem.what}. {problem.fix}" for problem in problems)
            many = "1 setting" if len(problems) == 1 else f"{len(problems)} settings"
            raise ConfigError(f"{many} cannot be used:\n{lines}", problems)

    def as_dict(self) -> dict[str, Any]:
        """All settings as plain values, for the card."""
        return asdict(self)


def with_settings(config: TrainConfig | None, settings: dict[str, Any]) -> TrainConfig:
    """Return `config` with some fields replaced.

    Raises:
        ConfigError: a setting has no such name.
    """
    known = {field.name for field in fields(TrainConfig)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(f"Unknown settings {unknown}. There are: {', '.join(sorted(known))}.")
    return TrainConfig(**{**(config or TrainConfig()).as_dict(), **settings})


def _findings(config: TrainConfig) -> list[Problem | None]:
    return [
        _named("backbone", config.backbone),
        _one_of("effort", config.effort, EFFORTS),
        _one_of("class_weight", config.class_weight, CLASS_WEIGHTS),
        _one_of("engine", config.engine, ENGINES),
        _one_of("preprocessing", config.preprocessing, (None, *PREPROCESSINGS)),
        _at_least("folds", config.folds, 2),
        _within("size", config.size, 32, 1024),
        _at_least("workers", config.workers, 1),
        _at_least("seed", config.seed, 0, optional=False),
        *(_yes_or_no(name, getattr(config, name)) for name in ("flip", "rotate", "colour", "crop")),
    ]


def _named(name: str, value: object) -> Problem | None:
    if isinstance(value, str) and value:
        return None
    return Problem("error", name, f"received {value!r}", "Give a name of the catalogue, or a path")


def _yes_or_no(name: str, value: object) -> Problem | None:
    if isinstance(value, bool) or (value is None and name == "flip"):
        return None
    return Problem("error", name, f"received {value!r}", "Give True or False")


def _one_of(name: str, value: str | None, allowed: tuple[str | None, ...]) -> Problem | None:
    if value in allowed:
        return None
    choices = ", ".join(str(choice) for choice in allowed if choice)
    return Problem("error", name, f"received {value!r}", f"Choose one of: {choices}")


def _within(name: str, value: object, least: int, most: int) -> Problem | None:
    """As `_at_least`, and no more than `most`: pixels beyond what any backbone was made for cost memory."""
    found = _at_least(name, value, least)
    if found is None and isinstance(value, int) and value > most:
        return Problem("error", name, f"received {value}", f"Give a whole number from {least} to {most}")
    return found


def _at_least(name: str, value: object, least: int, *, optional: bool = True) -> Problem | None:
    if value is None and optional:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return None
    return Problem("error", name, f"received {value!r}", f"Give a whole number from {least} up")


def default_folds(labels: np.ndarray, groups: np.ndarray) -> int:
    """How many folds for labels int (n,) in groups int (n,) that stay together.

    Ten up to 400 photos: each fold then trains on 90 % of them, and the estimate is less pessimistic;
    beyond that five, since pairs of folds cost K (K - 1) / 2 fits. Never
    more folds than the class with most groups can fill.
    """
    apart = np.unique(np.stack([labels, groups]), axis=1)[0]
    wanted = 10 if len(labels) <= 400 else 5
    return int(max(2, min(wanted, np.bincount(apart).max())))


def default_repeats(photos: int) -> int:
    """How often to cross-validate on other folds: less often the more photos there are.

    Each further repeat narrows the interval a little and costs as much as the first; with many photos it
    costs most, and what it narrows is narrow already. benchmarks/trust_coverage.py tells what it comes to.
    """
    for most, repeats in ((200, 5), (1000, 3), (3000, 2)):
        if photos <= most:
            return repeats
    return 1


@dataclass(frozen=True)
class Recipe:
    """How the top of a network is trained; docs/fine-tuning.md has the accuracies behind the defaults.

    Attributes:
        steps: of AdamW, of `batch` views each.
        batch: views in a step. Batch-norm is frozen, so small ones do no harm, and more steps do good.
        rate: largest learning rate, of the head and the last block; at 3e-4 so few steps do not arrive.
        depth_share: factor on the rate for each block further down: what lies deeper is more general.
        warm_up: share of the steps in which the rate rises; afterwards it falls along half a cosine to zero.
        decay: decoupled weight decay, of kernels alone.
        smoothing: share of each label spread over all classes.
        views: views of each photo that are kept, the plain one included.
    """

    steps: int
    batch: int = 16
    rate: float = 1e-3
    depth_share: float = 0.9
    warm_up: float = 0.1
    decay: float = 0.01
    smoothing: float = 0.05
    views: int = 4


def tuning_recipe(photos: int, effort: str) -> Recipe:
    """The recipe for so many training photos, in steps and not in epochs.

    The idea is BiT-HyperRule's (Kolesnikov et al. 2020, arXiv 1912.11370, section 3.3): the schedule's length
    depends on the amount of data alone. Three quarters of a step of 16 for each photo show each one twelve
    times: on 200 photos of hand_digits, at this rate, 150 steps of 16 with a longer warm-up and 8 views gave
    96.5 %, 100 of 32 gave 94.5 to 96.8 %, 50 of 32 92.2 %; the recipe as it stands was measured on another
    split, 97.0 % (docs/fine-tuning.md). At least 60, as Adam's first steps are its worst; at most 1,500,
    which 2,000 photos reach: the more there are, the less often each has to come. Four views take half the
    time of eight, whose accuracies lie within the noise of the best with four.

    Args:
        photos: trained on.
        effort: of the training; "thorough" takes twice as many views.
    """
    steps = int(np.clip(round(0.75 * photos), 60, 1500))
    return Recipe(steps=steps, views=8 if effort == "thorough" else 4)


def tuning_depths(effort: str) -> int:
    """How many cuts are tried at most, each below the one before, while the one before was worth it."""
    return 4 if effort == "thorough" else 2


TUNING_ROUNDS = 3  # of held-out photos, a third of all in each
FEWEST_TO_TUNE = 20  # photos: with fewer, a third held out is a handful and tells nothing
_ROOM = 2 * 2**30  # bytes of values kept at a cut
_SHARE_OF_DISK = 0.5  # of what is free


def room_for_views(photos: int, wanted: int, values: int, free: int) -> tuple[int, int]:
    """How the values at a cut are kept.

    Args:
        photos: how many.
        wanted: views of each.
        values: numbers for each view.
        free: bytes free on the disk.

    Returns:
        (views, bytes of each number): all views in 4 bytes where they fit, else in 2, else fewer views;
        (0, 2) where not even the plain view and one more fit.
    """
    room = min(_ROOM, _SHARE_OF_DISK * free)
    for size in (4, 2):
        if photos * wanted * values * size <= room:
            return wanted, size
    views = int(room // (photos * values * 2))
    return (views, 2) if views >= 2 else (0, 2)


def default_workers() -> int:
    """One thread per core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cache_folder() -> Path:
    """Where features and converted networks are kept: HANDFUL_CACHE, or the user's cache folder.

    Raises:
        ConfigError: HANDFUL_CACHE is not set, and this user has no home folder.
    """
    chosen = os.environ.get("HANDFUL_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("handful", appauthor=False)
    except RuntimeError:  # pathlib finds no home
        folder = Path("~")
    if folder.parts[0].startswith("~"):  # os.path leaves it as it is
        raise ConfigError(
            "There is no place for the cache: this user has no home folder here. "
            "Set HANDFUL_CACHE to a folder that can be written to."
        )
    return folder
