"""All levels of a pyramid on one canvas, so that the first network runs once per image.

A level lies at even places, so that pooling by 2 meets the same pixels as without a canvas, and the network's
windows inside a level see nothing else. Where a level's first feature map has an odd side, pooling would see
one row or column beyond it: these are `rims`, to be masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_CONV_LOSS = 2
"""Rows, and columns, that the first convolution of 3 × 3 takes away."""
_LATER_LOSS = 4
"""Those that the two convolutions after the pooling take away."""


@dataclass(frozen=True)
class Place:
    """Where a level of `height` × `width` px lies on the canvas."""

    top: int
    left: int
    height: int
    width: int

    @property
    def output(self) -> tuple[slice, slice]:
        """The network's output for the level, as rows and columns of its output for the canvas."""
        sides = ((self.top, self.height), (self.left, self.width))
        rows, columns = (
            slice(start // 2, start // 2 + (size - _CONV_LOSS + 1) // 2 - _LATER_LOSS) for start, size in sides
        )
        return rows, columns

    @property
    def rims(self) -> list[tuple[slice, slice]]:
        """The row and the column of the first feature map that pooling must not see."""
        bottom, right = self.top + self.height - _CONV_LOSS, self.left + self.width - _CONV_LOSS
        found = []
        if self.height % 2:
            found.append((slice(bottom, bottom + 1), slice(self.left, right + 1)))
        if self.width % 2:
            found.append((slice(self.top, bottom + 1), slice(right, right + 1)))
        return found


def lay_out(sizes: Sequence[tuple[int, int]]) -> tuple[list[Place], int, int]:
    """Places of levels (height, width), largest first, and the canvas's height and width.

    The canvas is as high as the first level; each level goes into the first free rectangle that holds it, and what
    it leaves free at its right and below is cut in two (guillotine packing). Nine tenths of the canvas are used.
    """
    canvas_height, canvas_width = _even(sizes[0][0]), 0
    free: list[tuple[int, int, int, int]] = []
    places: list[Place] = []
    for height, width in sizes:
        rows, columns = _even(height), _even(width)
        fitting = [i for i, (_, _, high, wide) in enumerate(free) if rows <= high and columns <= wide]
        if fitting:
            top, left, high, wide = free.pop(fitting[0])
        else:
            top, left, high, wide = 0, canvas_width, canvas_height, columns
            canvas_width += columns
        places.append(Place(top, left, height, width))
        free.append((top, left + columns, rows, wide - columns))
        free.append((top + rows, left, high - rows, wide))
    return places, canvas_height, canvas_width


def paint(levels: Sequence[npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], list[Place]]:
    """The levels (h, w, 3), largest first, on a canvas (H, W, 3) of zeros, and their places."""
    places, height, width = lay_out([(level.shape[0], level.shape[1]) for level in levels])
    canvas = np.zeros((height, width, 3), np.float32)
    for level, place in zip(levels, places, strict=True):
        canvas[place.top : place.top + place.height, place.left : place.left + place.width] = level
    return canvas, places


def _even(size: int) -> int:
    return size + size % 2
