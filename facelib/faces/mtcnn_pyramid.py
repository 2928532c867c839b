"""The scaled copies of an image that MTCNN's first network looks at.

Copies are area averages, as `cv2.INTER_AREA` makes them. They are read off a summed-area table (Crow,
1984): between grid points of the table the bilinear interpolation is the exact sum of the fractional
pixels, so a copy costs its own size, whatever the image's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from facelib.faces.mtcnn_boxes import CELL_PX

MIN_LEVEL_PX = 11
"""The least side from which the first network makes an output."""

_INT32_PX = (2**31 - 1) // 255


def pyramid_scales(height: int, width: int, min_face_px: int, scale_factor: float) -> list[float]:
    """Scales, largest first, at which a face of `min_face_px` or more fills the 12 px window.

    As in the `mtcnn` package their number depends on the image alone, not on `min_face_px`; levels too small
    for the network are left out (the package fails on them). An image below 17 px or so has none.
    """
    shortest = min(height, width)
    if shortest < MIN_LEVEL_PX:
        return []
    count = round(-(math.log(shortest / CELL_PX) / math.log(scale_factor) + 1))
    scales = (CELL_PX / min_face_px * scale_factor**k for k in range(count))
    return [s for s in scales if int(shortest * s) >= MIN_LEVEL_PX]


def pyramid(image: npt.NDArray[np.uint8], scales: list[float]) -> Iterator[npt.NDArray[np.float32]]:
    """The image (h, w, 3) uint8 scaled by each of `scales` (at most 1), as `normalised` values.

    Sides are rounded down. Yields float32 (int(h·s), int(w·s), 3).
    """
    height, width = image.shape[:2]
    depth = cv2.CV_32S if height * width <= _INT32_PX else cv2.CV_64F
    table = cv2.integral(image, sdepth=depth)
    flat = table.reshape(-1, 3)
    for scale in scales:
        rows, columns = int(height * scale), int(width * scale)
        y, fy = _edges(height, rows)
        x, fx = _edges(width, columns)
        upper = (y * (width + 1))[:, None] + x
        above = _between(flat, upper, fx)
        below = _between(flat, upper + (width + 1), fx)
        corners = above + (below - above) * fy[:, None, None]
        sums = np.diff(np.diff(corners, axis=0), axis=1)
        per_px = rows * columns / (height * width)
        yield (sums * (per_px / 128) - 127.5 / 128).astype(np.float32)


def normalised(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(v − 127.5) / 128: the networks' input range, about −1 to 1."""
    return (image.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 128)


def _edges(size: int, cells: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Whole and fractional part of the `cells` + 1 cell edges along an axis of `size` px."""
    edges = np.arange(cells + 1) * (size / cells)
    whole = np.minimum(edges.astype(np.intp), size - 1)
    return whole, edges - whole


def _between(
    flat: npt.NDArray[np.generic], left: npt.NDArray[np.intp], fraction: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Table entries `fraction` of the way from `left` to their right neighbours, (rows, columns, 3)."""
    start = flat.take(left, axis=0)
    step: npt.NDArray[np.float64] = flat.take(left + 1, axis=0) - start
    return start + step * fraction[:, None]
