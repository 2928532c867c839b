"""The answer to each probe: its best candidates and the decision, as rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facelib.clusters.gallery import Gallery, decide, search
from facelib.clusters.neighbours import normalise
from facelib.reasons import ImageReason
from schemas.arrow import arrow_schema
from schemas.contract import Column, Table, Type

IDENTIFIED, UNKNOWN = "identified", "unknown"

CANDIDATES = Table(
    "candidates", 1, "candidate of a probe face, or probe image without a face", ("uri", "face_index", "rank"),
    (
        Column("uri", Type.STRING, "the probe image"),
        Column("face_index", Type.INT64, "0 = most prominent face; null without a face", nullable=True, minimum=0),
        Column("rank", Type.INT64, "1 = most similar subject; null without a face", nullable=True, minimum=1),
        Column("subject", Type.STRING, "a subject of the gallery; null without a face", nullable=True),
        Column("similarity", Type.FLOAT32, "cosine to the template, or decision value of the machine", nullable=True),
        Column(
            "decision",
            Type.STRING,
            "of the face, on its row of rank 1: whether the similarity exceeds the threshold; null elsewhere",
            nullable=True,
            values=(IDENTIFIED, UNKNOWN),
        ),
        Column("threshold", Type.FLOAT64, "what the similarity had to exceed"),
        Column("quality_score", Type.FLOAT32, "of the face; null without one", "0–1", True, 0, 1),
        Column("status", Type.STRING, "what became of the image", values=("ok", "rejected")),
        Column("reason", Type.STRING, "why it was rejected; null when ok", nullable=True, values=tuple(ImageReason)),
    ),
)  # fmt: skip


def candidate_rows(probes: pa.Table, gallery: Gallery, top: int, threshold: float) -> pa.Table:
    """Rows of `CANDIDATES`: min(top, subjects) per face, one per image without a face; faces first.

    `probes`: uri, status, reason, face_index, quality_score and embedding (list of float32), one row per face, or per
    image without one, where the last three are null.
    """
    schema = arrow_schema(CANDIDATES)
    has_face = pc.is_valid(probes.column("face_index"))
    faces, others = probes.filter(has_face), probes.filter(pc.invert(has_face))
    kept = min(top, len(gallery.subjects))
    columns = {name: others.column(name) for name in ("uri", "status", "reason")}
    columns["threshold"] = pa.array(np.full(len(others), threshold))
    parts = [_table(columns, schema, len(others))]
    if len(faces):
        values = faces.column("embedding").combine_chunks().flatten().to_numpy().reshape(len(faces), -1)
        index, score = search(normalise(values), gallery, kept)
        is_first = np.tile(np.arange(kept) == 0, len(faces))
        decision = np.where(decide(score.ravel(), threshold), IDENTIFIED, UNKNOWN)
        repeated = faces.drop_columns(["embedding"]).take(pa.array(np.repeat(np.arange(len(faces)), kept)))
        columns = {name: repeated.column(name) for name in repeated.column_names}
        columns |= {
            "rank": pa.array(np.tile(np.arange(1, kept + 1), len(faces))),
            "subject": pa.array(gallery.subjects, pa.string()).take(pa.array(index.ravel())),
            "similarity": pa.array(score.ravel()),
            "decision": pa.array(decision, pa.string(), mask=~is_first),
            "threshold": pa.array(np.full(len(repeated), threshold)),
        }
        parts.insert(0, _table(columns, schema, len(repeated)))
    return pa.concat_tables(parts)


def _table(columns: dict[str, pa.ChunkedArray], schema: pa.Schema, n: int) -> pa.Table:
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
