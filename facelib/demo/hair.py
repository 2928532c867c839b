"""Hair of the scalp and of the face, grown onto a head's surface."""

from __future__ import annotations

import cv2
import numpy as np

from facelib.demo.face_shape import dome, head_radius
from facelib.demo.grid import BACK, CENTRE_Y, NOTHING, Map, grid, noise, smoothstep
from facelib.demo.identity import Identity
from facelib.demo.surface import Surface


def add_beard(surface: Surface, p: Identity, rng: np.random.Generator) -> None:
    """Add the identity's facial hair, drawn with `rng`, in place; nothing where it has none."""
    if p.beard == "none":
        return
    x, y = grid()
    ax = np.abs(x)
    cheek = np.interp(ax, [0, 2.6, 4.2, 5.6, 6.6], [p.mouth_y - 1, p.mouth_y - 0.9, 6.2, 4.2, 0.5])
    full = smoothstep(-0.5, 0.6, y - cheek.astype(np.float32))
    lip = smoothstep(0.8, 1.15, np.hypot(x / (0.44 * p.mouth_width + 0.5), (y - p.mouth_y - 0.1) / 1.1))
    upper = p.mouth_y - p.upper_lip - 0.5
    moustache = 1 - smoothstep(0.7, 1.1, np.hypot(x / (0.5 * p.mouth_width + 0.3), (y - upper) / 0.75))
    goatee = smoothstep(p.mouth_y - 1.1, p.mouth_y - 0.4, y) * (1 - smoothstep(2.4, 3.2, ax + 0 * y))
    region = (
        {
            "moustache": moustache,
            "goatee": np.maximum(moustache, goatee),
            "full": np.maximum(full, moustache),
            "stubble": np.maximum(full, moustache),
        }[p.beard]
        * lip
        * (surface.height > BACK + 1)
        * (y < p.chin_y)
    )
    under_nose = smoothstep(p.nose_length + 0.75, p.nose_length + 1.15, y)
    region *= np.where(ax < 2.0, under_nose, 1)
    region = np.asarray(cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.0), np.float32)
    fibre = noise(rng, (y.size, x.size), 1.6)
    thick = 0.4 if p.beard == "stubble" else 1.0
    mask = np.clip(region * (0.88 + 0.25 * fibre) if thick == 1 else region * (0.42 + 0.2 * fibre), 0, 0.95)
    surface.height += region * (0.04 if thick < 1 else 0.35 + 0.07 * fibre)
    surface.lay(mask.astype(np.float32), p.hair_colour, gloss=0.1, hair=0.6)


def add_hair(surface: Surface, p: Identity, rng: np.random.Generator) -> None:
    """Add the identity's hair, drawn with `rng`, in place."""
    x, y = grid()
    shape = (y.size, x.size)
    curly = p.hair == "curly"
    lumps = noise(rng, shape, 7 if curly else 20)
    volume = {"bald": 0.12, "cropped": 0.2, "short": 0.8, "curly": 1.9, "bob": 1.3, "long": 1.2}[p.hair]
    volume *= 0.6 + 0.5 * p.hair_volume
    thick = volume * (1 - 0.6 * smoothstep(-3.0, 3.0, y)) if p.hair in ("bald", "cropped", "short") else volume
    cap = dome(_grown(p, thick + (0.12 if curly else 0.06) * lumps), 0.5 * volume)
    edge = _hair_edge(p) + 0.18 * noise(rng, shape, 5) + (0.35 * lumps if curly else 0)
    soft = 0.5 if p.hair in ("cropped", "bald") else 0.22
    grows = smoothstep(-soft, soft, edge - y)
    if p.hair in ("bob", "long"):
        cap = np.maximum(cap, _curtain(p, lumps))
    strands = _strands(p, rng, lumps) if not curly else 0.9 * noise(rng, shape, 3) + 0.4 * lumps
    relief = cap + (0.05 if not curly else 0.09) * strands
    shown = grows * (relief > np.maximum(surface.height, BACK - 6) - 0.6)
    shown = np.asarray(cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 0.9), np.float32)
    surface.height = np.where(shown > 0.5, np.maximum(relief, surface.height), surface.height)
    opacity = 0.8 if p.hair in ("cropped", "bald") else 1.0
    tint = np.asarray(p.hair_colour, np.float32) * np.clip(1 + 0.22 * strands, 0.35, 1.9)[..., None]
    surface.lay(shown * opacity, tint, gloss=0.3, hair=1.0)
    if p.hair in ("bob", "long"):
        _add_back_hair(surface, p, tint)


