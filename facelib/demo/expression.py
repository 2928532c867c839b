"""The parts of a face that move: eyes, brows and mouth, painted in a given expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.demo.grid import Map, add_bump, noise, smoothstep, window
from facelib.demo.identity import Identity
from facelib.demo.surface import Surface


@dataclass(frozen=True)
class Expression:
    """What moves in a face: `smile` −1..1, `open_mouth` cm, `eyes` openness 0.6..1.15, `brows` cm up, gaze in cm."""

    smile: float
    open_mouth: float
    eyes: float
    brows: float
    gaze: tuple[float, float]


def paint_face(surface: Surface, identity: Identity, expression: Expression) -> None:
    """Paint brows, eyes and mouth in the given expression onto the identity's surface, in place."""
    for side in (-1.0, 1.0):
        _paint_eye(surface, identity, expression, side)
        _paint_brow(surface, identity, expression, side)
        add_bump(surface.height, side * 4.0, 4.2, 1.3, 1.0, 0.45 * max(expression.smile, 0))
    _paint_mouth(surface, identity, expression)


def _over(surface: Surface, at: tuple[slice, slice], mask: Map, colour: npt.ArrayLike, gloss: float) -> None:
    surface.albedo[at] += mask[..., None] * (np.asarray(colour, np.float32) - surface.albedo[at])
    surface.gloss[at] += mask * (np.float32(gloss) - surface.gloss[at])


def _paint_eye(surface: Surface, p: Identity, e: Expression, side: float) -> None:
    cx, a = side * p.eye_distance / 2, p.eye_width / 2
    at, x, y = window(cx - 2.9, cx + 2.9, -2.6, 2.2)
    c, s = np.cos(p.eye_tilt), np.sin(p.eye_tilt)
    u = side * (x - cx) * c - y * s  # outwards
    v = side * (x - cx) * s + y * c
    t = np.clip(np.abs(u) / a, 0, 1)
    inner = np.where(u < 0, 1.25, 1.0)
    rise = p.eye_height * e.eyes
    upper = -0.62 * rise * (1 - t ** (2.2 * inner)) ** 0.8
    lower = (0.42 * rise - 0.12 * max(e.smile, 0)) * (1 - t**2.2) ** 0.9
    inside = np.minimum(v - upper, lower - v)
    inside = np.where(np.abs(u) < a, inside, -np.abs(np.abs(u) - a) - 0.05)
    opening = smoothstep(-0.06, 0.06, inside)
    skin = np.asarray(p.skin, np.float32)
    crease = np.exp(-(((v - upper + p.lid_crease) / 0.09) ** 2)) * smoothstep(1.25, 0.8, np.abs(u / a)) * (v < 0)
    surface.height[at] += 0.22 * np.exp(-((u / (1.15 * a)) ** 4)) * np.exp(-((v / (1.1 * rise)) ** 2))
    surface.height[at] -= 0.12 * crease
    _over(surface, at, 0.45 * crease, skin * 0.4, 0.2)
    gap = np.abs(u - side * e.gaze[0])
    r = np.hypot(gap, v - e.gaze[1] + 0.03)
    ball = np.array([0.72, 0.68, 0.64], np.float32) * (1 - 0.35 * t[..., None] ** 2)
    ball = ball * (1 - 0.45 * np.exp(-np.maximum(v - upper, 0) / 0.14)[..., None])
    corner = smoothstep(0.78, 0.97, -u / a)[..., None]
    ball = ball + corner * (np.array([0.45, 0.16, 0.13], np.float32) - ball)
    _over(surface, at, opening, ball, 0.5)
    iris = np.asarray(p.iris, np.float32) * (0.55 + 0.9 * np.clip(r / 0.6, 0, 1))[..., None]
    iris = iris * (1 - 0.75 * smoothstep(0.46, 0.6, r))[..., None]
    iris = iris * (1 - 0.55 * np.exp(-np.maximum(v - upper, 0) / 0.18))[..., None]
    _over(surface, at, opening * smoothstep(0.64, 0.54, r), iris, 0.5)
    _over(surface, at, opening * smoothstep(0.29, 0.21, r), (0.004, 0.004, 0.004), 0.5)
    glint = smoothstep(0.13, 0.06, np.hypot(u - side * (e.gaze[0] - 0.2), v - e.gaze[1] + 0.22))
    _over(surface, at, opening * glint, (1.6, 1.6, 1.6), 0.5)
    lash = np.exp(-(((v - upper + 0.02) / 0.085) ** 2)) * smoothstep(1.06, 0.94, np.abs(u / a))
    _over(surface, at, 0.85 * lash, (0.012, 0.008, 0.007), 0.1)
    rim = np.exp(-(((v - lower - 0.02) / 0.06) ** 2)) * smoothstep(1.0, 0.8, np.abs(u / a))
    _over(surface, at, 0.4 * rim, skin * 0.3, 0.2)


