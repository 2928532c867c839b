"""Score and decide: a quality score from stored measures, and whether a face may found a cluster.

Both work on columns of the store, so thresholds can move without reading an image again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.reasons import FaceReason

Column = npt.NDArray[np.float64]

_HALF_SIZE_PX = 12.0
_HALF_SHARPNESS = 20.0
_HALF_CONTRAST = 0.04
_DARK, _BRIGHT = 0.15, 0.90


@dataclass(frozen=True)
class QualitySettings:
    """What a usable face must reach; a face that fails one is kept, with its reason.

    The default of `min_detection_score` is the last threshold of the detector: a face below it was found
    only by a second search.
    """

    min_eye_distance_px: float = 10.0
    min_detection_score: float = 0.8
    min_quality: float = 0.05


def quality_score(
    eye_distance_px: Column,
    yaw_deg: Column,
    pitch_deg: Column,
    brightness: Column,
    contrast: Column,
    sharpness: Column,
    detection_score: Column,
) -> Column:
    """float64 (n,) in 0–1: product of six parts, each in 0–1. NaN pose counts as 0.

    Size, sharpness and contrast saturate as x / (x + half); exposure is 1 between luma 0.15 and 0.90
    and falls linearly to 0 at black and white; pose is cos(yaw)·cos(pitch); the detector's score is
    taken as it is. A ranking score of our own making, not a calibrated probability.
    """
    size = eye_distance_px / (eye_distance_px + _HALF_SIZE_PX)
    sharp = sharpness / (sharpness + _HALF_SHARPNESS)
    depth = contrast / (contrast + _HALF_CONTRAST)
    exposed = np.clip(np.minimum(brightness / _DARK, (1 - brightness) / (1 - _BRIGHT)), 0, 1)
    pose = np.cos(np.radians(yaw_deg)) * np.cos(np.radians(pitch_deg))
    product = size * sharp * depth * exposed * np.nan_to_num(np.clip(pose, 0, 1)) * detection_score
    score: Column = np.clip(product, 0.0, 1.0)
    return score


def decide(
    eye_distance_px: Column, detection_score: Column, quality: Column, settings: QualitySettings
) -> npt.NDArray[np.object_]:
    """object (n,): the first FaceReason that applies to each face, None for usable ones."""
    reasons = np.full(len(quality), None, dtype=object)
    reasons[quality < settings.min_quality] = FaceReason.LOW_QUALITY.value
    reasons[detection_score < settings.min_detection_score] = FaceReason.LOW_SCORE.value
    reasons[eye_distance_px < settings.min_eye_distance_px] = FaceReason.TOO_SMALL.value
    return reasons
