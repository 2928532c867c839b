"""Measures of one aligned face: geometry from the five points, exposure, sharpness and skin tone from the chip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facelib.images.measures import exposure, luma, sharpness

# Proportions of dlib's five-point template: height of the nose base below the eye line over the eye
# distance. Depth of the nose base before the eye plane, in eye distances: anthropometric, coarse.
_NOSE_DROP = 0.7736
_NOSE_DEPTH = 0.4
_CHEEKS = ((slice(72, 92), slice(38, 58)), (slice(72, 92), slice(92, 112)))
_DARK_L, _BRIGHT_LEVEL = 10.0, 250


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
    ita_deg: float | None


def measure_geometry(points: npt.NDArray[np.float64]) -> FaceGeometry:
    """Geometry from float (5, 2) points: eye corners right of the picture, left of it, and nose base.

    Weak perspective, eyes in one plane and the nose base `d` eye distances before it: a head turned by
    yaw moves the nose along the eye line by d·tan(yaw) projected eye distances; a nod by pitch changes
    its drop from v to v·cos(pitch) + d·sin(pitch). With d = 0.4 and v = 0.774 for everyone this is a
    coarse estimate: good for ranking, not for measuring.
    """
    p = np.asarray(points, dtype=np.float64)
    right, left, nose = p[0:2].mean(axis=0), p[2:4].mean(axis=0), p[4]
    axis = right - left
    distance = float(np.hypot(*axis))
    roll = math.degrees(math.atan2(axis[1], axis[0]))
    if distance < 1.0:
        return FaceGeometry(distance, None, None, roll)
    unit = axis / distance
    offset = nose - (right + left) / 2
    along = float(offset @ unit) / distance
    below = float(offset @ np.array([-unit[1], unit[0]])) / distance
    yaw = math.atan(along / _NOSE_DEPTH)
    reach = math.hypot(_NOSE_DROP, _NOSE_DEPTH)
    sine = min(1.0, max(-1.0, below * math.cos(yaw) / reach))
    pitch = math.asin(sine) - math.atan2(_NOSE_DROP, _NOSE_DEPTH)
    return FaceGeometry(distance, math.degrees(yaw), max(-90.0, math.degrees(pitch)), roll)


def measure_chip(chip: npt.NDArray[np.uint8]) -> ChipMeasures:
    """Measures of a uint8 (150, 150, 3) RGB chip."""
    grey = luma(chip)
    brightness, contrast = exposure(grey)
    return ChipMeasures(brightness, contrast, sharpness(grey), _ita(chip))


def _ita(chip: npt.NDArray[np.uint8]) -> float | None:
    """Individual typology angle, arctan((L* − 50) / b*) in degrees, of the median cheek pixel.

    Chardin, Cires & Bernard 1991, "Skin colour typology and suntanning pathways". CIE L*a*b*, D65. None
    when the cheeks are too dark, burnt out, or lit so that b* is not positive.
    """
    skin = np.concatenate([chip[rows, columns].reshape(-1, 3) for rows, columns in _CHEEKS])
    median = np.median(skin, axis=0)
    if median.max() >= _BRIGHT_LEVEL:
        return None
    lightness, _, b = cv2.cvtColor((median / 255).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    if lightness < _DARK_L or b <= 0:
        return None
    return math.degrees(math.atan((float(lightness) - 50) / float(b)))
