"""From extracted shard rows to embedding rows: a pure function, with or without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facelib.embeddings.model import EmbeddingModel
from facelib.faces.chip import decode_chip
from facelib.ids import face_id
from schemas.arrow import arrow_schema
from schemas.tables import EMBEDDINGS

CHIP_COLUMNS = ["image_id", "face_index", "chip"]


def embed(rows: pa.Table, model: EmbeddingModel, batch: int = 32) -> pa.Table:
    """Embedding rows (contract `embeddings`) of all faces in `rows` (CHIP_COLUMNS), in their order."""
    rows = rows.filter(pc.is_valid(rows.column("face_index")))
    pairs = zip(rows.column("image_id").to_pylist(), rows.column("face_index").to_pylist(), strict=True)
    chips = rows.column("chip").to_pylist()
    parts = [
        model.embed(np.stack([decode_chip(c) for c in chips[i : i + batch]])) for i in range(0, len(chips), batch)
    ]
    vectors = np.concatenate(parts) if parts else np.empty((0, model.dim), np.float32)
    offsets = np.arange(0, vectors.size + 1, model.dim, dtype=np.int32)
    return pa.Table.from_arrays(
        [
            pa.array([face_id(i, n) for i, n in pairs], pa.string()),
            pa.array([model.model_id] * len(vectors), pa.string()),
            pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel(), pa.float32())).cast(
                arrow_schema(EMBEDDINGS).field("embedding").type
            ),
            pa.array(np.linalg.norm(vectors, axis=1), pa.float32()),
        ],
        schema=arrow_schema(EMBEDDINGS),
    )


def vectors_of(column: pa.ChunkedArray, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """float32 (n, dim) of a list<float32> column of constant length; ValueError when a length differs."""
    flat = column.combine_chunks()
    values = np.asarray(flat.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    if values.size != len(flat) * dim:
        raise ValueError(f"embeddings do not all have {dim} values")
    return values.reshape(len(flat), dim)
