"""What every test gets: its own caches, no outside network, a clean environment; and the shared photos."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
EMBEDDED = REPOSITORY / "src" / "handful" / "networks" / "embedded"
WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
CLOSED = "http://127.0.0.1:9"  # the discard port: children of a test that go through a proxy end here

# Keras reads KERAS_HOME once, on import, and writes a settings file there: never in the user's own folder.
_FIRST_KERAS_HOME = tempfile.mkdtemp(prefix="handful-keras-")
os.environ["KERAS_HOME"] = _FIRST_KERAS_HOME
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "network: may reach beyond this machine")


def pytest_unconfigure() -> None:
    shutil.rmtree(_FIRST_KERAS_HOME, ignore_errors=True)


class OutsideNetworkError(OSError):
    """A test tried to leave this machine; an OSError, so that code under test sees what it sees offline."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared photos and weights: HANDFUL_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("HANDFUL_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"needs the project's shared photos: no folder {folder}; set HANDFUL_SHARED to it")
    return folder


@pytest.fixture(scope="session")
def keras_home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KERAS_HOME of our own in which MobileNetV2's weights lie as if they had been downloaded."""
    source = shared / "keras_home" / "models" / WEIGHTS
    if not source.is_file():
        pytest.skip(f"needs the shared MobileNetV2 weights: no file {source}")
    home = tmp_path_factory.mktemp("keras_home")
    (home / "models").mkdir()
    shutil.copyfile(source, home / "models" / WEIGHTS)
    return home


DrawColours = Callable[..., Path]
_COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}


def draw_noise(path: Path, colour: tuple[int, int, int], seed: int) -> Path:
    """Write a small photo of coloured noise; the same seed draws the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 40, (40, 56, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    with path.open("wb") as stream:  # by hand: Pillow would encode the name
        Image.fromarray(pixels).save(stream, "PNG")
    return path


def draw_colours(folder: Path, each: int = 10, first: int = 0) -> Path:
    """Draw folder/blue, folder/green and folder/red with `each` photos; no two numbers draw alike."""
    for place, (name, colour) in enumerate(_COLOURS.items()):
        for number in range(first, first + each):
            draw_noise(folder / name / f"{name}_{number:03}.png", colour, 1000 * place + number)
    return folder


@pytest.fixture(scope="session")
def draw() -> DrawColours:
    """Draw a data set: draw(folder, each=10, first=0)."""
    return draw_colours


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small photos in three classes that a classifier tells apart easily. Leave them as they are."""
    return draw_colours(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture(scope="session", autouse=True)
def _the_package_stays_as_it_is() -> Iterator[None]:
    """Fail, and put it back, when a test damaged the backbone inside the package instead of a copy."""
    before = {path: path.read_bytes() for path in sorted(EMBEDDED.iterdir())}
    yield
    after = {path: path.read_bytes() for path in sorted(EMBEDDED.iterdir())}
    for path, content in before.items():
        if after.get(path) != content:
            path.write_bytes(content)
    assert after == before, "a test changed the backbone inside the package"


@pytest.fixture(scope="session")
def embedded_keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file of real weights: the embedded network at 64 pixels, pixels to feature map."""
    from handful.networks.quiet import import_keras

    import_keras()
    from handful.networks.embedded_network import read_network

    path = tmp_path_factory.mktemp("embedded") / "embedded.keras"
    read_network(EMBEDDED / "backbone.tflite", 64).save(path)
    return path


@pytest.fixture(scope="session")
def converted_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with one converted network: the embedded backbone at 64 pixels, not its own size."""
    from handful.config import TrainConfig
    from handful.frozen import open_frozen
    from handful.progress import Silent

    folder = tmp_path_factory.mktemp("converted")
    open_frozen(TrainConfig(backbone="embedded", size=64), folder, Silent())
    return folder


@pytest.fixture
def cache() -> Path:
    """The test's own cache, empty: the embedded backbone needs nothing in it."""
    return Path(os.environ["HANDFUL_CACHE"])


@pytest.fixture
def cache_with_network(cache: Path, converted_cache: Path) -> Path:
    """The test's own cache, with one converted network and no features."""
    return shutil.copytree(converted_cache, cache, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def trained_once(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder trained on `colours`; take `trained` to damage it."""
    from handful.training import train

    target = tmp_path_factory.mktemp("trained") / "colours.handful"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(tmp_path_factory.mktemp("cache")))
        train(colours, target, backbone="embedded", effort="quick")
    return target


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder that the test may damage."""
    return shutil.copytree(trained_once, tmp_path / "colours.handful")


@pytest.fixture(scope="session")
def insects(shared: Path, keras_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.handful, trained on 20 ants and 20 bees with MobileNetV2, and its cache."""
    from handful.training import train

    folder = tmp_path_factory.mktemp("insects")
    for name in ("ants", "bees"):
        (folder / "photos" / name).mkdir(parents=True)
        for path in sorted((shared / "data" / "ants_bees" / "train" / name).iterdir())[:20]:
            shutil.copyfile(path, folder / "photos" / name / path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(folder / "cache"))
        patch.setenv("KERAS_HOME", str(keras_home))
        train(folder / "photos", folder / "model.handful", backbone="mobilenet_v2")
    return folder


@pytest.fixture(autouse=True)
def _own_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give each test its own caches, and drop the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("HANDFUL_") and name != "HANDFUL_SHARED"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HANDFUL_CACHE", str(tmp_path_factory.mktemp("cache")))
    asked = "keras_home" in request.fixturenames
    home = request.getfixturevalue("keras_home") if asked else tmp_path_factory.mktemp("keras")
    monkeypatch.setenv("KERAS_HOME", str(home))
    _tell_keras(home, monkeypatch)


def _tell_keras(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the home of a Keras that is loaded already; it has no public way to do so."""
    config = sys.modules.get("keras.src.backend.config")
    if config is not None:
        monkeypatch.setattr(config, "_KERAS_DIR", str(home))


@pytest.fixture(autouse=True)
def _no_outside_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only, in the test and, by a dead proxy, in its child processes."""
    if request.node.get_closest_marker("network") is None:
        monkeypatch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        monkeypatch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        monkeypatch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, CLOSED)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1,localhost,::1")


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_outside(address[0])
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        _refuse_outside(host)
        return lookup(host, *args, **options)

    return guarded


def _refuse_outside(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return
    try:
        near = ipaddress.ip_address(str(name)).is_loopback or str(name) == "0.0.0.0"
    except ValueError:
        near = False  # a host name: looking it up would already leave this machine
    if not near:
        raise OutsideNetworkError(
            f"A test tried to reach {name}. Mark it with @pytest.mark.network if it must."
        )
