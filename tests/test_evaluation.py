"""A score is of photos the model has not seen, or says that it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from handful.classifier import Classifier
from handful.errors import ArtefactError, DataError
from handful.evaluation import evaluate, score
from handful.metrics.intervals import wilson
from handful.progress import Silent
from handful.telling import evaluation_lines

from .conftest import draw_colours, draw_noise


@pytest.fixture(scope="module")
def model(trained_once: Path) -> Classifier:
    return Classifier.load(trained_once)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Four new photos a class."""
    return draw_colours(tmp_path / "fresh", 4, first=500)


def test_new_photos_are_scored_with_a_row_for_each(model: Classifier, fresh: Path) -> None:
    speaker = Silent()
    result = evaluate(model, fresh, speaker=speaker)
    assert (result.scores.n, result.skipped, result.problems) == (12, 0, ())
    assert speaker.warnings == []
    assert result.classes == model.classes
    assert [row.file for row in result.photos][:2] == ["blue/blue_500.png", "blue/blue_501.png"]
    assert {row.label for row in result.photos} == set(model.classes)
    right = np.mean([row.label == row.predicted for row in result.photos])
    assert result.accuracy.value == right
    assert result.accuracy.low < right <= result.accuracy.high
    assert result.balanced_accuracy.value == pytest.approx(np.mean(np.diag(result.scores.confusion)) / 4)


def test_predictions_are_those_of_predict(model: Classifier, fresh: Path) -> None:
    rows = evaluate(model, fresh).photos
    for row in rows:
        answer = model.predict(fresh / row.file)
        assert (answer.label, answer.probability) == (row.predicted, row.probability)


def test_a_model_is_opened_from_its_folder(trained_once: Path, fresh: Path) -> None:
    assert evaluate(trained_once, fresh).scores.n == evaluate(str(trained_once), str(fresh)).scores.n == 12


def test_a_folder_that_is_no_model_is_refused(fresh: Path) -> None:
    with pytest.raises(ArtefactError, match="not a trained folder"):
        evaluate(fresh, fresh)


def test_an_unknown_class_is_named_with_the_nearest_known_one(model: Classifier, fresh: Path) -> None:
    (fresh / "red").rename(fresh / "reed")
    (fresh / "blue").rename(fresh / "zebra")
    with pytest.raises(DataError, match=r'reed: 4 photos .*does not know.*Did you mean "red"\?') as caught:
        evaluate(model, fresh)
    assert "zebra: 4 photos" in str(caught.value)
    assert "training" not in str(caught.value)


def test_one_class_alone_can_be_scored(model: Classifier, fresh: Path) -> None:
    shutil.rmtree(fresh / "blue")
    shutil.rmtree(fresh / "green")
    result = evaluate(model, fresh)
    assert result.scores.n == 4
    assert not [problem for problem in result.problems if problem.severity == "error"]
    assert all(np.isnan(share.value) for share in result.scores.recall[:2])
    assert result.balanced_accuracy.value == result.accuracy.value
    assert "4 photos" in result._repr_html_()


def test_photos_trained_on_are_left_out_with_a_warning(model: Classifier, fresh: Path, colours: Path) -> None:
    for number in range(3):  # under other names: content counts
        shutil.copy(colours / "red" / f"red_00{number}.png", fresh / "red" / f"known{number}.png")
    speaker = Silent()
    result = evaluate(model, fresh, speaker=speaker)
    assert (result.scores.n, result.skipped, result.trained_on) == (12, 0, 3)
    assert "3 of 15 photos were trained on and are left out" in result.problems[0].what
    assert "3 of 15" in speaker.warnings[0]
    assert not any("known" in row.file for row in result.photos)


def test_when_all_photos_were_trained_on_the_score_is_said_to_flatter(
    model: Classifier, colours: Path
) -> None:
    speaker = Silent()
    result = evaluate(model, colours, speaker=speaker)
    assert (result.scores.n, result.skipped, result.trained_on) == (30, 0, 30)
    assert "All 30 photos were trained on, so this score flatters" in result.problems[0].what
    assert "flatters" in speaker.warnings[0]


def test_bad_photos_are_left_out_and_listed(model: Classifier, fresh: Path) -> None:
    (fresh / "red" / "page.jpg").write_text("<html>")
    result = evaluate(model, fresh)
    assert (result.scores.n, result.skipped) == (12, 1)
    assert [problem.file for problem in result.problems] == ["red/page.jpg"]


def test_many_bad_photos_do_not_stop_a_score(model: Classifier, fresh: Path) -> None:
    for number in range(9):
        (fresh / "red" / f"bad{number}.png").write_text("no photo")
    result = evaluate(model, fresh)
    assert (result.scores.n, result.skipped) == (12, 9)
    assert {problem.severity for problem in result.problems} == {"warning"}


def test_when_no_photo_can_be_read_each_is_named(model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "p" / "red").mkdir(parents=True)
    for number in range(13):
        (tmp_path / "p" / "red" / f"bad{number:02}.png").write_text("no photo")
    with pytest.raises(DataError, match=r"(?s)No photo is left to score.*red/bad00\.png: .*and 3 more"):
        evaluate(model, tmp_path / "p")


