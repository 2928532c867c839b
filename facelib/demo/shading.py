"""Shades a head's surface and shows it from a turned, perspective camera.

The surface is lit on its own grid (diffuse light with a warm terminator, cast shadows, occlusion,
highlights), then every pixel of the picture is sent along its ray through the height map (relief
mapping: Policarpo, Oliveira & Comba, 2005) to find which cell of the grid it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facelib.demo.head import BACK, PX_PER_CM, X_LEFT, Y_TOP, Colour, Map, Surface, smoothstep

PIVOT = (0.0, 5.0, BACK)  # cm; the head turns about this point
_MARCH_TOP, _MARCH_BOTTOM, _MARCH_STEPS = 4.5, BACK - 3.5, 28
_DEEPEST = BACK - 3.0  # cm; what lies behind is background
_MARCH_SIZE = 192
_SHADOW_STEPS = 12
_WRAP = np.array([0.30, 0.16, 0.12], np.float32)  # light that bleeds past the terminator: red most

_LINEAR = np.linspace(0, 2, 4096)
_SHOULDER = np.where(_LINEAR > 0.7, 0.7 + 0.3 * np.tanh((_LINEAR - 0.7) / 0.3), _LINEAR)
_CURVE = (_SHOULDER ** (1 / 2.2)).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """Square view. Angles in radians; `distance` and `span` (height of the view at the eyes) in cm.

    Positive yaw turns the face to the image's right, positive pitch downwards, positive roll clockwise.
    `centre` is the (x, y) in cm that the view is centred on.
    """

    yaw: float
    pitch: float
    roll: float
    distance: float
    span: float
    centre: tuple[float, float]

    def rotation(self) -> npt.NDArray[np.float64]:
        """(3, 3) matrix from head to camera axes."""
        (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (self.yaw, self.pitch, self.roll))
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(about_z @ about_x @ about_y)

    def project(self, points: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
        """Pixel positions (n, 2) in a size × size picture of head points (n, 3)."""
        seen = (points - PIVOT) @ self.rotation().T + PIVOT
        depth = self.distance / (self.distance - seen[:, 2:3])
        plane = (seen[:, :2] - self.centre) * depth
        return np.asarray((plane / self.span + 0.5) * size - 0.5)


@dataclass(frozen=True)
class Light:
    """A distant lamp and the room's light. `direction` points from the head to the lamp, camera axes."""

    direction: tuple[float, float, float]
    key: Colour
    ambient: Colour
    fill: Colour


def shade(surface: Surface, light: Light, camera: Camera) -> Map:
    """Display RGB (h, w, 3), in [0, 1], of the surface on its grid, as the camera sees it."""
    turn = camera.rotation()
    to_lamp = (turn.T @ _unit(light.direction)).astype(np.float32)
    to_eye = (turn.T @ np.array([0.0, 0.0, 1.0])).astype(np.float32)
    height = np.maximum(surface.height, BACK - 4)
    normal = _normals(height)
    facing = _dot(normal, to_lamp)
    lit = _shadow(height, to_lamp)
    hard = np.clip(facing, 0, 1)
    sky = 0.5 - 0.5 * normal[1] - 0.15 * np.abs(normal[0])
    opposite = (turn.T @ _unit((-light.direction[0], 0, 0.6))).astype(np.float32)
    side = np.clip(_dot(normal, opposite), 0, 1)
    open_to_air = _openness(height)
    direct = lit * (0.45 + 0.55 * open_to_air)
    gleam = _gleam(surface, np.clip(_dot(normal, _unit(to_lamp + to_eye).astype(np.float32)), 0, 1)) * lit
    planes = []
    for wrap, key, ambient, fill, albedo in zip(
        _WRAP, light.key, light.ambient, light.fill, cv2.split(surface.albedo), strict=True
    ):
        soft = np.clip((facing + wrap) / (1 + wrap), 0, 1)
        soft += surface.hair * (hard - soft)
        received = soft * direct * key + (sky * ambient + side * fill) * open_to_air
        planes.append(encode(albedo * received + gleam * key))
    return np.asarray(cv2.merge(planes), np.float32)


def _gleam(surface: Surface, shine: Map) -> Map:
    """Blinn-Phong highlight: broad on skin and hair, sharp on wet and oily places."""
    broad = _sixteenth(shine)
    sharp = broad * broad * broad * broad
    gleam = 0.10 * broad + 0.22 * np.maximum(surface.gloss - 0.2, 0) * sharp
    return np.asarray(surface.gloss * gleam * (1 - 0.6 * surface.hair), np.float32)


def encode(linear: Map) -> Map:
    """Display values of linear light: a soft shoulder above 0.7, then the 1/2.2 power."""
    return _CURVE[np.clip(linear * (_CURVE.size / 2), 0, _CURVE.size - 1).astype(np.int32)]


