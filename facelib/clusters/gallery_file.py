"""The file of an enrolled gallery: one row per enrolled image, with its embedding and the name of its subject.

Biometric data of named people. It keeps each image's embedding rather than templates, so that every way of making a
reference of them starts from the same file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facelib.clusters.neighbours import normalise
from facelib.clusters.space import FloatArray
from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.reasons import ImageReason
from facelib.storage import Fetcher, StorageSettings
from facelib.storage.uris import canonical_root
from schemas.arrow import arrow_schema
from schemas.contract import Column, Table, Type

GALLERY = Table(
    "gallery", 1, "enrolled image", ("uri",),
    (
        Column("uri", Type.STRING, "where the image is"),
        Column("subject", Type.STRING, "who is on it, as enrolled"),
        Column("status", Type.STRING, "what became of the image", values=("ok", "rejected")),
        Column("reason", Type.STRING, "why it was rejected; null when ok", nullable=True, values=tuple(ImageReason)),
        Column("n_faces", Type.INT64, "detected faces, of which the main one is enrolled", nullable=True, minimum=0),
        Column("quality_score", Type.FLOAT32, "of the main face; null without a face", "0–1", True, 0, 1),
        Column("model_id", Type.STRING, "model of the embedding and digest of its weights"),
        Column("embedding", Type.LIST_FLOAT32, "of the main face, not normalised; null without a face", "", True),
    ),
    is_store=True,
)  # fmt: skip


class References(NamedTuple):
    """The enrolled faces: unit embeddings (n, d), quality scores (n,), subjects (n,), and the model they come from."""

    unit: FloatArray
    quality: npt.NDArray[np.float64]
    subjects: list[str]
    model_id: str


def load_gallery(option: str, path: str, wanted: str, settings: StorageSettings) -> References:
    """The enrolled faces of the gallery file that a command-line option names, of embedding model `wanted`.

    Raises ObjectNotFoundError for a file that is not there, and ConfigError for one of another model and where
    `read_gallery` does.
    """
    name = f"{option} {path}"
    try:
        data = Fetcher(settings).fetch(canonical_root(path), None)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(f"{name} does not exist: give a file that facelib enrol has written") from None
    references = read_gallery(data, name)
    if references.model_id != wanted:
        raise ConfigError(
            f"{name} was enrolled with {references.model_id}, and embed.model and embed.mirror ask for {wanted}: "
            "enrol again, or set them as they were"
        )
    return references


def read_gallery(data: bytes, name: str) -> References:
    """The enrolled faces of a gallery file; `name` is what to call it in messages.

    Raises ConfigError for a file that `facelib enrol` did not write, without a face, with embeddings of two models or
    lengths, or with one that is zero or not finite.
    """
    schema = arrow_schema(GALLERY)
    try:
        rows = pq.read_table(pa.BufferReader(data))
        rows = pa.Table.from_arrays([rows.column(f.name).cast(f.type) for f in schema], schema=schema)
    except (pa.ArrowException, OSError, KeyError):
        raise ConfigError(f"{name} is not a gallery: give a file that facelib enrol has written") from None
    rows = rows.filter(pc.is_valid(rows.column("embedding")))
    if not len(rows):
        raise ConfigError(f"{name} holds no face: enrol other images")
    models = rows.column("model_id").unique().to_pylist()
    lengths = pc.list_value_length(rows.column("embedding")).unique()
    if len(models) > 1 or len(lengths) > 1:
        raise ConfigError(f"{name} holds embeddings of several models: enrol all images with one")
    values = rows.column("embedding").combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    quality = rows.column("quality_score").to_numpy().astype(np.float64)
    usable = np.isfinite(values).all(axis=1) & values.any(axis=1) & np.isfinite(quality) & (quality >= 0)
    if not usable.all():
        raise ConfigError(
            f"{name} holds {np.count_nonzero(~usable)} faces whose embedding is zero or not finite, or whose quality "
            "score is not a number of 0 or more: enrol again"
        )
    return References(normalise(values), quality, rows.column("subject").to_pylist(), models[0])
