"""Glasses: their frame in space, and how they look in a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facelib.demo.grid import BACK, Map, window
from facelib.demo.identity import Identity
from facelib.demo.shading import Camera, Light, encode
from facelib.demo.surface import Surface


def wear_glasses(picture: Map, p: Identity, surface: Surface, camera: Camera, light: Light) -> Map:
    """The picture (size, size, 3), display RGB in [0, 1], with the identity's glasses and their shadow.

    The identity must wear some; `surface` tells how far in front of the eyes they sit.
    """
    size = picture.shape[0]
    px_per_cm = size / camera.span
    curves = _glasses_curves(p, surface)
    pixels = [np.round(camera.project(curve, size) * 16).astype(np.int32) for curve in curves]
    frame, lens = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for rim in pixels[:2]:
        cv2.fillPoly(lens, [rim], 255, cv2.LINE_AA, 4)
    cv2.polylines(frame, pixels, False, 255, max(1, round(0.28 * px_per_cm)), cv2.LINE_AA, 4)
    shadow = cv2.GaussianBlur(frame, (0, 0), 0.35 * px_per_cm).astype(np.float32) / 255
    fall = np.array(light.direction[:2]) * px_per_cm
    moved = np.array([[1, 0, -0.7 * fall[0]], [0, 1, -0.9 * fall[1]]])
    shadow = cv2.warpAffine(shadow, moved, (size, size))
    picture = picture * cv2.merge([1 - 0.35 * shadow] * 3)
    picture += cv2.merge([0.06 / 255 * lens.astype(np.float32)] * 3) * (1 - picture)
    cover = cv2.merge([frame.astype(np.float32) / 255] * 3)
    lit = 0.55 * np.asarray(light.key, np.float32) + 0.4
    tint = encode(np.asarray(p.glasses_colour, np.float32) * lit)
    return np.asarray(picture + cover * (tint - picture), np.float32)


def _glasses_curves(p: Identity, surface: Surface) -> list[npt.NDArray[np.float64]]:
    """Points (n, 3) in cm: left rim, right rim, then the temples and the bridge."""
    rx, ry, power = {"round": (2.35, 2.2, 2.0), "oval": (2.7, 1.8, 2.4), "square": (2.7, 1.95, 5.0)}[p.glasses]
    rx, ry = rx * p.glasses_size, ry * p.glasses_size
    cx = max(p.eye_distance / 2 + 0.1, rx + 0.55)
    front = float(surface.height[window(-0.2, 0.2, -0.2, 0.2)[0]].mean()) + 0.9
    angle = np.linspace(0, 2 * np.pi, 49)
    c, s = np.cos(angle), np.sin(angle)
    ring_x = cx + rx * np.sign(c) * np.abs(c) ** (2 / power)
    ring_y = 0.35 + ry * np.sign(s) * np.abs(s) ** (2 / power)
    rims = [np.column_stack([side * ring_x, ring_y, front - 0.045 * ring_x**2]) for side in (-1, 1)]
    hinge, ear = cx + rx, 7.2 * p.face_width
    z = front - 0.045 * hinge**2
    temples = [
        np.array([[side * hinge, -0.2, z], [side * (ear - 0.2), -0.1, z - 1.8], [side * ear, 0.0, BACK + 2]])
        for side in (-1, 1)
    ]
    across = np.linspace(-1, 1, 9)
    bridge = np.column_stack([across * (cx - rx), -0.35 + 0.25 * across**2, np.full(9, front)])
    return [*rims, *temples, bridge]
