"""Saved Keras networks: written once, never over one another, made anew when damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from handful.errors import HandfulError
from handful.files import sha256_of_file
from handful.networks.saved import saved
from handful.networks.weights import Source, locate
from handful.progress import Silent


class Writer:
    """Writes other bytes at each call, as Keras does, whose files hold the time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> None:
        self.calls += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"network {self.calls}")


@pytest.fixture
def embedded() -> Source:
    return locate("embedded", speaker=Silent())


def test_a_sound_network_is_not_written_again(embedded: Source, tmp_path: Path) -> None:
    writer = Writer()
    first = saved(embedded, tmp_path, writer, Silent())
    assert saved(embedded, tmp_path, writer, Silent()) == first
    assert writer.calls == 1
    assert first.sha256 == sha256_of_file(first.path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_that_wrote_at_the_same_time_keeps_its_own_file(embedded: Source, tmp_path: Path) -> None:
    writer = Writer()
    first = saved(embedded, tmp_path, writer, Silent())
    next(tmp_path.glob("*.json")).unlink()  # as the second run sees it before the first has written it
    second = saved(embedded, tmp_path, writer, Silent())
    assert first.path != second.path
    assert [sha256_of_file(one.path) == one.sha256 for one in (first, second)] == [True, True]


@pytest.mark.parametrize("change", [{"size": 64}, {"preprocessing": "unit"}, {"sha256": "0" * 64}])
def test_another_network_has_another_name(change: dict, embedded: Source, tmp_path: Path) -> None:
    writer = Writer()
    one = saved(embedded, tmp_path, writer, Silent())
    other = saved(replace(embedded, **change), tmp_path, writer, Silent())
    assert one.path.name.rpartition("-")[0] != other.path.name.rpartition("-")[0]


def test_a_damaged_network_is_named_and_written_again(embedded: Source, tmp_path: Path) -> None:
    writer, speaker = Writer(), Silent()
    first = saved(embedded, tmp_path, writer, Silent())
    first.path.write_text("something else")
    again = saved(embedded, tmp_path, writer, speaker)
    assert again.sha256 == sha256_of_file(again.path)
    assert f"{first.path} is damaged" in speaker.warnings[0]
    assert not first.path.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": "../x"}', '{"sha256": 3}'])
def test_a_damaged_record_costs_a_write_only(content: str, embedded: Source, tmp_path: Path) -> None:
    saved(embedded, tmp_path, Writer(), Silent())
    next(tmp_path.glob("*.json")).write_text(content)
    again = saved(embedded, tmp_path, Writer(), Silent())
    assert again.sha256 == sha256_of_file(again.path)


def test_a_disk_that_refuses_is_named_and_nothing_is_left(embedded: Source, tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with pytest.raises(HandfulError, match="The disk is full"):
        saved(embedded, tmp_path, refuse, Silent())
    assert list(tmp_path.iterdir()) == []
