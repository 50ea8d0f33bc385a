"""`handful backbones`: the catalogue, and what of it is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful.backbones import CATALOGUE
from handful.networks.sidecars import Sidecar, stem

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


@pytest.mark.parametrize(("size", "speed"), [(224, 12.5), (96, None)])
def test_what_was_converted_here_at_its_own_size_has_a_measured_speed(
    size: int, speed: float | None, cache: Path, handful: Handful
) -> None:
    record = Sidecar(
        "resnet50", "ab" * 32, "caffe", size, "cd" * 32, 2048, (7, 7, 2048), 0, 1, 9.0, 12.5, (), 23, True
    )
    network = cache / "networks" / f"{stem('resnet50', record.source_sha256, size, 'caffe')}.tflite"
    network.parent.mkdir()
    network.touch()
    network.with_suffix(".json").write_bytes(record.to_json())
    rows = {row["name"]: row for row in handful("backbones", "--json").json}
    assert rows["resnet50"]["photos_per_second_here"] == speed
    assert rows["embedded"]["photos_per_second_here"] is None  # it is never converted, so never timed


@pytest.mark.shared
def test_weights_on_disk_are_marked(keras_home: Path, handful: Handful) -> None:
    rows = {row["name"]: row for row in handful("backbones", "--json").json}
    assert rows["mobilenet_v2"]["on_disk"] is True
    assert rows["mobilenet_v2"]["file"].startswith(str(keras_home))


def test_the_table_has_a_line_per_backbone(handful: Handful) -> None:
    told = handful("backbones").out.splitlines()
    for name in ("embedded", *CATALOGUE):
        assert [line for line in told if line.split()[:1] == [name]]
