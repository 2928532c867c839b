"""The frontal grid that a head's maps lie on, and the brushes that draw on it.

Coordinates are centimetres: x to the image's right, y down, z towards the camera; the origin lies
midway between the pupils. A map is float32 (h, w), h = 426 cells down and w = 324 across, 12 to the cm.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]

PX_PER_CM = 12.0
X_LEFT, X_RIGHT, Y_TOP, Y_BOTTOM = -13.5, 13.5, -15.5, 20.0
BACK = -9.5  # z of the plane through the ears, where the front half of the head ends
NOTHING = -30.0  # z where there is no surface
CENTRE_Y = 0.5  # y of the centre of the polar outline


def grid() -> tuple[Map, Map]:
    """x as (1, w) and y as (h, 1) of the frontal grid's cells."""
    x = np.arange(X_LEFT, X_RIGHT, 1 / PX_PER_CM, dtype=np.float32)
    y = np.arange(Y_TOP, Y_BOTTOM, 1 / PX_PER_CM, dtype=np.float32)
    return x[None, :], y[:, None]


def window(x0: float, x1: float, y0: float, y1: float) -> tuple[tuple[slice, slice], Map, Map]:
    """Slices of the grid that cover the rectangle, with x (1, w) and y (h, 1) of its cells."""
    x, y = grid()
    i0, i1 = (int(np.clip((v - Y_TOP) * PX_PER_CM, 0, y.size)) for v in (y0, y1))
    j0, j1 = (int(np.clip((v - X_LEFT) * PX_PER_CM, 0, x.size)) for v in (x0, x1))
    return (slice(i0, i1), slice(j0, j1)), x[:, j0:j1], y[i0:i1]


def add_bump(field: Map, x0: float, y0: float, sx: float, sy: float, amount: float) -> None:
    """Add a Gaussian hill of standard deviations (sx, sy) at (x0, y0), in place."""
    at, x, y = window(x0 - 3 * sx, x0 + 3 * sx, y0 - 3 * sy, y0 + 3 * sy)
    field[at] += amount * np.exp(-0.5 * ((x - x0) / sx) ** 2) * np.exp(-0.5 * ((y - y0) / sy) ** 2)


def add_stroke(field: Map, points: npt.ArrayLike, sigma: float, amount: float) -> None:
    """Add a soft line through points (n, 2), `sigma` cm wide and `amount` high, in place."""
    line = np.asarray(points, dtype=np.float32)
    lo, hi = line.min(0) - 4 * sigma, line.max(0) + 4 * sigma
    at, x, y = window(float(lo[0]), float(hi[0]), float(lo[1]), float(hi[1]))
    canvas = np.zeros((y.size, x.size), np.uint8)
    pixels = (line - (x[0, 0], y[0, 0])) * PX_PER_CM * 16
    cv2.polylines(canvas, [np.round(pixels).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), max(sigma * PX_PER_CM, 0.5))
    field[at] += amount * soft / max(float(soft.max()), 1.0)


def smoothstep(low: float, high: float, value: Map) -> Map:
    """Cubic ramp from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Map:
    """Smooth noise of about unit deviation, `scale` cells from bump to bump."""
    h, w = (max(int(n / scale) + 3, 3) for n in shape)
    coarse = rng.standard_normal((h, w)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
