"""What each command does: checks first, Spark only when they pass."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from facelib.cli.label_plan_command import check_carried_out, check_options, plan_of_run, plan_to_file
from facelib.cli.label_source import label_source
from facelib.cli.run_contexts import config_of, continued_run, new_run, pause, publish, recorded, spark_session
from facelib.config import config_dict, config_hash
from facelib.errors import ConfigError
from facelib.storage import is_manifest, open_store

if TYPE_CHECKING:
    from facelib.spark.cluster_inputs import ClusterInputs
    from facelib.spark.label_stage import LabelSource
    from facelib.spark.listing import Listing
    from facelib.spark.pipeline_config import PipelineConfig


def run(arguments: argparse.Namespace) -> int:
    """`facelib run`: every stage in order, then publication."""
    config = config_of(arguments)
    source, listing = _inputs(arguments, config)
    given = _cluster_inputs(arguments, config)
    with spark_session(config) as spark, new_run(arguments, config, spark, listing) as context:
        _stage("extract")(context, listing)
        _stage("embed")(context)
        _stage("label")(context, listing, source)
        _stage("cluster")(context, given)
        for name in ("balance", "check", "report"):
            _stage(name)(context)
        publish(context)
    return 0


def extract(arguments: argparse.Namespace) -> int:
    """`facelib extract`: begin a run; the other stages continue it."""
    config = config_of(arguments)
    _, listing = _inputs(arguments, config)
    with spark_session(config) as spark, new_run(arguments, config, spark, listing) as context:
        _stage("extract")(context, listing)
        pause(context, "extract")
    return 0


def embed(arguments: argparse.Namespace) -> int:
    """`facelib embed`."""
    with continued_run(arguments) as context:
        _stage("embed")(context)
        pause(context, "embed")
    return 0


def cluster(arguments: argparse.Namespace) -> int:
    """`facelib cluster`."""
    given = _cluster_inputs(arguments, config_of(arguments))
    with continued_run(arguments) as context:
        _stage("cluster")(context, given)
        pause(context, "cluster")
    return 0


def balance(arguments: argparse.Namespace) -> int:
    """`facelib balance` and `facelib balance diff`."""
    if arguments.action == "diff":
        return _later("facelib.cli.balance_diff_command")(arguments)
    check_options(arguments)
    if arguments.to:
        return plan_to_file(arguments)
    source = _label_source(arguments, config_of(arguments))
    instead = "to plan labels of it, add --to FILE" if arguments.label_budget else ""
    with continued_run(arguments, instead) as context:
        from facelib.spark.listing import listing_of_run

        _stage("label")(context, listing_of_run(context), source)
        _stage("balance")(context)
        if arguments.label_budget:
            plan_of_run(context, arguments)
        pause(context, "balance")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """`facelib check`: the gate, the report, then publication."""
    with continued_run(arguments) as context:
        for name in ("check", "report"):
            _stage(name)(context)
        publish(context)
    return 0


def rescore(arguments: argparse.Namespace) -> int:
    """`facelib rescore`: a new run from what an earlier one extracted, with other thresholds; published."""
    from facelib.spark.run_record import RunRecord, published_or_named

    first = config_of(arguments)
    store = open_store(arguments.output, first.storage)
    earlier = RunRecord.load(store, published_or_named(store, arguments.run))
    config = config_of(arguments, earlier)
    begun = earlier.arguments | {"rescored": earlier.run_id, "assignments": arguments.assignments}
    record = RunRecord.begin(earlier.images, begun, config_dict(config), config_hash(config))
    given = _cluster_inputs(arguments, config)
    check_carried_out(config)
    with spark_session(config) as spark, recorded(record, arguments, config, spark) as context:
        _stage("rescore")(context, earlier)
        _stage("embed")(context)
        _stage("cluster")(context, given)
        for name in ("balance", "check", "report"):
            _stage(name)(context)
        publish(context)
    return 0


def _stage(name: str, function: str = "") -> Callable[..., None]:
    """A stage's function, imported only when it is run."""
    found: Callable[..., None] = getattr(
        importlib.import_module(f"facelib.spark.{name}_stage"), function or f"{name}_stage"
    )
    return found


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
    return ClusterInputs.read(
        store, config, arguments.must_link, arguments.cannot_link, arguments.previous, arguments.cohort
    )


def _label_source(arguments: argparse.Namespace, config: PipelineConfig) -> LabelSource | None:
    source = label_source(arguments, arguments.attributes, config.storage)
    if arguments.attributes and not source:
        raise ConfigError("--attributes needs a labels file: add --labels FILE")
    from facelib.spark.label_stage import check_labels

    check_labels(source, config.audit)
    check_carried_out(config)
    return source


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
    "report": _later("facelib.cli.report_command"),
    "export": _later("facelib.cli.export_command"),
    "clusters": _later("facelib.cli.clusters_command"),
    "enrol": _later("facelib.cli.enrol_command"),
    "identify": _later("facelib.cli.identify_command"),
    "evaluate": _later("facelib.cli.evaluate_command"),
    "demo": _later("facelib.cli.demo_command"),
    "bench": _later("facelib.cli.bench_command"),
}
