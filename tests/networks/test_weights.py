"""Weights are found on disk, fetched once, checked, put aside when damaged; `auto` makes do and says so."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from handful.backbones import AUTO_ORDER, CATALOGUE, EMBEDDED
from handful.config import cache_folder
from handful.errors import BackboneError, ConfigError
from handful.files import sha256_of_file
from handful.networks import fetching, weights
from handful.networks.weights import digest_matches, download, keras_home, locate, on_disk, weights_path
from handful.progress import Silent

# Keras 3.15 reads its own variables with np.array() when it saves, which NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BEST = CATALOGUE[AUTO_ORDER[0]]
PLAIN = CATALOGUE["mobilenet_v2"]  # Keras publishes no hash for it


def _hdf5(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(100)
    return path


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return _hdf5(tmp_path / "published.h5").read_bytes()


class _Site(HTTPServer):
    """Answers every request with `content`, under the Content-Length `length` if that is set."""

    content = b""
    length: int | None = None
    status = 200
    requests = 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, _Site)
        site.requests += 1
        self.send_response(site.status)
        self.send_header("Content-Length", str(site.length or len(site.content)))
        self.end_headers()
        self.wfile.write(site.content)

    def log_message(self, format: str, *args: Any) -> None:  # the base class's own parameter name
        pass


@pytest.fixture
def site(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    """A web site that publishes the weights of the best and of the plain backbone."""
    server = _Site(("127.0.0.1", 0), _Handler)
    server.content = content
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/weights.h5"
    digest = hashlib.md5(content).hexdigest()
    monkeypatch.setitem(CATALOGUE, BEST.name, replace(BEST, weights_url=url, weights_hash=digest))
    monkeypatch.setitem(CATALOGUE, PLAIN.name, replace(PLAIN, weights_url=url))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that refuses at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for backbone in (BEST, PLAIN):
        closed = replace(backbone, weights_url=f"http://127.0.0.1:{port}/x.h5", weights_hash=None)
        monkeypatch.setitem(CATALOGUE, backbone.name, closed)


def test_the_embedded_backbone_needs_nothing() -> None:
    source = locate("embedded", speaker=Silent(), fetch=False)
    assert (source.architecture, source.preprocessing, source.size) == ("embedded", "inside", 144)
    assert source.path == weights_path(EMBEDDED)
    assert source.sha256 == sha256_of_file(weights_path(EMBEDDED))


def test_weights_on_disk_are_found(keras_home: Path) -> None:
    source = locate("MobileNetV2", speaker=Silent(), fetch=False)
    assert source.path == keras_home / "models" / PLAIN.weights_file
    assert (source.architecture, source.preprocessing, source.size) == ("mobilenet_v2", "tf", 224)
    assert source.chosen_because is None


def test_a_size_may_be_asked_for_down_to_what_the_network_takes(keras_home: Path) -> None:
    assert locate("mobilenet_v2", size=96, speaker=Silent(), fetch=False).size == 96
    with pytest.raises(BackboneError, match="--size 31 is too small for mobilenet_v2: it takes 32"):
        locate("mobilenet_v2", size=31, speaker=Silent(), fetch=False)


def test_keras_home_is_read_at_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "one"))
    assert not on_disk(PLAIN)
    _hdf5(tmp_path / "one" / "models" / PLAIN.weights_file)
    assert on_disk(PLAIN)


def test_missing_weights_without_a_network_name_address_and_path() -> None:
    with pytest.raises(BackboneError) as caught:
        locate("resnet50", speaker=Silent(), fetch=False)
    assert CATALOGUE["resnet50"].weights_url in str(caught.value)
    assert str(weights_path(CATALOGUE["resnet50"])) in str(caught.value)


def test_weights_are_fetched_once(site: _Site, content: bytes) -> None:
    source = locate(BEST.name, speaker=Silent())
    assert locate(BEST.name, speaker=Silent()) == source
    assert site.requests == 1
    assert source.path is not None
    assert source.path.read_bytes() == content
    assert [path.name for path in source.path.parent.iterdir()] == [BEST.weights_file]


@pytest.mark.usefixtures("offline")
def test_a_closed_network_fails_at_once_and_says_how_to_do_it_by_hand() -> None:
    start = time.monotonic()
    with pytest.raises(BackboneError) as caught:
        locate(BEST.name, speaker=Silent())
    assert time.monotonic() - start < 3
    assert "refused" in str(caught.value)
    assert CATALOGUE[BEST.name].weights_url in str(caught.value)
    assert str(weights_path(BEST)) in str(caught.value)


def test_a_network_that_never_answers_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backbone = replace(BEST, weights_url=f"http://127.0.0.1:{silent.getsockname()[1]}/x.h5")
        start = time.monotonic()
        with pytest.raises(BackboneError, match=r"could not be fetched: .*time"):
            download(backbone, Silent())
    assert time.monotonic() - start < 3


def _leftovers() -> list[str]:
    folder = weights_path(BEST).parent
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def test_a_wrong_hash_is_refused_and_nothing_is_left(site: _Site) -> None:
    site.content += b"x"
    with pytest.raises(BackboneError, match="the hash is"):
        locate(BEST.name, speaker=Silent())
    assert _leftovers() == []


def test_a_broken_transfer_is_refused_and_nothing_is_left(site: _Site) -> None:
    site.length = len(site.content) + 1000
    with pytest.raises(BackboneError, match="could not be fetched"):
        locate(PLAIN.name, speaker=Silent())
    assert _leftovers() == []


def test_a_login_page_in_place_of_weights_is_refused(site: _Site) -> None:
    site.content = b"<html>please log in</html>" * 10
    with pytest.raises(BackboneError, match="no weights file"):
        locate(PLAIN.name, speaker=Silent())
    assert _leftovers() == []


def test_an_error_page_is_refused(site: _Site) -> None:
    site.status = 404
    with pytest.raises(BackboneError, match="Not Found"):
        locate(PLAIN.name, speaker=Silent())


def test_damaged_weights_are_put_aside_named_and_fetched_again(site: _Site, content: bytes) -> None:
    path = weights_path(BEST)
    path.parent.mkdir(parents=True)
    path.write_bytes(content[:-1] + b"!")
    speaker = Silent()
    locate(BEST.name, speaker=speaker)
    assert path.read_bytes() == content
    assert path.with_name(path.name + ".damaged").read_bytes() == content[:-1] + b"!"
    assert "is damaged (its hash is not the published one)" in speaker.warnings[0]


@pytest.mark.usefixtures("offline")
def test_truncated_weights_without_a_published_hash_are_noticed(content: bytes) -> None:
    path = weights_path(PLAIN)
    path.parent.mkdir(parents=True)
    path.write_bytes(content[:-100])
    speaker = Silent()
    with pytest.raises(BackboneError, match="could not be fetched"):
        locate(PLAIN.name, speaker=speaker)
    assert "truncated" in speaker.warnings[0]


def test_auto_fetches_the_best(site: _Site) -> None:
    speaker = Silent()
    source = locate("auto", speaker=speaker)
    assert (source.name, site.requests, speaker.warnings) == (BEST.name, 1, [])
    assert "best ImageNet backbone for a CPU" in (source.chosen_because or "")


@pytest.mark.usefixtures("offline")
def test_auto_offline_takes_the_best_on_disk_and_says_so(keras_home: Path) -> None:
    speaker = Silent()
    source = locate("auto", speaker=speaker)
    assert source.name == "mobilenet_v2"
    assert len(speaker.warnings) == 1
    assert "using mobilenet_v2, the best backbone on disk" in speaker.warnings[0]
    assert speaker.warnings[0] in (source.chosen_because or "")


@pytest.mark.usefixtures("offline")
def test_auto_offline_with_an_empty_disk_takes_the_embedded_one() -> None:
    speaker = Silent()
    source = locate("auto", speaker=speaker)
    assert source.architecture == "embedded"
    assert "embedded" in speaker.warnings[0]
    assert "\n" not in speaker.warnings[0]


def test_auto_makes_do_where_the_weights_cannot_be_written(
    site: _Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))  # refused to root as well
    speaker = Silent()
    assert locate("auto", speaker=speaker).architecture == "embedded"
    assert "Could not write" in speaker.warnings[0]
    with pytest.raises(BackboneError, match=r"Could not write .*What was there before is intact"):
        locate(BEST.name, speaker=Silent())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_refuses_half_way_is_not_called_a_broken_network(
    number: int, site: _Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "refused")

    monkeypatch.setattr(fetching, "_copy", refuse)
    with pytest.raises(BackboneError, match=r"Could not write .*refused"):
        locate(BEST.name, speaker=Silent())
    assert _leftovers() == []


def test_weights_that_may_not_be_read_are_damaged(site: _Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(weights_path(BEST))
    monkeypatch.setattr(weights, "digest_matches", _refuse)
    speaker = Silent()
    locate(BEST.name, speaker=speaker)
    assert "unreadable: Permission denied" in speaker.warnings[0]


def _refuse(path: Path, expected: str) -> bool:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_without_a_home_the_variable_to_set_is_named(homeless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME")
    with pytest.raises(BackboneError, match=r"no home folder here\. Set KERAS_HOME"):
        keras_home()
    assert locate("embedded", speaker=Silent()).architecture == "embedded"
    monkeypatch.delenv("HANDFUL_CACHE")
    with pytest.raises(ConfigError, match=r"no home folder here\. Set HANDFUL_CACHE"):
        cache_folder()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without HOME whom the system does not know, as in many containers."""
    pwd = pytest.importorskip("pwd")

    def unknown(number: int) -> Any:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_local_file_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hdf5(tmp_path / "mine.h5")
    monkeypatch.chdir(tmp_path)
    source = locate("mine.h5", architecture="resnet50", speaker=Silent())
    assert source.name == str(source.path) == str(tmp_path / "mine.h5")
    assert not source.of_catalogue