def test_the_test_photos_of_a_divided_folder_are_scored_before_the_validation_photos(
    model: Classifier, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    draw_colours(photos / "train", 5, first=600)
    draw_colours(photos / "val", 3, first=700)
    draw_colours(photos / "test", 2, first=800)
    result = evaluate(model, photos)
    assert (result.scores.n, result.skipped) == (6, 0)
    assert {row.file.split("/")[0] for row in result.photos} == {"test"}
    shutil.rmtree(photos / "test")
    assert (evaluate(model, photos).scores.n, evaluate(model, photos).skipped) == (9, 0)
    shutil.rmtree(photos / "val")
    with pytest.raises(DataError, match="All 15 photos are training photos"):
        evaluate(model, photos)


def test_a_table_and_a_data_frame_score_alike(model: Classifier, fresh: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        [(str(p), p.parent.name) for p in sorted(fresh.rglob("*.png"))], columns=["path", "label"]
    )
    frame.to_csv(tmp_path / "labels.csv", index=False)
    results = [evaluate(model, source) for source in (fresh, frame, tmp_path / "labels.csv")]
    assert results[0].scores.as_dict() == results[1].scores.as_dict() == results[2].scores.as_dict()


def test_a_photo_under_two_labels_is_not_scored(model: Classifier, fresh: Path) -> None:
    draw_noise(fresh / "red" / "twice.png", (9, 9, 9), 1)
    draw_noise(fresh / "blue" / "twice.png", (9, 9, 9), 1)
    result = evaluate(model, fresh)
    assert (result.scores.n, result.skipped) == (12, 2)


def test_scores_of_known_predictions() -> None:
    rows = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]], dtype=np.float32)
    found = score(rows, np.array([0, 1, 1, 1]))
    assert found.n == 4
    assert found.accuracy.value == 0.75
    assert found.balanced_accuracy.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert [share.value for share in found.recall[:2]] == pytest.approx([1, 2 / 3])
    assert np.isnan(found.recall[2].value)
    assert [share.value for share in found.precision[:2]] == [0.5, 1]
    assert np.isnan(found.precision[2].value)
    # Two photos were called the first class: one of them was.
    assert found.precision[0] == wilson(1, 2)
    assert found.recall[1] == wilson(2, 3)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert found.brier == pytest.approx(np.mean([0.02, 0.72, 0.08, 0.18]), rel=1e-5)
    assert 0 <= found.calibration_error.low <= found.calibration_error.value <= found.calibration_error.high
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean(), rel=1e-6)


def test_photos_scored_again_come_from_the_cache(
    model: Classifier, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "space" in model.card["network"]
    before = evaluate(model, fresh)

    def fail(*_: object) -> None:
        pytest.fail("the network ran again")

    monkeypatch.setattr(model.engine, "run", fail)
    assert evaluate(model, fresh).photos == before.photos


@pytest.mark.parametrize("change", [{"decoder": -1}, {"weights": "another"}, None, {"unknown": 1}], ids=str)
def test_features_of_another_space_are_not_taken(
    change: dict[str, object] | None, trained_once: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Classifier.load(trained_once)
    evaluate(model, fresh)
    network = model.card["network"]
    network["space"] = None if change is None else network["space"] | change
    runs: list[int] = []
    run = model.engine.run
    monkeypatch.setattr(model.engine, "run", lambda pixels: runs.append(len(pixels)) or run(pixels))
    evaluate(model, fresh)
    assert sum(runs) == 12


def test_python_callers_are_told_that_a_score_flatters(
    model: Classifier, colours: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(model, colours)
    assert "handful: All 30 photos were trained on" in capfd.readouterr().err


def test_groups_that_hold_several_classes_are_not_counted_once_for_each() -> None:
    """Five people show both signs: five independent trials for the mean of both recalls, not ten."""
    labels = np.tile([0, 1], 10)
    right = np.eye(2, dtype=np.float32)[labels]
    shared = score(right, labels, np.repeat(np.arange(5), 4))
    apart = score(right, labels, np.repeat(np.arange(10), 2) * 2 + labels)
    assert shared.independent == 5
    assert shared.balanced_accuracy.low < apart.balanced_accuracy.low


def test_photos_of_another_kind_are_told_to_be_below_what_training_found(
    model: Classifier, fresh: Path
) -> None:
    assert (
        evaluate(model, fresh).promised.value == model.card["scores"]["cross_validation"]["accuracy"]["value"]
    )
    swapped = [(path, {"red": "blue", "blue": "green", "green": "red"}[path.parent.name])
               for path in sorted(fresh.rglob("*.png"))]  # fmt: skip
    result = evaluate(model, swapped)
    assert any("training found" in line for line in evaluation_lines(result))
    assert not any("training found" in line for line in evaluation_lines(evaluate(model, fresh)))