def _hair_edge(p: Identity) -> Map:
    """y of the hairline at each x, (1, w): hair grows above it."""
    x, _ = grid()
    w = p.face_width
    side = {"bald": 1.5, "cropped": 1.0, "short": 1.8, "curly": 2.2, "bob": 30.0, "long": 30.0}[p.hair]
    temple = -4.6 if p.hair in ("bob", "long") else -3.8
    top = -30.0 if p.hair == "bald" else p.hairline
    knots = np.array([0, 2.2, 4.0, 5.2, 5.9, 6.35, 20]) * w
    level = [top, top - 0.1, top + 0.6, min(temple, top + 3), 0.35 * temple, side, side]
    if p.hair == "bald":
        level = [-30, -30, -30, -30, -2.5, side, side]
    edge = np.interp(np.abs(x), knots, level).astype(np.float32)
    if p.fringe and p.hair != "bald":
        sweep = p.hair_part * x / 3.0
        brow = -p.brow_height - 1.0 - 1.2 * (1 - p.fringe)
        edge = np.where(np.abs(x) < 5.6 * w, np.maximum(edge, brow + sweep - 0.05 * np.abs(x)), edge)
    return edge


def _strands(p: Identity, rng: np.random.Generator, edge_noise: Map) -> Map:
    """Streaks along the hair, about unit deviation: radial from the parting, then falling."""
    x, y = grid()
    px, py = 3.0 * p.hair_part, CENTRE_Y - 11.0 * p.upper_length
    angle = np.arctan2(x - px, np.maximum(y - py, 0.3) + 2.0)
    fall = x / (7.5 + 0.1 * np.maximum(y, 0))
    wave = p.hair_wave * np.sin(1.1 * y + 2 * edge_noise + 1.5 * x)
    blend = smoothstep(-5.0, 2.0, y)
    u = (1 - blend) * angle * 0.9 + blend * fall + 0.05 * wave
    tile = rng.standard_normal((24, 1024)).astype(np.float32)
    tile = 0.7 * tile + cv2.GaussianBlur(tile, (0, 0), 3) * 4
    along = np.broadcast_to((np.hypot(x - px, y - py) * 0.22 + 3) % 22, u.shape).astype(np.float32)
    return np.asarray(cv2.remap(tile, (512 + u * 260).astype(np.float32), along, cv2.INTER_LINEAR), np.float32)


def _grown(p: Identity, thick: Map | float) -> Map:
    """`head_radius` of an outline that lies `thick` cm outside the face's."""
    x, y = grid()
    inner = head_radius(p)
    size = np.hypot(x, y - CENTRE_Y) / np.maximum(inner, 1e-3)
    return np.asarray(inner * size / (size + thick), np.float32)


def _curtain(p: Identity, lumps: Map) -> Map:
    x, y = grid()
    end = p.hair_end if p.hair == "long" else np.minimum(p.chin_y + 0.3 * (p.hair_end - 17), 13)
    inner = np.interp(y, [-6, 0, 4, 9, 22], [4.8, 6.5, 6.4, 5.6, 5.2]).astype(np.float32) * p.face_width
    outer = (7.1 + 1.3 * smoothstep(-4, 9, y)) * p.face_width + 0.9 * p.hair_volume + 0.12 * lumps
    outer = outer - 0.35 * np.maximum(-1 - y, 0) ** 1.5
    outer = outer + p.hair_wave * 0.5 * np.sin(1.1 * y)
    t = np.clip((np.abs(x) - inner) / (outer - inner), 0, 1)
    body = np.sqrt(np.clip(1 - (2 * t - 1) ** 2, 0, 1))
    tips = end - 0.5 * (2 * t - 1) ** 2 + 0.25 * lumps
    here = (np.abs(x) > inner) & (np.abs(x) < outer) & (y < tips) & (y > -6)
    level = BACK + 2.0 + 2.2 * smoothstep(8, 16, y)
    return np.where(here, level + 2.2 * body, np.float32(NOTHING))


def _add_back_hair(surface: Surface, p: Identity, tint: Map) -> None:
    x, y = grid()
    end = p.hair_end if p.hair == "long" else min(p.chin_y + 0.3 * (p.hair_end - 17), 13.0)
    behind = (np.abs(x) < 7.6 * p.face_width) & (y < end - 0.6) & (y > -4) & (surface.height < BACK - 2.5)
    surface.height = np.where(behind, BACK - 2.5, surface.height)
    mask = np.asarray(cv2.GaussianBlur(behind.astype(np.float32), (0, 0), 0.8), np.float32)
    surface.lay(mask * behind, 0.5 * tint, gloss=0.05, hair=1.0)
