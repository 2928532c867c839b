"""What surrounds a stage on the command line: configuration, session, and a record that says how it ended."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facelib.config import config_dict, config_hash
from facelib.errors import ConfigError, FacelibError
from facelib.storage import open_store

if TYPE_CHECKING:
    from facelib.spark.context import StageContext
    from facelib.spark.listing import Listing
    from facelib.spark.pipeline_config import PipelineConfig
    from facelib.spark.run_record import RunRecord


def config_of(arguments: argparse.Namespace, earlier: RunRecord | None = None) -> PipelineConfig:
    """The configuration of the arguments, on top of that of an earlier run."""
    from facelib.spark.pipeline_config import resolve_config

    return resolve_config(arguments.config, arguments.assignments, earlier.config if earlier else None)


@contextmanager
def spark_session(config: PipelineConfig) -> Iterator[Any]:
    """A Spark session for the block."""
    from facelib.spark.session import session

    with session(config.spark) as spark:
        yield spark


@contextmanager
def new_run(
    arguments: argparse.Namespace, config: PipelineConfig, spark: Any, listing: Listing
) -> Iterator[StageContext]:
    """A stage context of a run that begins."""
    from facelib.spark.run_record import RunRecord

    given = {k: v for k, v in vars(arguments).items() if k not in ("command", "log") and v}
    record = RunRecord.begin(
        arguments.images, {**given, "root": listing.root}, config_dict(config), config_hash(config)
    )
    with recorded(record, arguments, config, spark) as context:
        yield context


@contextmanager
def continued_run(arguments: argparse.Namespace, instead: str = "") -> Iterator[StageContext]:
    """A stage context of the run that the arguments name, or of the newest one. ConfigError when that is published.

    instead: what to do with a published run in place of beginning another.
    """
    from facelib.spark.run_record import RunRecord, latest_run_id

    config = config_of(arguments)
    store = open_store(arguments.output, config.storage)
    record = RunRecord.load(store, arguments.run or latest_run_id(store))
    if record.status == "published":
        remedy = instead or "begin another with facelib extract"
        raise ConfigError(f"run {record.run_id} is published and never changes: {remedy}")
    record.config, record.config_hash = config_dict(config), config_hash(config)
    with spark_session(config) as spark, recorded(record, arguments, config, spark) as context:
        yield context


@contextmanager
def recorded(
    record: RunRecord, arguments: argparse.Namespace, config: PipelineConfig, spark: Any
) -> Iterator[StageContext]:
    """A stage context whose record says how it ended, whatever happens."""
    from facelib.spark.context import StageContext
    from facelib.spark.tables import Place

    store = open_store(arguments.output, config.storage)
    context = StageContext(spark, config, Place(store.root, config.storage), record)
    record.save(store)
    try:
        yield context
    except FacelibError as error:
        record.end("failed", error.exit_code, str(error))
        record.save(store)
        raise
    except BaseException as error:
        record.end("failed", 1, f"stopped by {type(error).__name__}")
        record.save(store)
        raise


def pause(context: StageContext, stage: str) -> None:
    """End a stage whose run is not published yet."""
    context.record.end("unpublished", 0, f"stage {stage} is done; nothing is published until facelib check passes")
    context.record.save(context.store)
    sys.stdout.write(f"run {context.record.run_id}: {stage} done\n")


def publish(context: StageContext) -> None:
    """Publish the run and say what it found."""
    from facelib.spark.run_record import publish

    record = context.record
    account = record.conservation
    rejected = sum(account["rejected"].values())
    message = (
        f"published: {account['listed']} images listed = {account['ok']} ok + {rejected} rejected, "
        f"{account['faces']} faces, {record.stages['cluster']['clusters']} clusters"
    )
    record.end("published", 0, message)
    publish(context.store, record)
    where = f"{context.place.uri}/runs/{record.run_id}/"
    sys.stdout.write(f"run {record.run_id} {message}\ntables: {where}\nreport: {where}report.html\n")
