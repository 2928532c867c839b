"""The people of the demonstration: what makes one recognisable, and how one is drawn at random.

Proportions follow adult means of facial anthropometry (Farkas, *Anthropometry of the Head and Face*,
2nd ed. 1994): pupils 6.3 cm apart, face 14 cm wide, eyes halfway between the vertex and the chin,
mouth 5 cm wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facelib.demo.grid import CENTRE_Y

Colour = tuple[float, float, float]
SkinTone = Literal["light", "medium", "dark"]
AgeBand = Literal["18-34", "35-54", "55+"]

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
