"""Decoding: a reason for every failure, upright RGB for every success. Specimens are generated."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFile, ImageOps, ImageSequence

from facelib.images.decode import FORMATS, DecodeSettings, decode
from facelib.reasons import ImageReason

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]

Pixels = npt.NDArray[np.uint8]
LOSSLESS = ("PNG", "WEBP", "TIFF")


def noise(height: int = 12, width: int = 17, channels: int = 3, seed: int = 0) -> Pixels:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image: Image.Image | Pixels, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    if format == "WEBP":
        options = {"lossless": True, "exact": True} | options
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation: int | None = None, make: str | None = None, model: str | None = None) -> Image.Exif:
    tags = Image.Exif()
    for tag, value in {0x0112: orientation, 0x010F: make, 0x0110: model}.items():
        if value is not None:
            tags[tag] = value
    return tags


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces its size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", b"\x78\x9c") + chunk(b"IEND", b"")


def pixels(data: bytes) -> Pixels:
    found = decode(data)
    assert found.pixels is not None, found.reason
    return found.pixels


@pytest.mark.parametrize("format", FORMATS)
def test_pixels_equal_those_of_the_reference_decoder(format: str) -> None:
    data = encode(noise(), format)
    found = decode(data)
    assert found.reason is None
    assert found.pixels is not None
    assert found.pixels.dtype == np.uint8
    assert found.pixels.flags.c_contiguous
    np.testing.assert_array_equal(found.pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert (found.format, found.width_px, found.height_px, found.n_frames) == (format.lower(), 17, 12, 1)
    assert found.exif_orientation is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", ImageReason.EMPTY),
        (b"hello, this is a text file of some length\n" * 9, ImageReason.NOT_AN_IMAGE),
        (b"\0" * 512, ImageReason.NOT_AN_IMAGE),
        (bytes(noise(20, 20, seed=5)), ImageReason.NOT_AN_IMAGE),
        (encode(noise(), "PPM"), ImageReason.UNSUPPORTED_FORMAT),
        (encode(noise(32, 32), "ICO"), ImageReason.UNSUPPORTED_FORMAT),
        (encode(noise(40, 60), "JPEG")[:-400], ImageReason.TRUNCATED),
        (encode(noise(40, 60), "PNG")[:-400], ImageReason.TRUNCATED),
        (encode(noise(40, 60), "BMP")[:-400], ImageReason.TRUNCATED),
        (encode(noise(40, 60), "JPEG")[:20], ImageReason.TRUNCATED),
        (png_header(60_000, 60_000), ImageReason.TOO_MANY_PIXELS),
        (png_header(12_000, 12_000), ImageReason.TOO_MANY_PIXELS),
    ],
)
def test_reasons(data: bytes, reason: ImageReason) -> None:
    found = decode(data)
    assert found.reason is reason
    assert found.pixels is None


def test_a_broken_stream_is_a_decode_error() -> None:
    data = bytearray(encode(noise(40, 60), "PNG"))
    at = data.index(b"IDAT") + 40
    data[at : at + 200] = bytes(200)
    found = decode(bytes(data))
    assert found.reason is ImageReason.DECODE_ERROR
    assert found.detail
    assert (found.format, found.width_px, found.height_px) == ("png", 60, 40)


@pytest.mark.parametrize("format", FORMATS)
def test_pixels_are_counted_before_anything_is_decoded(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(10, 21), format)
    assert decode(data, DecodeSettings(max_pixels=210)).reason is None

    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    found = decode(data, DecodeSettings(max_pixels=209))
    assert found.reason is ImageReason.TOO_MANY_PIXELS
    assert (found.width_px, found.height_px) == (21, 10)


@pytest.mark.parametrize("format", FORMATS)
def test_truncation_anywhere_never_raises(format: str) -> None:
    data = encode(noise(40, 60), format)
    whole = decode(data)
    allowed = {ImageReason.TRUNCATED, ImageReason.DECODE_ERROR, ImageReason.NOT_AN_IMAGE}
    positions = sorted({*range(1, 150), *range(150, len(data), max(1, len(data) // 150)), len(data) - 1})
    reasons = []
    for n in positions:
        found = decode(data[:n])
        assert (found.pixels is None) == (found.reason is not None)
        if found.pixels is None:
            assert found.reason in allowed, n
            assert found.width_px in (None, 60)
        else:
            assert whole.pixels is not None
            assert found.pixels.shape == whole.pixels.shape
            assert len(data) - n < 1000, "a picture with a large part missing was accepted"
        reasons.append(found.reason)
    assert reasons.count(ImageReason.TRUNCATED) > len(reasons) / 2


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_bytes_never_raise(format: str) -> None:
    rng = np.random.default_rng(42)
    data = np.frombuffer(encode(noise(24, 31), format), np.uint8)
    settings = DecodeSettings(max_pixels=1_000_000)
    for _ in range(250):
        damaged = data.copy()
        where = rng.integers(0, len(data), rng.integers(1, 12))
        damaged[where] = rng.integers(0, 256, len(where))
        found = decode(damaged.tobytes(), settings)
        assert (found.pixels is None) == (found.reason is not None)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", [*LOSSLESS, "JPEG"])
def test_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    data = encode(noise(), format, exif=exif(orientation))
    found = decode(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(pixels(data), expected)
    assert found.exif_orientation == orientation
    assert (found.height_px, found.width_px) == expected.shape[:2] == ((12, 17) if orientation < 5 else (17, 12))


def test_orientation_six_turns_clockwise_by_hand() -> None:
    """Six means that the stored first row is the right-hand side of the scene (EXIF 2.3, table of tag 274)."""
    stored = np.zeros((2, 3, 3), np.uint8)
    stored[0, 0] = (255, 0, 0)
    stored[0, 2] = (0, 0, 255)
    found = pixels(encode(stored, "PNG", exif=exif(6)))
    assert found.shape == (3, 2, 3)
    assert found[0, 1].tolist() == [255, 0, 0]
    assert found[2, 1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_out_of_range_is_ignored(orientation: int) -> None:
    data = encode(noise(), "PNG", exif=exif(orientation))
    found = decode(data)
    np.testing.assert_array_equal(pixels(data), noise())
    assert found.exif_orientation is None


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D80", "NIKON D80"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Apple", None, "Apple"),
        (None, "Scanner", "Scanner"),
        ("  Sony\t ", "<b>\x07A7</b>", "Sony <b> A7</b>"),
        ("", " ", None),
        (None, None, None),
        ("A" * 90, "B", "A" * 80),
    ],
)
@pytest.mark.parametrize("format", [*LOSSLESS, "JPEG"])
def test_the_camera_is_named_once(format: str, make: str | None, model: str | None, camera: str | None) -> None:
    found = decode(encode(noise(), format, exif=exif(6, make, model)))
    assert (found.camera, found.exif_orientation) == (camera, 6)


@pytest.mark.parametrize(("kind", "where"), [(3, 26), (2, 60_000)])
def test_a_camera_of_another_type_or_outside_the_block_is_no_camera(kind: int, where: int) -> None:
    """One directory (TIFF 6.0) with a long model, which is stored as `kind` at the offset `where`."""
    entry = struct.pack("<HHII", 0x0110, kind, 12, where)
    block = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + b"Canon EOS 5D"
    data = encode(noise(), "JPEG", exif=block)
    assert decode(data).camera is None
    is_right = block.replace(entry, struct.pack("<HHII", 0x0110, 2, 12, 26))
    assert decode(encode(noise(), "JPEG", exif=is_right)).camera == "Canon EOS 5D"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("junk", [b"Exif\0\0" + b"junk" * 9, b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM"])
def test_broken_exif_does_not_cost_the_picture(format: str, junk: bytes) -> None:
    data = encode(noise(), format, exif=junk)
    np.testing.assert_array_equal(pixels(data), pixels(encode(noise(), format)))


def test_a_rotated_jpeg_without_its_end_keeps_its_upright_size() -> None:
    found = decode(encode(noise(40, 60), "JPEG", exif=exif(6))[:-400])
    assert found.reason is ImageReason.TRUNCATED
    assert (found.width_px, found.height_px, found.exif_orientation) == (40, 60, 6)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    for format in ("PNG", "TIFF"):
        found = pixels(encode(Image.fromarray(deep), format))
        expected = np.rint(deep / 257.0)
        assert np.abs(found.astype(float) - expected[:, :, None]).max() <= 0.5
        assert len(np.unique(found)) == 256


def test_sixteen_bit_grey_is_turned_upright() -> None:
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    found = pixels(encode(Image.fromarray(deep), "PNG", exif=exif(8)))
    np.testing.assert_array_equal(found[:, :, 0], np.rot90(np.rint(deep / 257.0)).astype(np.uint8))


def test_cmyk() -> None:
    """Full ink of one plate takes away its complement: cyan is (0, 255, 255)."""
    plates = np.zeros((16, 64, 4), np.uint8)
    for i in range(4):
        plates[:, 16 * i : 16 * i + 16, i] = 255
    expected = [(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0)]
    for format, tolerance in (("TIFF", 0), ("JPEG", 3)):
        found = pixels(encode(Image.fromarray(plates, "CMYK"), format))
        for i, colour in enumerate(expected):
            assert np.abs(found[8, 16 * i + 8].astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_become_rgb(mode: str) -> None:
    picture = Image.fromarray(noise()).convert(mode)
    found = pixels(encode(picture, "PNG"))
    np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


def test_alpha_is_composed_on_white() -> None:
    rgba = noise(20, 30, 4, seed=3)
    weight = rgba[:, :, 3:].astype(float) / 255
    expected = rgba[:, :, :3] * weight + 255 * (1 - weight)
    for format in LOSSLESS:
        found = pixels(encode(rgba, format))
        assert np.abs(found - expected).max() <= 1
    grey = noise(20, 30, 2, seed=4)
    found = pixels(encode(Image.fromarray(grey, "LA"), "PNG"))
    weight = grey[:, :, 1] / 255
    assert np.abs(found[:, :, 0] - (grey[:, :, 0] * weight + 255 * (1 - weight))).max() <= 1


def test_a_transparent_palette_entry_is_white() -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    for format in ("PNG", "GIF"):
        found = pixels(encode(picture, format, transparency=0))
        assert found.tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_frames_are_counted_and_the_first_is_used(format: str) -> None:
    frames = [Image.fromarray(noise(seed=s)) for s in range(3)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    found = decode(data)
    first = next(iter(ImageSequence.Iterator(Image.open(io.BytesIO(data))))).convert("RGB")
    assert found.n_frames == 3
    np.testing.assert_array_equal(pixels(data), np.asarray(first))


def test_a_multi_picture_jpeg_gives_its_first_picture() -> None:
    frames = [Image.fromarray(noise(seed=s)) for s in range(2)]
    found = pixels(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(encode(frames[0], "JPEG")))))


def test_memory_that_runs_out_is_a_decode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    found = decode(encode(noise(), "BMP"))
    assert (found.reason, found.detail) == (ImageReason.DECODE_ERROR, "MemoryError")
