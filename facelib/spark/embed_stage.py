"""Embedding on Spark: chips of each shard → one embeddings file per shard, those that are missing only."""

from __future__ import annotations

import io
import time
from typing import Any

import pyarrow.parquet as pq

from facelib.embeddings.embed import CHIP_COLUMNS, embed
from facelib.embeddings.model import model_id
from facelib.errors import DegenerateResultError
from facelib.images.shards import INCOMPLETE
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import EmbedSettings
from facelib.spark.tables import Place, to_parquet
from facelib.spark.tasks import run_each
from facelib.spark.worker import close_extractors, embedding_model
from facelib.storage import open_store
from schemas.tables import EMBEDDINGS, FACES


def embeddings_folder(settings: EmbedSettings) -> str:
    """Where the embeddings of the configured model lie."""
    return f"store/embeddings/model_id={model_id(settings.model, settings.mirror)}"


def embedding_keys(context: StageContext) -> list[str]:
    """Embedding files of the run's shards."""
    folder = embeddings_folder(context.config.embed)
    return [f"{folder}/{key.rsplit('/', 1)[1]}" for key in context.record.shards]


def embed_stage(context: StageContext) -> None:
    """Embed the faces of every shard of the run that this model has not embedded yet."""
    if context.record.rows(FACES) == 0:
        raise DegenerateResultError("no face was detected in the archive: nothing to embed; check --images")
    settings = context.config.embed
    folder = embeddings_folder(settings)
    context.record.models["embedder"] = model_id(settings.model, settings.mirror)
    with context.stage("embed") as facts:
        done = {o.key for o in context.store.list(f"{folder}/") if not o.key.endswith(f"{INCOMPLETE}.parquet")}
        pairs = zip(context.record.shards, embedding_keys(context), strict=True)
        todo = [(source, target) for source, target in pairs if target not in done]
        results = _run(context, todo) if todo else []
        facts.update(
            shards=len(context.record.shards),
            shards_computed=len(todo),
            faces=sum(r["faces"] for r in results),
            cpu_seconds=round(sum(r["cpu_seconds"] for r in results), 3),
        )


def _run(context: StageContext, todo: list[tuple[str, str]]) -> list[dict[str, Any]]:
    settings, place = context.config.embed, context.place
    with context.job(f"embed {len(todo)} shards", len(todo)):
        return run_each(context.spark, todo, lambda keys: _embed_shard(*keys, settings, place))


def _embed_shard(source: str, target: str, settings: EmbedSettings, place: Place) -> dict[str, Any]:
    """What each task does: embed the chips of one file into another, return its figures."""
    begun = time.process_time()
    close_extractors()
    store = open_store(place.uri, place.settings)
    rows = pq.read_table(io.BytesIO(store.get(source)), columns=CHIP_COLUMNS)
    table = embed(rows, embedding_model(settings.model, settings.mirror))
    store.put(target, to_parquet(table, EMBEDDINGS))
    return {"faces": len(table), "cpu_seconds": time.process_time() - begun}
