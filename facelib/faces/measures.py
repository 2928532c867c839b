"""Measures of one aligned face: pose from the five points; exposure, sharpness, light, cover and skin tone of the chip.

QUALITY.md states what each measure is worth: sources, ranges, measured errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facelib.faces.chip import CHIP_PX
from facelib.images.measures import Grey, exposure, luma, sharpness

_NOSE_DROP, _NOSE_DEPTH = 0.757, 0.386
"""Nose base below the eye line and before the eye plane, in eye distances; see QUALITY.md."""
_LEAST_DEPTH = 0.2
_DARK_L = 10.0
_BLACK_LEVEL, _BURNT_LEVEL = 10, 250
_EVEN_LIGHT, _MOST_CLIPPED, _CHEEK_DIFFERENCE_DEG = 0.15, 0.05, 15.0
_SKIN_HUE_DEG = (40.0, 75.0)
_CELLS = 50
_LEAST_CHROMA = 8.0
_SAME_COLOUR, _OTHER_COLOUR = 0.6, 1.0

Block = tuple[slice, slice]
Rgb = npt.NDArray[np.uint8]

_CHEEKS: tuple[Block, Block] = ((slice(72, 92), slice(38, 58)), (slice(72, 92), slice(92, 112)))
_SKIN_BLOCKS: tuple[Block, ...] = (
    (slice(5, 11), slice(18, 32)),  # forehead
    (slice(13, 18), slice(23, 27)),  # between the eyes
    (slice(20, 27), slice(22, 28)),  # nose
    (slice(24, 31), slice(13, 19)),  # cheeks
    (slice(24, 31), slice(31, 37)),
    (slice(33, 39), slice(14, 20)),  # beside the mouth
    (slice(33, 39), slice(30, 36)),
)
_FEATURES: tuple[tuple[Block, float, float], ...] = (
    ((slice(13, 19), slice(12, 21)), 0.10, 0.20),  # eyes
    ((slice(13, 19), slice(29, 38)), 0.10, 0.20),
    ((slice(25, 31), slice(19, 31)), 0.05, 0.15),  # nostrils
    ((slice(31, 39), slice(18, 32)), 0.10, 0.20),  # mouth
)


def _ellipse(side: int) -> npt.NDArray[np.bool_]:
    """Pixels (side, side) of the face in a chip scaled to that side."""
    y, x = (np.mgrid[:side, :side] + 0.5) * (CHIP_PX / side)
    inside: npt.NDArray[np.bool_] = ((x - 75) / 42) ** 2 + ((y - 82) / 56) ** 2 < 1
    return inside


def _block_means(blocks: tuple[Block, ...]) -> npt.NDArray[np.float32]:
    """W (blocks, cells²): W @ values gives the mean of each block."""
    weights = np.zeros((len(blocks), _CELLS, _CELLS), np.float32)
    for weight, block in zip(weights, blocks, strict=True):
        weight[block] = 1 / weight[block].size
    return weights.reshape(len(blocks), -1)


_FACE = _ellipse(CHIP_PX).astype(np.uint8)
_LEFT, _RIGHT = _FACE.copy(), _FACE.copy()
_LEFT[:, CHIP_PX // 2 :] = _RIGHT[:, : CHIP_PX // 2] = 0
_FACE_PX = int(_FACE.sum())
_FACE_CELLS = _ellipse(_CELLS)
_SKIN_MEANS = _block_means(_SKIN_BLOCKS)


@dataclass(frozen=True)
class FaceGeometry:
    """Eye distance in px, and head pose in degrees; yaw and pitch are None where the points are degenerate."""

    eye_distance_px: float
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float


@dataclass(frozen=True)
class ChipMeasures:
    """Measures of the chip; units and ranges as in the `faces` table."""

    brightness: float
    contrast: float
    sharpness: float
    clipped_share: float
    lighting_difference: float
    occlusion: float
    ita_deg: float | None
    ita_is_reliable: bool | None


def measure_geometry(points: npt.NDArray[np.float64]) -> FaceGeometry:
    """Geometry from float (5, 2) points: eye corners right of the picture, left of it, and nose base.

    Pose of the triangle of the two eye centres and the nose base of a mean head under weak perspective, in
    closed form: Alter 1994, "3-D pose from 3 points using weak-perspective", here with the nose opposite the
    middle of the eyes. The head is nodded, then turned, then rolled, so roll is the angle of the eye line. Of
    the two poses that explain three points, the one with the nose before the eyes is taken: a nod of more than
    27° downwards is mistaken for a smaller one. QUALITY.md gives the errors.
    """
    p = np.asarray(points, dtype=np.float64)
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y) = (p[0] + p[1]) / 2, (p[2] + p[3]) / 2, p[4]
    axis_x, axis_y = right_x - left_x, right_y - left_y
    distance = math.hypot(axis_x, axis_y)
    roll = math.degrees(math.atan2(axis_y, axis_x))
    if distance < 1.0:
        return FaceGeometry(distance, None, None, roll)
    offset_x, offset_y = nose_x - (right_x + left_x) / 2, nose_y - (right_y + left_y) / 2
    along = float(offset_x * axis_x + offset_y * axis_y) / distance**2
    below = float(offset_y * axis_x - offset_x * axis_y) / distance**2
    yaw, pitch = _pose(along, below)
    return FaceGeometry(distance, math.degrees(yaw), math.degrees(pitch), roll)


def _pose(along: float, below: float) -> tuple[float, float]:
    """Yaw and pitch in radians from the nose base's offset from the middle of the eyes, in seen eye distances.

    With s the true over the seen eye distance and r the length of the model's nose vector, the two vectors'
    depths are ±√(s² − 1) and √(r²s² − n²) for n² = along² + below², and the vectors are at right angles:
    (s² − 1)(r²s² − n²) = along², a quadratic in s². Yaw is arccos(1 / s). It is held to what the nose's
    offset can mean if the nose stands out by at least _LEAST_DEPTH: near the limit of pitch the offset
    vanishes and s alone, mostly noise, would decide.
    """
    r2 = _NOSE_DROP**2 + _NOSE_DEPTH**2
    n2 = along**2 + below**2
    s2 = max(1.0, (r2 + n2 + math.sqrt((n2 - r2) ** 2 + 4 * r2 * along**2)) / (2 * r2))
    yaw = min(math.acos(1 / math.sqrt(s2)), math.atan(abs(along) / _LEAST_DEPTH))
    sine = min(1.0, max(-1.0, below / math.sqrt(s2 * r2)))
    pitch = math.asin(sine) - math.atan2(_NOSE_DROP, _NOSE_DEPTH)
    return math.copysign(yaw, along), max(-math.pi / 2, pitch)


def measure_chip(chip: Rgb) -> ChipMeasures:
    """Measures of a uint8 (150, 150, 3) RGB chip."""
    grey = luma(chip)
    brightness, contrast = exposure(grey)
    clipped, difference = _clipped_share(chip), _lighting_difference(grey)
    ita, ita_is_reliable = _skin_tone(chip, abs(difference) <= _EVEN_LIGHT and clipped <= _MOST_CLIPPED)
    return ChipMeasures(
        brightness, contrast, sharpness(grey), clipped, difference, _occlusion(chip), ita, ita_is_reliable
    )


def _clipped_share(chip: Rgb) -> float:
    """Share of the face whose brightest channel is at most 10 (black) or at least 250 (burnt out)."""
    red, green, blue = cv2.split(chip)
    brightest = cv2.max(cv2.max(red, green), blue)
    kept = cv2.countNonZero(cv2.inRange(brightest, _BLACK_LEVEL + 1, _BURNT_LEVEL - 1) & _FACE)
    return 1 - kept / _FACE_PX


def _lighting_difference(grey: Grey) -> float:
    """(right − left) / (right + left) of the mean luma of the face's halves; 0 for a black face."""
    right, left = cv2.mean(grey, _RIGHT)[0], cv2.mean(grey, _LEFT)[0]
    return float((right - left) / (right + left)) if right + left > 0 else 0.0


