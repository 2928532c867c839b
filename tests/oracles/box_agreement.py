"""The default detector against the plain cascade, on any images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from oracles.plain_mtcnn import PlainMtcnn

from facelib.faces.detector import DetectSettings
from facelib.faces.mtcnn import Mtcnn

ALIKE = 0.9
"""Least intersection over union of two boxes that count as the same."""
_GROUP = 16


@dataclass
class Agreement:
    """Boxes of the plain cascade, how many of them the detector misses, and how many it finds beside them.

    `furthest_px`: largest difference of a coordinate between two boxes that are the same.
    """

    images: int = 0
    expected: int = 0
    missed: int = 0
    invented: int = 0
    furthest_px: float = 0.0


def agreement(images: Iterable[npt.NDArray[np.uint8]]) -> Agreement:
    """Of RGB images (h, w, 3), searched at the default settings but without retries."""
    fast, plain = Mtcnn(DetectSettings(min_face_share=0, retry=False)), PlainMtcnn()
    total = Agreement()
    rest = iter(images)
    while group := list(islice(rest, _GROUP)):
        for image, found in zip(group, fast.detect_many(group), strict=True):
            boxes, _, _ = plain.detect(image)
            alike = overlap(boxes, found.boxes.astype(np.float64)) >= ALIKE
            total.images += 1
            total.expected += len(boxes)
            total.missed += int((~alike.any(axis=1)).sum())
            total.invented += int((~alike.any(axis=0)).sum())
            for i, j in np.argwhere(alike):
                total.furthest_px = max(total.furthest_px, float(np.abs(boxes[i] - found.boxes[j]).max()))
    return total


def overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of every box (x, y, width, height) of a with every box of b, (len(a), len(b))."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], b[:, :2] + b[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    return np.asarray(shared / (a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1) - shared))
