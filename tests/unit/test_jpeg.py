"""JPEG header facts, the quality of quantisation tables, and decoding at a reduced scale."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import handmade as by_hand
import numpy as np
import pytest
from handmade import saved
from PIL import Image
from specimen import grey, picture

from facelib.images.decode import DecodeSettings, decode
from facelib.images.jpeg import estimate_quality
from facelib.reasons import ImageReason

pytestmark = pytest.mark.unit

KINDS: dict[str, Callable[[np.ndarray], bytes]] = {
    "baseline": lambda rgb: saved(rgb, "JPEG", quality=90),
    "progressive": lambda rgb: saved(rgb, "JPEG", quality=90, progressive=True),
    "grey": lambda rgb: saved(grey(rgb), "JPEG", quality=90),
    "CMYK": lambda rgb: saved(Image.fromarray(np.dstack([255 - rgb, 0 * grey(rgb)]), "CMYK"), "JPEG", quality=90),
    "YCCK": lambda rgb: by_hand.ycck(np.dstack([255 - rgb, 0 * grey(rgb)])),
}


def zigzag(table: list[int]) -> np.ndarray:
    """Row-by-row table (64,) in the order of a file: along the antidiagonals, alternately up and down."""
    cells = sorted(((y, x) for y in range(8) for x in range(8)), key=lambda c: (sum(c), c[1 - sum(c) % 2]))
    return np.array([table[8 * y + x] for y, x in cells])


@pytest.mark.parametrize("quality", range(1, 101))
def test_quality_of_saved_files_comes_back_exactly(quality: int) -> None:
    rgb = picture(0, 16, 16)
    assert decode(saved(rgb, "JPEG", quality=quality)).jpeg_quality == quality
    assert decode(saved(rgb, "JPEG", quality=quality, progressive=True)).jpeg_quality == quality
    assert decode(saved(grey(rgb), "JPEG", quality=quality)).jpeg_quality == quality


def test_quality_of_opencvs_files_comes_back_exactly() -> None:
    for quality in range(1, 101, 7):
        data = cv2.imencode(".jpg", picture(0, 16, 16), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        assert decode(data).jpeg_quality == quality


def test_quality_of_other_tables_is_the_nearest() -> None:
    """One entry moved leaves the quality; tables finer than all are 100, coarser than all 1."""
    with_tables = saved(picture(0, 16, 16), "JPEG", qtables=[[1] * 64, [2] * 64])
    assert decode(with_tables).jpeg_quality in (99, 100)
    image = Image.open(io.BytesIO(saved(picture(0, 16, 16), "JPEG", quality=63)))
    luminance, chrominance = (zigzag(image.quantization[i]) for i in (0, 1))
    assert estimate_quality(luminance, chrominance) == 63
    luminance[5] += 3
    assert estimate_quality(luminance, chrominance) == 63
    assert estimate_quality(luminance) == 63
    assert estimate_quality([1] * 64) == 100
    assert estimate_quality([60_000] * 64, [60_000] * 64) == 1


def test_quality_falls_with_coarser_tables() -> None:
    found = [estimate_quality([value] * 64, [value] * 64) for value in range(1, 256)]
    assert found == sorted(found, reverse=True)


def test_quality_is_known_of_pictures_that_cannot_be_decoded_and_of_jpeg_alone() -> None:
    data = saved(picture(0, 200, 240), "JPEG", quality=77)
    assert decode(data[: len(data) // 2]).jpeg_quality == 77
    assert decode(data, DecodeSettings(max_pixels=9)).jpeg_quality == 77
    assert decode(saved(picture(), "PNG")).jpeg_quality is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(240, 320), (241, 323), (97, 8), (7, 300)])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(1, 1), (0.51, 1), (0.5, 1 / 2), (0.26, 1 / 2), (0.25, 1 / 4), (0.126, 1 / 4), (0.125, 1 / 8), (0.01, 1 / 8)],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_serves(
    kind: str, height: int, width: int, wanted: float, expected: float
) -> None:
    rgb = picture(2, height, width)
    data = KINDS[kind](rgb)
    asked = []

    def wanted_scale(*size: int) -> float:
        asked.append(size)
        return wanted

    full, found = decode(data), decode(data, wanted_scale=wanted_scale)
    assert asked == [(height, width)]
    assert full.scale == 1.0
    assert full.pixels is not None
    assert found.pixels is not None
    assert found.scale is not None
    assert found.scale == (expected if min(height, width) >= 1 / expected else max(expected, 1 / 4))
    assert (found.height_px, found.width_px) == (height, width)
    n = round(1 / found.scale)
    assert found.pixels.shape == (-(-height // n), -(-width // n), 3)
    blocks = full.pixels[: height // n * n, : width // n * n].reshape(height // n, n, width // n, n, 3).mean((1, 3))
    inner = found.pixels[: height // n, : width // n]
    assert np.abs(inner - blocks).mean() < 4, "a pixel is about the mean of the block it stands for"


def test_the_wanted_scale_is_asked_of_the_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    asked = []
    found = decode(
        saved(picture(2, 240, 320), "JPEG", exif=exif), wanted_scale=lambda h, w: asked.append((h, w)) or 1 / 4
    )
    assert asked == [(320, 240)]
    assert found.pixels is not None
    assert found.pixels.shape == (80, 60, 3)
    assert (found.height_px, found.width_px, found.scale) == (320, 240, 1 / 4)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_decoded_at_full_size(format: str) -> None:
    found = decode(saved(picture(), format), wanted_scale=lambda height, width: 0.1)
    assert found.scale == 1.0
    assert found.pixels is not None
    assert found.pixels.shape == picture().shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", [1, 1 / 2, 1 / 8])
def test_a_cut_is_noticed_at_every_scale(kind: str, wanted: float) -> None:
    data = KINDS[kind](picture(3, 400, 300))
    start = data.index(b"\xff\xda") + 20
    for end in np.linspace(start, len(data) - 3, 12).astype(int):
        found = decode(data[:end], wanted_scale=lambda height, width: wanted)
        assert found.reason is ImageReason.TRUNCATED
        assert (found.scale, found.height_px) == (None, 400)


def test_the_full_size_is_compared_with_max_pixels() -> None:
    data = saved(picture(3, 400, 300), "JPEG")
    few = DecodeSettings(max_pixels=400 * 300 - 1)
    assert decode(data, few, lambda height, width: 1 / 8).reason is ImageReason.TOO_MANY_PIXELS


def test_a_larger_limit_than_the_decoders_own_counts() -> None:
    """Pillow refuses more than 179 million pixels by itself."""
    data = saved(Image.new("L", (15_000, 13_000)), "JPEG")
    assert decode(data).reason is ImageReason.TOO_MANY_PIXELS
    assert (decode(data).width_px, decode(data).height_px) == (15_000, 13_000)
    found = decode(data, DecodeSettings(max_pixels=200_000_000), lambda height, width: 1 / 8)
    assert found.pixels is not None
    assert found.pixels.shape == (1625, 1875, 3)


def test_metadata_do_not_reach_the_pixels() -> None:
    plain = saved(picture(), "JPEG")
    laden = by_hand.with_segments(
        plain,
        *(by_hand.segment(0xE0 + n, bytes(range(256)) * 200) for n in range(1, 14)),
        by_hand.segment(0xFE, b"x" * 9),
    )
    np.testing.assert_array_equal(decode(laden).pixels, decode(plain).pixels)


def test_a_height_that_follows_the_picture_is_not_supported() -> None:
    data = bytearray(saved(picture(), "JPEG"))
    struct.pack_into(">H", data, data.index(b"\xff\xc0") + 5, 0)
    found = decode(bytes(data))
    assert (found.reason, found.detail) == (ImageReason.UNSUPPORTED_FORMAT, "JPEG whose height follows the picture")
