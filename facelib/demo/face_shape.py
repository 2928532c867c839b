"""The relief of a face: its outline, its bones, nose and chin, and the lines of age, as maps on the grid."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from facelib.demo.grid import BACK, CENTRE_Y, NOTHING, Map, add_bump, add_stroke, grid, smoothstep, window
from facelib.demo.identity import Identity

_OUTLINE_DEGREES = (0, 20, 40, 65, 90, 115, 140, 160, 180)


def outline_radius(identity: Identity, theta: Map) -> Map:
    """Radius of the face outline at angle `theta` from straight down (radians, 0 to pi)."""
    p = identity
    radii = np.array([11.0, 10.4, 8.75, 7.45, 7.1, 7.85, 9.6, 10.95, 11.35])
    radii *= [1, p.chin_width, p.jaw_width, p.cheek_width, p.cheek_width, p.temple_width, 1, 1, 1]
    knots = np.radians(_OUTLINE_DEGREES)
    spline = CubicSpline(knots, radii, bc_type="clamped")
    table = np.linspace(0, np.pi, 512)
    return np.interp(theta, table, spline(table)).astype(np.float32)


def head_radius(identity: Identity) -> Map:
    """Distance from the head's axis as a fraction of the face outline's, (h, w)."""
    x, y = grid()
    down = (identity.chin_y - CENTRE_Y) / 11.0
    dy = (y - CENTRE_Y) / np.where(y > CENTRE_Y, down, identity.upper_length)
    dx = x / identity.face_width
    radius = np.hypot(dx, dy)
    return radius / outline_radius(identity, np.arctan2(np.abs(dx), dy))


def dome(radius: Map, front: float = 0.0) -> Map:
    """Front half of the head, z in cm: flat in front, vertical at the outline, `NOTHING` outside."""
    _, y = grid()
    power = 2.3 + 2.2 * smoothstep(2.0, 10.0, y)
    inside = np.sqrt(np.clip(1 - np.minimum(radius, 1) ** power, 0, 1))
    return np.where(radius < 1, BACK + (front - BACK) * inside, np.float32(NOTHING))


def skull(identity: Identity) -> Map:
    """Height (h, w) of the face without eyes, lips and brows, in cm."""
    p = identity
    height = dome(head_radius(p))
    eye_x, mouth_y, chin_y = p.eye_distance / 2, p.mouth_y, p.chin_y
    for side in (-1, 1):
        add_bump(height, side * eye_x, -0.1, 1.7, 1.0, -p.eye_depth)
        add_bump(height, side * 1.3, 0.2, 0.7, 1.2, -0.35)
        add_bump(height, side * (eye_x - 0.2), -p.brow_height + 0.1, 2.0, 0.75, 0.2 + 0.6 * p.brow_ridge)
        add_bump(height, side * 4.6 * p.face_width, 3.0, 1.5, 1.3, 0.3 + 0.8 * p.cheekbone)
        add_bump(height, side * 4.7 * p.face_width, 6.6, 1.4, 1.7, -0.5 * p.cheek_hollow)
        add_bump(height, side * 6.2 * p.face_width, -3.0, 1.0, 1.6, -0.4)
        add_bump(height, side * 3.4, mouth_y - 0.3, 1.0, 1.4, 0.15)
    add_bump(height, 0, mouth_y, 2.3, 1.8, 0.7)
    add_bump(height, 0, mouth_y + p.lower_lip + 0.75, 1.5, 0.35, -0.4)
    add_bump(height, 0, chin_y - 1.6, 1.5, 1.0, p.chin_protrusion)
    add_bump(height, 0, chin_y - 1.5, 0.18, 0.6, -p.chin_cleft)
    add_bump(height, 0, p.nose_length + 1.6, 0.22, 0.6, -0.15)
    _add_nose(height, p)
    return height


def _add_nose(height: Map, p: Identity) -> None:
    at, x, y = window(-4, 4, -2.5, p.nose_length + 2.5)
    t = np.clip((y + 0.6) / (p.nose_length + 0.6), 0, 1)
    ridge = 0.45 + (p.nose_protrusion - 0.45) * t**1.25 + p.nose_hump * np.sin(np.pi * t) ** 2
    ridge = ridge * smoothstep(-2.6, 0.2, y) * (1 - smoothstep(p.nose_length - 0.4, p.nose_length + 1.4, y))
    width = p.nose_bridge * (1 + 0.35 * t) + 0.12 * p.nose_width * t**3
    height[at] += ridge * np.exp(-((np.abs(x) / width) ** 2))
    add_bump(height, 0, p.nose_length - 0.15, p.nose_tip * 0.8, 0.5, 0.45)
    for side in (-1, 1):
        wing = side * p.nose_width * 0.36
        add_bump(height, wing, p.nose_length + 0.2, 0.19 * p.nose_width, 0.42, 0.75)
        add_bump(height, side * p.nose_width * 0.2, p.nose_length + 0.75, 0.28, 0.14, -0.2)
        add_bump(height, side * p.nose_width * 0.56, p.nose_length + 0.25, 0.16, 0.45, -0.25)


def wrinkle_relief(identity: Identity) -> Map:
    """Depth (negative, cm) of the folds and lines of age, (h, w)."""
    p, rng = identity, np.random.default_rng(identity.texture_seed)
    x, y = grid()
    relief = np.zeros((y.size, x.size), np.float32)
    wing, corner, age = p.nose_width * 0.55, p.mouth_width * 0.5 + 0.5, p.wrinkles
    for side in (-1, 1):
        fold = [(side * wing, p.nose_length - 0.1), (side * (wing + 0.75), p.nose_length + 1.2)]
        fold += [(side * corner, p.mouth_y - 0.2), (side * (corner + 0.1), p.mouth_y + 0.7 + age)]
        add_stroke(relief, fold, 0.16, -(0.05 + 0.22 * age))
        bag = [(p.eye_distance / 2 + 1.3 * np.sin(a), 0.7 + 0.55 * np.cos(a)) for a in np.linspace(-1.2, 1.2, 7)]
        add_stroke(relief, np.array(bag) * (side, 1), 0.11, -0.16 * age)
        for k in range(3):
            end = p.eye_distance / 2 + p.eye_width / 2
            crow = [(side * (end + 0.3), 0.1 + 0.3 * (k - 1)), (side * (end + 1.5), 0.2 + 0.75 * (k - 1))]
            add_stroke(relief, crow, 0.06, -0.09 * age)
    for k in range(4):
        middle = -p.brow_height - 1.2 - 0.75 * k
        xs = np.linspace(-3.6, 3.6, 15) * rng.uniform(0.75, 1.1)
        line = np.stack([xs, middle + 0.15 * np.cos(xs * 0.8) + 0.08 * rng.standard_normal(15)], 1)
        add_stroke(relief, line, 0.1, -0.14 * age * rng.uniform(0.4, 1.0))
    for x0 in (-0.3, 0.3):
        frown = [(x0, -p.brow_height - 0.5), (x0 * 1.1, -p.brow_height + 0.9)]
        add_stroke(relief, frown, 0.09, -0.12 * age)
    return relief
