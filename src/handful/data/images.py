"""The one decoder and the one resize: training, prediction, server and page all read photos here.

Rules, in the order they apply. Change one and raise `DECODER_VERSION`, which is part of every cache key.

1. The content decides the format, never the file name; a name that says otherwise is noted. Read: JPEG, PNG,
   GIF, BMP, WebP, TIFF, AVIF, and HEIC with the extra `heic`. Everything else is refused by name.
2. Only the first frame, page or picture counts. Only what makes the pixels is shown to the decoder
   (`containers.py`): broken EXIF, text, profiles and later frames cannot hurt. Profiles are not applied.
3. Size is checked in the header, before any decoding: at most `MOST_SIDE` pixels a side and `MOST_PIXELS` of
   the format (`limits.py`). A JPEG is decoded at 1/2, 1/4 or 1/8 of its size when `size` is given, as far as
   both sides stay at least `DRAFT_MARGIN` times the target, so mostly its reduced size counts.
4. Cut-off and damaged files are refused; a grey fill would teach the model. Checksums of PNG are verified.
5. Colours become 8-bit RGB: 16-bit values lose their low byte (12-bit ones their low four bits); 32-bit
   integers within 0..65535 likewise; floats within 0..1 times 255, within 0..255 as they are; other ranges
   are stretched from their lowest to their highest value, with a note. CMYK, LAB and YCbCr as Pillow
   converts them. Alpha and transparent colours: onto white.
6. With `size`, Pillow's bilinear resize with antialiasing straight to (h, w): squashed, not cropped.
7. Orientation (EXIF, TIFF, or the turn inside AVIF and HEIC) is applied last, on the resized pixels.

Nothing global is changed in Pillow, `warnings` or `logging`, so calls from several threads do not meet.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from handful.data.containers import examine
from handful.data.faults import COPY_AGAIN, OPEN_AND_SAVE, SMALLER, Fault, cut_off
from handful.data.headers import (
    PHOTO_SUFFIXES,
    RAW_SUFFIXES,
    READABLE,
    extension_note,
    refuse_kind,
    sniff,
    suffix_of,
)
from handful.data.limits import MOST_BYTES, MOST_DECODED, MOST_PIXELS, check_limits, check_pixels
from handful.data.names import printable
from handful.data.openers import expected_bytes, open_image
from handful.data.pixels import to_rgb, upright
from handful.data.tiff_parts import origin_in
from handful.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "DECODER_VERSION",
    "PHOTO_SUFFIXES",
    "Photo",
    "decode",
    "from_array",
    "from_pil",
    "load",
    "read_file",
    "sniff",
]

DECODER_VERSION = 1  # part of every cache key: change the pixels, change the number

Size = tuple[int, int]

DRAFT_MARGIN = 2
SMALL_SIDE = 16
LONG_SHAPE = 8


@dataclass(frozen=True)
class Photo:
    """One photo, decoded.

    Attributes:
        pixels: uint8, shape (h, w, 3), RGB, 0..255, C-contiguous; resized when a size was asked for.
        width: of the original in pixels, upright.
        height: of the original in pixels, upright.
        format: "JPEG", "PNG", ...; "array" when it came from an array.
        notes: what is odd about it, "is a PNG although named .jpg", "very small: 9 x 7 pixels".
        camera: make and model by the file's EXIF; "" where it names none, and for AVIF and HEIC.
        taken: when, by the file's EXIF, in seconds of the camera's own clock since 1970; None likewise.
    """

    pixels: np.ndarray
    width: int
    height: int
    format: str
    notes: tuple[str, ...] = ()
    camera: str = ""
    taken: int | None = None


def load(path: Path | str, size: Size | None = None) -> Photo:
    """Read and decode one photo file: `decode(read_file(path), str(path), size)`.

    Raises:
        ImageError: it cannot be read or is not a photo.
    """
    return decode(read_file(path), os.fspath(path), size)


def read_file(path: Path | str) -> bytes:
    """Read a regular file; never waits on a pipe or device.

    Args:
        path: any path; symbolic links are followed.

    Returns:
        The content, at least 1 byte and at most `MOST_BYTES`.

    Raises:
        ImageError: missing, a folder, a pipe, a broken or looping link, no permission, empty, too large, or
            changed while it was read.
    """
    name = printable(os.fspath(path))
    # Non-blocking and stat before open: opening a pipe waits for a writer, opening a device can act on it.
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
    )
    try:
        _check_regular(os.stat(path), name)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status, name)
            data = file.read(status.st_size + 1)
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, error) from error
    if len(data) != status.st_size:
        raise ImageError(name, "changed while it was read", "Wait until it is fully copied and try again.")
    return data


def _check_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(name, "is a folder, not a file", "Rename the folder, or name the photos inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(
            name, "is a pipe, socket or device, not a file", "Copy the photo into a regular file."
        )
    if status.st_size == 0:
        raise ImageError(name, "is empty: 0 bytes", COPY_AGAIN)
    if status.st_size > MOST_BYTES:
        raise ImageError(name, f"is too large: {status.st_size:,} bytes, at most {MOST_BYTES:,}", SMALLER)


def _unreadable(path: Path | str, name: str, error: OSError | ValueError) -> ImageError:
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return ImageError(
            name, "is a link to a file that is missing", "Restore its target or delete the link."
        )
    if isinstance(error, FileNotFoundError):
        return ImageError(name, "does not exist", "Check the path; the file may have been moved or renamed.")
    if isinstance(error, PermissionError):
        return ImageError(name, "may not be read: no permission", "Give yourself permission to read it.")
    if "symbolic links" in str(error):
        return ImageError(
            name, "is a link that leads back to itself", "Delete the link and copy the photo there."
        )
    what = getattr(error, "strerror", None) or str(error)
    return ImageError(name, f"cannot be read: {what}", "Check the path and the disk it is on.")


def decode(data: bytes, name: str, size: Size | None = None) -> Photo:
    """Decode one photo from its bytes.

    Args:
        data: a whole image file.
        name: what to call it in messages and notes; its suffix does not choose the format.
        size: (h, w) in pixels to squash it to, each at least 1; None keeps its own size.

    Raises:
        ImageError: it is not a photo we read, damaged, truncated, or too large.
    """
    kind = _check_kind(data, name)
    try:
        return _decode(kind, bytes(data), name, _check_size(size))
    except Fault as fault:
        raise ImageError(printable(name), fault.reason, fault.fix) from fault
    except Exception as error:
        if _is_truncation(error):
            cut = cut_off(len(data), expected_bytes(kind, data))
            raise ImageError(printable(name), cut.reason, cut.fix) from error
        _raise_for(error, name, kind)


def _is_truncation(error: Exception) -> bool:
    text = str(error).lower()
    return "truncated" in text or "not enough image data" in text


def _check_kind(data: bytes, name: str) -> str:
    if not data:
        raise ImageError(printable(name), "is empty: 0 bytes", COPY_AGAIN)
    kind = sniff(data)
    if (
        kind == "TIFF" and suffix_of(name) in RAW_SUFFIXES
    ):  # most RAW formats are TIFFs holding a thumbnail first
        kind = "a camera RAW file"
    if kind not in READABLE:
        raise refuse_kind(name, kind)
    return kind


def check_name(data: bytes, name: str) -> tuple[str, ...]:
    """What the file's name has to do with its content: notes that belong to the name and not to the photo.

    Raises:
        ImageError: the content, or the content under this name, is not a photo we read.
    """
    note = extension_note(name, _check_kind(data, name))
    return (note,) if note else ()


def _check_size(size: Size | None) -> Size | None:
    if size is not None and min(size) < 1:
        raise Fault(
            f"cannot be resized to {size[0]} x {size[1]}", "Ask for a height and width of at least 1."
        )
    return size


def _decode(kind: str, data: bytes, name: str, size: Size | None) -> Photo:
    try:
        container = examine(kind, data)
    except (struct.error, IndexError) as error:
        raise cut_off(len(data)) from error
    check_limits(kind, container, size)
    image, turn = open_image(kind, container)
    stored, shape = _stored_size(size, turn), (image.width, image.height)
    if kind == "JPEG" and stored is not None:
        image.draft(None, (DRAFT_MARGIN * stored[1], DRAFT_MARGIN * stored[0]))
    check_pixels(image.width * image.height, MOST_PIXELS[kind] if kind != "JPEG" else MOST_DECODED)
    pixels, notes = to_rgb(image, stored, container.depth)
    named = extension_note(name, kind)
    notes = (*((named,) if named else ()), *container.notes, *notes)
    photo = _photo(upright(pixels, turn), _upright_shape(shape, turn), kind, notes)
    camera, taken = origin_in(container.exif)
    return replace(photo, camera=camera, taken=taken)


def _stored_size(size: Size | None, turn: int) -> Size | None:
    """The target before the picture is turned: orientations 5 to 8 swap height and width."""
    return size if size is None or turn < 5 else (size[1], size[0])


def _upright_shape(shape: tuple[int, int], turn: int) -> tuple[int, int]:
    return shape if turn < 5 else (shape[1], shape[0])


def _raise_for(error: Exception, name: str, kind: str) -> NoReturn:
    """Word any exception of the decoder as an ImageError."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        raise ImageError(
            printable(name), f"needs more memory than there is to decode ({kind})", SMALLER
        ) from error
    if "object at 0x" in text or not text:  # Pillow names its own buffer here, which tells the user nothing
        text = type(error).__name__
    raise ImageError(
        printable(name), f"damaged {kind}, or a kind of it that is not read ({text})", OPEN_AND_SAVE
    ) from error


