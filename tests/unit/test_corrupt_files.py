"""Damaged files: never an exception, always pixels or a reason, never more pixels than allowed."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from corruptions import corruptions

from facelib.images.decode import DecodeSettings, decode
from facelib.reasons import ImageReason

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore::UserWarning:PIL")]

N = 700
SETTINGS = DecodeSettings(max_pixels=1_000_000)


@pytest.mark.parametrize("seed", [0, 1])
def test_damaged_files_give_pixels_or_a_reason(seed: int) -> None:
    for name, data in corruptions(N, seed):
        found = decode(data, SETTINGS, lambda height, width: 0.3)
        assert (found.pixels is None) == (found.reason is not None), name
        if found.pixels is not None:
            assert found.width_px is not None, name
            assert found.height_px is not None, name
            assert found.scale in ((1, 1 / 2) if found.format == "jpeg" else (1,)), name
            assert found.height_px * found.width_px <= SETTINGS.max_pixels, name
            height, width = (-(-n // round(1 / found.scale)) for n in (found.height_px, found.width_px))
            assert found.pixels.shape == (height, width, 3), name


def test_a_cut_file_is_called_truncated_or_nothing_at_all() -> None:
    reasons = Counter(decode(data).reason for name, data in corruptions(N) if " cut: " in name)
    assert set(reasons) <= {ImageReason.TRUNCATED, ImageReason.NOT_AN_IMAGE, ImageReason.EMPTY, None}
    assert reasons[ImageReason.TRUNCATED] > 0.8 * reasons.total()


def test_they_are_the_same_every_time_and_of_every_kind() -> None:
    first, again = list(corruptions(70)), list(corruptions(70))
    assert first == again
    assert first != list(corruptions(70, seed=1))
    kinds = Counter(re.sub(r"^\d+ (.*?): .*$", r"\1", name) for name, _ in first)
    assert len(kinds) == 7
    assert set(kinds.values()) == {10}
