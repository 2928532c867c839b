"""A whole head: face, skin, ears, beard, neck, shoulders and hair put together on the frontal grid.

The names of the parts' modules that describe a head are offered here too.
"""

from __future__ import annotations

import cv2
import numpy as np

from facelib.demo.face_shape import dome, head_radius, outline_radius, skull, wrinkle_relief
from facelib.demo.grid import (
    BACK,
    CENTRE_Y,
    NOTHING,
    PX_PER_CM,
    X_LEFT,
    X_RIGHT,
    Y_BOTTOM,
    Y_TOP,
    Map,
    add_bump,
    add_stroke,
    grid,
    noise,
    smoothstep,
    window,
)
from facelib.demo.hair import add_beard, add_hair
from facelib.demo.identity import GEOMETRY, AgeBand, Colour, GroupTraits, Identity, SkinTone, sample_identity
from facelib.demo.surface import Surface

__all__ = [
    "BACK",
    "CENTRE_Y",
    "GEOMETRY",
    "NOTHING",
    "PX_PER_CM",
    "X_LEFT",
    "X_RIGHT",
    "Y_BOTTOM",
    "Y_TOP",
    "AgeBand",
    "Colour",
    "GroupTraits",
    "Identity",
    "Map",
    "SkinTone",
    "Surface",
    "add_bump",
    "add_stroke",
    "build_surface",
    "dome",
    "grid",
    "head_radius",
    "noise",
    "outline_radius",
    "sample_identity",
    "skull",
    "smoothstep",
    "window",
    "wrinkle_relief",
]


def build_surface(identity: Identity) -> Surface:
    """The identity's head, neck and shoulders without eyes, lips and brows."""
    rng = np.random.default_rng(identity.texture_seed)
    face = skull(identity) + wrinkle_relief(identity)
    face += 0.012 * noise(rng, (face.shape[0], face.shape[1]), 2.5)
    zeros = np.zeros_like(face)
    surface = Surface(face, _skin_albedo(identity, rng), zeros + 0.35, zeros.copy(), zeros.copy())
    _add_ears(surface, identity)
    add_beard(surface, identity, rng)
    _add_body(surface, identity)
    add_hair(surface, identity, rng)
    surface.height = surface.height.astype(np.float32)
    return surface


def _skin_albedo(p: Identity, rng: np.random.Generator) -> Map:
    x, y = grid()
    red = np.zeros((y.size, x.size), np.float32)
    for side in (-1, 1):
        add_bump(red, side * 4.0, 3.6, 1.6, 1.3, 0.7)
        add_bump(red, side * p.eye_distance / 2, 0.1, 1.7, 0.9, 0.35)
    add_bump(red, 0, p.nose_length, 1.2, 0.9, 0.7)
    add_bump(red, 0, p.chin_y - 1.2, 1.5, 0.9, 0.3)
    red += 0.15 * noise(rng, (y.size, x.size), 14)
    shade = 1 + 0.025 * noise(rng, (y.size, x.size), 3) + 0.03 * noise(rng, (y.size, x.size), 40)
    albedo = np.asarray(p.skin, np.float32) * shade[..., None]
    albedo *= 1 - red[..., None] * np.array([0.03, 0.2, 0.22], np.float32)
    spots = np.zeros_like(red)
    for _ in range(int(110 * p.freckles)):
        x0, y0 = rng.normal(0, 3.2), rng.normal(2.6, 1.6)
        size = rng.uniform(0.07, 0.13)
        add_bump(spots, x0, y0, size, size, rng.uniform(0.3, 0.7))
    for x0, y0, radius in p.moles:
        add_bump(spots, x0, y0, radius * 0.7, radius * 0.7, 1.5)
    for side in (-1, 1):
        add_bump(spots, side * p.nose_width * 0.2, p.nose_length + 0.72, 0.25, 0.13, 1.1)
    dark = np.array([0.55, 0.75, 0.8], np.float32)
    return np.asarray(np.clip(albedo, 0, 0.95) * (1 - np.minimum(spots, 1)[..., None] * dark), np.float32)


def _add_ears(surface: Surface, p: Identity) -> None:
    x, y = grid()
    edge = float(outline_radius(p, np.array([1.62], np.float32))[0]) * p.face_width
    ear = np.full_like(surface.height, NOTHING)
    for side in (-1, 1):
        u = (x * side - edge - 0.1 - 0.25 * p.ear_spread + 0.12 * (y - 1)) / (0.75 + 0.45 * p.ear_spread)
        r = np.hypot(u, (y - 0.9) / (3.1 * p.ear_size))
        rim = BACK + 1.2 + 0.5 * p.ear_spread + 0.55 * np.exp(-(((r - 0.8) / 0.16) ** 2)) - 0.4 * (r < 0.55)
        ear = np.where(r < 1, rim, ear)
    ear = np.asarray(cv2.GaussianBlur(np.maximum(ear, BACK - 2), (0, 0), 1.0), np.float32)
    on = (ear > BACK - 1) & (ear > surface.height)
    surface.height = np.where(on, ear, surface.height)
    surface.albedo *= 1 - 0.12 * on[..., None] * np.array([0, 1, 1], np.float32)


def _add_body(surface: Surface, p: Identity) -> None:
    x, y = grid()
    shoulder = 13.4 + 0.034 * np.maximum(np.abs(x) - 0.7 * p.neck_width, 0) ** 2
    collar = 16.4 - 1.2 * (x / p.neck_width) ** 2
    neckline = np.maximum(shoulder, collar)
    covered = y > neckline
    width = p.neck_width + 0.12 * np.maximum(y - 11.0, 0) ** 1.7
    across = np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1))
    neck = np.where((np.abs(x) < width) & (y > 5) & ~covered, BACK - 0.5 + 4.6 * across, np.float32(NOTHING))
    drop = 1 - np.exp(-np.maximum(y - shoulder + 0.3, 0) / 2.5)
    hem = 0.3 * np.exp(-(((y - neckline - 0.45) / 0.4) ** 2))
    torso = np.where(covered, BACK - 1.5 + 6.0 * drop - 0.01 * x**2 + hem, np.float32(NOTHING))
    surface.height = np.maximum(surface.height, np.maximum(neck, torso)).astype(np.float32)
    cloth = cv2.GaussianBlur((torso >= surface.height).astype(np.float32), (0, 0), 0.8)
    surface.lay(np.asarray(cloth, np.float32), (0.5, 0.5, 0.5), gloss=0.0, cloth=1.0)
