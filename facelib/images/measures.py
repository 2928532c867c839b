"""Measures of luma images: brightness, contrast, sharpness, entropy, and the perceptual hash.

Luma is ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), as OpenCV's RGB→GRAY computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

SHARPNESS_PX = 256
_HASH_PX = 32
_HASH_LOW = 8

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageMeasures:
    """Measures of one decoded image; units and ranges as in the `images` table."""

    brightness: float
    contrast: float
    sharpness: float
    entropy_bits: float
    phash: int


def luma(rgb: npt.NDArray[np.uint8]) -> Grey:
    """uint8 (h, w) luma of uint8 (h, w, 3) RGB."""
    grey: Grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return grey


def measure_image(rgb: npt.NDArray[np.uint8]) -> ImageMeasures:
    """All measures of a uint8 (h, w, 3) RGB image."""
    grey = luma(rgb)
    brightness, contrast = exposure(grey)
    return ImageMeasures(brightness, contrast, sharpness(_shrink(grey, SHARPNESS_PX)), entropy_bits(grey), phash(grey))


def exposure(grey: Grey) -> tuple[float, float]:
    """Mean (0–1) and standard deviation (0–0.5) of luma."""
    mean, deviation = cv2.meanStdDev(grey)
    return float(mean[0, 0]) / 255, min(float(deviation[0, 0]) / 255, 0.5)


def sharpness(grey: Grey) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy")."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_64F))
    return float(deviation[0, 0]) ** 2


def entropy_bits(grey: Grey) -> float:
    """Shannon entropy of the 256-bin histogram, 0–8 bit."""
    counts = np.bincount(grey.ravel(), minlength=256)
    p = counts[counts > 0] / grey.size
    return float(max(0.0, -(p * np.log2(p)).sum()))


def phash(grey: Grey) -> int:
    """64-bit perceptual hash as a signed integer.

    Sign of the 8 × 8 lowest DCT coefficients of the 32 × 32 image against their median, the constant
    one left out of the median (Zauner 2010, "Implementation and benchmarking of perceptual image hash
    functions"). Bits row by row, first coefficient in the highest bit.
    """
    small = cv2.resize(grey, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_LOW, :_HASH_LOW].ravel()
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(">i8")[0])


def _shrink(grey: Grey, longer_px: int) -> Grey:
    height, width = grey.shape
    scale = longer_px / max(height, width)
    if scale >= 1:
        return grey
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small
