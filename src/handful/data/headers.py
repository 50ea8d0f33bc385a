"""What a file's first bytes say it is, and what to tell the user when that is not a photo we read.

Pure functions on bytes; no image library. Decoding is in `images.py`, the walk through a file's parts in
`containers.py`.
"""

from __future__ import annotations

import os
import re

from handful.data.names import printable
from handful.errors import ImageError

# What `images.py` decodes. Everything else is refused by name.
READABLE = frozenset({"JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "AVIF", "HEIC"})

SUFFIXES_OF: dict[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"}),
    "PNG": frozenset({".png", ".apng"}),
    "GIF": frozenset({".gif"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "WebP": frozenset({".webp"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "AVIF": frozenset({".avif", ".avifs"}),
    "HEIC": frozenset({".heic", ".heif", ".hif", ".heics", ".heifs"}),
}
# fmt: off
RAW_SUFFIXES = frozenset((
    ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".orf", ".rw2",
    ".raf", ".pef", ".srw", ".3fr", ".erf", ".kdc", ".mrw", ".x3f",
))
_REFUSED_SUFFIXES = frozenset((
    ".psd", ".psb", ".svg", ".svgz", ".pdf", ".eps", ".ai", ".ico", ".cur", ".icns", ".jp2",
    ".j2k", ".jpx", ".jxl", ".dds", ".tga", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".qoi",
    ".exr", ".hdr", ".sgi", ".rgb", ".bw", ".xcf", ".wmf", ".emf", ".ff", ".fli", ".flc", ".blp", ".msp",
    ".wal", ".mic", ".fpx", ".p7", ".spider", ".ras", ".xbm", ".xpm", ".fits", ".iptc", ".im", ".ftu",
))
# fmt: on
# Lower-case suffixes a user would call a photo, those we refuse by name included: a folder scan uses this
# so that nothing is left out silently.
PHOTO_SUFFIXES: frozenset[str] = frozenset().union(*SUFFIXES_OF.values(), RAW_SUFFIXES, _REFUSED_SUFFIXES)

_EXPORT = "Export it as JPEG or PNG and use that file."
_AGAIN = "Download it again and check that it opens in a photo program."

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00\x10\x00\x00\x00CR", "a camera RAW file"),
    (b"IIRO", "a camera RAW file"),
    (b"IIRS", "a camera RAW file"),
    (b"IIU\x00", "a camera RAW file"),
    (b"FUJIFILMCCD-RAW", "a camera RAW file"),
    (b"FOVb", "a camera RAW file"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "CUR"),
    (b"icns", "ICNS"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"farbfeld", "farbfeld"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"\x01\xda", "SGI"),
    (b"gimp xcf", "a GIMP project"),
    (b"version https://git-lfs", "a Git-LFS pointer"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"SQLite format 3\x00", "a database"),
    (b"\x00\x05\x16\x07", "a macOS side file without a photo"),
    (b"BM", "BMP"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"})

# Reason and fix for what is not a photo file at all; image formats we do not read share one sentence.
_NOT_A_PHOTO: dict[str, tuple[str, str]] = {
    "an HTML page": ("is an HTML page, not a photo: the download failed", _AGAIN),
    "a JSON document": ("is a JSON document, not a photo: the download failed", _AGAIN),
    "an XML document": ("is an XML document, not a photo", _AGAIN),
    "plain text": ("is plain text, not a photo", _AGAIN),
    "all zero bytes": ("holds only zero bytes: it was never fully written", "Copy it again from the source."),
    "a Git-LFS pointer": (
        "is a Git-LFS pointer: the photo itself was not fetched",
        "Run `git lfs pull` in the repository it came from.",
    ),
    "a ZIP archive": ("is a ZIP archive, not a photo", "Unpack it and use the photos inside."),
    "a gzip archive": ("is a gzip archive, not a photo", "Unpack it and use the photos inside."),
    "a RAR archive": ("is a RAR archive, not a photo", "Unpack it and use the photos inside."),
    "a 7z archive": ("is a 7z archive, not a photo", "Unpack it and use the photos inside."),
    "a video": ("is a video, not a photo", "Save single frames of it as JPEG or PNG."),
    "a database": ("is a database, not a photo", "Take it out of the folder of photos."),
    "a macOS side file without a photo": (
        "is a macOS side file without a photo in it",
        "Delete it, or copy the photo beside it again.",
    ),
}


def sniff(data: bytes) -> str | None:
    """Say what the content is, whatever the file is called.

    Args:
        data: the file's bytes; the first 1,024 are looked at.

    Returns:
        One of `READABLE` ("JPEG", "PNG", ...), the name of another image format ("PSD", "JPEG 2000"), a
        phrase with an article ("an HTML page", "a Git-LFS pointer"), or None when nothing is recognised.
    """
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "a video"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _sniff_boxes(data)
    if re.match(rb"P[1-7fF][\s#]", data[:3]):
        return "PNM"
    return _sniff_text(data[:1024])


def _sniff_boxes(data: bytes) -> str | None:
    """Tell apart the formats built of ISO boxes by their brands: AVIF, HEIC, Canon RAW, video."""
    length = min(max(int.from_bytes(data[:4], "big"), 16), 256)
    brands = [data[8:12], *(data[i : i + 4] for i in range(16, length, 4))]
    if brands[0] == b"crx ":
        return "a camera RAW file"
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return "HEIC" if _HEIC_BRANDS.intersection(brands) else "a video"


def _sniff_text(head: bytes) -> str | None:
    if head and not head.strip(b"\x00"):
        return "all zero bytes"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text and text.startswith(b"<"):
        return "SVG"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith(b"<") and b"<html" in text:
        return "an HTML page"
    if text.startswith(b"<?xml"):
        return "an XML document"
    if re.match(rb'[{\[]\s*["{\[\]}\d]', text):
        return "a JSON document"
    return "plain text" if _is_text(text) else None


def _is_text(head: bytes) -> bool:
    return len(head) >= 8 and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) and head.isascii()


def suffix_of(name: str) -> str:
    """The lower-case suffix with its dot, "" when there is none."""
    return os.path.splitext(name)[1].lower()


def refuse_kind(name: str, kind: str | None) -> ImageError:
    """The error for content that is not one of `READABLE`, with what it really is."""
    if kind in _NOT_A_PHOTO:
        return ImageError(printable(name), *_NOT_A_PHOTO[kind])
    if kind == "a camera RAW file":
        return ImageError(printable(name), "is a camera RAW file, which is not read", _EXPORT)
    if kind is not None:
        return ImageError(printable(name), f"is {kind}, an image format that is not read", _EXPORT)
    return ImageError(
        printable(name),
        "is not an image in any format known here (JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF, HEIC)",
        "Open it in a photo program and export it as JPEG, or take it out.",
    )


def extension_note(name: str, kind: str) -> str | None:
    """ "is a PNG although named .jpg", or None when the suffix fits or says nothing about images."""
    suffix = suffix_of(name)
    if suffix not in PHOTO_SUFFIXES or suffix in SUFFIXES_OF[kind]:
        return None
    article = "an" if kind in {"AVIF"} else "a"
    return f"is {article} {kind} although named {suffix}"
