"""Identity parameters of a rendered head, and its shape and skin as maps on a frontal grid.

Coordinates are centimetres: x to the image's right, y down, z towards the camera; the origin lies
midway between the pupils. Proportions follow adult means of facial anthropometry (Farkas,
*Anthropometry of the Head and Face*, 2nd ed. 1994): pupils 6.3 cm apart, face 14 cm wide, eyes
halfway between the vertex and the chin, mouth 5 cm wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Map = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
SkinTone = Literal["light", "medium", "dark"]
AgeBand = Literal["18-34", "35-54", "55+"]

PX_PER_CM = 12.0
X_LEFT, X_RIGHT, Y_TOP, Y_BOTTOM = -13.5, 13.5, -15.5, 20.0
BACK = -9.5  # z of the plane through the ears, where the front half of the head ends
NOTHING = -30.0  # z where there is no surface
CENTRE_Y = 0.5  # y of the centre of the polar outline

_OUTLINE_DEGREES = (0, 20, 40, 65, 90, 115, 140, 160, 180)

# Ranges of the geometry; cm unless the name says otherwise, `*_width` of the outline relative.
GEOMETRY: dict[str, tuple[float, float]] = {
    "face_width": (0.86, 1.15),
    "lower_length": (0.87, 1.12),
    "upper_length": (0.94, 1.06),
    "chin_width": (0.9, 1.05),
    "jaw_width": (0.86, 1.15),
    "cheek_width": (0.93, 1.08),
    "temple_width": (0.95, 1.05),
    "eye_distance": (5.4, 7.1),
    "eye_width": (2.3, 3.7),
    "eye_height": (0.9, 1.7),
    "eye_tilt": (-0.18, 0.26),
    "eye_depth": (0.4, 1.2),
    "lid_crease": (0.15, 0.6),
    "brow_height": (1.5, 2.9),
    "brow_arch": (0.0, 0.9),
    "brow_thickness": (0.2, 1.1),
    "brow_length": (3.0, 4.9),
    "brow_slope": (-0.2, 0.3),
    "brow_density": (0.35, 1.0),
    "brow_ridge": (0.0, 0.6),
    "nose_length": (2.9, 4.7),
    "nose_width": (2.5, 5.0),
    "nose_bridge": (0.45, 1.1),
    "nose_protrusion": (1.2, 2.5),
    "nose_hump": (-0.3, 0.5),
    "nose_tip": (0.45, 1.0),
    "philtrum": (0.9, 1.9),
    "mouth_width": (3.8, 6.8),
    "upper_lip": (0.2, 1.2),
    "lower_lip": (0.4, 1.5),
    "cupid_bow": (0.0, 0.55),
    "mouth_curve": (-0.3, 0.3),
    "cheekbone": (0.0, 1.0),
    "cheek_hollow": (-0.4, 0.8),
    "chin_protrusion": (0.3, 1.5),
    "chin_cleft": (0.0, 0.35),
    "ear_size": (0.8, 1.25),
    "ear_spread": (0.0, 0.9),
    "neck_width": (4.6, 6.2),
}


@dataclass(frozen=True)
class GroupTraits:
    """Declared traits that an identity is drawn to match."""

    skin_tone: SkinTone = "light"
    age_band: AgeBand = "18-34"
    glasses: bool = False


@dataclass(frozen=True)
class Identity:
    """Everything that stays the same in all pictures of one person.

    Lengths are cm, colours linear RGB in [0, 1]; the geometry's ranges are in `GEOMETRY`. `hair` is
    the style, `beard` the style of facial hair, `moles` holds (x, y, radius).
    """

    face_width: float
    lower_length: float
    upper_length: float
    chin_width: float
    jaw_width: float
    cheek_width: float
    temple_width: float
    eye_distance: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_depth: float
    lid_crease: float
    brow_height: float
    brow_arch: float
    brow_thickness: float
    brow_length: float
    brow_slope: float
    brow_density: float
    brow_ridge: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    nose_protrusion: float
    nose_hump: float
    nose_tip: float
    philtrum: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    cupid_bow: float
    mouth_curve: float
    cheekbone: float
    cheek_hollow: float
    chin_protrusion: float
    chin_cleft: float
    ear_size: float
    ear_spread: float
    neck_width: float
    skin: Colour
    lips: Colour
    iris: Colour
    hair_colour: Colour
    hair: Literal["bald", "cropped", "short", "curly", "bob", "long"]
    hairline: float
    hair_volume: float
    hair_part: float
    hair_end: float
    fringe: float
    hair_wave: float
    beard: Literal["none", "stubble", "moustache", "goatee", "full"]
    wrinkles: float
    freckles: float
    moles: tuple[tuple[float, float, float], ...]
    glasses: Literal["none", "round", "oval", "square"]
    glasses_size: float
    glasses_colour: Colour
    texture_seed: int

    @property
    def mouth_y(self) -> float:
        """y of the line between the lips."""
        return self.nose_length + 0.8 + self.philtrum + 0.6 * self.upper_lip

    @property
    def chin_y(self) -> float:
        """y of the lowest point of the face."""
        return max(CENTRE_Y + 11.0 * self.lower_length, self.mouth_y + self.lower_lip + 2.9)


_SKIN: dict[SkinTone, tuple[Colour, Colour]] = {
    "light": ((0.86, 0.58, 0.46), (0.60, 0.36, 0.26)),
    "medium": ((0.52, 0.29, 0.18), (0.36, 0.18, 0.10)),
    "dark": ((0.22, 0.105, 0.062), (0.10, 0.045, 0.028)),
}
_HAIR: tuple[Colour, ...] = (
    (0.012, 0.009, 0.008),
    (0.035, 0.018, 0.010),
    (0.090, 0.045, 0.020),
    (0.200, 0.100, 0.040),
    (0.420, 0.270, 0.110),
    (0.260, 0.070, 0.020),
)
_GREY: tuple[Colour, ...] = ((0.20, 0.20, 0.20), (0.42, 0.42, 0.43), (0.68, 0.68, 0.68))
_IRIS: tuple[Colour, ...] = (
    (0.045, 0.020, 0.010),
    (0.120, 0.055, 0.020),
    (0.120, 0.150, 0.060),
    (0.110, 0.220, 0.360),
    (0.230, 0.300, 0.330),
)
_FRAMES: tuple[Colour, ...] = (
    (0.010, 0.010, 0.012),
    (0.120, 0.045, 0.018),
    (0.350, 0.270, 0.130),
    (0.220, 0.020, 0.025),
    (0.030, 0.060, 0.180),
    (0.250, 0.250, 0.270),
)


def sample_identity(rng: np.random.Generator, group: GroupTraits) -> Identity:
    """Draw a person of the group: geometry Beta(¾, ¾) over `GEOMETRY`, the rest by frequency tables."""
    geometry = {k: float(low + (high - low) * rng.beta(0.75, 0.75)) for k, (low, high) in GEOMETRY.items()}
    bearded = bool(rng.random() < 0.5)
    senior, young = group.age_band == "55+", group.age_band == "18-34"
    light, deep = (np.array(c) for c in _SKIN[group.skin_tone])
    skin = light + (deep - light) * rng.random() * rng.uniform(0.9, 1.1, 3)
    lips = skin * np.array([1.0, 0.62, 0.66]) * rng.uniform(0.55, 1.05)
    if not bearded and rng.random() < 0.45:
        lips = skin * 0.4 + np.array([0.45, 0.06, 0.08]) * rng.uniform(0.4, 1.0)
    dark_only = 2 if group.skin_tone != "light" else len(_HAIR)
    hair = np.array(_HAIR[rng.integers(dark_only)]) * rng.uniform(0.7, 1.3)
    if senior or (not young and rng.random() < 0.25):
        hair = np.array(_GREY[rng.integers(len(_GREY))]) * rng.uniform(0.8, 1.1)
    styles = ("bald", "cropped", "short", "curly", "bob", "long")
    odds = (0.16, 0.2, 0.44, 0.12, 0.0, 0.08) if bearded else (0.0, 0.05, 0.22, 0.15, 0.26, 0.32)
    beards = ("none", "stubble", "moustache", "goatee", "full")
    beard = beards[rng.choice(5, p=(0.3, 0.22, 0.13, 0.15, 0.2))] if bearded else "none"
    wrinkles = {"18-34": (0.0, 0.15), "35-54": (0.25, 0.6), "55+": (0.65, 1.0)}[group.age_band]
    count = int(rng.choice(4, p=(0.35, 0.3, 0.2, 0.15)))
    moles = [(rng.uniform(-5, 5), rng.uniform(1.5, 9), rng.uniform(0.1, 0.24)) for _ in range(count)]
    shapes = ("round", "oval", "square")
    return Identity(
        **geometry,
        skin=_colour(skin),
        lips=_colour(lips),
        iris=_IRIS[rng.integers(2 if group.skin_tone != "light" else len(_IRIS))],
        hair_colour=_colour(hair),
        hair=styles[rng.choice(6, p=odds)],  # type: ignore[arg-type]
        hairline=float(rng.uniform(-7.6, -5.9) - (0.8 if senior else 0.0)),
        hair_volume=float(rng.uniform(0.5, 1.5)),
        hair_part=float(rng.uniform(-1.0, 1.0)),
        hair_end=float(rng.uniform(14.0, 21.0)),
        fringe=float(rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 0.0),
        hair_wave=float(rng.uniform(0.0, 0.5)),
        beard=beard,  # type: ignore[arg-type]
        wrinkles=float(rng.uniform(*wrinkles)),
        freckles=float(rng.uniform(0.3, 1.0) if rng.random() < 0.2 else 0.0),
        moles=tuple((float(a), float(b), float(c)) for a, b, c in moles),
        glasses=shapes[rng.integers(3)] if group.glasses else "none",  # type: ignore[arg-type]
        glasses_size=float(rng.uniform(0.85, 1.15)),
        glasses_colour=_FRAMES[rng.integers(len(_FRAMES))],
        texture_seed=int(rng.integers(2**31)),
    )


def _colour(values: npt.NDArray[np.float64]) -> Colour:
    r, g, b = np.clip(values, 0.004, 0.95)
    return float(r), float(g), float(b)


# ---------------------------------------------------------------- the grid and its brushes


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


# ---------------------------------------------------------------- shape


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


# ---------------------------------------------------------------- surface: shape, colour, material


@dataclass
class Surface:
    """Maps (h, w) on the grid: `height` cm, `albedo` (h, w, 3) linear RGB, `gloss`, `hair` and `cloth` in [0, 1]."""

    height: Map
    albedo: Map
    gloss: Map
    hair: Map
    cloth: Map

    def copy(self) -> Surface:
        """A surface whose maps can be painted on without changing this one."""
        return Surface(*(m.copy() for m in (self.height, self.albedo, self.gloss, self.hair, self.cloth)))

    def lay(self, mask: Map, colour: Map | Colour, gloss: float, hair: float = 0.0, cloth: float = 0.0) -> None:
        """Cover with a material where `mask` (h, w), in [0, 1], says so."""
        self.albedo += mask[..., None] * (np.asarray(colour, np.float32) - self.albedo)
        for layer, value in ((self.gloss, gloss), (self.hair, hair), (self.cloth, cloth)):
            layer += mask * (np.float32(value) - layer)


def build_surface(identity: Identity) -> Surface:
    """The identity's head, neck and shoulders without eyes, lips and brows."""
    rng = np.random.default_rng(identity.texture_seed)
    face = skull(identity) + wrinkle_relief(identity)
    face += 0.012 * noise(rng, (face.shape[0], face.shape[1]), 2.5)
    zeros = np.zeros_like(face)
    surface = Surface(face, _skin_albedo(identity, rng), zeros + 0.35, zeros.copy(), zeros.copy())
    _add_ears(surface, identity)
    _shave(surface, identity, rng)
    _add_body(surface, identity)
    _add_hair(surface, identity, rng)
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


def _shave(surface: Surface, p: Identity, rng: np.random.Generator) -> None:
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
    region = {
        "moustache": moustache,
        "goatee": np.maximum(moustache, goatee),
        "full": np.maximum(full, moustache),
        "stubble": np.maximum(full, moustache),
    }[p.beard] * lip * (surface.height > BACK + 1) * (y < p.chin_y)
    under_nose = smoothstep(p.nose_length + 0.75, p.nose_length + 1.15, y)
    region *= np.where(ax < 2.0, under_nose, 1)
    region = np.asarray(cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.0), np.float32)
    fibre = noise(rng, (y.size, x.size), 1.6)
    thick = 0.4 if p.beard == "stubble" else 1.0
    mask = np.clip(region * (0.88 + 0.25 * fibre) if thick == 1 else region * (0.42 + 0.2 * fibre), 0, 0.95)
    surface.height += region * (0.04 if thick < 1 else 0.35 + 0.07 * fibre)
    surface.lay(mask.astype(np.float32), p.hair_colour, gloss=0.1, hair=0.6)


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


def _add_hair(surface: Surface, p: Identity, rng: np.random.Generator) -> None:
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
