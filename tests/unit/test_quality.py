"""The quality score part by part, on degraded pictures, and which reason a face is given first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facelib.faces.measures import measure_chip
from facelib.faces.quality import QUALITY_COLUMNS, QualitySettings, decide, quality_parts, quality_score
from facelib.reasons import FaceReason
from schemas.tables import FACES

pytestmark = pytest.mark.unit

Chip = npt.NDArray[np.uint8]

GOOD = {
    "eye_distance_px": 60.0,
    "yaw_deg": 10.0,
    "pitch_deg": -5.0,
    "contrast": 0.2,
    "sharpness": 52.02,  # 0.02 of the variance of luma, (0.2 · 255)²
    "clipped_share": 0.1,
    "occlusion": 0.25,
}


def columns(**values: float) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.array([value]) for name, value in (GOOD | values).items()}


def score(**changes: float) -> float:
    return float(quality_score(columns(**changes))[0])


def sweep(name: str, values: list[float]) -> list[float]:
    return [score(**{name: v}) for v in values]


def test_parts_of_one_face_by_hand() -> None:
    found = {name: float(part[0]) for name, part in quality_parts(columns()).items()}
    expected = {
        "size": 3600 / 3664,
        "detail": 0.0004 / 0.000401 * 25 / 25.0004,
        "contrast": 0.04 / 0.0404,
        "unclipped": 0.99,
        "pose": math.cos(math.radians(10)) * math.cos(math.radians(5)),
        "uncovered": 0.75,
    }
    assert found == pytest.approx(expected)
    assert score() == pytest.approx(math.prod(expected.values()))


def test_the_score_is_made_of_columns_of_the_table() -> None:
    assert set(QUALITY_COLUMNS) == GOOD.keys()
    assert set(QUALITY_COLUMNS) <= set(FACES.names)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eye_distance_px", [0.0, 5, 10, 20, 50, 500]),
        ("sharpness", [0.0, 1, 3, 10, 50]),
        ("sharpness", [1e9, 1e5, 2e4, 1e4, 2e3]),
        ("clipped_share", [1.0, 0.9, 0.5, 0.1, 0.0]),
        ("occlusion", [1.0, 0.7, 0.3, 0.0]),
        ("yaw_deg", [-90.0, -60, -30, -1, 0]),
        ("pitch_deg", [90.0, 60, 30, 1, 0]),
    ],
)
def test_score_rises_strictly_with_each_part(name: str, values: list[float]) -> None:
    scores = sweep(name, values)
    assert all(b > a for a, b in itertools.pairwise(scores))
    assert scores[0] == pytest.approx(0, abs=1e-6)


def test_contrast_counts_by_itself_when_the_detail_stays() -> None:
    found = [score(contrast=c, sharpness=0.02 * (255 * c) ** 2) for c in (0.001, 0.01, 0.02, 0.1, 0.5)]
    assert all(b > a for a, b in itertools.pairwise(found))
    assert score(contrast=0.0, sharpness=0.0) == 0


def test_detail_does_not_depend_on_how_bright_the_picture_is() -> None:
    for gain in (0.5, 0.25):
        dimmed = columns(contrast=0.2 * gain, sharpness=52.02 * gain**2)
        assert quality_parts(dimmed)["detail"] == pytest.approx(quality_parts(columns())["detail"])


def test_sides_are_equal_and_unknown_pose_counts_as_nothing() -> None:
    assert sweep("yaw_deg", [-40]) == pytest.approx(sweep("yaw_deg", [40]))
    assert score(yaw_deg=math.nan) == 0
    assert score(pitch_deg=math.nan) == 0


def test_score_stays_in_range_row_by_row() -> None:
    rng = np.random.default_rng(9)
    n = 2000
    table = {
        "eye_distance_px": rng.uniform(0, 1000, n),
        "yaw_deg": rng.uniform(-90, 90, n),
        "pitch_deg": rng.uniform(-90, 90, n),
        "contrast": rng.uniform(0, 0.5, n),
        "sharpness": rng.uniform(0, 1e5, n),
        "clipped_share": rng.uniform(0, 1, n),
        "occlusion": rng.uniform(0, 1, n),
    }
    together = quality_score(table)
    assert together.shape == (n,)
    assert ((together >= 0) & (together <= 1)).all()
    for i in range(0, n, 100):
        assert score(**{k: float(v[i]) for k, v in table.items()}) == pytest.approx(together[i])


def drawn_face(rng: np.random.Generator) -> Chip:
    """A face drawn where dlib's template has it, of random skin, backdrop and fine texture."""
    skin = (np.array([220, 165, 130]) * rng.uniform(0.5, 1.05)).astype(int)
    dark = [int(v) for v in skin * 0.35]
    chip = np.full((150, 150, 3), rng.integers(40, 200, 3), np.uint8)
    cv2.ellipse(chip, (75, 80), (48, 66), 0, 0, 360, [int(v) for v in skin], -1)
    for x in (50, 100):
        cv2.ellipse(chip, (x, 48), (11, 5), 0, 0, 360, dark, -1)
        cv2.line(chip, (x - 13, 36), (x + 13, 36), dark, 3)
    cv2.ellipse(chip, (75, 86), (12, 3), 0, 0, 360, dark, -1)
    cv2.ellipse(chip, (75, 107), (19, 5), 0, 0, 360, dark, -1)
    return np.clip(chip + rng.normal(0, 3, (150, 150, 1)), 0, 255).astype(np.uint8)


