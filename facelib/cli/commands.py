"""What each command does: checks first, Spark only when they pass."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facelib.config import config_dict, config_hash
from facelib.errors import ConfigError, FacelibError
from facelib.reports.label_file import LabelColumns
from facelib.storage import is_manifest, open_store

if TYPE_CHECKING:
    from facelib.spark.balance_stage import LabelSource
    from facelib.spark.cluster_inputs import ClusterInputs
    from facelib.spark.context import StageContext
    from facelib.spark.listing import Listing
    from facelib.spark.pipeline_config import PipelineConfig
    from facelib.spark.run_record import RunRecord


def run(arguments: argparse.Namespace) -> int:
    """`facelib run`: every stage in order, then publication."""
    config = _config(arguments)
    source, listing = _inputs(arguments, config)
    given = _cluster_inputs(arguments, config)
    with _session(config) as spark, _new_run(arguments, config, spark, listing) as context:
        _stage("extract")(context, listing)
        _stage("embed")(context)
        _stage("balance", "label_stage")(context, listing, source)
        _stage("cluster")(context, given)
        _stage("balance")(context)
        _stage("check")(context)
        _publish(context)
    return 0


def extract(arguments: argparse.Namespace) -> int:
    """`facelib extract`: begin a run; the other stages continue it."""
    config = _config(arguments)
    _, listing = _inputs(arguments, config)
    with _session(config) as spark, _new_run(arguments, config, spark, listing) as context:
        _stage("extract")(context, listing)
        _pause(context, "extract")
    return 0


def embed(arguments: argparse.Namespace) -> int:
    """`facelib embed`."""
    with _continued(arguments) as context:
        _stage("embed")(context)
        _pause(context, "embed")
    return 0


def cluster(arguments: argparse.Namespace) -> int:
    """`facelib cluster`."""
    given = _cluster_inputs(arguments, _config(arguments))
    with _continued(arguments) as context:
        _stage("cluster")(context, given)
        _pause(context, "cluster")
    return 0


def balance(arguments: argparse.Namespace) -> int:
    """`facelib balance`."""
    source = _label_source(arguments, _config(arguments))
    with _continued(arguments) as context:
        from facelib.spark.listing import listing_of_run

        _stage("balance", "label_stage")(context, listing_of_run(context), source)
        _stage("balance")(context)
        _pause(context, "balance")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """`facelib check`: the gate, then publication."""
    with _continued(arguments) as context:
        _stage("check")(context)
        _publish(context)
    return 0


def rescore(arguments: argparse.Namespace) -> int:
    """`facelib rescore`: a new run from what an earlier one extracted, with other thresholds; published."""
    from facelib.spark.run_record import RunRecord, published_or_named

    first = _config(arguments)
    store = open_store(arguments.output, first.storage)
    earlier = RunRecord.load(store, published_or_named(store, arguments.run))
    config = _config(arguments, earlier)
    begun = earlier.arguments | {"rescored": earlier.run_id, "assignments": arguments.assignments}
    record = RunRecord.begin(earlier.images, begun, config_dict(config), config_hash(config))
    given = _cluster_inputs(arguments, config)
    with _session(config) as spark, _recorded(record, arguments, config, spark) as context:
        _stage("rescore")(context, earlier)
        _stage("embed")(context)
        _stage("cluster")(context, given)
        for name in ("balance", "check"):
            _stage(name)(context)
        _publish(context)
    return 0


def _stage(name: str, function: str = "") -> Callable[..., None]:
    """A stage's function, imported only when it is run."""
    found: Callable[..., None] = getattr(
        importlib.import_module(f"facelib.spark.{name}_stage"), function or f"{name}_stage"
    )
    return found


def _config(arguments: argparse.Namespace, earlier: RunRecord | None = None) -> PipelineConfig:
    from facelib.spark.pipeline_config import resolve_config

    return resolve_config(arguments.config, arguments.assignments, earlier.config if earlier else None)


