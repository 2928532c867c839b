"""The pipeline's functions in a plain pool of processes, without Spark."""

from __future__ import annotations

import io
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facelib.embeddings.embed import CHIP_COLUMNS, embed
from facelib.faces.detector import DetectSettings
from facelib.faces.extract import extract
from facelib.faces.image_rows import RowSettings, image_rows
from facelib.faces.models import FaceModels, load_models, one_thread
from facelib.images.decode import DecodeSettings
from facelib.images.shards import ListedImage
from facelib.spark.pipeline_config import EmbedSettings
from facelib.spark.tables import to_parquet
from facelib.spark.worker import embedding_model
from facelib.storage import Fetcher, open_store
from schemas.tables import EMBEDDINGS, EXTRACTED

PROCESSES = 2
SETTINGS = RowSettings(DecodeSettings(), DetectSettings())


def start() -> ProcessPoolExecutor:
    """Two fresh processes that load their models before their first task."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_load_models)


def _load_models() -> None:
    models()
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
    fetcher, limit = Fetcher(), SETTINGS.decode.max_object_bytes

    def fetch(uri: str, etag: str) -> bytes:
        return fetcher.fetch(uri, etag, limit)

    return extract(members, fetch, lambda items: image_rows(items, models(), SETTINGS), limit)


@cache
def models() -> FaceModels:
    """Detector and landmark predictor of this process, which computes in one thread."""
    one_thread()
    return load_models(SETTINGS.detect)


def embedded_faces(members: Sequence[ListedImage]) -> pa.Table:
    """Extracted rows that hold a face, without the chip, with the column `embedding`."""
    rows = extract_members(members)
    rows = rows.filter(rows.column("face_index").is_valid())
    embeddings = embed(rows.select(CHIP_COLUMNS), embedding_model(EmbedSettings().model, EmbedSettings().mirror))
    return rows.drop_columns(["chip"]).append_column("embedding", embeddings.column("embedding"))


def _write(target: Path, data: bytes) -> None:
    open_store(str(target.parent)).put(target.name, data)
