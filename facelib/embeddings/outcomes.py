"""What became of each image of a list: its faces with quality and embedding, or the reason why there is none."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from facelib.embeddings.embed import CHIP_COLUMNS, embed
from facelib.embeddings.model import EmbeddingModel
from facelib.faces.face_rows import FACE_STORE_COLUMNS, face_rows
from facelib.faces.quality import QualitySettings
from schemas.arrow import ARROW_TYPE
from schemas.contract import Type

OUTCOMES = pa.schema(
    [
        ("image_id", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("n_faces", pa.int64()),
        ("face_index", pa.int64()),
        ("quality_score", pa.float32()),
        ("embedding", ARROW_TYPE[Type.LIST_FLOAT32]),
    ]
)
"""`status`, `reason`, `n_faces`, `face_index` as in `extracted`; `embedding` as the model gives it."""


def face_outcomes(extracted: pa.Table, model: EmbeddingModel, settings: QualitySettings) -> pa.Table:
    """Rows (`OUTCOMES`) of `extracted` rows: one per face, or per image without one, whose last two columns are null.

    Images with a face come first, each kind in the order given.
    """
    kept = ["image_id", "status", "reason", "n_faces", "face_index"]
    has_face = pc.is_valid(extracted.column("face_index"))
    faces, others = extracted.filter(has_face), extracted.filter(pc.invert(has_face)).select(kept)
    quality = face_rows(faces.select(FACE_STORE_COLUMNS), "", settings).column("quality_score")
    embeddings = embed(faces.select(CHIP_COLUMNS), model).column("embedding")
    found = faces.select(kept).append_column("quality_score", quality).append_column("embedding", embeddings)
    for name in ("quality_score", "embedding"):
        others = others.append_column(name, pa.nulls(len(others), OUTCOMES.field(name).type))
    return pa.concat_tables([_plain(found), _plain(others)])


def _plain(rows: pa.Table) -> pa.Table:
    """The rows with the types of `OUTCOMES`, without the metadata of other contracts."""
    return pa.Table.from_arrays([rows.column(f.name).cast(f.type) for f in OUTCOMES], schema=OUTCOMES)
