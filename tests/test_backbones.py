"""The catalogue is data: complete, sorted, found by any spelling, and honest about what was tried."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from handful.backbones import AUTO_ORDER, CATALOGUE, EMBEDDED, PREPROCESSINGS, Backbone, find
from handful.cli.backbones import command
from handful.config import cache_folder
from handful.errors import BackboneError
from handful.features.store import NETWORKS
from handful.networks import sidecars

REPOSITORY = Path(__file__).resolve().parent.parent
ENTRIES = list(CATALOGUE.values())


def test_names_are_sorted() -> None:
    assert list(CATALOGUE) == sorted(CATALOGUE)


@pytest.mark.parametrize("backbone", ENTRIES, ids=lambda backbone: backbone.name)
def test_every_field_is_plausible(backbone: Backbone) -> None:
    assert backbone.preprocessing in PREPROCESSINGS
    assert backbone.min_size <= backbone.size
    assert backbone.weights_url.startswith("https://storage.googleapis.com/")
    assert backbone.weights_hash is None or re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", backbone.weights_hash)
    assert 65 < (backbone.top1 or 0) < 90
    assert backbone.licence
    assert backbone.size_mb >= 1
    assert backbone.litert or backbone.keras_only_reason


@pytest.mark.parametrize("name", ["mobilenet_v2", "MobileNetV2", "mobilenet-v2", "MOBILENETV2"])
def test_any_spelling_finds_the_backbone(name: str) -> None:
    assert find(name).name == "mobilenet_v2"


def test_the_embedded_backbone_is_found() -> None:
    assert find("embedded") is EMBEDDED


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(BackboneError, match=r"'mobilnet_v2'. Did you mean mobilenet_v2"):
        find("mobilnet_v2")


def test_a_strange_name_brings_the_list_command() -> None:
    with pytest.raises(BackboneError, match=r"`handful backbones` lists all"):
        find("zzzzzz")


def test_auto_orders_the_whole_catalogue_once() -> None:
    assert sorted(AUTO_ORDER) == sorted(CATALOGUE)


def test_the_measured_speeds_are_those_of_the_script() -> None:
    measured = json.loads((REPOSITORY / "benchmarks/results/backbone_speed.json").read_text())
    assert {name: CATALOGUE[name].photos_per_second for name in measured} == measured


def test_the_catalogue_page_names_every_entry_and_agrees_on_litert() -> None:
    page = (REPOSITORY / "docs/catalogue.md").read_text()
    for backbone in ENTRIES:
        row = next(line for line in page.splitlines() if line.startswith(f"| {backbone.name} |"))
        assert backbone.litert is not ("**no**" in row), row


def test_the_comparisons_on_record_are_close_and_not_of_constants() -> None:
    records = json.loads((REPOSITORY / "benchmarks/results/catalogue_parity.json").read_text())
    for name, record in records.items():
        assert record["variation"] > 0.05, name
        assert record["keras_difference"] < 1e-3, name
        # A drawn ResNet of 150 layers makes 2e-3 of rounding alone; a missing layer makes more than 1e-2.
        assert record.get("litert_difference", 0) < 5e-3, name


def _record(size: int, *, of_catalogue: bool, speed: float) -> None:
    """Put a record of a converted MobileNetV2 into the cache, beside a network file of one byte."""
    record = sidecars.Sidecar(
        "mobilenet_v2", f"{speed:064.0f}", "tf", size, "0" * 64, 1280, (7, 7, 1280), 0, 1, 1.0, speed, (), 2,
        of_catalogue,
    )  # fmt: skip
    name = sidecars.stem("mobilenet_v2", record.source_sha256, size, "tf")
    folder = cache_folder() / NETWORKS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.tflite").write_bytes(b"x")
    (folder / f"{name}.json").write_bytes(record.to_json())


def _speed_here(capsys: pytest.CaptureFixture[str]) -> float | None:
    command(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    return rows["mobilenet_v2"]["photos_per_second_here"]


def test_a_speed_counts_at_the_entry_s_own_size_of_the_catalogue_s_own_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _record(96, of_catalogue=True, speed=900)
    _record(224, of_catalogue=False, speed=800)
    assert _speed_here(capsys) is None
    _record(224, of_catalogue=True, speed=300)
    assert _speed_here(capsys) == 300


def test_listing_hashes_no_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "sha256_of_file", lambda path: pytest.fail(f"{path} was hashed"))
    _record(224, of_catalogue=True, speed=300)
    assert _speed_here(capsys) == 300
