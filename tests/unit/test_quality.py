"""The quality score part by part, and which reason a face is given first."""

from __future__ import annotations

import itertools
import math
from typing import cast

import numpy as np
import pytest

from facelib.faces.quality import QualitySettings, decide, quality_score
from facelib.reasons import FaceReason

pytestmark = pytest.mark.unit

GOOD = {
    "eye_distance_px": 60.0,
    "yaw_deg": 10.0,
    "pitch_deg": -5.0,
    "brightness": 0.5,
    "contrast": 0.2,
    "sharpness": 200.0,
    "detection_score": 0.99,
}


def score(**changes: float) -> float:
    return float(quality_score(**{k: np.array([v]) for k, v in (GOOD | changes).items()})[0])


def sweep(name: str, values: list[float]) -> list[float]:
    return [score(**{name: v}) for v in values]


def test_score_of_one_face_by_hand() -> None:
    parts = [60 / 72, 200 / 220, 0.2 / 0.24, 1.0, math.cos(math.radians(10)) * math.cos(math.radians(5)), 0.99]
    assert score() == pytest.approx(math.prod(parts))
    assert score(brightness=0.06) == pytest.approx(math.prod(parts) * 0.4)
    assert score(brightness=0.96) == pytest.approx(math.prod(parts) * 0.4)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eye_distance_px", [0.0, 5, 10, 20, 50, 500]),
        ("sharpness", [0.0, 1, 10, 100, 1000, 1e5]),
        ("contrast", [0.0, 0.01, 0.05, 0.2, 0.5]),
        ("detection_score", [0.0, 0.5, 0.9, 1.0]),
        ("yaw_deg", [-90.0, -60, -30, -1, 0]),
        ("pitch_deg", [90.0, 60, 30, 1, 0]),
        ("brightness", [0.0, 0.05, 0.1, 0.15]),
        ("brightness", [1.0, 0.97, 0.93, 0.9]),
    ],
)
def test_score_rises_strictly_with_each_part(name: str, values: list[float]) -> None:
    scores = sweep(name, values)
    assert all(b > a for a, b in itertools.pairwise(scores))
    assert scores[0] == pytest.approx(0, abs=1e-9)


def test_exposure_does_not_matter_between_the_limits_and_sides_are_equal() -> None:
    assert len(set(sweep("brightness", [0.15, 0.3, 0.6, 0.9]))) == 1
    assert sweep("yaw_deg", [-40]) == pytest.approx(sweep("yaw_deg", [40]))


def test_unknown_pose_counts_as_nothing() -> None:
    assert score(yaw_deg=math.nan) == 0
    assert score(pitch_deg=math.nan) == 0


def test_score_stays_in_range_row_by_row() -> None:
    rng = np.random.default_rng(9)
    n = 2000
    columns = {
        "eye_distance_px": rng.uniform(0, 1000, n),
        "yaw_deg": rng.uniform(-90, 90, n),
        "pitch_deg": rng.uniform(-90, 90, n),
        "brightness": rng.uniform(0, 1, n),
        "contrast": rng.uniform(0, 0.5, n),
        "sharpness": rng.uniform(0, 1e5, n),
        "detection_score": rng.uniform(0, 1, n),
    }
    together = quality_score(**columns)
    assert together.shape == (n,)
    assert ((together >= 0) & (together <= 1)).all()
    alone = [score(**{k: float(v[i]) for k, v in columns.items()}) for i in range(0, n, 100)]
    np.testing.assert_allclose(together[::100], alone)


def reasons(eye: float, detection: float, quality: float) -> str | None:
    settings = QualitySettings(min_eye_distance_px=10, min_detection_score=0.8, min_quality=0.1)
    (found,) = decide(np.array([eye]), np.array([detection]), np.array([quality]), settings).tolist()
    return cast(str | None, found)


def test_first_reason_wins_size_before_score_before_quality() -> None:
    for small, unsure, poor in itertools.product((True, False), repeat=3):
        found = reasons(9.99 if small else 10, 0.79 if unsure else 0.8, 0.09 if poor else 0.1)
        expected = [(small, FaceReason.TOO_SMALL), (unsure, FaceReason.LOW_SCORE), (poor, FaceReason.LOW_QUALITY)]
        assert found == next((r.value for applies, r in expected if applies), None)


def test_no_faces_no_reasons() -> None:
    none = np.empty(0)
    assert decide(none, none, none, QualitySettings()).shape == (0,)
    assert quality_score(*[none] * 7).shape == (0,)
