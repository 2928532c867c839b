"""The fast detector finds in photographs what the plain cascade finds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from oracles.plain_mtcnn import PlainMtcnn

from facelib.faces.detector import DetectSettings
from facelib.faces.mtcnn import Mtcnn
from facelib.images.decode import decode

DATA = Path(os.environ.get("FACELIB_DATA", Path(__file__).parents[3] / "shared" / "data")) / "lfw_dev"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="the photographs ../shared/data/lfw_dev are not on this machine"),
]
EVERY = 10


def overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of every box of a with every box of b, (len(a), len(b))."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], b[:, :2] + b[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    return shared / (a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1) - shared)


def test_the_same_boxes_as_the_plain_cascade() -> None:
    settings = DetectSettings(retry=False)
    fast, plain = Mtcnn(settings), PlainMtcnn()
    images = [decode(path.read_bytes()).pixels for path in sorted((DATA / "images").rglob("*.jpg"))[::EVERY]]
    expected = missed = invented = 0
    furthest = 0.0
    for start in range(0, len(images), 16):
        group = [image for image in images[start : start + 16] if image is not None]
        for image, found in zip(group, fast.detect_many(group), strict=True):
            boxes, _, _ = plain.detect(image)
            alike = overlap(boxes, found.boxes.astype(np.float64)) >= 0.9
            expected += len(boxes)
            missed += int((~alike.any(axis=1)).sum())
            invented += int((~alike.any(axis=0)).sum())
            pairs = np.argwhere(alike)
            furthest = max(furthest, *(float(np.abs(boxes[i] - found.boxes[j]).max()) for i, j in pairs), 0.0)
    assert expected >= len(images) * 0.99
    assert missed <= 0.001 * expected
    assert invented <= 0.001 * expected
    assert furthest < 0.05