def covered(chip: Chip, share: float, rng: np.random.Generator) -> Chip:
    height = round(112 * share)
    top = int(rng.integers(26, 139 - height)) if height else 26
    out = chip.copy()
    out[top : top + height, 33:117] = 128
    return out


def shrunk(chip: Chip, eye_distance_px: float) -> Chip:
    side = round(150 * eye_distance_px / 52.5)
    small = cv2.resize(chip, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (150, 150), interpolation=cv2.INTER_LINEAR))


DEGRADATIONS: dict[str, tuple[list[float], Callable[[Chip, float, np.random.Generator], Chip]]] = {
    "blur": ([0.5, 2, 4, 8], lambda c, s, _: np.asarray(cv2.GaussianBlur(c, (0, 0), s))),
    "darkness": ([1, 0.4, 0.2, 0.1, 0.05], lambda c, g, _: (c * g).astype(np.uint8)),
    "burn": ([1, 1.5, 2, 4], lambda c, g, _: np.clip(c * g, 0, 255).astype(np.uint8)),
    "noise": ([0, 20, 40, 80], lambda c, s, r: np.clip(c + r.normal(0, 1, c.shape) * s, 0, 255).astype(np.uint8)),
    "cover": ([0, 0.15, 0.3, 0.45], covered),
    "size": ([40, 20, 12, 8, 5], lambda c, e, _: shrunk(c, e)),
}


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_mean_score_falls_with_every_degradation(kind: str) -> None:
    strengths, degrade = DEGRADATIONS[kind]
    rng = np.random.default_rng(21)
    faces = [drawn_face(rng) for _ in range(30)]
    means = []
    for strength in strengths:
        measures = [measure_chip(degrade(face, strength, rng)) for face in faces]
        table = {n: np.array([getattr(m, n) for m in measures], np.float64) for n in QUALITY_COLUMNS[3:]}
        eye_distance = strength if kind == "size" else 40.0
        pose = {"yaw_deg": np.zeros(30), "pitch_deg": np.zeros(30), "eye_distance_px": np.full(30, eye_distance)}
        means.append(float(quality_score(table | pose).mean()))
    assert all(b < a for a, b in itertools.pairwise(means))
    assert means[-1] < means[0] / 2


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
    assert quality_score(dict.fromkeys(QUALITY_COLUMNS, none)).shape == (0,)
