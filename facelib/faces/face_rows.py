"""Rows of the `faces` table from rows of the store: measures as stored, score and decision made anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.faces.quality import QUALITY_COLUMNS, QualitySettings, decide, quality_score
from facelib.ids import face_id
from schemas.tables import EXTRACTED, FACE_MEASURES

_STORED = [c.name for c in FACE_MEASURES if f"face_{c.name}" in EXTRACTED.names]
FACE_STORE_COLUMNS = ["image_id", "face_index", *(f"face_{name}" for name in _STORED)]


def face_rows(rows: pa.Table, run_id: str, settings: QualitySettings) -> pa.Table:
    """Rows of `faces` from rows of `extracted`, images without a face left out.

    `rows` needs FACE_STORE_COLUMNS. Columns that `extracted` does not have are kept as they are.
    """
    rows = rows.select([n for n in rows.column_names if n in FACE_STORE_COLUMNS or n not in EXTRACTED.names])
    rows = rows.filter(pc.is_valid(rows.column("face_index")))
    rows = rows.rename_columns([_short(n) for n in rows.column_names])
    quality = quality_score({name: _numbers(rows, name) for name in QUALITY_COLUMNS})
    reasons = decide(_numbers(rows, "eye_distance_px"), _numbers(rows, "detection_score"), quality, settings)
    pairs = zip(rows.column("image_id").to_pylist(), rows.column("face_index").to_pylist(), strict=True)
    made = {
        "face_id": pa.array([face_id(i, n) for i, n in pairs], pa.string()),
        "quality_score": pa.array(quality, pa.float32()),
        "is_usable": pa.array([r is None for r in reasons], pa.bool_()),
        "reason": pa.array(reasons.tolist(), pa.string()),
        "run_id": pa.array([run_id] * len(rows), pa.string()),
    }
    for name, values in made.items():
        rows = rows.append_column(name, values)
    return rows


def _short(name: str) -> str:
    return name.removeprefix("face_") if name.removeprefix("face_") in _STORED else name


def _numbers(rows: pa.Table, name: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = rows.column(name).cast(pa.float64()).to_numpy()
    return values
