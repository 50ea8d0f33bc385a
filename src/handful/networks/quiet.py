"""Keep TensorFlow's noise away from the user, and at hand when something fails.

Part of it is C++ that writes to file descriptor 2 whatever the log level, so the descriptor itself is
turned to a temporary file for the time. Exceptions pass; they carry the last of the noise as a note.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import IO

from handful.errors import BackboneError

_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
    "KERAS_BACKEND": "tensorflow",  # wins over ~/.keras/keras.json, not over what the user set
}
_LONGEST_NOTE = 4000  # characters of noise attached to an exception
_STDERR = 2

# One descriptor for the whole process: two threads that turn it at once could restore each other's file.
_lock = threading.RLock()


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Keep what is written to standard error during the block from the user, C++ included.

    It is process-wide, so keep the block short. If the block raises, what was written is added to the
    exception as a note.
    """
    with _lock, tempfile.TemporaryFile() as kept:
        flush_stderr()
        try:
            saved = os.dup(_STDERR)
        except OSError:  # no standard error at all (a service, pythonw): nothing to keep away
            yield
            return
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        except BaseException as error:
            flush_stderr()
            _attach(error, kept)
            raise
        finally:
            flush_stderr()
            os.dup2(saved, _STDERR)
            os.close(saved)


def flush_stderr() -> None:
    """Write out what Python still holds for standard error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()


def _attach(error: BaseException, kept: IO[bytes]) -> None:
    kept.seek(0)
    noise = kept.read().decode("utf-8", "replace").strip()
    if noise:
        error.add_note(f"What was written to standard error meanwhile:\n{noise[-_LONGEST_NOTE:]}")


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Keep standard error, Python warnings and TensorFlow's log from the user during the block."""
    levels = {name: logging.getLogger(name).level for name in ("absl", "tensorflow")}
    with without_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def import_keras() -> ModuleType:
    """Import Keras on TensorFlow without a word and return it. Takes 3 to 6 seconds the first time.

    Raises:
        BackboneError: Keras is set to another backend, or cannot be imported.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        return _checked(sys.modules["keras"])
    with without_noise():
        try:
            import keras
            import tensorflow  # noqa: F401  # so that its own first noise falls inside the block
        except ImportError as error:
            raise BackboneError(
                f"Keras or TensorFlow cannot be imported ({error}). Install both again with "
                "`pip install --force-reinstall keras tensorflow`."
            ) from error
    return _checked(keras)


def _checked(keras: ModuleType) -> ModuleType:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise BackboneError(
            f"Keras runs on the backend {backend!r} here; Handful needs 'tensorflow'. "
            "Unset KERAS_BACKEND, or set it to tensorflow."
        )
    return keras
