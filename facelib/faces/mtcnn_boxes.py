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

_NMS_PAIRS = 32_768
"""Pairs of boxes compared at a time: their arrays stay in the cache, and a crowd takes no more memory."""


def cell_boxes(rows: Indices, columns: Indices, offsets: Floats) -> Floats:
    """Boxes, in px of a pyramid level, of cells of the first network's output.

    `rows`, `columns` (n,) index the output; `offsets` (n, 4) are its regressions, in units of the cell's
    side. Cell i covers px 2i+1 to 2i+12, so its side counts as 11.
    """
    first = np.stack((columns, rows), axis=1) * STRIDE_PX + 1
    corners = np.concatenate((first, first + (CELL_PX - 1)), axis=1)
    boxes: Floats = corners + offsets * (CELL_PX - 1)
    return boxes


def by_score(scores: npt.NDArray[np.float32], groups: Indices) -> Indices:
    """Indices in ascending order of group and, in a group, of descending score.

    Of equal scores the later comes first, as in the original.
    """
    order: Indices = len(scores) - 1 - np.lexsort((-scores[::-1], groups[::-1]))
    return order


def keep_by_nms(
    boxes: Floats, groups: Indices, threshold: float, over: Literal["union", "min"] = "union"
) -> npt.NDArray[np.bool_]:
    """Which boxes no earlier box of the same group overlaps by more than `threshold`.

    `groups` (n,) ascend; in a group boxes are in descending order of score. Unlike in the textbook's greedy
    form, a box that is itself suppressed still suppresses. Overlap is the intersection's area over that of
    the union or of the smaller box.
    """
    kept = np.ones(len(boxes), np.bool_)
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(first, append=len(groups))
    by_size = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes > 1)]
    first, sizes = first[by_size], sizes[by_size]
    start = 0
    while start < len(first):
        size = int(sizes[start])
        stop = start + max(1, _NMS_PAIRS // size**2)
        members = first[start:stop, None] + np.arange(size)
        real = np.arange(size) < sizes[start:stop, None]
        sides = boxes.take(np.minimum(members, len(boxes) - 1), axis=0).transpose(2, 0, 1).copy()
        kept[members[real]] = ~_suppressed(sides, threshold, over)[real]
        start = stop
    return kept


def _suppressed(sides: Floats, threshold: float, over: Literal["union", "min"]) -> npt.NDArray[np.bool_]:
    """Whether an earlier box of the same row suppresses each of the boxes whose sides are (4, rows, n)."""
    area = (sides[2] - sides[0]) * (sides[3] - sides[1])
    rows, n = area.shape
    suppressed = np.empty((rows, n), np.bool_)
    step = max(1, _NMS_PAIRS // (rows * n))
    for start in range(0, n, step):
        stop = min(start + step, n)
        left, top, right, bottom = sides[:, :, start:stop, None]
        own = area[:, start:stop, None]
        earlier = sides[:, :, None, :stop]
        width = np.minimum(right, earlier[2])
        width -= np.maximum(left, earlier[0])
        height = np.minimum(bottom, earlier[3])
        height -= np.maximum(top, earlier[1])
        inter = np.maximum(width, 0, out=width)
        inter *= np.maximum(height, 0, out=height)
        if over == "union":
            base = own + area[:, None, :stop] - inter
        else:
            base = np.minimum(own, area[:, None, :stop])
        base *= threshold
        overlaps = inter > base
        overlaps &= np.tri(stop - start, stop, k=start - 1, dtype=np.bool_)
        overlaps.any(axis=2, out=suppressed[:, start:stop])
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
    return np.minimum(np.maximum(boxes, 0), limit)
