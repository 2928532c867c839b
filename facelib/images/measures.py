"""Measures of images: brightness, contrast, sharpness, entropy, colourfulness, and the perceptual hashes.

Luma is ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), as OpenCV's RGB→GRAY computes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facelib.images.gradient_hash import dhashes

SHARPNESS_PX = 256
_HASH_PX = 32
_HASH_LOW = 8
_MIRROR = np.array(_HASH_LOW // 2 * [1, -1], np.float32)

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImageMeasures:
    """Measures of one decoded image; units and ranges as in the `images` table."""

    brightness: float
    contrast: float
    sharpness: float
    entropy_bits: float
    colourfulness: float
    phash: int
    phash_mirror: int
    dhash: int
    dhash_mirror: int


def luma(rgb: npt.NDArray[np.uint8]) -> Grey:
    """uint8 (h, w) luma of uint8 (h, w, 3) RGB."""
    grey: Grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return grey


def measure_image(rgb: npt.NDArray[np.uint8]) -> ImageMeasures:
    """All measures of a uint8 (h, w, 3) RGB image."""
    grey = luma(rgb)
    brightness, contrast = exposure(grey)
    return ImageMeasures(
        brightness,
        contrast,
        sharpness(_shrink(grey, SHARPNESS_PX)),
        entropy_bits(grey),
        colourfulness(rgb),
        *phashes(grey),
        *dhashes(grey),
    )


def exposure(grey: Grey) -> tuple[float, float]:
    """Mean (0–1) and standard deviation (0–0.5) of luma."""
    mean, deviation = cv2.meanStdDev(grey)
    return float(mean[0, 0]) / 255, min(float(deviation[0, 0]) / 255, 0.5)


def sharpness(grey: Grey) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy")."""
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    mean = cv2.sumElems(edges)[0] / edges.size
    return max(0.0, float(cv2.norm(edges, cv2.NORM_L2SQR) / edges.size - mean**2))


def entropy_bits(grey: Grey) -> float:
    """Shannon entropy of the 256-bin histogram, 0–8 bit."""
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256])
    p = counts[counts > 0].astype(np.float64) / grey.size
    return float(max(0.0, -(p * np.log2(p)).sum()))


def colourfulness(rgb: npt.NDArray[np.uint8]) -> float:
    """M3 of Hasler and Süsstrunk 2003, "Measuring colourfulness in natural images": 0 for grey, about 100 for vivid.

    √(σ²rg + σ²yb) + 0.3 √(μ²rg + μ²yb) with rg = R − G and yb = (R + G) / 2 − B, over all pixels. The second
    moments are exact: Σrg² = |R − G|², and Σyb² = (2 |R − B|² + 2 |G − B|² − |R − G|²) / 4, since
    2 yb = (R − B) + (G − B) (parallelogram law).
    """
    red, green, blue = cv2.split(rgb)
    n = red.size
    rg_square = cv2.norm(red, green, cv2.NORM_L2SQR)
    to_blue = cv2.norm(red, blue, cv2.NORM_L2SQR) + cv2.norm(green, blue, cv2.NORM_L2SQR)
    red_mean, green_mean, blue_mean, _ = (total / n for total in cv2.sumElems(rgb))
    mean_square = (red_mean - green_mean) ** 2 + ((red_mean + green_mean) / 2 - blue_mean) ** 2
    variance = (rg_square + (2 * to_blue - rg_square) / 4) / n - mean_square
    return float(math.sqrt(max(0.0, variance)) + 0.3 * math.sqrt(mean_square))


def phashes(grey: Grey) -> tuple[int, int]:
    """64-bit perceptual hashes of a picture and of its mirror image, as signed integers.

    Sign of the 8 × 8 lowest DCT coefficients of the 32 × 32 image against their median, the constant
    one left out of the median (Zauner 2010, "Implementation and benchmarking of perceptual image hash
    functions"). Bits row by row, first coefficient in the highest bit. Mirroring the 32 × 32 image changes the sign
    of the coefficients of odd horizontal frequency.
    """
    small = cv2.resize(grey, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_LOW, :_HASH_LOW]
    return _sign_bits(low), _sign_bits(low * _MIRROR)


def _sign_bits(low: npt.NDArray[np.float32]) -> int:
    values = low.ravel()
    median = np.sort(values[1:])[(values.size - 1) // 2]
    return int(np.packbits(values > median).view(">i8")[0])


def _shrink(grey: Grey, longer_px: int) -> Grey:
    height, width = grey.shape
    scale = longer_px / max(height, width)
    if scale >= 1:
        return grey
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return small
