"""Portraits: one identity under a random pose, expression, light, background and camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from facelib.demo.head import (
    BACK,
    X_LEFT,
    X_RIGHT,
    Y_BOTTOM,
    GroupTraits,
    Identity,
    Map,
    Surface,
    add_bump,
    build_surface,
    noise,
    sample_identity,
    smoothstep,
    window,
)
from facelib.demo.shading import Camera, Light, encode, shade, view

__all__ = ["GroupTraits", "Identity", "render_background", "render_portrait", "sample_identity"]

MIN_SIZE, MAX_SIZE = 256, 640
MAX_ANGLE = np.radians(15.0)

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Expression:
    """What moves in a face: `smile` −1..1, `open_mouth` cm, `eyes` openness 0.6..1.15, `brows` cm up, gaze in cm."""

    smile: float
    open_mouth: float
    eyes: float
    brows: float
    gaze: tuple[float, float]


def render_portrait(identity: Identity, rng: np.random.Generator, size: int | None = None) -> Image:
    """One picture of the identity, RGB (size, size, 3).

    Pose within ±15° of each axis, expression, light, clothes, background, framing, blur and sensor
    noise come from `rng`; so does `size` (256 to 640 px) unless given. The same identity and the same
    state of `rng` give the same pixels.
    """
    size = int(rng.integers(MIN_SIZE, MAX_SIZE + 1)) if size is None else size
    expression, camera, light = _expression(rng), _camera(rng), _light(rng)
    surface = _cached_surface(identity).copy()
    paint_face(surface, identity, expression)
    cloth = np.asarray(rng.uniform(0.01, 0.6) * rng.uniform(0.3, 1.0, 3), np.float32)
    body = window(X_LEFT, X_RIGHT, 10.0, Y_BOTTOM)[0]
    surface.albedo[body] += surface.cloth[body][..., None] * (cloth - surface.albedo[body])
    shown, cover = view(surface, shade(surface, light, camera), camera, size)
    picture = render_background(rng, size)
    picture += cv2.merge([cover] * 3) * (shown - picture)
    if identity.glasses != "none":
        picture = _wear_glasses(picture, identity, surface, camera, light)
    return _photograph(picture, rng)


@lru_cache(maxsize=2)
def _cached_surface(identity: Identity) -> Surface:
    return build_surface(identity)


# ---------------------------------------------------------------- what varies between pictures


def _camera(rng: np.random.Generator) -> Camera:
    yaw, pitch, roll = np.clip(rng.normal(0, [0.13, 0.07, 0.06]), -MAX_ANGLE, MAX_ANGLE)
    span = 23.0 / rng.uniform(0.56, 0.76)
    centre = (float(rng.normal(0, 0.025) * span), 1.2 + float(rng.normal(0, 0.015) * span))
    return Camera(float(yaw), float(pitch), float(roll), float(rng.uniform(70, 200)), float(span), centre)


def _light(rng: np.random.Generator) -> Light:
    azimuth, elevation = rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.65)
    lamp = (np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    power = rng.uniform(0.65, 1.05)
    room = np.array([1 - 0.5 * warmth, 1.0, 1 + 0.5 * warmth])
    key, ambient, fill = tint * power, room * rng.uniform(0.3, 0.55), room * rng.uniform(0.02, 0.25)
    return Light(*(tuple(float(c) for c in v) for v in (lamp, key, ambient, fill)))  # type: ignore[arg-type]


def _expression(rng: np.random.Generator) -> Expression:
    smile = float(np.clip(rng.normal(0.15, 0.4), -0.6, 1.0))
    gap = float(rng.uniform(0.2, 0.9)) if rng.random() < 0.3 else 0.0
    gaze = (float(rng.normal(0, 0.12)), float(rng.normal(0, 0.05)))
    return Expression(smile, gap, float(rng.uniform(0.72, 1.1)), float(rng.normal(0.05, 0.12)), gaze)


# ---------------------------------------------------------------- eyes, brows, mouth


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
    gaps = 1 - 0.25 * np.exp(-((((x + 0.42) % 0.84) - 0.42) / 0.05) ** 2)
    teeth = hole * smoothstep(0.05 + 0.5 * e.open_mouth, 0.5 * e.open_mouth - 0.05, y - top) * smoothstep(0.85, 0.6, u)
    _over(surface, at, teeth, np.array([0.68, 0.62, 0.52], np.float32) * gaps[..., None], 0.4)
    seam = np.exp(-(((y - top) / 0.07) ** 2)) * smoothstep(1.06, 0.95, np.abs(x) / half)
    _over(surface, at, 0.75 * seam, lips * 0.22, 0.2)
    corner = np.exp(-((np.abs(x) - half) ** 2 + (y - line) ** 2) / 0.05)
    surface.height[at] -= 0.18 * corner


# ---------------------------------------------------------------- glasses


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


def _wear_glasses(picture: Map, p: Identity, surface: Surface, camera: Camera, light: Light) -> Map:
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


# ---------------------------------------------------------------- background and camera


def render_background(rng: np.random.Generator, size: int) -> Map:
    """An out-of-focus scene without people, display RGB in [0, 1], (size, size, 3) float32."""
    first, second = (rng.uniform(0.15, 0.9) * rng.uniform(0.6, 1.0, 3) for _ in range(2))
    slope = np.linspace(0, 1, 64, dtype=np.float32)
    tilt = rng.uniform(0, 1)
    ramp = tilt * slope[:, None] + (1 - tilt) * slope[None, :]
    scene = np.asarray(first + ramp[..., None] * (second - first), np.float32)
    kind = rng.integers(4)
    if kind == 1:
        for _ in range(14):
            x, y, w, h = (int(v) for v in rng.integers([-8, -8, 6, 6], [64, 64, 26, 40]))
            cv2.rectangle(scene, (x, y), (x + w, y + h), tuple(rng.uniform(0.1, 0.9) * rng.uniform(0.7, 1, 3)), -1)
        scene = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(1.0, 3.0)))
    elif kind == 2:
        for _ in range(24):
            x, y, r = (int(v) for v in rng.integers([0, 0, 2], [64, 64, 8]))
            cv2.circle(scene, (x, y), r, tuple(np.clip(second + rng.uniform(0, 0.3, 3), 0, 1)), -1, cv2.LINE_AA)
        scene = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(1.6, 3.0)))
    elif kind == 3:
        scene = scene + 0.05 * noise(rng, (64, 64), float(rng.uniform(6, 20)))[..., None]
    scene = cv2.resize(np.clip(scene, 0, 1), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(scene, 0, 1), np.float32)


def _photograph(picture: Map, rng: np.random.Generator) -> Image:
    """Exposure, white balance, focus and sensor noise; RGB uint8."""
    size = picture.shape[0]
    gain = rng.uniform(0.88, 1.1) * rng.uniform(0.97, 1.03, 3) * 255
    picture = cv2.multiply(picture, (*(float(g) for g in gain), 0.0))
    picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.35, 1.1)) * size / 448)
    grain = rng.standard_normal((size, size), np.float32) * np.float32(rng.uniform(0.5, 5.5))
    picture += cv2.merge([grain] * 3)
    return np.asarray(np.clip(picture, 0, 255, out=picture), np.uint8)
