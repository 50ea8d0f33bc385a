"""What is wrong with a file before its name is known: a reason and a fix, worded in one place."""

from __future__ import annotations

COPY_AGAIN = "Copy or download it again."
SMALLER = "Save a smaller copy of it."
OPEN_AND_SAVE = "Copy or download it again, or open it in a photo program and save it as JPEG or PNG."


class Fault(Exception):  # noqa: N818 - a finding, not an error of its own
    """A reason and a fix; `images.py` adds the file's name and raises ImageError. Never leaves this room."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def cut_off(length: int, expected: int | None = None) -> Fault:
    """The fault of a file that ends too early.

    Args:
        length: bytes present.
        expected: about how many there should be; None when nothing tells.
    """
    if expected is not None and expected > length:
        return Fault(f"truncated: {length:,} of about {expected:,} bytes", COPY_AGAIN)
    return Fault(f"truncated: it ends after {length:,} bytes", COPY_AGAIN)
