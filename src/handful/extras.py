"""One way to ask for an optional package: named, with its install command, at the moment of use."""

from __future__ import annotations

import importlib
from types import ModuleType

from handful.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package or say how to install it.

    Args:
        module: what to import, for example "pillow_heif".
        extra: the name of handful's extra that brings it, for example "heic".
        purpose: what it is needed for, in the user's words.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {module!r}, which is not installed. "
            f"Install it with: pip install 'handful[{extra}]'"
        ) from error
