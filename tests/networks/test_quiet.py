"""TensorFlow's noise never shows, and is at hand when something fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from handful.networks.quiet import import_keras, without_noise, without_stderr


def test_writing_to_the_descriptor_is_kept_away(capfd: pytest.CaptureFixture[str]) -> None:
    with without_stderr():
        os.write(2, b"noise")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_an_exception_passes_and_carries_the_noise(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with without_stderr():
            os.write(2, b"the cause")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        fail()
    assert "the cause" in caught.value.__notes__[0]
    assert capfd.readouterr().err == ""


def test_blocks_nest(capfd: pytest.CaptureFixture[str]) -> None:
    with without_noise():
        with without_stderr():
            os.write(2, b"a")
        os.write(2, b"b")
    os.write(2, b"c")
    assert capfd.readouterr().err == "c"


def test_a_process_without_standard_error_works() -> None:
    code = (
        "import os; os.close(2)\nfrom handful.networks.quiet import without_stderr\n"
        "with without_stderr(): print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "fine\n"


@pytest.mark.slow
def test_importing_keras_says_nothing() -> None:
    code = "from handful.networks.quiet import import_keras; print(import_keras().backend.backend())"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "GLOG"))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == ("tensorflow\n", "")


def test_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from handful.errors import BackboneError

    keras = import_keras()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BackboneError, match=r"backend 'jax'.*Unset KERAS_BACKEND"):
        import_keras()