def _occlusion(chip: Rgb) -> float:
    """Share of the face in another colour than its skin, and of the rest the share of missing features, 0–1.

    Works on cells of 3 px. The skin's colour is the median of seven places' means. A cell's distance from it
    in a*b*, as a share of the skin's chroma (8 at least), counts from 0 at 0.6 to 1 at 1.0. A feature (eye,
    nostrils, mouth) is missing as far as the mean luma of its rows varies too little against the skin's.
    """
    cells = cv2.resize(chip, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    rows = luma(cells).astype(np.float32)
    chroma = cv2.cvtColor(cells, cv2.COLOR_RGB2LAB)[..., 1:].astype(np.float32) - 128
    places = np.sort(_SKIN_MEANS @ np.dstack((chroma, rows)).reshape(-1, 3), axis=0)
    skin_a, skin_b, skin_luma = (float(v) for v in places[len(places) // 2])
    face = chroma[_FACE_CELLS]
    distance = np.hypot(face[:, 0] - skin_a, face[:, 1] - skin_b) / max(math.hypot(skin_a, skin_b), _LEAST_CHROMA)
    covered = float(np.clip((distance - _SAME_COLOUR) / (_OTHER_COLOUR - _SAME_COLOUR), 0, 1).mean())
    missing = 0.0
    for block, none, whole in _FEATURES:
        profile = rows[block].mean(axis=1)
        variation = float(profile.max() - profile.min()) / max(skin_luma, 1.0)
        missing += min(1.0, max(0.0, (whole - variation) / (whole - none))) / len(_FEATURES)
    return covered + (1 - covered) * missing


def _skin_tone(chip: Rgb, light_is_even: bool) -> tuple[float | None, bool | None]:
    """Typology angle of the cheeks' median colour, and whether light and colour allow to compare it."""
    cheeks = [np.sort(chip[block].reshape(-1, 3).T, axis=1, kind="stable") for block in _CHEEKS]
    both = _lab(np.sort(np.concatenate(cheeks, axis=1), axis=1, kind="stable"))
    ita = _typology_angle(both)
    if both is None or ita is None:
        return None, None
    angles = [_typology_angle(_lab(c)) for c in cheeks]
    hue = math.degrees(math.atan2(both[2], both[1]))
    is_reliable = (
        light_is_even
        and _SKIN_HUE_DEG[0] <= hue <= _SKIN_HUE_DEG[1]
        and angles[0] is not None
        and angles[1] is not None
        and abs(angles[0] - angles[1]) <= _CHEEK_DIFFERENCE_DEG
    )
    return ita, is_reliable


def _lab(channels: npt.NDArray[np.uint8]) -> tuple[float, float, float] | None:
    """CIE L*a*b*, D65, of the median of (3, n) sorted values, n even; None when it is burnt out."""
    middle = channels.shape[1] // 2
    median = channels[:, middle - 1 : middle + 1].mean(axis=1)
    if median.max() >= _BURNT_LEVEL:
        return None
    lightness, a, b = cv2.cvtColor((median / 255).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    return float(lightness), float(a), float(b)


def _typology_angle(lab: tuple[float, float, float] | None) -> float | None:
    """Individual typology angle, arctan((L* − 50) / b*) in degrees.

    Chardin, Cires & Bernard 1991, "Skin colour typology and suntanning pathways". None when too dark, burnt
    out, or lit so that b* is not positive.
    """
    if lab is None or lab[0] < _DARK_L or lab[2] <= 0:
        return None
    return math.degrees(math.atan((lab[0] - 50) / lab[2]))