def _inputs(arguments: argparse.Namespace, config: PipelineConfig) -> tuple[LabelSource | None, Listing]:
    """Read the labels, try the output, list the archive: everything that can be wrong before Spark starts."""
    from facelib.spark.listing import list_archive

    source = _label_source(arguments, config) if arguments.command == "run" else None
    output = open_store(arguments.output, config.storage)
    images = "" if is_manifest(arguments.images) else open_store(arguments.images, config.storage).root
    if images and f"{output.root}/".startswith(f"{images}/"):
        raise ConfigError(
            f"--output {arguments.output} lies inside --images, so its files would be listed: move it out"
        )
    output.exists("CURRENT")
    return source, list_archive(arguments.images, config, output)


def _cluster_inputs(arguments: argparse.Namespace, config: PipelineConfig) -> ClusterInputs:
    from facelib.spark.cluster_inputs import ClusterInputs

    store = open_store(arguments.output, config.storage)
    return ClusterInputs.read(store, config.storage, arguments.must_link, arguments.cannot_link, arguments.previous)


def _label_source(arguments: argparse.Namespace, config: PipelineConfig) -> LabelSource | None:
    from facelib.spark.balance_stage import LabelSource

    given = {"--label-key": arguments.label_key, "--subject": arguments.subject, "--attributes": arguments.attributes}
    if not arguments.labels:
        for name, value in given.items():
            if value:
                raise ConfigError(f"{name} needs a labels file: add --labels FILE")
        if config.audit.categories or config.audit.reference:
            raise ConfigError("audit.categories and audit.reference need a labels file: add --labels FILE")
        return None
    if not arguments.label_key:
        raise ConfigError("--labels needs --label-key: name the column with the path of each image")
    if not (arguments.subject or arguments.attributes):
        raise ConfigError("--labels needs --attributes or --subject: name the columns to use")
    columns = LabelColumns(arguments.label_key, arguments.subject, arguments.attributes)
    source = LabelSource.read(arguments.labels, columns, config.storage)
    source.check(config.audit)
    return source


@contextmanager
def _session(config: PipelineConfig) -> Iterator[Any]:
    from facelib.spark.session import session

    with session(config.spark) as spark:
        yield spark


@contextmanager
def _new_run(
    arguments: argparse.Namespace, config: PipelineConfig, spark: Any, listing: Listing
) -> Iterator[StageContext]:
    from facelib.spark.run_record import RunRecord

    given = {k: v for k, v in vars(arguments).items() if k not in ("command", "log") and v}
    record = RunRecord.begin(
        arguments.images, {**given, "root": listing.root}, config_dict(config), config_hash(config)
    )
    with _recorded(record, arguments, config, spark) as context:
        yield context


@contextmanager
def _continued(arguments: argparse.Namespace) -> Iterator[StageContext]:
    from facelib.spark.run_record import RunRecord, latest_run_id

    config = _config(arguments)
    store = open_store(arguments.output, config.storage)
    record = RunRecord.load(store, arguments.run or latest_run_id(store))
    if record.status == "published":
        raise ConfigError(f"run {record.run_id} is published and never changes: begin another with facelib extract")
    record.config, record.config_hash = config_dict(config), config_hash(config)
    with _session(config) as spark, _recorded(record, arguments, config, spark) as context:
        yield context


@contextmanager
def _recorded(
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


def _pause(context: StageContext, stage: str) -> None:
    context.record.end("unpublished", 0, f"stage {stage} is done; nothing is published until facelib check passes")
    context.record.save(context.store)
    sys.stdout.write(f"run {context.record.run_id}: {stage} done\n")


def _publish(context: StageContext) -> None:
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
    sys.stdout.write(f"run {record.run_id} {message}\ntables: {context.place.uri}/runs/{record.run_id}/\n")


def _later(module: str) -> Callable[[argparse.Namespace], int]:
    def command(arguments: argparse.Namespace) -> int:
        result: int = importlib.import_module(module).command(arguments)
        return result

    return command


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": run,
    "extract": extract,
    "embed": embed,
    "cluster": cluster,
    "balance": balance,
    "check": check,
    "rescore": rescore,
    "export": _later("facelib.cli.export_command"),
    "clusters": _later("facelib.cli.clusters_command"),
    "enrol": _later("facelib.cli.enrol_command"),
    "identify": _later("facelib.cli.identify_command"),
    "evaluate": _later("facelib.cli.evaluate_command"),
    "demo": _later("facelib.cli.demo_command"),
    "bench": _later("facelib.cli.bench_command"),
}