def _paint_brow(surface: Surface, p: Identity, e: Expression, side: float) -> None:
    start = p.eye_distance / 2 - 0.55 * p.brow_length + 0.1
    middle = -p.brow_height - e.brows
    left, right = sorted((side * (start - 0.5), side * (start + p.brow_length + 0.6)))
    at, x, y = window(left, right, middle - 2, middle + 1.6)
    t = (side * x - start) / p.brow_length
    bend = p.brow_arch * np.where(t < 0.65, 1 - ((t - 0.65) / 0.65) ** 2, 1 - ((t - 0.65) / 0.4) ** 2)
    level = middle + 0.25 - bend - p.brow_slope * 2 * (t - 0.5) + 0.35 * max(-e.smile, 0) * (0.5 - t)
    half = 0.5 * p.brow_thickness * (0.65 + 0.5 * t) * smoothstep(1.08, 0.6, t)
    rng = np.random.default_rng([p.texture_seed, 3])
    fibre = noise(rng, (y.size, x.size), 1.5)
    body = smoothstep(1.25, 0.35, np.abs(y - level) / np.maximum(half, 0.05) + 0.18 * fibre)
    body = body * smoothstep(-0.08, 0.1, t) * smoothstep(1.06, 0.96, t)
    dark = np.minimum(np.asarray(p.hair_colour, np.float32) * 0.7, np.asarray(p.skin, np.float32) * 0.55)
    surface.height[at] += 0.12 * body
    _over(surface, at, body * p.brow_density * np.clip(0.92 + 0.12 * fibre, 0, 1), dark, 0.05)


def _paint_mouth(surface: Surface, p: Identity, e: Expression) -> None:
    at, x, y = window(-5, 5, p.mouth_y - 2.6, p.mouth_y + 3.2)
    half = p.mouth_width / 2 * (1 + 0.13 * max(e.smile, 0) - 0.1 * min(e.open_mouth, 0.6))
    u = np.clip(np.abs(x) / half, 0, 1)
    line = p.mouth_y - (p.mouth_curve + 0.5 * e.smile) * (u**2 - 0.25) + 0.06 * np.cos(6 * u)
    top, bottom = line - 0.25 * e.open_mouth * (1 - u**2), line + 0.75 * e.open_mouth * (1 - u**2)
    stretch = 1 - 0.2 * max(e.smile, 0)
    bow = 1 - p.cupid_bow * np.exp(-((u / 0.16) ** 2))
    high = top - p.upper_lip * stretch * bow * (1 - u**1.5)
    low = bottom + p.lower_lip * stretch * (1 - u**2) ** 0.8
    on = np.abs(x) < half
    upper = smoothstep(-0.06, 0.08, y - high) * smoothstep(-0.02, 0.04, top - y) * on
    lower = smoothstep(-0.06, 0.12, low - y) * smoothstep(-0.02, 0.04, y - bottom) * on
    across_low = np.clip((y - bottom) / np.maximum(low - bottom, 0.05), 0, 1)
    across_high = np.clip((top - y) / np.maximum(top - high, 0.05), 0, 1)
    surface.height[at] += upper * (0.28 * (1 - across_high) * (1 - u**2) + 0.08)
    surface.height[at] += lower * 0.34 * np.sin(np.pi * np.clip(across_low, 0, 1) ** 0.8) * (1 - u**2) ** 0.5
    lips = np.asarray(p.lips, np.float32)
    _over(surface, at, 0.85 * upper, lips * 0.8, 0.45)
    _over(surface, at, 0.85 * lower, lips, 0.55)
    hole = smoothstep(-0.03, 0.05, y - top) * smoothstep(-0.03, 0.05, bottom - y) * on
    hole = hole * float(e.open_mouth > 0)
    surface.height[at] -= 0.3 * hole
    _over(surface, at, hole, (0.05, 0.012, 0.012), 0.1)
    gaps = 1 - 0.25 * np.exp(-(((((x + 0.42) % 0.84) - 0.42) / 0.05) ** 2))
    teeth = hole * smoothstep(0.05 + 0.5 * e.open_mouth, 0.5 * e.open_mouth - 0.05, y - top) * smoothstep(0.85, 0.6, u)
    _over(surface, at, teeth, np.array([0.68, 0.62, 0.52], np.float32) * gaps[..., None], 0.4)
    seam = np.exp(-(((y - top) / 0.07) ** 2)) * smoothstep(1.06, 0.95, np.abs(x) / half)
    _over(surface, at, 0.75 * seam, lips * 0.22, 0.2)
    corner = np.exp(-((np.abs(x) - half) ** 2 + (y - line) ** 2) / 0.05)
    surface.height[at] -= 0.18 * corner
