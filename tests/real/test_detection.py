"""The fast detector finds in photographs what the plain cascade finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from oracles.box_agreement import agreement

from facelib.images.decode import decode

DATA = Path(os.environ.get("FACELIB_DATA", Path(__file__).parents[3] / "shared" / "data")) / "lfw_dev"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="the photographs ../shared/data/lfw_dev are not on this machine"),
]
EVERY = 10


def test_the_same_boxes_as_the_plain_cascade() -> None:
    paths = sorted((DATA / "images").rglob("*.jpg"))[::EVERY]
    found = agreement(pixels for path in paths if (pixels := decode(path.read_bytes()).pixels) is not None)
    assert found.expected >= found.images * 0.99
    assert found.images == len(paths) > 200
    assert (found.missed, found.invented) == (0, 0)
    assert found.furthest_px < 0.05
