"""A second perceptual hash, from differences between neighbours instead of frequencies."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]


def dhashes(grey: Grey) -> tuple[int, int]:
    """64-bit gradient hashes of a uint8 (h, w) luma image and of its mirror image, as signed integers.

    32 bits say where the image shrunk to 9 × 4 px grows brighter from left to right, 32 where the image shrunk
    to 4 × 9 px grows brighter downwards (after Krawetz 2013, "Kind of like that", which compares along rows
    only). Bits row by row, the first in the highest bit.
    """
    wide = cv2.resize(grey, (9, 4), interpolation=cv2.INTER_AREA)
    tall = cv2.resize(grey, (4, 9), interpolation=cv2.INTER_AREA)
    return _rising_bits(wide, tall), _rising_bits(wide[:, ::-1], tall[:, ::-1])


def _rising_bits(wide: Grey, tall: Grey) -> int:
    bits = np.concatenate([(wide[:, 1:] > wide[:, :-1]).ravel(), (tall[1:] > tall[:-1]).ravel()])
    return int(np.packbits(bits).view(">i8")[0])