def view(surface: Surface, colour: Map, camera: Camera, size: int) -> tuple[Map, Map]:
    """RGB (size, size, 3) of the shaded surface, and its cover (size, size), 0 where the background shows."""
    ax, ay, bx, by = _rays(camera, _MARCH_SIZE)
    depth = _march(surface.height, ax, ay, bx, by)
    ax, ay, bx, by = _rays(camera, size)
    depth = cv2.resize(depth, (size, size), interpolation=cv2.INTER_LINEAR)
    found = _sample(surface.height, ax + depth * bx, ay + depth * by)
    depth = np.where(np.abs(found - depth) < 0.6, 0.5 * (depth + found), depth)
    x, y = ax + depth * bx, ay + depth * by
    solid = (surface.height > _DEEPEST).astype(np.float32)
    columns, rows = _column(x), _row(y)
    rgb = cv2.remap(colour, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = _sample(cv2.GaussianBlur(solid, (0, 0), 0.7), x, y)
    cover = smoothstep(0.35, 0.75, cover) * smoothstep(_MARCH_BOTTOM, _DEEPEST, depth)
    return np.asarray(rgb, np.float32), np.asarray(cover, np.float32)


def _unit(v: npt.ArrayLike) -> npt.NDArray[np.float64]:
    a = np.asarray(v, np.float64)
    return np.asarray(a / np.linalg.norm(a))


def _dot(normal: Map, v: Map) -> Map:
    return np.asarray(normal[0] * v[0] + normal[1] * v[1] + normal[2] * v[2], np.float32)


def _sixteenth(v: Map) -> Map:
    for _ in range(4):
        v = v * v
    return v


def _normals(height: Map) -> Map:
    """Unit normals (3, h, w); slopes are limited to 3.5 so that cut edges do not turn black."""
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=PX_PER_CM / 8)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=PX_PER_CM / 8)
    steep = np.minimum(1, 3.5 / np.maximum(np.hypot(gx, gy), 1e-3))
    gx, gy = gx * steep, gy * steep
    nz = 1 / np.sqrt(1 + gx * gx + gy * gy)
    return np.stack([-gx * nz, -gy * nz, nz])


def _shadow(height: Map, to_lamp: Map) -> Map:
    """Share of the lamp that reaches each cell, by stepping towards it at a quarter of the cells."""
    small = cv2.resize(height, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    h, w = small.shape
    climb = max(float(to_lamp[2]), 0.15)
    blocked = np.zeros_like(small)
    for k in range(1, _SHADOW_STEPS + 1):
        reach = 0.25 * k**1.35
        dx, dy = (float(c) * reach * PX_PER_CM / 2 for c in to_lamp[:2])
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ahead = cv2.warpAffine(small, shift, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        np.maximum(blocked, (ahead - small - climb * reach) / (0.15 + 0.35 * reach), out=blocked)
    soft = cv2.GaussianBlur(np.clip(1 - blocked, 0, 1), (0, 0), 1.2)
    return np.asarray(cv2.resize(soft, (height.shape[1], height.shape[0])), np.float32)


def _openness(height: Map) -> Map:
    """How much of the surroundings a cell sees, 0.35 to 1: low in hollows of two sizes."""
    small = cv2.resize(height, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = np.maximum(small, BACK - 2)
    fine = cv2.GaussianBlur(small, (0, 0), 0.35 * PX_PER_CM / 2) - small
    broad = cv2.GaussianBlur(small, (0, 0), 1.3 * PX_PER_CM / 2) - small
    hollow = 0.8 * np.maximum(fine, 0) + 0.38 * np.maximum(broad, 0)
    open_to_air = np.clip(1.05 - hollow, 0.35, 1)
    return np.asarray(cv2.resize(open_to_air, (height.shape[1], height.shape[0])), np.float32)


def _rays(camera: Camera, size: int) -> tuple[Map, Map, Map, Map]:
    """Per pixel the line x = ax + z·bx, y = ay + z·by, head axes; each (size, size)."""
    turn = camera.rotation().T
    eye = turn @ (np.array([*camera.centre, camera.distance]) - PIVOT) + PIVOT
    steps = (((np.arange(size) + 0.5) / size - 0.5) * camera.span).astype(np.float32)
    weight = turn.astype(np.float32)
    back = (turn[:, 2] * camera.distance).astype(np.float32)
    dx, dy, dz = (weight[k, 0] * steps[None, :] + (weight[k, 1] * steps[:, None] - back[k]) for k in range(3))
    dx /= dz
    dy /= dz
    return np.float32(eye[0]) - np.float32(eye[2]) * dx, np.float32(eye[1]) - np.float32(eye[2]) * dy, dx, dy


def _march(height: Map, ax: Map, ay: Map, bx: Map, by: Map) -> Map:
    """z at which each ray first meets the surface; `_MARCH_BOTTOM` where it never does."""
    levels = np.linspace(_MARCH_TOP, _MARCH_BOTTOM, _MARCH_STEPS, dtype=np.float32)
    depth = np.full_like(ax, _MARCH_BOTTOM)
    waiting = np.ones(ax.shape, bool)
    above = np.full_like(ax, 1.0)
    gap = levels[0] - levels[1]
    for z in levels:
        over = z - _sample(height, ax + z * bx, ay + z * by)
        hit = waiting & (over <= 0)
        share = np.clip(above / np.maximum(above - over, 1e-6), 0, 1)
        depth[hit] = (z + gap * (1 - share))[hit]
        waiting &= ~hit
        above = over
    return depth


def _sample(field: Map, x: Map, y: Map) -> Map:
    at = (field, _column(x), _row(y), cv2.INTER_LINEAR)
    return np.asarray(cv2.remap(*at, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _column(x: Map) -> Map:
    return (x - np.float32(X_LEFT)) * np.float32(PX_PER_CM)


def _row(y: Map) -> Map:
    return (y - np.float32(Y_TOP)) * np.float32(PX_PER_CM)
