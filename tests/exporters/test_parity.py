"""An export is compared with the original on photos that can tell, or it is not kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from handful.classifier import Classifier
from handful.errors import ExportError
from handful.exporters.parity import Parity, compare, photos_to_compare


@pytest.fixture(scope="module")
def classifier(trained_once: Path) -> Classifier:
    return Classifier.load(trained_once)


@pytest.fixture(scope="module")
def pixels(classifier: Classifier) -> list[np.ndarray]:
    return photos_to_compare(classifier, None)


def answer(classifier: Classifier, batch: np.ndarray) -> np.ndarray:
    return classifier.probabilities_of(classifier.engine.run(batch))


def compared(classifier: Classifier, pixels: list[np.ndarray], change: float = 0.0) -> Parity:
    """Compare with an export whose every probability is off by `change`."""
    return compare(
        classifier, lambda batch: answer(classifier, batch) + np.float32(change), pixels,
        format="made up", file=Path("x"), tolerance=1e-4,
    )  # fmt: skip


def test_training_photos_from_all_over_the_set_are_compared(
    classifier: Classifier, pixels: list[np.ndarray]
) -> None:
    assert len(pixels) == 16
    assert {p.shape for p in pixels} == {(144, 144, 3)}
    assert {int(p.mean(axis=(0, 1)).argmax()) for p in pixels} == {0, 1, 2}  # red, green and blue ones


def test_photos_of_a_folder_are_taken_when_one_is_given(classifier: Classifier, colours: Path) -> None:
    assert len(photos_to_compare(classifier, colours / "red")) == 10


@pytest.mark.parametrize("content", [None, "no photo"])
def test_a_folder_without_a_readable_photo_is_refused(
    content: str | None, classifier: Classifier, tmp_path: Path
) -> None:
    if content:
        (tmp_path / "x.png").write_text(content)
    with pytest.raises(ExportError, match=r"none could be read from .*Give some with --photos FOLDER"):
        photos_to_compare(classifier, tmp_path)


def test_the_same_answers_agree(classifier: Classifier, pixels: list[np.ndarray]) -> None:
    found = compared(classifier, pixels)
    assert found == Parity("made up", "x", 16, 0.0, 1e-4, 1.0)


@pytest.mark.parametrize("change", [2e-4, -2e-4, np.nan, np.inf])
def test_answers_that_differ_are_refused(
    change: float, classifier: Classifier, pixels: list[np.ndarray]
) -> None:
    with pytest.raises(ExportError, match=r"made up export differs .* 0\.0001 is allowed. It was not kept"):
        compared(classifier, pixels, change)


def test_one_photo_that_differs_is_enough(classifier: Classifier, pixels: list[np.ndarray]) -> None:
    def wrong_once(batch: np.ndarray) -> np.ndarray:
        right = answer(classifier, batch)
        return np.roll(right, 1, axis=1) if np.array_equal(batch[0], pixels[7]) else right

    with pytest.raises(ExportError, match="differs"):
        compare(classifier, wrong_once, pixels, format="x", file=Path("x"), tolerance=1e-4)


def test_a_model_that_answers_the_same_for_all_photos_proves_nothing(
    classifier: Classifier, pixels: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = classifier.engine
    monkeypatch.setattr(engine, "run", lambda batch: np.ones((1, engine.feature_dim), dtype=np.float32))
    with pytest.raises(ExportError, match="same probabilities for all 16 photos"):
        compared(classifier, pixels)


def test_copies_of_one_photo_may_have_the_same_answer(
    classifier: Classifier, pixels: list[np.ndarray]
) -> None:
    assert compared(classifier, [pixels[0]] * 3).photos == 3
