"""The one decoder: what it reads, how colours and orientation come out, what it refuses in which words."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.data import images
from handful.data.images import decode, from_array, from_pil, load, sniff
from handful.errors import ImageError

SIZE = (8, 12)


def gradient(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) % 256], axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def refused(data: bytes, name: str = "a.jpg") -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, name, SIZE)
    error = caught.value
    assert error.name == name
    assert error.reason
    assert error.fix.endswith(".")
    assert str(error) == f"{name}: {error.reason}. {error.fix}"
    return error


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[274] = orientation
    return block.tobytes()


# What is read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "AVIF"])
def test_each_format_gives_its_pixels(kind: str) -> None:
    exact = kind in {"PNG", "BMP", "TIFF"}
    photo = decode(encoded(gradient(), kind), "photo", None)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert (photo.height, photo.width) == photo.pixels.shape[:2] == (40, 60)
    assert photo.format.upper() == kind
    assert np.abs(photo.pixels.astype(int) - gradient()).max() <= (0 if exact else 60)
    assert photo.notes == ()


def test_heic_is_read_with_its_extra() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(gradient(64, 96))).save(stream)
    assert decode(stream.getvalue(), "a.heic").pixels.shape == (64, 96, 3)


def test_heic_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    ispe = struct.pack(">I4sIII", 20, b"ispe", 0, 64, 64)
    data = (
        b"\x00\x00\x00\x14ftypheic\x00\x00\x00\x00mif1" + struct.pack(">I4s", 8 + len(ispe), b"meta") + ispe
    )
    assert "pip install 'handful[heic]'" in refused(data, "a.heic").fix


def test_every_way_in_gives_the_same_pixels(tmp_path: Path) -> None:
    data = encoded(gradient(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    expected = np.array(Image.fromarray(gradient()).resize((12, 8), Image.Resampling.BILINEAR))
    with Image.open(path) as image:
        ways = [
            load(path, SIZE),
            decode(data, "a", SIZE),
            from_array(gradient(), size=SIZE),
            from_pil(image, "a", SIZE),
        ]
    for photo in ways:
        np.testing.assert_array_equal(photo.pixels, expected)


def test_threads_give_the_same_pixels_and_touch_no_global_state() -> None:
    data = [
        encoded(gradient(200 + i, 300), kind)
        for i, kind in enumerate(["JPEG", "PNG", "WEBP", "TIFF", "GIF"] * 6)
    ]
    alone = [decode(d, "a", SIZE).pixels for d in data]
    before = (Image.MAX_IMAGE_PIXELS, dict(os.environ), threading.active_count())
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda d: decode(d, "a", SIZE).pixels, data))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert before == (Image.MAX_IMAGE_PIXELS, dict(os.environ), threading.active_count())


def test_the_import_changes_nothing_in_pillow_and_loads_no_plugin() -> None:
    code = (
        "import sys, handful.data.images as i; from PIL import Image, ImageFile; "
        "assert Image.MAX_IMAGE_PIXELS == 89478485; assert not ImageFile.LOAD_TRUNCATED_IMAGES; "
        "assert not [m for m in sys.modules if m.endswith('ImagePlugin') or m == 'pillow_heif']"
    )
    source = Path(images.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(source)})


def test_pillow_set_to_fill_cut_off_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    assert "fill cut-off files with grey" in refused(encoded(gradient(), "JPEG")).reason


# Size --------------------------------------------------------------------------------------------------


def test_a_large_jpeg_is_decoded_at_reduced_size_close_to_the_full_way() -> None:
    data = encoded(gradient(1600, 2400), "JPEG", quality=95)
    photo = decode(data, "a.jpg", (100, 100))
    full = np.array(Image.open(io.BytesIO(data)).resize((100, 100), Image.Resampling.BILINEAR))
    assert (photo.width, photo.height) == (2400, 1600)
    assert np.abs(photo.pixels.astype(int) - full).mean() < 2


def test_a_large_picture_converted_in_bands_equals_the_direct_way() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2100, 2000, 4), np.uint8)
    image = Image.fromarray(values)
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    photo = from_pil(image, size=(50, 70))
    np.testing.assert_array_equal(photo.pixels, np.array(white.resize((70, 50), Image.Resampling.BILINEAR)))
    np.testing.assert_array_equal(from_pil(image).pixels, np.array(white))


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_a_target_size_below_one_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=r"cannot be resized to .* Ask for a height"):
        decode(encoded(gradient(), "PNG"), "a.png", size)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    options = {"exif": exif(orientation)} if kind != "TIFF" else {"tiffinfo": {274: orientation}}
    photo = decode(encoded(gradient(), kind, **options), "a", None)
    upright = Image.fromarray(gradient())
    if orientation > 1:
        order = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
        order |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
        upright = upright.transpose(Image.Transpose[order[orientation]])
    assert (photo.width, photo.height) == upright.size
    limit = 0 if kind in {"PNG", "TIFF"} else 60
    assert np.abs(photo.pixels.astype(int) - np.array(upright)).max() <= limit
    small = decode(encoded(gradient(), kind, **options), "a", SIZE)
    assert small.pixels.shape == (*SIZE, 3)


def test_broken_exif_is_ignored_and_the_photo_kept() -> None:
    for block in (b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00" + os.urandom(40)):
        photo = decode(encoded(gradient(), "JPEG", exif=block), "a.jpg", SIZE)
        assert photo.notes == ()


# Colours -----------------------------------------------------------------------------------------------


def test_sixteen_bit_grey_loses_its_low_byte() -> None:
    values = np.arange(0, 65536, 16).astype(np.uint16).reshape(64, 64)
    expected = np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(encoded(values, kind), "a").pixels, expected)
    np.testing.assert_array_equal(from_array(values).pixels, expected)


def test_floats_in_a_file_follow_the_rule() -> None:
    ramp = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    assert decode(encoded(ramp, "TIFF"), "a").pixels.max() == 255
    assert decode(encoded(ramp * 200, "TIFF"), "a").pixels.max() == 200
    stretched = decode(encoded(ramp * 4000 - 2000, "TIFF"), "a")
    assert (stretched.pixels.min(), stretched.pixels.max()) == (0, 255)
    assert "stretched" in stretched.notes[0] or "stretched" in stretched.notes[-1]
    ramp[0, 0] = np.nan
    assert "not numbers" in refused(encoded(ramp, "TIFF")).reason


def test_cmyk_lab_palette_and_one_bit_come_out_as_rgb() -> None:
    red = Image.new("RGB", (20, 20), (250, 10, 10))
    red.putpixel((0, 0), (0, 0, 0))
    for image, kind in (
        (red.convert("CMYK"), "TIFF"),
        (red.convert("CMYK"), "JPEG"),
        (red.convert("P"), "PNG"),
    ):
        centre = decode(encoded(image, kind), "a").pixels[10, 10].astype(int)
        assert np.abs(centre - (250, 10, 10)).max() < 60
    lab = Image.new("LAB", (20, 20), (128, 128, 128))
    assert np.ptp(decode(encoded(lab, "TIFF"), "a").pixels[5, 5].astype(int)) < 10
    assert set(np.unique(decode(encoded(red.convert("1"), "PNG"), "a").pixels)) <= {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_goes_onto_white(kind: str) -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (10, 0, 20, 20))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encoded(image, kind, **options), "a").pixels
    np.testing.assert_array_equal(pixels[5, 2], [255, 255, 255])
    np.testing.assert_array_equal(pixels[5, 15], [200, 0, 0])


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    image = (
        Image.new("RGB", (20, 20), (0, 0, 0)).convert("I").convert("I;16")
        if mode == "I;16"
        else Image.new(mode, (20, 20))
    )
    data = encoded(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert (decode(data, "a").pixels == 255).all()


def test_transparency_of_a_two_bit_grey_png_is_scaled_like_its_pixels() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0))
    body = chunk(b"tRNS", b"\x00\x01") + chunk(b"IDAT", zlib.compress(b"\x00\x1b")) + chunk(b"IEND", b"")
    row = decode(b"\x89PNG\r\n\x1a\n" + header + body, "a").pixels[0, :, 0]
    np.testing.assert_array_equal(row, [0, 255, 170, 255])  # levels 0, 1 (transparent), 2, 3


# Notes -------------------------------------------------------------------------------------------------


def test_notes_say_what_is_odd() -> None:
    png = encoded(gradient(), "PNG")
    assert decode(png, "cat.jpg", SIZE).notes == ("is a PNG although named .jpg",)
    assert decode(png, "cat.PNG", SIZE).notes == ()
    assert decode(png, "upload", SIZE).notes == ()
    assert "very small: 9 x 7 pixels" in from_array(gradient(7, 9)).notes
    assert "aspect ratio 12:1" in from_array(gradient(20, 240)).notes
    assert "aspect ratio 1:12" in from_array(gradient(240, 20)).notes
    assert "blank: all pixels alike" in from_array(np.zeros((30, 30), np.uint8)).notes


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_is_used_and_noted(kind: str) -> None:
    first, second = Image.fromarray(gradient()), Image.fromarray(255 - gradient())
    photo = decode(encoded(first, kind, save_all=True, append_images=[second]), "a", None)
    assert any("first" in note for note in photo.notes)
    assert np.abs(photo.pixels.astype(int) - gradient()).mean() < 20


# Refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_cut_off_file_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    data = encoded(noise, kind)
    refused(data[: max(int(len(data) * share), 20)])


def test_a_cut_off_jpeg_says_about_how_long_it_should_be() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8), "JPEG")
    reason = refused(data[: len(data) // 2]).reason
    expected = int(reason.split("of about ")[1].split()[0].replace(",", ""))
    assert reason.startswith(f"truncated: {len(data) // 2:,} of about ")
    assert 0.8 < expected / len(data) < 1.25


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encoded(gradient(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    assert "checksum of its IDAT" in refused(bytes(data)).reason


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (b"<!DOCTYPE html><html><body>404", "an HTML page", "the download failed"),
        (b'{"error": "not found"}', "a JSON document", "the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git-LFS pointer", "Git-LFS pointer"),
        (b"%PDF-1.4", "PDF", "is PDF"),
        (b"<?xml version='1.0'?><svg xmlns=''/>", "SVG", "is SVG"),
        (b"PK\x03\x04....", "a ZIP archive", "ZIP archive"),
        (b"8BPS\x00\x01", "PSD", "is PSD"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01", "a camera RAW file", "RAW"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x01", "a video", "video"),
        (b"P6\n1 1\n255\nabc", "PNM", "is PNM"),
        (bytes(64), "all zero bytes", "only zero bytes"),
        (b"hello, this is a note", "plain text", "plain text"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", None, "not an image"),
    ],
)
def test_what_is_no_photo_is_named(data: bytes, kind: str | None, reason: str) -> None:
    assert sniff(data) == kind
    assert reason in refused(data).reason


def test_a_raw_file_built_as_tiff_is_refused_by_its_name() -> None:
    assert "RAW" in refused(encoded(gradient(), "TIFF"), "a.nef").reason


def test_empty_bytes_are_refused() -> None:
    assert "0 bytes" in refused(b"").reason


def test_a_name_with_control_characters_is_shown_escaped() -> None:
    with pytest.raises(ImageError, match=r"^a\\nb\\xff\.jpg: is empty"):
        decode(b"", "a\nb\udcff.jpg")


def test_a_picture_too_large_is_refused_by_its_header() -> None:
    png = bytearray(encoded(gradient(), "PNG"))
    png[16:24] = struct.pack(">II", 20_000, 20_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    assert "400 megapixels, at most 51" in refused(bytes(png)).reason
    bmp = bytearray(encoded(gradient(), "BMP"))
    bmp[18:22] = struct.pack("<i", 100_000)
    assert "at most 65,535 a side" in refused(bytes(bmp)).reason


def test_a_large_jpeg_is_read_small_and_refused_whole() -> None:
    jpeg = bytearray(encoded(gradient(), "JPEG"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", 9_000, 9_000)
    assert "truncated" in refused(bytes(jpeg)).reason  # too few bytes for that many pixels
    jpeg += bytes(2_000_000)
    assert decode(bytes(jpeg), "a.jpg", SIZE).width == 9_000
    with pytest.raises(ImageError, match="81 megapixels, at most 64"):
        decode(bytes(jpeg), "a.jpg")


def test_many_passes_are_refused() -> None:
    data = encoded(gradient(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    assert "passes" in refused(data[:scan] + data[scan : scan + 14] * 200 + data[scan:]).reason


def test_a_text_bomb_is_refused_and_honest_text_is_not() -> None:
    from PIL.PngImagePlugin import PngInfo

    honest, bomb = PngInfo(), PngInfo()
    honest.add_text("note", "A photo of a cat. " * 500, zip=True)
    bomb.add_text("note", "\x00" * 5_000_000, zip=True)
    assert decode(encoded(gradient(), "PNG", pnginfo=honest), "a.png").notes == ()
    assert "unpacks to more than" in refused(encoded(gradient(), "PNG", pnginfo=bomb)).reason
