from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handful.data.manifest import Manifest, Row
from handful.errors import DataError


def row(name: str, label: str, sha256: str | None = None, **options) -> Row:
    return Row(Path(name), name, label, sha256=sha256, **options)


def test_a_manifest_is_read_as_itself(pets):
    manifest = Manifest.read(pets)
    assert Manifest.read(manifest) is manifest


def test_a_manifest_read_for_a_model_takes_its_classes(pets):
    manifest = Manifest.read(Manifest.read(pets), classes=["dog", "cat", "fish"])
    assert manifest.classes == ("dog", "cat", "fish")
    assert manifest.labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_labels_are_int64_also_when_there_are_none():
    labels = Manifest((), ("a", "b")).labels
    assert (labels.dtype, labels.shape) == (np.int64, (0,))


def test_a_split_keeps_all_classes():
    manifest = Manifest((row("1", "a"), row("2", "b", split="test")), ("a", "b"))
    assert manifest.of("test").classes == ("a", "b")
    assert manifest.of("test").counts == {"a": 0, "b": 1}


def test_the_fingerprint_depends_on_content_label_and_split_only():
    manifest = Manifest((row("1", "a", "11"), row("2", "b", "22")), ("a", "b"))
    moved = Manifest((row("9", "b", "22", group="g"), row("8", "a", "11")), ("a", "b"))
    assert moved.fingerprint == manifest.fingerprint
    assert len(manifest.fingerprint) == 64
    for change in ({"sha256": "33"}, {"label": "b"}, {"split": "test"}):
        changed = manifest.keep([replace(manifest.rows[0], **change), manifest.rows[1]])
        assert changed.fingerprint != manifest.fingerprint


def test_any_label_has_a_fingerprint():
    assert Manifest((row("1", "a\udcff\n", "11"),), ("a\udcff\n",)).fingerprint


def test_there_is_no_fingerprint_before_the_files_were_read(pets):
    with pytest.raises(DataError, match=r"cat/0\.png was not read yet"):
        _ = Manifest.read(pets).fingerprint


def test_reading_a_manifest_never_loads_pandas():
    code = "import sys; import handful.data.manifest; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
