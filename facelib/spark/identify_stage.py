"""Enrolment and search on Spark: each task fetches, extracts and embeds a chunk of images, and searches the gallery.

Nothing of it is kept in the store or in a run: it is done for whoever asks, and only the asker gets the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from facelib.clusters.candidates import CANDIDATES, candidate_rows
from facelib.clusters.gallery import Gallery
from facelib.embeddings.outcomes import face_outcomes
from facelib.errors import AccessDeniedError
from facelib.faces.extract import extract
from facelib.faces.image_rows import RowSettings
from facelib.images.shards import LISTED_COLUMNS, Listed, ListedImage
from facelib.reasons import ImageReason
from facelib.spark.context import StageContext
from facelib.spark.listing import Listing
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place
from facelib.spark.tasks import run_each
from facelib.spark.worker import embedding_model, extractor
from facelib.storage import Fetcher

Columns = list[list[str] | list[int]]
"""`LISTED_COLUMNS` of the images of one task."""


@dataclass(frozen=True)
class _Chunks:
    """The listing cut into tasks; each is made when it is asked for."""

    listed: Listed
    n: int
    size: int

    def __len__(self) -> int:
        return math.ceil(self.n / self.size)

    def __iter__(self) -> Iterator[Columns]:
        for start in range(0, self.n, self.size):
            rows = np.arange(start, min(start + self.size, self.n))
            yield [self.listed.take(name, rows).to_pylist() for name in LISTED_COLUMNS]


def enrolled_faces(spark: SparkSession, config: PipelineConfig, listing: Listing) -> pa.Table:
    """uri, status, reason, n_faces, quality_score and embedding of the main face: one row per listed image.

    AccessDeniedError when more than `extract.max_denied_share` of the images may not be read.
    """

    def main_faces(columns: Columns) -> pa.Table:
        rows = _outcomes(columns, config)
        rows = rows.filter(pc.equal(pc.fill_null(rows.column("face_index"), 0), 0))
        return rows.drop_columns(["face_index"])

    rows = _each(spark, config, listing, "enrol", main_faces)
    _check_access(rows, listing, config)
    return rows.sort_by("uri")


def identified_faces(
    spark: SparkSession, config: PipelineConfig, listing: Listing, gallery: Gallery, top: int, threshold: float
) -> pa.Table:
    """Rows of `CANDIDATES` of every listed image, sorted by their key.

    AccessDeniedError when more than `extract.max_denied_share` of the images may not be read.
    """
    shared = spark.sparkContext.broadcast(gallery)

    def candidates(columns: Columns) -> pa.Table:
        return candidate_rows(_outcomes(columns, config), shared.value, top, threshold)

    try:
        rows = _each(spark, config, listing, "identify", candidates)
    finally:
        shared.destroy()
    _check_access(rows, listing, config)
    return rows.sort_by([(name, "ascending") for name in CANDIDATES.key])


def _each(
    spark: SparkSession, config: PipelineConfig, listing: Listing, what: str, function: Callable[[Columns], pa.Table]
) -> pa.Table:
    cores = spark.sparkContext.defaultParallelism
    size = max(1, min(config.extract.shard_images, math.ceil(listing.n / cores)))
    chunks = _Chunks(Listed(listing.objects), listing.n, size)
    never_saved = RunRecord.begin(listing.root, {}, {}, "")
    context = StageContext(spark, config, Place(listing.root, config.storage), never_saved)
    with context.job(f"{what} {listing.n} images", len(chunks)):
        return pa.concat_tables(run_each(spark, chunks, function))


def _outcomes(columns: Columns, config: PipelineConfig) -> pa.Table:
    """What each task begins with: rows (`OUTCOMES`) of its images, with their uri."""
    members = [ListedImage(*values) for values in zip(*columns, strict=True)]
    fetcher, limit = Fetcher(config.storage), config.decode.max_object_bytes

    def fetch(uri: str, etag: str) -> bytes:
        return fetcher.fetch(uri, etag, limit)

    to_rows = extractor(RowSettings(config.decode, config.detect))
    extracted = extract(members, fetch, to_rows, limit, config.extract.read_threads)
    model = embedding_model(config.embed.model, config.embed.mirror)
    rows = face_outcomes(extracted, model, config.quality)
    uri_of = {m.image_id: m.uri for m in members}
    uris = [uri_of[i] for i in rows.column("image_id").to_pylist()]
    return rows.append_column("uri", pa.array(uris, pa.string())).drop_columns(["image_id"])


def _check_access(rows: pa.Table, listing: Listing, config: PipelineConfig) -> None:
    denied = pc.sum(pc.equal(rows.column("reason"), ImageReason.ACCESS_DENIED.value)).as_py() or 0
    if denied > config.extract.max_denied_share * listing.n:
        raise AccessDeniedError(
            f"reading was denied for {denied} of {listing.n} images: give the executors credentials that may read "
            "them, or raise extract.max_denied_share"
        )
