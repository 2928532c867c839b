"""Pyramid levels of many images side by side on one canvas, for one pass of MTCNN's first network.

A call of the network has a cost of its own, which small levels do not repay one by one. No window of the
network that lies inside a level sees its neighbours; windows across borders are left out of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from facelib.faces.mtcnn_boxes import STRIDE_PX, Indices

_MARGIN_CELLS = 4
"""Rows and columns that the network's output has fewer than its pooled first layer."""

_WIDTHS = (1.0, 1.2, 1.4, 1.6)
"""Canvas widths tried, relative to the square root of the area to place."""

Size = tuple[int, int]
Edge = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""


@dataclass(frozen=True)
class Layout:
    """Where levels lie on a canvas. All coordinates are even.

    `height`, `width`: of the canvas, px. `corners` (n, 2): row and column of each level's top left px.
    `owners`: for each cell of the network's output, the level that its window lies in, or −1. `edges`: lines
    of the first layer's output that its pooling must leave out, see `mtcnn_networks.propose`.
    """

    height: int
    width: int
    corners: Indices
    owners: npt.NDArray[np.int32]
    edges: tuple[Edge, ...]


@lru_cache(maxsize=8)
def lay_out(sizes: tuple[Size, ...]) -> Layout:
    """A canvas for levels of these heights and widths (px, each at least 11)."""
    slots = [(_even(height), _even(width)) for height, width in sizes]
    widest = max(width for _, width in slots)
    root = math.sqrt(sum(height * width for height, width in slots))
    widths = {max(widest, _even(int(root * factor))) for factor in _WIDTHS}
    packed = [(*_pack(slots, width), width) for width in sorted(widths)]
    corners, height, width = min(packed, key=lambda found: found[1] * found[2])
    owners = np.full((_cells(height), _cells(width)), -1, np.int32)
    for i, (row, column) in enumerate(corners):
        top, left = row // STRIDE_PX, column // STRIDE_PX
        owners[top : top + _cells(sizes[i][0]), left : left + _cells(sizes[i][1])] = i
    edges = tuple(edge for corner, size in zip(corners, sizes, strict=True) for edge in _edges(corner, size))
    return Layout(height, width, np.array(corners, np.intp), owners, edges)


def _pack(slots: Sequence[Size], width: int) -> tuple[list[Size], int]:
    """Top left corners of the slots on a canvas of that width, and its height.

    The tallest come first; each goes where the outline of those placed so far is lowest. `outline` holds the
    column where each of its steps begins, and the row below that step.
    """
    outline = [(0, 0)]
    corners = [(0, 0)] * len(slots)
    for i in sorted(range(len(slots)), key=lambda i: slots[i], reverse=True):
        slot_height, slot_width = slots[i]
        row, first, last = min(_fits(outline, slot_width, width))
        column = outline[first][0]
        corners[i] = (row, column)
        steps = [(column, row + slot_height)]
        end = outline[last][0] if last < len(outline) else width
        if column + slot_width < end:
            steps.append((column + slot_width, outline[last - 1][1]))
        outline[first:last] = steps
    return corners, max(corner[0] + slot[0] for corner, slot in zip(corners, slots, strict=True))


def _fits(outline: Sequence[Size], slot_width: int, width: int) -> list[tuple[int, int, int]]:
    """For each step at which a slot may begin: the row it would lie on, and the steps that it would cover."""
    found = []
    for first, (column, _) in enumerate(outline):
        end = column + slot_width
        if end > width:
            break
        last = first
        row = 0
        while last < len(outline) and outline[last][0] < end:
            row = max(row, outline[last][1])
            last += 1
        found.append((row, first, last))
    return found


def _edges(corner: Size, size: Size) -> list[Edge]:
    """The first layer turns n px into n − 2: where that is odd, only half of the last pooling window is the level's."""
    (top, left), (height, width) = corner, size
    bottom, right = top + height - 2, left + width - 2
    edges = []
    if height % 2:
        edges.append((bottom, bottom + 1, left, _even(right)))
    if width % 2:
        edges.append((top, _even(bottom), right, right + 1))
    return edges


def _even(n: int) -> int:
    return n + n % 2


def _cells(n: int) -> int:
    """Rows or columns of the network's output for `n` px."""
    return (n - 1) // STRIDE_PX - _MARGIN_CELLS
