"""From extracted shard rows to embedding rows: a pure function, with or without Spark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.embeddings.model import EmbeddingModel
from facelib.faces.chip import decode_chip
from facelib.ids import face_id
from schemas.arrow import arrow_schema
from schemas.tables import EMBEDDINGS

CHIP_COLUMNS = ["image_id", "face_index", "chip"]


_CHIPS_AT_ONCE = 256


def embed(rows: pa.Table, model: EmbeddingModel) -> pa.Table:
    """Embedding rows (contract `embeddings`) of all faces in `rows` (CHIP_COLUMNS), in their order."""
    rows = rows.filter(pc.is_valid(rows.column("face_index")))
    pairs = zip(rows.column("image_id").to_pylist(), rows.column("face_index").to_pylist(), strict=True)
    chips = rows.column("chip").to_pylist()
    parts = [
        model.embed(np.stack([decode_chip(c) for c in chips[i : i + _CHIPS_AT_ONCE]]))
        for i in range(0, len(chips), _CHIPS_AT_ONCE)
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


def vectors_of(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """float32 (n, dim) of a list<float32> column; ValueError when the lists differ in length."""
    flat = column.combine_chunks()
    lengths = np.diff(flat.offsets.to_numpy())
    if len(lengths) and (lengths != lengths[0]).any():
        raise ValueError("embeddings differ in length")
    values: npt.NDArray[np.float32] = flat.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return values.reshape(len(flat), int(lengths[0]) if len(lengths) else 0)
