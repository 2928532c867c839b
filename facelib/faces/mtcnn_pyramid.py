"""The scaled copies of an image that MTCNN's first network looks at.

Copies are area averages, as `cv2.INTER_AREA` makes them. They are read off a summed-area table (Crow,
1984): between grid points of the table the bilinear interpolation is the exact sum of the fractional
pixels, so a copy costs its own size, whatever the image's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_boxes import CELL_PX

Table = npt.NDArray[np.int32] | npt.NDArray[np.float64]

MIN_LEVEL_PX = 11
"""The least side from which the first network makes an output."""

_INT32_PX = (2**31 - 1) // 255
_SMALL_PX = 4_000_000
"""Images up to this size get a table of float64, 24 bytes for each px."""
_BAND_POINTS = 5000
"""Temporary arrays of 120 kB: larger ones come from the system each time, which costs more than the sums."""


def pyramid_scales(height: int, width: int, min_face_px: float, scale_factor: float) -> list[float]:
    """Scales, largest first, at which a face of `min_face_px` or more fills the 12 px window.

    As in the `mtcnn` package their number depends on the image alone, not on `min_face_px`; levels too small
    for the network are left out (the package fails on them). An image whose shorter side is less than 21 px
    or so, or than `min_face_px`, has next to none.
    """
    shortest = min(height, width)
    if shortest < MIN_LEVEL_PX:
        return []
    count = round(-(math.log(shortest / CELL_PX) / math.log(scale_factor) + 1))
    scales = (CELL_PX / min_face_px * scale_factor**k for k in range(count))
    return [s for s in scales if int(shortest * s) >= MIN_LEVEL_PX]


def pyramid(image: npt.NDArray[np.uint8], scales: Sequence[float]) -> Iterator[npt.NDArray[np.float32]]:
    """The image (h, w, 3) uint8 scaled by each of `scales` (at most 1), as `normalised` values.

    Sides are rounded down. Yields float32 (int(h·s), int(w·s), 3).
    """
    height, width = image.shape[:2]
    is_small = height * width <= _SMALL_PX
    depth = cv2.CV_64F if is_small or height * width > _INT32_PX else cv2.CV_32S
    table: Table = cv2.integral(image, sdepth=depth)
    make = _small_level if is_small else _level
    for scale in scales:
        yield make(table, int(height * scale), int(width * scale))


def _small_level(table: Table, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """`_level` at once, from a table of float64; three times as fast."""
    grid = torch.from_numpy(table).permute(2, 0, 1)[None]
    corners = F.interpolate(grid, size=(rows + 1, columns + 1), mode="bilinear", align_corners=True)
    edges = corners[0].permute(1, 2, 0).numpy()
    strips = edges[1:] - edges[:-1]
    sums = strips[:, 1:] - strips[:, :-1]
    sums *= rows * columns / ((table.shape[0] - 1) * (table.shape[1] - 1)) / 128
    level: npt.NDArray[np.float32] = np.subtract(sums, 127.5 / 128, dtype=np.float32, casting="same_kind")
    return level


def _level(table: Table, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """The level of `rows` × `columns` px, in bands of rows, from the summed-area table (h + 1, w + 1, 3)."""
    height, width = table.shape[0] - 1, table.shape[1] - 1
    flat = table.reshape(-1, 3)
    y, fy = _edges(height, rows)
    x, fx = _edges(width, columns)
    per_px = rows * columns / (height * width)
    level = np.empty((rows, columns, 3), np.float32)
    band = max(_BAND_POINTS // (columns + 1), 1)
    for start in range(0, rows, band):
        edges = slice(start, start + band + 1)
        upper = (y[edges] * (width + 1))[:, None] + x
        corners = _between(flat, upper, fx)
        below = _between(flat, upper + (width + 1), fx)
        below -= corners
        below *= fy[edges, None, None]
        corners += below
        strips = corners[1:] - corners[:-1]
        sums = strips[:, 1:] - strips[:, :-1]
        sums *= per_px / 128
        np.subtract(sums, 127.5 / 128, out=level[start : start + band], casting="same_kind")
    return level


def normalised(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(v − 127.5) / 128 as planes (1, 3, h, w): the networks' input range, about −1 to 1."""
    planes: npt.NDArray[np.float32] = cv2.dnn.blobFromImage(image, 1 / 128, mean=(127.5, 127.5, 127.5))
    return planes


def _edges(size: int, cells: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Whole and fractional part of the `cells` + 1 cell edges along an axis of `size` px."""
    edges = np.arange(cells + 1) * (size / cells)
    whole = np.minimum(edges.astype(np.intp), size - 1)
    return whole, edges - whole


def _between(flat: Table, left: npt.NDArray[np.intp], fraction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Table entries `fraction` of the way from `left` to their right neighbours, (rows, columns, 3)."""
    start = flat.take(left, axis=0)
    step = flat.take(left + 1, axis=0)
    step -= start
    between: npt.NDArray[np.float64] = step * fraction[:, None]
    between += start
    return between