def test_auto_may_be_kept_off_the_network(site: _Site) -> None:
    assert locate("auto", speaker=Silent(), fetch=False).architecture == "embedded"
    assert site.requests == 0


def test_weights_alone_need_their_architecture(tmp_path: Path) -> None:
    path = _hdf5(tmp_path / "mine.weights.h5")
    with pytest.raises(BackboneError, match=r"mine\.weights\.h5 holds weights alone.*--architecture"):
        locate(str(path), speaker=Silent())
    source = locate(str(path), architecture="ResNet50", speaker=Silent())
    assert (source.name, source.architecture) == (str(path), "resnet50")
    assert (source.preprocessing, source.size) == ("caffe", 224)


def test_the_architecture_of_weights_alone_is_of_the_catalogue(tmp_path: Path) -> None:
    path = _hdf5(tmp_path / "mine.h5")
    with pytest.raises(BackboneError, match="--architecture embedded does not go with"):
        locate(str(path), architecture="embedded", speaker=Silent())


def test_an_architecture_without_a_file_is_refused() -> None:
    with pytest.raises(BackboneError, match="--architecture resnet50 was given, but --backbone auto"):
        locate("auto", architecture="resnet50", speaker=Silent())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"There is no file .*nowhere\.keras"):
        locate(str(tmp_path / "nowhere.keras"), speaker=Silent())


