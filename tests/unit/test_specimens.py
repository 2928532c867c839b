"""Every odd, broken or hostile file gets its reason, or its pixels as they were made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from specimen import Specimen
from specimens import specimens

from facelib.images.decode import decode
from facelib.reasons import ImageReason

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]

SPECIMENS = specimens()
OF_BYTES = {
    ImageReason.EMPTY,
    ImageReason.NOT_AN_IMAGE,
    ImageReason.UNSUPPORTED_FORMAT,
    ImageReason.TRUNCATED,
    ImageReason.DECODE_ERROR,
    ImageReason.TOO_MANY_PIXELS,
    ImageReason.TOO_LARGE,
}


def read_by_opencv(specimen: Specimen) -> cv2.typing.MatLike:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(specimen.data, np.uint8), flags)[:, :, ::-1]


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda s: s.name)
def test_reason_and_pixels(specimen: Specimen) -> None:
    found = decode(specimen.data, specimen.settings)
    assert (found.reason, found.format) == (specimen.reason, specimen.format), found.detail
    assert (found.pixels is None) == (found.scale is None) == (specimen.reason is not None)
    if specimen.pixels is not None:
        assert found.pixels is not None
        assert found.pixels.shape == specimen.pixels.shape == (found.height_px, found.width_px, 3)
        assert np.abs(found.pixels.astype(int) - specimen.pixels).max() <= specimen.tolerance
    if specimen.n_frames is not None:
        assert found.n_frames == specimen.n_frames


@pytest.mark.parametrize(
    "specimen", [s for s in SPECIMENS if "CMYK" in s.name or "YCCK" in s.name], ids=lambda s: s.name
)
def test_inks_agree_with_opencv(specimen: Specimen) -> None:
    found = decode(specimen.data).pixels
    assert found is not None
    if specimen.format == "jpeg":
        assert np.abs(found.astype(int) - read_by_opencv(specimen)).max() <= 2


def test_there_is_a_specimen_for_every_reason_that_bytes_can_give() -> None:
    assert {s.reason for s in SPECIMENS if s.reason is not None} == OF_BYTES


def test_names_are_unique_and_files_are_the_same_every_time() -> None:
    assert len({s.name for s in SPECIMENS}) == len(SPECIMENS)
    assert [s.data for s in specimens()] == [s.data for s in SPECIMENS]


@pytest.mark.parametrize(
    "specimen", [s for s in SPECIMENS if s.reason is ImageReason.TOO_MANY_PIXELS], ids=lambda s: s.name
)
def test_too_many_pixels_are_told_with_their_size_and_never_reach_a_decoder(
    specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facelib.images.decode._DECODERS", {})
    found = decode(specimen.data, specimen.settings)
    assert found.reason is ImageReason.TOO_MANY_PIXELS
    assert found.width_px
    assert found.height_px
    assert found.width_px * found.height_px > specimen.settings.max_pixels


@pytest.mark.parametrize(
    "specimen", [s for s in SPECIMENS if s.reason is ImageReason.UNSUPPORTED_FORMAT], ids=lambda s: s.name
)
def test_what_is_not_supported_has_a_name(specimen: Specimen) -> None:
    found = decode(specimen.data)
    assert found.format
    assert found.detail or found.format not in ("jpeg", "png", "webp", "gif", "bmp", "tiff")


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("jpeg of 12 bits", "12-bit JPEG"),
        ("jpeg of process c3", "lossless JPEG"),
        ("jpeg of process c9", "arithmetic-coded JPEG"),
        ("jpeg of process f7", "JPEG-LS"),
    ],
)
def test_details_of_what_is_not_supported(name: str, detail: str) -> None:
    (specimen,) = (s for s in SPECIMENS if s.name == name)
    assert decode(specimen.data).detail == detail


def test_threads_do_not_disturb_each_other() -> None:
    few = [s for s in SPECIMENS if len(s.data) < 20_000]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda s: decode(s.data, s.settings), 2 * few))
    for specimen, found in zip(2 * few, together, strict=True):
        alone = decode(specimen.data, specimen.settings)
        assert (found.reason, found.detail) == (alone.reason, alone.detail)
        np.testing.assert_array_equal(found.pixels, alone.pixels)