def _photo(pixels: np.ndarray, shape: tuple[int, int], kind: str, notes: tuple[str, ...]) -> Photo:
    """Put a Photo together; the looks at shape and blankness are the same for every way in."""
    width, height = shape
    found = list(notes)
    if min(width, height) < SMALL_SIDE:
        found.append(f"very small: {width} x {height} pixels")
    if max(width, height) > LONG_SHAPE * min(width, height):
        ratio = f"{max(width, height) / min(width, height):.0f}"
        found.append(f"aspect ratio {ratio}:1" if width > height else f"aspect ratio 1:{ratio}")
    first = pixels[0, 0]
    if (pixels[0] == first).all() and (
        pixels == first
    ).all():  # the first row alone settles nearly every photo
        found.append("blank: all pixels alike")
    elif _is_flat(pixels):
        found.append("nearly all one flat colour: a drawing or a placeholder instead of a photo?")
    return Photo(pixels, width, height, kind, tuple(found))


def _is_flat(pixels: np.ndarray) -> bool:
    """Whether one colour in 32 steps covers nearly all of a 64-pixel raster: 91 % in a picture that says "not
    found", at most 83 % in the 2,459 photos of ants_bees and hand_digits.
    """
    rows, columns = (max(1, side // 64) for side in pixels.shape[:2])
    steps = (pixels[::rows, ::columns] >> 3).astype(np.int32)
    colours = (steps[..., 0] << 10 | steps[..., 1] << 5 | steps[..., 2]).ravel()
    return bool(np.bincount(colours).max() > 0.88 * len(colours))


def from_pil(image: Image.Image, name: str = "image", size: Size | None = None) -> Photo:
    """Take an image opened with Pillow; same colour rules, orientation and resize as `decode`.

    The image is not changed, apart from being loaded. Its pixels are used as Pillow decoded them, so a
    large JPEG can differ by a grey level or two from `decode`, which decodes it at reduced size.

    Raises:
        ImageError: it is not a Pillow image, cannot be loaded, or is too large.
    """
    return _guarded(lambda: _from_pil(image, _check_size(size)), name, "image")


def _from_pil(image: Image.Image, size: Size | None) -> Photo:
    from PIL import Image as pil  # noqa: N813 - the class of the same name is imported for types only

    from handful.data.tiff_parts import orientation_in

    if not isinstance(image, pil.Image):
        raise Fault(
            f"is a {type(image).__name__}, not a Pillow image", "Pass a PIL.Image.Image, bytes or an array."
        )
    if min(image.size) < 1:
        raise Fault(
            f"has no pixels: {image.width} x {image.height}", "Pass an image with at least one pixel."
        )
    check_pixels(image.width * image.height, MOST_DECODED)
    image.load()
    exif = image.info.get("exif")
    # Pillow turns a TIFF itself while loading it, and leaves the old EXIF in `info`.
    turn = (
        orientation_in(exif.removeprefix(b"Exif\x00\x00"))
        if isinstance(exif, bytes) and image.format != "TIFF"
        else 1
    )
    pixels, notes = to_rgb(image, _stored_size(size, turn), 8)
    return _photo(upright(pixels, turn), _upright_shape(image.size, turn), image.format or "image", notes)


def from_array(array: Any, name: str = "array", size: Size | None = None) -> Photo:
    """Take an array of pixels; same alpha rule and resize as `decode`.

    Args:
        array: shape (h, w), (h, w, 1), (h, w, 3) RGB or (h, w, 4) RGBA, of
            uint8 (as it is), bool (0 or 255), uint16 (its high byte), or float within 0..255
            (rounded). Other integers are taken when all values lie within 0..255.
        size: (h, w) in pixels, or None.

    Raises:
        ImageError: another shape or type; a float that is not finite or outside 0..255; floats that all lie
            within 0..1 with fractions among them, which would load as black.
    """
    return _guarded(lambda: _from_array(array, _check_size(size)), name, "array")


def _from_array(array: Any, size: Size | None) -> Photo:
    from PIL import Image as pil  # noqa: N813 - see _from_pil

    values = np.asarray(array)
    grey = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 1)
    if values.size == 0 or not (grey or (values.ndim == 3 and values.shape[2] in (3, 4))):
        raise Fault(
            f"has shape {values.shape}", "Pass one photo of shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)."
        )
    check_pixels(values.shape[0] * values.shape[1], MOST_DECODED)
    levels = _levels(values)
    image = pil.fromarray(np.ascontiguousarray(levels.reshape(levels.shape[:2]) if grey else levels))
    pixels, notes = to_rgb(image, size, 8)
    return _photo(pixels, image.size, "array", notes)


def _levels(values: np.ndarray) -> np.ndarray:
    """Bring an array of any accepted type to uint8 levels 0..255, same shape. Raises Fault."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise Fault(f"has values of type {values.dtype}", "Pass uint8 values from 0 to 255.")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # also true of nan
        raise Fault(f"has values from {low:g} to {high:g}", "Scale them to 0..255 before passing them.")
    if values.dtype.kind == "f" and high <= 1 and (values != np.rint(values)).any():
        raise Fault(
            "has values from 0 to 1, which would load as black", "Multiply them by 255 before passing them."
        )
    return np.rint(values).astype(np.uint8)


def _guarded(make: Callable[[], Photo], name: str, kind: str) -> Photo:
    """Run `make` and word everything it raises as an ImageError."""
    try:
        return make()
    except Fault as fault:
        raise ImageError(printable(name), fault.reason, fault.fix) from fault
    except Exception as error:  # noqa: BLE001 - as in decode: all mean "this cannot be read as a photo"
        _raise_for(error, name, kind)
