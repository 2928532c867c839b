"""Portraits: one identity under a random pose, expression, light, background and camera."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from facelib.demo.expression import Expression, paint_face
from facelib.demo.glasses import wear_glasses
from facelib.demo.grid import X_LEFT, X_RIGHT, Y_BOTTOM, Map, noise, window
from facelib.demo.head import build_surface
from facelib.demo.identity import GroupTraits, Identity, sample_identity
from facelib.demo.shading import Camera, Light, shade, view
from facelib.demo.surface import Surface

__all__ = [
    "MAX_ANGLE",
    "MAX_SIZE",
    "MIN_SIZE",
    "Expression",
    "GroupTraits",
    "Identity",
    "Image",
    "paint_face",
    "render_background",
    "render_portrait",
    "sample_identity",
]

MIN_SIZE, MAX_SIZE = 256, 640
MAX_ANGLE = np.radians(15.0)

Image = npt.NDArray[np.uint8]


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
        picture = wear_glasses(picture, identity, surface, camera, light)
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
