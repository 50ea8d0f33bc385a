"""`handful backbones`: the catalogue, and what of it is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful.backbones import CATALOGUE

from .conftest import Handful

FIELDS = {
    "name", "weights_millions", "megabytes", "pixels", "features", "imagenet_top1", "photos_per_second_here",
    "photos_per_second_reference", "preprocessing", "licence", "engine", "on_disk", "file", "url",
}  # fmt: skip


def test_every_backbone_is_listed_with_all_there_is_to_choose_by(handful: Handful) -> None:
    rows = handful("backbones", "--json").json
    assert {row["name"] for row in rows} == {"embedded", *CATALOGUE}
    assert len(rows) == len(CATALOGUE) + 1
    for row in rows:
        assert set(row) == FIELDS
        assert row["licence"]
        assert row["on_disk"] is (row["name"] == "embedded")


@pytest.mark.usefixtures("cache")
def test_what_was_converted_here_has_a_measured_speed(handful: Handful) -> None:
    rows = {row["name"]: row for row in handful("backbones", "--json").json}
    assert rows["embedded"]["photos_per_second_here"] > 0
    assert rows["resnet50"]["photos_per_second_here"] is None


@pytest.mark.shared
def test_weights_on_disk_are_marked(keras_home: Path, handful: Handful) -> None:
    rows = {row["name"]: row for row in handful("backbones", "--json").json}
    assert rows["mobilenet_v2"]["on_disk"] is True
    assert rows["mobilenet_v2"]["file"].startswith(str(keras_home))


def test_the_table_has_a_line_per_backbone(handful: Handful) -> None:
    told = handful("backbones").out.splitlines()
    for name in ("embedded", *CATALOGUE):
        assert [line for line in told if line.split()[:1] == [name]]
