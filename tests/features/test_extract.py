"""The pass: every photo once, in order, bad ones named, cached ones not computed again."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handful.data.images import DECODER_VERSION
from handful.errors import HandfulError
from handful.features.cache import FeatureCache, Space
from handful.features.extract import Photo, extract, stream
from handful.progress import Silent


class MeanColour:
    """A network of one line: the mean of each channel, and how many photos it has seen."""

    id, size, feature_dim = "mean-1", (8, 8), 3

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.seen = 0
        self._lock = threading.Lock()

    def run(self, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            self.seen += len(pixels)
        return pixels.mean(axis=(1, 2)).astype(np.float32)

    def feature_map(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.astype(np.float32)


def draw(folder: Path, count: int) -> list[Photo]:
    folder.mkdir(exist_ok=True)
    photos = []
    for number in range(count):
        path = folder / f"{number:03}.png"
        Image.new("RGB", (20, 10), (number, 2 * number, 0)).save(path)
        photos.append(Photo(path, path.name))
    return photos


def cache_for(engine: MeanColour, folder: Path) -> FeatureCache:
    return FeatureCache(folder, Space("00" * 32, engine.size, DECODER_VERSION, engine.id))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_photo_passes_once_and_stays_in_order(tmp_path: Path, batch: int) -> None:
    engine = MeanColour(batch)
    features = extract(draw(tmp_path / "p", 30), engine, None, Silent(), workers=3)
    assert engine.seen == 30
    assert features.values.shape == (30, 1, 3)
    assert features.values[:, 0, 0].tolist() == list(range(30))
    assert features.kept.tolist() == list(range(30))


def test_ten_photos_more_compute_ten(tmp_path: Path) -> None:
    engine = MeanColour()
    cache = cache_for(engine, tmp_path / "cache")
    extract(draw(tmp_path / "p", 20), engine, cache, Silent(), workers=2)
    more = draw(tmp_path / "p", 30)
    engine.seen = 0
    features = extract(more, engine, cache, Silent(), workers=2)
    assert (engine.seen, features.computed) == (10, 10)
    assert features.values[:, 0, 0].tolist() == list(range(30))


def test_a_changed_photo_under_the_same_name_is_computed_again(tmp_path: Path) -> None:
    engine = MeanColour()
    cache = cache_for(engine, tmp_path / "cache")
    photos = draw(tmp_path / "p", 2)
    extract(photos, engine, cache, Silent(), workers=1)
    Image.new("RGB", (20, 10), (200, 0, 0)).save(photos[0].path)
    features = extract(photos, engine, cache, Silent(), workers=1)
    assert features.computed == 1
    assert features.values[0, 0, 0] == 200


def test_a_damaged_record_is_named_and_computed_again(tmp_path: Path) -> None:
    engine = MeanColour()
    cache = cache_for(engine, tmp_path / "cache")
    photos = draw(tmp_path / "p", 3)
    before = extract(photos, engine, cache, Silent(), workers=1)
    damaged = cache.path_of(before.ids[1])
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    speaker = Silent()
    after = extract(photos, engine, cache, speaker, workers=1)
    assert after.computed == 1
    assert np.array_equal(before.values, after.values)
    assert damaged.name in speaker.warnings[0]


def test_bad_photos_are_all_named_and_the_others_go_on(tmp_path: Path) -> None:
    photos = draw(tmp_path / "p", 4)
    photos[1].path.write_bytes(b"<html>not found</html>")
    photos[3].path.unlink()
    features = extract(photos, MeanColour(), None, Silent(), workers=2)
    assert features.kept.tolist() == [0, 2]
    assert features.refused == 2
    assert [problem.file for problem in features.problems if problem.severity == "warning"] == [
        "001.png",
        "003.png",
    ]
    assert all(problem.what and problem.fix for problem in features.problems)


def test_a_cache_that_cannot_be_written_is_told_and_harms_nothing(tmp_path: Path) -> None:
    engine = MeanColour()
    (tmp_path / "cache").write_text("a file where the folder should be")
    speaker = Silent()
    features = extract(
        draw(tmp_path / "p", 3), engine, cache_for(engine, tmp_path / "cache"), speaker, workers=1
    )
    assert features.values.shape == (3, 1, 3)
    assert any("could not be kept" in line for line in speaker.warnings)


def test_a_stream_computes_no_further_ahead_than_a_few_photos(tmp_path: Path) -> None:
    engine = MeanColour()
    answers = stream(draw(tmp_path / "p", 60), engine, None, workers=2)
    next(answers)
    seen = engine.seen
    answers.close()  # type: ignore[attr-defined]
    assert seen < 30


def test_a_network_that_gives_no_numbers_is_an_error(tmp_path: Path) -> None:
    class Broken(MeanColour):
        def run(self, pixels: np.ndarray) -> np.ndarray:
            return np.full((len(pixels), 3), np.nan, dtype=np.float32)

    with pytest.raises(HandfulError, match="not numbers"):
        extract(draw(tmp_path / "p", 1), Broken(), None, Silent(), workers=1)


def test_notes_that_the_name_brings_follow_the_name_and_not_the_content(tmp_path: Path) -> None:
    engine = MeanColour()
    cache = cache_for(engine, tmp_path / "cache")
    wrong = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).save(wrong, format="PNG")
    first = extract([Photo(wrong, wrong.name)], engine, cache, Silent(), workers=1)
    right = wrong.rename(tmp_path / "a.png")
    second = extract([Photo(right, right.name)], engine, cache, Silent(), workers=1)
    assert second.computed == 0
    assert [problem.what for problem in first.problems] == ["is a PNG although named .jpg"]
    assert second.problems == ()


def test_a_raw_photo_is_refused_by_its_name_even_when_its_content_is_cached(tmp_path: Path) -> None:
    engine = MeanColour()
    cache = cache_for(engine, tmp_path / "cache")
    path = tmp_path / "b.tif"
    Image.new("RGB", (20, 20), (9, 9, 9)).save(path)
    assert extract([Photo(path, path.name)], engine, cache, Silent(), workers=1).refused == 0
    raw = path.rename(tmp_path / "b.nef")
    assert extract([Photo(raw, raw.name)], engine, cache, Silent(), workers=1).refused == 1
