"""A trained folder, opened: it takes photos in every form, and answers the same in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from handful.classifier import Classifier, Prediction
from handful.config import default_workers
from handful.data import images
from handful.errors import ArtefactError, BackboneError, DataError, ImageError
from handful.features.extract import Photo
from handful.files import sha256_of_file
from handful.training import train

from .conftest import draw_colours

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def classifier(trained_once: Path) -> Classifier:
    return Classifier.load(trained_once)


@pytest.fixture
def photo(colours: Path) -> Path:
    return colours / "green" / "green_003.png"


def test_the_class_order_comes_from_the_card(classifier: Classifier, trained_once: Path) -> None:
    assert classifier.classes == CLASSES
    assert classifier.card == json.loads((trained_once / "card.json").read_text())
    assert classifier.folder == trained_once


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_gives_one_prediction(kind: type, classifier: Classifier, photo: Path) -> None:
    answer = classifier.predict(kind(photo))
    assert isinstance(answer, Prediction)
    assert answer.label == "green"
    assert answer.file == str(photo)
    assert tuple(answer.probabilities) == CLASSES
    assert answer.probability == max(answer.probabilities.values()) == answer.probabilities["green"]
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert str(photo) in str(answer)
    assert "green" in str(answer)


def test_a_file_its_array_and_its_image_give_the_same_answer(classifier: Classifier, photo: Path) -> None:
    with Image.open(photo) as image:
        array = np.asarray(image)
        from_image = classifier.predict(image)
    from_file, from_array = classifier.predict(photo), classifier.predict(array)
    assert from_file.probabilities == from_array.probabilities == from_image.probabilities
    assert (from_array.file, from_image.file) == ("array", "image")


def test_a_large_jpeg_gives_the_same_label_whichever_way_it_comes(
    classifier: Classifier, tmp_path: Path, photo: Path
) -> None:
    """The file is decoded at reduced scale, the image is not: a grey level or two apart, by design."""
    with Image.open(photo) as image:
        image.resize((1200, 900)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        array = classifier.predict_proba(np.asarray(image))
        assert np.array_equal(classifier.predict_proba(image), array)
    assert np.abs(classifier.predict_proba(tmp_path / "large.jpg") - array).max() < 0.02


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (40, 50, 4)])
def test_an_array_of_grey_colour_or_with_alpha_is_one_photo(
    shape: tuple[int, ...], classifier: Classifier
) -> None:
    assert isinstance(classifier.predict(np.zeros(shape, dtype=np.uint8)), Prediction)


def test_several_photos_give_a_list_in_their_order(classifier: Classifier, colours: Path) -> None:
    files = [colours / name / f"{name}_001.png" for name in ("red", "blue", "green")]
    arrays = [np.asarray(Image.open(file)) for file in files]
    expected = ["red", "blue", "green"]
    for photos in (files, tuple(files), [str(file) for file in files], arrays, np.stack(arrays)):
        assert [answer.label for answer in classifier.predict(photos)] == expected
    mixed = classifier.predict([files[0], arrays[1], Image.open(files[2])])
    assert [answer.label for answer in mixed] == expected
    assert [answer.file for answer in mixed] == [str(files[0]), "array", "image"]


@pytest.mark.parametrize("one", [lambda path: [path], lambda path: np.asarray(Image.open(path))[None]])
def test_a_list_of_one_gives_a_list_of_one(one: Any, classifier: Classifier, photo: Path) -> None:
    assert [answer.label for answer in classifier.predict(one(photo))] == ["green"]


def test_nothing_gives_nothing(classifier: Classifier) -> None:
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_gives_all_photos_below_it(kind: type, classifier: Classifier, colours: Path) -> None:
    answers = classifier.predict(kind(colours))
    assert [answer.label for answer in answers] == [name for name in CLASSES for _ in range(10)]
    assert answers[0].file == str(colours / "blue" / "blue_000.png")


def test_a_data_frame_gives_a_prediction_per_row(classifier: Classifier, colours: Path) -> None:
    files = sorted((colours / "red").iterdir())[:3]
    answers = classifier.predict(pd.DataFrame({"path": [str(file) for file in files], "x": 1}))
    assert [answer.label for answer in answers] == ["red"] * 3
    answers = classifier.predict(pd.DataFrame({"path": files}, index=[7, 7, 7]))
    assert [answer.file for answer in answers] == [str(file) for file in files]


def test_a_data_frame_without_paths_says_what_is_needed(classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"has columns \['file'\]\. A column 'path' is needed"):
        classifier.predict(pd.DataFrame({"file": ["a.jpg"]}))


def test_probabilities_agree_with_predictions_and_sum_to_one(classifier: Classifier, colours: Path) -> None:
    rows = classifier.predict_proba(colours)
    answers = classifier.predict(colours)
    assert rows.shape == (30, 3)
    assert rows.dtype == np.float32
    assert np.abs(rows.sum(axis=1) - 1).max() < 1e-6
    assert [list(answer.probabilities.values()) for answer in answers] == rows.tolist()
    assert [answer.label for answer in answers] == [CLASSES[best] for best in rows.argmax(axis=1)]
    assert classifier.predict_proba(colours / "red" / "red_001.png").shape == (1, 3)


def test_photos_in_company_get_the_same_answer_as_alone(classifier: Classifier, colours: Path) -> None:
    files = sorted((colours / "red").iterdir())[:4]
    alone = np.concatenate([classifier.predict_proba(file) for file in files])
    assert np.array_equal(classifier.predict_proba(files), alone)


def test_all_photos_that_cannot_be_read_are_named_at_once(
    classifier: Classifier, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    empty = np.zeros((0, 3), dtype=np.uint8)
    items = [photo, tmp_path / "page.jpg", tmp_path / "gone\n.png", empty, None]
    with pytest.raises(DataError, match="4 of 5 photos cannot be read") as caught:
        classifier.predict(items)
    message = str(caught.value)
    assert "page.jpg: " in message
    assert "gone\\n.png: " in message
    assert len(message.splitlines()) == 5
    assert len(caught.value.problems) == 4
    assert all(problem.file and problem.what and problem.fix for problem in caught.value.problems)


def test_photos_without_a_name_are_named_by_their_place(classifier: Classifier, photo: Path) -> None:
    good = np.zeros((8, 8, 3), dtype=np.uint8)
    with pytest.raises(DataError) as caught:
        classifier.predict([photo, good, np.zeros((8, 8, 7)), good, np.full((8, 8), np.nan)])
    assert [problem.file for problem in caught.value.problems] == ["array (number 3)", "array (number 5)"]


def test_a_single_photo_that_cannot_be_read_is_named(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)1 photo cannot be read.*none\.png: does not exist"):
        classifier.predict(tmp_path / "none.png")


def test_a_stream_gives_predictions_and_refusals_in_order(classifier: Classifier, colours: Path) -> None:
    paths = [colours / "red" / "red_000.png", colours / "none.png", colours / "blue" / "blue_000.png"]
    answers = list(classifier.stream((Photo(path, path.name) for path in paths), workers=2))
    assert [photo.name for photo, _ in answers] == ["red_000.png", "none.png", "blue_000.png"]
    assert isinstance(answers[1][1], ImageError)
    assert answers[0][1] == Prediction(**{**vars(classifier.predict(paths[0])), "file": "red_000.png"})


def test_a_folder_of_photos_never_lies_in_memory_as_a_whole(
    classifier: Classifier, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    load, engine = images.load, classifier.engine
    monkeypatch.setattr(images, "load", lambda *args: events.append("read") or load(*args))
    run = engine.run
    monkeypatch.setattr(engine, "run", lambda pixels: events.append("run") or run(pixels))
    classifier.predict([photo] * 12)
    ahead = np.cumsum([1 if event == "read" else -1 for event in events])
    assert events.count("read") == events.count("run") == 12
    assert ahead.max() <= default_workers()


def test_a_saved_model_answers_the_same(classifier: Classifier, colours: Path, tmp_path: Path) -> None:
    classifier.save(tmp_path / "copy.handful")
    copy = Classifier.load(str(tmp_path / "copy.handful"))
    assert np.array_equal(copy.predict_proba(colours), classifier.predict_proba(colours))
    assert copy.card == classifier.card


def test_saving_replaces_a_result_only_with_overwrite(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "copy.handful")
    with pytest.raises(ArtefactError, match="exists already"):
        classifier.save(tmp_path / "copy.handful")
    classifier.save(tmp_path / "copy.handful", overwrite=True)
    with pytest.raises(ArtefactError, match="not a trained folder"):
        classifier.save(tmp_path, overwrite=True)


def test_a_model_shows_its_classes_backbone_and_accuracy(classifier: Classifier) -> None:
    text = repr(classifier)
    assert "3 classes on embedded" in text
    assert "30 photos" in text
    html = classifier._repr_html_()
    assert "blue, green, red" in html
    assert "balanced accuracy, cross-validation" in html


def test_a_class_named_like_a_script_is_text_in_a_notebook(colours: Path) -> None:
    name = "<script>alert('x')</script>"
    pairs = [(file, name) for file in sorted((colours / "red").iterdir())]
    pairs += [(file, "&amp;") for file in sorted((colours / "blue").iterdir())]
    classifier = train(pairs, backbone="embedded", effort="quick")
    assert set(classifier.classes) == {name, "&amp;"}
    html = classifier._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in html
    assert "&amp;amp;" in html


def test_a_network_that_does_not_fit_the_head_is_refused(trained: Path) -> None:
    """Swapped by hand, checksums made right: nothing may be computed with it."""
    other = Path(__file__).parents[1] / "src" / "handful" / "errors.py"
    (trained / "backbone.tflite").write_bytes(other.read_bytes())
    sums = json.loads((trained / "checksums.json").read_text())
    sums["backbone.tflite"] = sha256_of_file(trained / "backbone.tflite")
    (trained / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(BackboneError, match="is not a network that LiteRT can run"):
        Classifier.load(trained).predict(np.zeros((8, 8, 3), dtype=np.uint8))


def test_any_iterable_of_photos_is_taken(classifier: Classifier, photo: Path) -> None:
    expected = [classifier.predict(photo)] * 2
    assert classifier.predict(path for path in (photo, photo)) == expected
    assert classifier.predict(pd.Series([str(photo)] * 2)) == expected
    assert classifier.predict(np.array([photo, photo], dtype=object)) == expected
    assert classifier.predict(np.array([str(photo)] * 2)) == expected
    assert classifier.predict(iter([])) == []


def test_the_bytes_of_a_file_are_one_photo(classifier: Classifier, photo: Path) -> None:
    answer = classifier.predict(photo.read_bytes())
    assert (answer.file, answer.probabilities) == ("bytes", classifier.predict(photo).probabilities)
    with pytest.raises(DataError, match=r"bytes \(number 1\): is empty"):
        classifier.predict(b"")


def test_a_folder_without_photos_is_no_answer(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no photos in this folder"):
        classifier.predict(tmp_path)


def test_what_is_no_photo_says_what_is_taken(classifier: Classifier, photo: Path) -> None:
    with pytest.raises(DataError, match=r"no photo but of type int\. Pass a path, the bytes"):
        classifier.predict(5)
    with pytest.raises(DataError, match=r"given as dict.*photos\.values"):
        classifier.predict({"a": photo})


def test_photos_left_out_show_without_asking(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photos = draw_colours(tmp_path / "photos")
    (photos / "red" / "page.jpg").write_text("<html>")
    classifier = train(photos, backbone="embedded", effort="quick")
    assert "handful: 1 finding about the photos" in capfd.readouterr().err
    assert "1 photo left out" in repr(classifier)
    assert "photos left out" in classifier._repr_html_()


def test_warnings_show_without_asking(trained: Path) -> None:
    classifier = Classifier.load(trained)
    classifier.card["warnings"] = ["the <weights> were odd"]
    assert "1 warning in its card" in repr(classifier)
    assert "the &lt;weights&gt; were odd" in classifier._repr_html_()
