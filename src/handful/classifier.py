"""Classifier: open a trained folder and predict. Runs on LiteRT and NumPy; TensorFlow is not imported."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handful.artefact import Artefact, copy_artefact, read_artefact, read_strangers
from handful.audit.conformal import classes_in_sets
from handful.audit.strangers import Strangers
from handful.config import default_workers
from handful.data import images
from handful.data.layout import NOT_OPENED
from handful.data.listing import photos_under
from handful.data.names import counted, printable
from handful.engines.base import Engine
from handful.engines.registry import open_network
from handful.errors import DataError, ImageError, Problem
from handful.features.extract import Photo, stream
from handful.heads.apply import apply_head
from handful.notebook import classifier_html
from handful.plain import percent


@dataclass(frozen=True)
class Prediction:
    """What the model says about one photo.

    Attributes:
        file: the photo as it was named; "array" or "image" when it was no file.
        label: the most probable class.
        probability: of that class, in [0, 1].
        probabilities: of every class, in the model's class order; they sum to 1.
        among: the classes of a set that holds the truth as often as the card's "prediction_sets" says; may be
            empty. None where the model has no rule for sets.
        is_known: False for a photo that is probably of none of the classes. None where the model cannot tell.
    """

    file: str
    label: str
    probability: float
    probabilities: dict[str, float] = field(repr=False)
    among: tuple[str, ...] | None = field(repr=False, default=None)
    is_known: bool | None = field(repr=False, default=None)

    @property
    def abstains(self) -> bool:
        """Whether to rather say "unknown": it is a stranger or, where the model cannot tell, no class is
        probable enough to be in the set."""
        return not self.is_known if self.is_known is not None else self.among == ()

    def __str__(self) -> str:
        return f"{self.file}: {self.label} ({percent(self.probability)})"


class Classifier:
    """A trained model.

    `handful.train` returns one, `Classifier.load` opens one from a folder.

    Example:
        >>> classifier = Classifier.load("flowers.handful")  # doctest: +SKIP
        >>> classifier.predict("new.jpg").label              # doctest: +SKIP
        'daisy'
    """

    def __init__(self, artefact: Artefact, keep: tempfile.TemporaryDirectory[str] | None = None) -> None:
        self._artefact = artefact
        if (
            keep is not None
        ):  # a model trained without `out` lives in a temporary folder, as long as this object
            weakref.finalize(self, keep.cleanup)
        self._engine: Engine | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """Open a trained folder.

        Raises:
            ArtefactError: missing, damaged, or written by a newer Handful.
        """
        return cls(read_artefact(Path(folder)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self._artefact.classes

    @property
    def card(self) -> dict[str, Any]:
        """Everything recorded about the model: backbone, data, settings, scores, what was left out."""
        return self._artefact.card

    @property
    def folder(self) -> Path:
        """The folder this model was opened from."""
        return self._artefact.folder

    @property
    def artefact(self) -> Artefact:
        """The opened folder, for the rooms that read more than predictions from it."""
        return self._artefact

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder; an existing result is only replaced with `overwrite`."""
        copy_artefact(self._artefact, Path(folder), overwrite=overwrite)

    def predict(self, photos: Any) -> Any:
        """Classify photos.

        Args:
            photos: a path, the bytes of an image file, an array uint8 (h, w, 3), (h, w) or (h, w, 4), or a
                PIL image gives one `Prediction`; a folder, any iterable of these (a list, a generator, a
                column of a data frame), an array (n, h, w, 3), or a data frame with a column "path" gives
                a list.

        Raises:
            DataError: photos that cannot be read, all of them named; a folder without photos; or
                something that is no photo at all.
        """
        items = _as_list(photos)
        features = self._features(items)
        answers = [self._answer(_name(item), row) for item, row in zip(items, features, strict=True)]
        return answers[0] if _is_single(photos) else answers

    def predict_proba(self, photos: Any) -> np.ndarray:
        """Give probabilities float32 (n, k) whose rows sum to 1; takes and raises what `predict` does."""
        return self.probabilities_of(self._features(_as_list(photos)))

    def stream(
        self, photos: Iterable[Photo], *, workers: int | None = None
    ) -> Generator[tuple[Photo, Prediction | ImageError]]:
        """Yield each photo with its prediction or the reason why it was refused, in order, memory flat."""
        outcomes = stream(photos, self.engine, None, workers=workers or default_workers())
        for outcome in outcomes:
            if outcome.vector is None:
                assert outcome.refusal is not None  # the pass gives one or the other
                yield outcome.photo, outcome.refusal
            else:
                yield outcome.photo, self._answer(outcome.photo.name, outcome.vector)

    @property
    def engine(self) -> Engine:
        """The frozen network, opened on first use."""
        if self._engine is None:
            self._engine = open_network(self._artefact.network, self.card["network"])
        return self._engine

    def probabilities_of(self, features: np.ndarray) -> np.ndarray:
        """Apply the new layer: pooled features float32 (n, d) to probabilities float32 (n, k)."""
        return apply_head(features, self._artefact.weights, self._artefact.bias)

    def strangers_among(self, features: np.ndarray) -> np.ndarray | None:
        """Which photos are probably of none of the classes: features float32 (n, d) to bool (n,).

        None where the model cannot tell: it was fine-tuned, so that what the frozen network gave of its
        training photos is of no use; or all of them belong to one group.
        """
        if self._strangers is None:
            return None
        # The score is made for logits at temperature one; the delivered layer is divided by its own.
        wide = features.astype(np.float64) @ self._artefact.weights + self._artefact.bias
        return self._strangers.are_strangers(features, wide * self._audit("calibration", "temperature", 1.0))

    @property
    def tells_strangers(self) -> bool:
        """Whether `strangers_among` gives an answer."""
        return self._strangers is not None

    def sets_of(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Which classes are in the set of each photo: float (n, k) to bool (n, k); None without a rule."""
        least = self._audit("prediction_sets", "least_probability", None)
        return None if least is None else classes_in_sets(probabilities, least)

    @cached_property
    def _strangers(self) -> Strangers | None:
        arrays = read_strangers(self._artefact)
        return None if arrays is None else Strangers.from_arrays(arrays)

    def _audit(self, part: str, name: str, default: Any) -> Any:
        """A number of the card's "audit"; `default` in a card from before there was one."""
        found = self.card.get("audit", {}).get(part, {}).get(name, default)
        return found if isinstance(found, int | float) else default

    def _features(self, items: list[Any]) -> np.ndarray:
        step = self.engine.batch
        chunks = [items[start : start + step] for start in range(0, len(items), step)]
        with ThreadPoolExecutor(default_workers()) as pool:
            outcomes = [outcome for part in pool.map(self._vectors, chunks) for outcome in part]
        problems = [
            _problem(item, number, outcome)
            for number, (item, outcome) in enumerate(zip(items, outcomes, strict=True), start=1)
            if isinstance(outcome, ImageError)
        ]
        if problems:
            raise _refused(problems, len(items))
        if not outcomes:
            return np.empty((0, self.engine.feature_dim), dtype=np.float32)
        return np.stack([v for v in outcomes if isinstance(v, np.ndarray)])

    def _vectors(self, chunk: list[Any]) -> list[np.ndarray | ImageError]:
        """Pooled features float32 (d,) of each photo, or its refusal; only a chunk's pixels in memory."""
        found = [_pixels_or_refusal(item, self.engine.size) for item in chunk]
        pixels = [one for one in found if isinstance(one, np.ndarray)]
        vectors = iter(self.engine.run(np.stack(pixels)) if pixels else ())
        return [next(vectors) if isinstance(one, np.ndarray) else one for one in found]

    def _answer(self, file: str, features: np.ndarray) -> Prediction:
        row = self.probabilities_of(features[None])[0]
        best = int(row.argmax())
        every = {name: float(p) for name, p in zip(self.classes, row, strict=True)}
        sets, strangers = self.sets_of(row[None]), self.strangers_among(features[None])
        return Prediction(
            file, self.classes[best], float(row[best]), every,
            among=None if sets is None else tuple(np.array(self.classes, object)[sets[0]]),
            is_known=None if strangers is None else not strangers[0],
        )  # fmt: skip

    def __repr__(self) -> str:
        told = [f"{len(self.classes)} classes on {self.card['backbone']['name']}"]
        scores = self.card["scores"].get("cross_validation", {})
        if (accuracy := scores.get("accuracy", {}).get("value")) is not None:
            told.append(f"cross-validated accuracy {percent(accuracy)} on {scores['n']} photos")
        if tuned := self.card["scores"].get("fine_tuned"):
            value = percent(tuned["accuracy"]["value"])
            told.append(f"fine-tuned since: {value} on {tuned['n']} photos held out")
        if skipped := self.card["data"].get("skipped", 0):
            told.append(f"{counted(skipped, 'photo')} left out")
        if warnings := self.card.get("warnings", []):
            told.append(f"{counted(len(warnings), 'warning')} in its card")
        return f"<Classifier of {', '.join(told)}>"

    def _repr_html_(self) -> str:
        return classifier_html(self.card)


def _is_single(photos: Any) -> bool:
    if isinstance(photos, str | Path):
        return not Path(photos).is_dir()
    if isinstance(photos, bytes | bytearray):
        return True
    if isinstance(photos, np.ndarray):
        return not _holds_photos(photos)
    return not isinstance(photos, Iterable)


def _holds_photos(array: np.ndarray) -> bool:
    """Whether an array is many photos, or a list of paths, rather than one photo."""
    return array.ndim > 3 or (array.ndim == 1 and array.dtype.kind in "OUT")


def _is_frame(photos: Any) -> bool:
    """Whether it is a data frame, by what it can do: pandas is never imported."""
    return hasattr(photos, "columns") and hasattr(photos, "itertuples")


def _as_list(photos: Any) -> list[Any]:
    if isinstance(photos, str | Path):
        return _photos_of(Path(photos)) if Path(photos).is_dir() else [photos]
    if _is_frame(photos):
        if "path" not in list(photos.columns):
            raise DataError(
                f"The data frame has columns {list(photos.columns)}. A column 'path' is needed: rename yours."
            )
        return [str(path) for path in photos["path"]]
    if isinstance(photos, Mapping):
        raise DataError(
            f"Photos were given as {type(photos).__name__}. Expected a path, the bytes of an image file, an "
            "array, a PIL image, or an iterable of these. Pass list(photos.values())."
        )
    return [photos] if _is_single(photos) else list(photos)


def _photos_of(folder: Path) -> list[Any]:
    """The photos below a folder.

    Raises:
        DataError: there are none, or a part of the folder cannot be opened.
    """
    paths, problems = photos_under([folder])
    barred = [problem for problem in problems if problem.what.startswith(NOT_OPENED)]
    if not paths or barred:
        lines = "".join(f"\n  {p.file}: {p.what}. {p.fix}" for p in problems if p.severity == "warning")
        raise DataError(f"The photos in {printable(str(folder))} cannot be classified:{lines}", problems)
    return paths


def _name(item: Any) -> str:
    if isinstance(item, str | Path):
        return str(item)
    if isinstance(item, bytes | bytearray):
        return "bytes"
    return "array" if isinstance(item, np.ndarray) else "image"


def _problem(item: Any, number: int, error: ImageError) -> Problem:
    name = error.name if isinstance(item, str | Path) else f"{error.name} (number {number})"
    return Problem("error", name, error.reason, error.fix)


def _refused(problems: list[Problem], asked: int) -> DataError:
    lines = "\n".join(f"  {p.file}: {p.what}. {p.fix}" for p in problems)
    many = "1 photo" if asked == 1 else f"{len(problems)} of {asked} photos"
    return DataError(f"{many} cannot be read:\n{lines}", problems)


def _pixels_or_refusal(item: Any, size: tuple[int, int]) -> np.ndarray | ImageError:
    try:
        return _pixels(item, size)
    except ImageError as error:
        return error


def _pixels(item: Any, size: tuple[int, int]) -> np.ndarray:
    if isinstance(item, str | Path):
        return images.load(Path(item), size).pixels
    if isinstance(item, bytes | bytearray):
        return images.decode(bytes(item), "bytes", size).pixels
    if isinstance(item, np.ndarray):
        return images.from_array(item, size=size).pixels
    if not hasattr(item, "getexif"):
        fix = "Pass a path, the bytes of an image file, an array uint8 (h, w, 3), or a PIL image."
        raise ImageError("image", f"is no photo but of type {type(item).__name__}", fix)
    return images.from_pil(item, size=size).pixels