def test_a_local_model_says_its_size_and_scaling(embedded_keras: Path) -> None:
    source = locate(str(embedded_keras), speaker=Silent())
    assert (source.architecture, source.preprocessing, source.size) == ("file", "inside", 64)


def test_a_local_model_without_scaling_needs_the_preprocessing(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "bare.keras"
    keras.Sequential([keras.Input((40, 40, 3)), keras.layers.Conv2D(4, 3)]).save(path)
    with pytest.raises(BackboneError, match=r"--preprocessing, one of inside, tf, caffe, torch, unit"):
        locate(str(path), speaker=Silent())
    source = locate(str(path), preprocessing="unit", speaker=Silent())
    assert (source.preprocessing, source.size) == ("unit", 40)


def test_a_local_model_of_any_size_needs_one(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "free.keras"
    layers = [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)]
    keras.Sequential(layers).save(path)
    with pytest.raises(BackboneError, match=r"takes photos of any size.*--size"):
        locate(str(path), speaker=Silent())
    assert locate(str(path), size=64, speaker=Silent()).size == 64


def test_a_local_model_takes_no_architecture(embedded_keras: Path) -> None:
    with pytest.raises(BackboneError, match=r"holds its own\. Leave --architecture out"):
        locate(str(embedded_keras), architecture="resnet50", speaker=Silent())


def test_an_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(BackboneError, match="--preprocessing is 'zscore'; expected one of inside, tf"):
        locate("embedded", preprocessing="zscore", speaker=Silent())


def test_the_catalogue_s_preprocessing_is_not_for_users_to_change(keras_home: Path) -> None:
    with pytest.raises(BackboneError, match="--preprocessing caffe does not go with mobilenet_v2"):
        locate("mobilenet_v2", preprocessing="caffe", speaker=Silent(), fetch=False)
    assert locate("mobilenet_v2", preprocessing="tf", speaker=Silent(), fetch=False).preprocessing == "tf"


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_both_kinds_of_hash_are_compared(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    assert digest_matches(path, hashlib.new(kind, b"content").hexdigest())
    assert not digest_matches(path, hashlib.new(kind, b"other").hexdigest())


def test_locating_imports_neither_keras_nor_tensorflow(keras_home: Path) -> None:
    code = (
        "import sys\nfrom handful.networks.weights import locate\nfrom handful.progress import Silent\n"
        "import handful.networks.converted\nlocate('mobilenet_v2', speaker=Silent(), fetch=False)\n"
        "print([name for name in ('keras', 'tensorflow', 'h5py') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"


def test_a_copy_elsewhere_has_the_same_identity(keras_home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.h5"
    shutil.copyfile(weights_path(PLAIN), copy)
    local = locate(str(copy), architecture="mobilenet_v2", speaker=Silent())
    assert local.sha256 == locate("mobilenet_v2", speaker=Silent(), fetch=False).sha256
