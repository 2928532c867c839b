"""Face chips: 150 x 150 crops aligned on five landmarks, as dlib's `get_face_chip` cuts them."""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facelib.errors import ConfigError

CHIP_PX = 150
"""Side of a chip."""

PADDING = 0.25
"""Border around the template's unit square, as a share of its side."""

JPEG_QUALITY = 95
"""Of stored chips; they are not subsampled."""

_TEMPLATE = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
"""dlib's mean positions of the five points in the unit square (Boost Software License)."""

_SOURCE = CHIP_PX * (PADDING + _TEMPLATE) / (2 * PADDING + 1)
_SOURCE_MEAN = _SOURCE.mean(axis=0)
_SOURCE_X, _SOURCE_Y = (_SOURCE - _SOURCE_MEAN).T
_SOURCE_SPREAD = (_SOURCE_X**2 + _SOURCE_Y**2).sum()

_MIN_PYRAMID_PX = 9

Image8 = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]


def chip_transform(points: npt.ArrayLike) -> Affine:
    """Affine (2, 3) float64 that maps chip pixels (x, y, 1) to image pixels.

    `points` are the five landmarks (5, 2) as (x, y), in the order of `FivePointPredictor`. The similarity
    from template to landmarks is that of Umeyama 1991 (least squares). As in dlib, the chip's outer pixel
    *centres* lie on the border of the square: its side is 150 s - 1 px for scale s, over 149 steps.
    Raises ConfigError when all points coincide.
    """
    target = np.asarray(points, np.float64)
    target_mean = target.mean(axis=0)
    u, v = (target - target_mean).T
    a = (_SOURCE_X * u + _SOURCE_Y * v).sum() / _SOURCE_SPREAD
    b = (_SOURCE_X * v - _SOURCE_Y * u).sum() / _SOURCE_SPREAD
    scale = math.hypot(a, b)
    if scale == 0:
        raise ConfigError("landmarks must not coincide: pass the five points of one face")
    centre = target_mean + np.array([[a, -b], [b, a]]) @ (CHIP_PX / 2 - _SOURCE_MEAN)
    step = (CHIP_PX * scale - 1) / (CHIP_PX - 1) / scale
    linear = step * np.array([[a, -b], [b, a]])
    return np.column_stack((linear, centre - linear @ np.full(2, (CHIP_PX - 1) / 2)))


def cut_chip(image: Image8, points: npt.ArrayLike) -> Image8:
    """Aligned chip, uint8 (150, 150, 3), of the face with landmarks `points` (5, 2) in an RGB image.

    Where the face is more than about twice as large as the chip, the image around it is first halved,
    as often as needed, with a 5-tap binomial filter. Bilinear; black outside the image.
    """
    affine = chip_transform(points)
    levels = _pyramid_levels(affine)
    left, top, right, bottom = _region(affine, levels, image.shape[0], image.shape[1])
    if right <= left or bottom <= top:
        return np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    region = image[top:bottom, left:right]
    affine[:, 2] -= (left, top)
    for _ in range(levels):
        region, affine = _halve(region), _halved(affine)
    return _sample(region, affine)


def _side(affine: Affine) -> float:
    """Side of the square that the chip's outer pixel centres span, in image pixels."""
    return math.hypot(affine[0, 0], affine[1, 0]) * (CHIP_PX - 1)


def _pyramid_levels(affine: Affine) -> int:
    """How often to halve: while the halved square, borders included, has more pixels than the chip."""
    side, levels = _side(affine) / 2, 0
    while side + 1 > CHIP_PX:
        side, levels = side / 2, levels + 1
    return levels


def _region(affine: Affine, levels: int, height: int, width: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), ends not included, of the pixels used; dlib's margin grows by level."""
    margin = 2.0
    for _ in range(levels):
        margin = 2 * margin + 2
    last = CHIP_PX - 1
    corners = affine @ np.array([[0, last, 0, last], [0, 0, last, last], [1, 1, 1, 1]])
    low = np.maximum(corners.min(axis=1) - margin, 0)
    high = np.minimum(corners.max(axis=1) + margin, (width - 1, height - 1))
    left, top = (math.floor(v + 0.5) for v in low)
    right, bottom = (math.floor(v + 0.5) + 1 for v in high)
    return left, top, right, bottom


def _halve(image: Image8) -> Image8:
    """Half-size image: every second pixel of the 5 x 5 binomial filter, where the filter fits.

    dlib drops the fractions, OpenCV rounds: on 256 times the values its 16-bit result is the exact sum.
    """
    height, width = image.shape[:2]
    if min(height, width) < _MIN_PYRAMID_PX:
        return np.zeros((0, 0, 3), np.uint8)
    rows, columns = (height - 3) // 2, (width - 3) // 2
    sums = cv2.pyrDown(image.astype(np.uint16) << 8)[1 : 1 + rows, 1 : 1 + columns]
    halved: Image8 = (sums >> 8).astype(np.uint8)
    return halved


def _halved(affine: Affine) -> Affine:
    """The transform into the halved image: dlib puts pixel (x, y) at (x / 2 - 1.25, y / 2 - 0.75)."""
    halved = affine / 2
    halved[:, 2] -= (1.25, 0.75)
    return halved


def _sample(image: Image8, affine: Affine) -> Image8:
    """Bilinear samples at the chip's pixels, fractions dropped; black where a neighbour is missing."""
    if min(image.shape[:2]) == 0:
        return np.zeros((CHIP_PX, CHIP_PX, 3), np.uint8)
    centred = affine.copy()  # Pillow puts pixel centres at halves
    centred[:, 2] += 0.5 - affine[:, :2] @ (0.5, 0.5)
    picture = Image.fromarray(np.ascontiguousarray(image)).transform(
        (CHIP_PX, CHIP_PX), Image.Transform.AFFINE, tuple(centred.ravel()), Image.Resampling.BILINEAR
    )
    outside = _outside(affine, image.shape[0], image.shape[1])
    chip = np.array(picture)
    if outside is not None:
        chip[outside] = 0
    return chip


def _outside(affine: Affine, height: int, width: int) -> npt.NDArray[np.bool_] | None:
    """Chip pixels (150, 150) that lack one of their four neighbours in the image; None when none does."""
    last = CHIP_PX - 1
    for grid in (np.array([0.0, last]), np.arange(CHIP_PX, dtype=np.float64)):
        x = affine[0, 0] * grid + affine[0, 1] * grid[:, None] + affine[0, 2]
        y = affine[1, 0] * grid + affine[1, 1] * grid[:, None] + affine[1, 2]
        outside: npt.NDArray[np.bool_] = (x < 0) | (y < 0) | (x >= width - 1) | (y >= height - 1)
        if not outside.any():
            return None
    return outside


def encode_chip(chip: Image8) -> bytes:
    """JPEG bytes of a chip: quality 95, no chroma subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(chip).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def decode_chip(data: bytes) -> Image8:
    """Chip, uint8 (150, 150, 3) RGB, from the bytes of `encode_chip`; ConfigError for other bytes."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            chip = np.asarray(picture)
    except OSError as error:
        raise ConfigError("chip is not a whole JPEG image: store what encode_chip returns") from error
    if chip.shape != (CHIP_PX, CHIP_PX, 3):
        raise ConfigError(f"chip is of shape {chip.shape}, not (150, 150, 3): store what encode_chip returns")
    return chip
