"""Score and decide: a quality score from stored measures, and whether a face may found a cluster.

Both work on columns of the store, so thresholds can move without reading an image again. QUALITY.md says where
the constants come from and what the score is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.reasons import FaceReason

Column = npt.NDArray[np.float64]

QUALITY_COLUMNS = (
    "eye_distance_px",
    "yaw_deg",
    "pitch_deg",
    "contrast",
    "sharpness",
    "clipped_share",
    "occlusion",
)
"""Columns of `faces` that the score is made of."""

_HALF_EYE_DISTANCE_PX = 8.0
_HALF_CONTRAST = 0.02
_HALF_DETAIL = 0.001
_HALF_NOISE = 5.0


@dataclass(frozen=True)
class QualitySettings:
    """What a usable face must reach; a face that fails one is kept, with its reason.

    The default of `min_detection_score` is the last threshold of the detector: a face below it was found
    only by a second search.
    """

    min_eye_distance_px: float = 10.0
    min_detection_score: float = 0.8
    min_quality: float = 0.2


def quality_score(measures: Mapping[str, Column]) -> Column:
    """float64 (n,) in 0–1: the product of `quality_parts`.

    `measures` needs QUALITY_COLUMNS, each (n,). A ranking score, not a calibrated probability.
    """
    score: Column = np.prod(list(quality_parts(measures).values()), axis=0)
    return score


def quality_parts(measures: Mapping[str, Column]) -> dict[str, Column]:
    """The score's parts by name, float64 (n,) in 0–1 each.

    size: eye distance, half at 8 px. detail: variance of the Laplacian over that of luma; too little is blur,
    half at 0.001, too much is noise, half at 5. contrast: half at 0.02, for the dark and the flat. unclipped:
    1 − clipped_share². pose: cos(yaw)·cos(pitch), 0 where it is NaN. uncovered: 1 − occlusion. Halves are those
    of x² / (x² + half²).
    """
    contrast = measures["contrast"]
    variance = (255 * contrast) ** 2
    detail = np.divide(measures["sharpness"], variance, out=np.zeros_like(variance), where=variance > 0)
    yaw, pitch = (np.cos(np.radians(measures[name])) for name in ("yaw_deg", "pitch_deg"))
    return {
        "size": _rising(measures["eye_distance_px"], _HALF_EYE_DISTANCE_PX),
        "detail": _rising(detail, _HALF_DETAIL) * (1 - _rising(detail, _HALF_NOISE)),
        "contrast": _rising(contrast, _HALF_CONTRAST),
        "unclipped": 1 - measures["clipped_share"] ** 2,
        "pose": np.nan_to_num(np.clip(yaw * pitch, 0, 1)),
        "uncovered": 1 - measures["occlusion"],
    }


def _rising(x: Column, half: float) -> Column:
    return x**2 / (x**2 + half**2)


def decide(
    eye_distance_px: Column, detection_score: Column, quality: Column, settings: QualitySettings
) -> npt.NDArray[np.object_]:
    """object (n,): the first FaceReason that applies to each face, None for usable ones."""
    reasons = np.full(len(quality), None, dtype=object)
    reasons[quality < settings.min_quality] = FaceReason.LOW_QUALITY.value
    reasons[detection_score < settings.min_detection_score] = FaceReason.LOW_SCORE.value
    reasons[eye_distance_px < settings.min_eye_distance_px] = FaceReason.TOO_SMALL.value
    return reasons
