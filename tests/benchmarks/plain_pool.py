"""The pipeline's functions in a plain pool of processes, without Spark."""

from __future__ import annotations

import io
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facelib.embeddings.embed import CHIP_COLUMNS, embed
from facelib.faces.detector import DetectSettings
from facelib.faces.extract import extract
from facelib.images.decode import DecodeSettings
from facelib.images.shards import ListedImage
from facelib.spark.pipeline_config import EmbedSettings
from facelib.spark.tables import to_parquet
from facelib.spark.worker import embedding_model, face_models
from facelib.storage import Fetcher, open_store
from schemas.tables import EMBEDDINGS, EXTRACTED

PROCESSES = 2


def start() -> ProcessPoolExecutor:
    """Two fresh processes that load their models before their first task."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_load_models)


def _load_models() -> None:
    face_models(DetectSettings())
    embedding_model(EmbedSettings().model, EmbedSettings().mirror)


def extract_shard(task: tuple[Sequence[ListedImage], Path]) -> float:
    """Extract the members into a Parquet file, as a Spark task does; returns the CPU seconds."""
    members, target = task
    begun = time.process_time()
    _write(target, to_parquet(extract_members(members), EXTRACTED))
    return time.process_time() - begun


def embed_shard(task: tuple[Path, Path]) -> float:
    """Embed the chips of one Parquet file into another, as a Spark task does; returns the CPU seconds."""
    source, target = task
    begun = time.process_time()
    rows = pq.read_table(io.BytesIO(source.read_bytes()), columns=CHIP_COLUMNS)
    _write(target, to_parquet(embed(rows, embedding_model(EmbedSettings().model, EmbedSettings().mirror)), EMBEDDINGS))
    return time.process_time() - begun


def extract_members(members: Sequence[ListedImage]) -> pa.Table:
    """Extracted rows of the members, with the default settings."""
    fetcher, settings = Fetcher(), DecodeSettings()

    def fetch(uri: str, etag: str) -> bytes:
        return fetcher.fetch(uri, etag, settings.max_object_bytes)

    return extract(members, fetch, face_models(DetectSettings()), settings)


def embedded_faces(members: Sequence[ListedImage]) -> pa.Table:
    """Extracted rows that hold a face, without the chip, with the column `embedding`."""
    rows = extract_members(members)
    rows = rows.filter(rows.column("face_index").is_valid())
    embeddings = embed(rows.select(CHIP_COLUMNS), embedding_model(EmbedSettings().model, EmbedSettings().mirror))
    return rows.drop_columns(["chip"]).append_column("embedding", embeddings.column("embedding"))


def _write(target: Path, data: bytes) -> None:
    open_store(str(target.parent)).put(target.name, data)
