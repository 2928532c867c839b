"""Box arithmetic of MTCNN: candidates of the first network, non-maximum suppression, refinement.

Boxes are float64 (n, 4): left, top, right, bottom in px of the image. The rules are those of the `mtcnn`
1.0.0 package, peculiarities included, because its thresholds were tuned with them. Method: Zhang et al.,
"Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

CELL_PX = 12
STRIDE_PX = 2

_NMS_ROWS = 256
"""Boxes compared with all earlier ones at a time; it bounds the memory that a crowd takes."""


def cell_boxes(rows: Indices, columns: Indices, offsets: Floats) -> Floats:
    """Boxes, in px of a pyramid level, of cells of the first network's output.

    `rows`, `columns` (n,) index the output; `offsets` (n, 4) are its regressions, in units of the cell's
    side. Cell i covers px 2i+1 to 2i+12, so its side counts as 11.
    """
    first = np.stack((columns, rows), axis=1) * STRIDE_PX + 1
    corners = np.concatenate((first, first + (CELL_PX - 1)), axis=1)
    boxes: Floats = corners + offsets * (CELL_PX - 1)
    return boxes


def by_score(scores: npt.NDArray[np.float32]) -> Indices:
    """Indices of descending score; of equal scores the later comes first, as in the original."""
    return np.argsort(scores, kind="stable")[::-1]


def keep_by_nms(boxes: Floats, threshold: float, over: Literal["union", "min"] = "union") -> Indices:
    """Indices of the boxes that no earlier box overlaps by more than `threshold`.

    `boxes` are in descending order of score. Unlike in the textbook's greedy form, a box that is itself
    suppressed still suppresses. Overlap is the intersection's area over that of the union or of the
    smaller box.
    """
    if len(boxes) < 2:
        return np.arange(len(boxes))
    sides = np.ascontiguousarray(boxes.T)
    area = (sides[2] - sides[0]) * (sides[3] - sides[1])
    kept = [
        start + np.flatnonzero(~_suppressed(sides, area, start, threshold, over))
        for start in range(0, len(boxes), _NMS_ROWS)
    ]
    return np.concatenate(kept)


def _suppressed(
    sides: Floats, area: Floats, start: int, threshold: float, over: Literal["union", "min"]
) -> npt.NDArray[np.bool_]:
    """Whether an earlier box suppresses each of the `_NMS_ROWS` boxes from `start` on; `sides` is (4, n)."""
    stop = min(start + _NMS_ROWS, len(area))
    left, top, right, bottom = sides[:, start:stop, None]
    own = area[start:stop, None]
    earlier = sides[:, :stop]
    width = np.minimum(right, earlier[2]) - np.maximum(left, earlier[0])
    height = np.minimum(bottom, earlier[3]) - np.maximum(top, earlier[1])
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    if over == "union":
        base = own + area[:stop] - inter
    else:
        base = np.minimum(own, area[:stop])
    overlaps = inter > threshold * base
    overlaps &= np.tri(stop - start, stop, k=start - 1, dtype=np.bool_)
    suppressed: npt.NDArray[np.bool_] = overlaps.any(axis=1)
    return suppressed


def refine(boxes: Floats, offsets: Floats) -> Floats:
    """Boxes moved by a network's regressions (n, 4), in units of the box's side plus one px."""
    side = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + offsets * np.tile(side, 2)


def to_square(boxes: Floats) -> Floats:
    """Squares around the same centres, as large as the longer side."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return np.concatenate((corner, corner + side), axis=1)


def place_points(boxes: Floats, relative: Floats) -> Floats:
    """Points (n, 5, 2) in px from the last network's (n, 10): five x, then five y, in units of the box."""
    side = boxes[:, 2:] - boxes[:, :2] + 1
    points: Floats = relative.reshape(-1, 2, 5).transpose(0, 2, 1) * side[:, None] + boxes[:, None, :2] - 1
    return points


def clip_boxes(boxes: Floats, height: int, width: int) -> Floats:
    """Boxes limited to px 0 to width − 1 and 0 to height − 1."""
    limit = np.array([width - 1, height - 1] * 2, np.float64)
    return np.clip(boxes, 0, limit)
