"""The scaled copies of an image that MTCNN's first network looks at.

Copies are area averages, as `cv2.INTER_AREA` makes them. They are read off a summed-area table (Crow,
1984): between grid points of the table the bilinear interpolation is the exact sum of the fractional
pixels, so a copy costs its own size, whatever the image's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from facelib.faces.mtcnn_boxes import CELL_PX

MIN_LEVEL_PX = 11
"""The least side from which the first network makes an output."""


def pyramid_scales(height: int, width: int, smallest_px: float, scale_factor: float) -> list[float]:
    """Scales, largest first, at which a face of `smallest_px` or more fills the 12 px window.

    As in the `mtcnn` package their number depends on the image alone, not on `smallest_px`; levels too small
    for the network are left out (the package fails on them). An image whose shorter side is less than 21 px
    or so, or than `smallest_px`, has next to none.
    """
    shortest = min(height, width)
    if shortest < MIN_LEVEL_PX:
        return []
    count = round(-(math.log(shortest / CELL_PX) / math.log(scale_factor) + 1))
    scales = (CELL_PX / smallest_px * scale_factor**k for k in range(count))
    return [s for s in scales if int(shortest * s) >= MIN_LEVEL_PX]


def summed_areas(image: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Summed-area table of an image (h, w, 3), float64 (1, 3, h + 1, w + 1)."""
    table = torch.from_numpy(cv2.integral(image, sdepth=cv2.CV_64F))
    return table.permute(2, 0, 1)[None]


def fill_level(table: torch.Tensor, level: npt.NDArray[np.float32]) -> None:
    """Write the image of that table, scaled to the size of `level` (rows, columns, 3), as (v − 127.5) / 128.

    That is the network's input range, about −1 to 1.
    """
    rows, columns = level.shape[:2]
    height, width = table.shape[2] - 1, table.shape[3] - 1
    corners = F.interpolate(table, (rows + 1, columns + 1), mode="bilinear", align_corners=True)[0].numpy()
    strips = corners[:, 1:] - corners[:, :-1]
    sums = strips[:, :, 1:] - strips[:, :, :-1]
    sums *= rows * columns / (height * width * 128)
    np.subtract(sums, 127.5 / 128, out=level.transpose(2, 0, 1), casting="same_kind")
