"""Rows of `faces` from rows of the store: identifiers, decisions made anew, and the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facelib.faces.face_rows import FACE_STORE_COLUMNS, face_rows
from facelib.faces.quality import QUALITY_COLUMNS, QualitySettings, quality_score
from schemas.arrow import arrow_schema, conform
from schemas.tables import EXTRACTED, FACE_MEASURES, FACES

pytestmark = pytest.mark.unit

MEASURES: dict[str, Any] = {
    "box_x_px": -1.0,
    "box_y_px": 2.0,
    "box_width_px": 50.0,
    "box_height_px": 60.0,
    "detection_score": 0.95,
    "landmarks_px": [float(i) for i in range(10)],
    "eye_distance_px": 24.0,
    "yaw_deg": 5.0,
    "pitch_deg": -3.0,
    "roll_deg": 1.0,
    "brightness": 0.5,
    "contrast": 0.25,
    "sharpness": 150.0,
    "clipped_share": 0.125,
    "lighting_difference": -0.25,
    "occlusion": 0.0625,
    "ita_deg": 30.0,
    "ita_is_reliable": True,
}


def stored(*rows: dict[str, Any]) -> pa.Table:
    """Rows of `extracted`: each gives image_id, face_index and changed measures; None is no face."""
    full = []
    for row in rows:
        measures = {f"face_{k}": None if row["face_index"] is None else v for k, v in MEASURES.items()}
        full.append(measures | {"status": "ok", "brightness": 0.1, "sharpness": 1.0, "contrast": 0.01} | row)
    return pa.Table.from_pylist(full, schema=arrow_schema(EXTRACTED))


def test_store_columns_are_the_stored_face_measures() -> None:
    assert set(FACE_STORE_COLUMNS) <= set(EXTRACTED.names)
    made = {"quality_score", "is_usable", "reason"}
    assert {f"face_{c.name}" for c in FACE_MEASURES} - set(FACE_STORE_COLUMNS) == {f"face_{n}" for n in made}


def test_rows_conform_and_carry_the_measures_of_the_face_not_of_the_image() -> None:
    found = conform(face_rows(stored({"image_id": "a", "face_index": 0}), "run1", QualitySettings()), FACES)
    row = found.to_pylist()[0]
    assert row["face_id"] == "a-0"
    assert row["run_id"] == "run1"
    for name, value in MEASURES.items():
        assert row[name] == pytest.approx(value)
    expected = quality_score({name: np.array([MEASURES[name]]) for name in QUALITY_COLUMNS})
    assert row["quality_score"] == pytest.approx(expected[0], rel=1e-6)
    assert (row["is_usable"], row["reason"]) == (True, None)


def test_images_without_a_face_are_left_out_and_order_is_kept() -> None:
    rows = stored(
        {"image_id": "b", "face_index": 1},
        {"image_id": "x", "face_index": None, "status": "rejected", "reason": "no_face"},
        {"image_id": "b", "face_index": 0},
        {"image_id": "a", "face_index": 12},
    )
    found = face_rows(rows, "r", QualitySettings())
    assert found.column("face_id").to_pylist() == ["b-1", "b-0", "a-12"]


def test_decisions_follow_the_settings_not_the_store() -> None:
    rows = stored({"image_id": "a", "face_index": 0}, {"image_id": "b", "face_index": 0, "face_eye_distance_px": 8.0})
    usual = face_rows(rows, "r", QualitySettings()).column("reason").to_pylist()
    strict = face_rows(rows, "r", QualitySettings(min_quality=0.99, min_eye_distance_px=1)).column("reason").to_pylist()
    assert usual == [None, "too_small"]
    assert strict == ["low_quality", "low_quality"]


def test_unknown_pose_is_stored_as_null_and_scores_nothing() -> None:
    rows = stored({"image_id": "a", "face_index": 0, "face_yaw_deg": None, "face_pitch_deg": None})
    row = face_rows(rows, "r", QualitySettings()).to_pylist()[0]
    assert (row["yaw_deg"], row["quality_score"], row["reason"]) == (None, 0.0, "low_quality")


def test_an_unknown_typology_angle_has_unknown_reliability() -> None:
    rows = stored({"image_id": "a", "face_index": 0, "face_ita_deg": None, "face_ita_is_reliable": None})
    row = conform(face_rows(rows, "r", QualitySettings()), FACES).to_pylist()[0]
    assert (row["ita_deg"], row["ita_is_reliable"], row["is_usable"]) == (None, None, True)


def test_columns_from_outside_the_store_are_kept() -> None:
    rows = stored({"image_id": "a", "face_index": 0}).append_column("shard", pa.array(["s1"]))
    found = face_rows(rows, "r", QualitySettings())
    assert found.column("shard").to_pylist() == ["s1"]
    assert "chip" not in found.column_names


def test_no_faces_at_all() -> None:
    rows = stored({"image_id": "x", "face_index": None})
    found = conform(face_rows(rows, "r", QualitySettings()), FACES)
    assert found.num_rows == 0
