"""`facelib balance --label-budget`: which images to label next, as a table of the run or a file of a finished one."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelib.cli.private_files import private_path, write_private
from facelib.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from facelib.spark.context import StageContext
    from facelib.spark.pipeline_config import PipelineConfig

_SUFFIXES = (".csv", ".parquet")
_NEXT = (
    "Label all of them, add them to your labels file, and say how they were chosen: --set audit.label_plan_path={}\n"
)


def check_options(arguments: argparse.Namespace) -> None:
    """ConfigError for options of `facelib balance` that do not go together."""
    if arguments.label_budget is None:
        for value, option in ((arguments.label_attribute, "--label-attribute"), (arguments.to, "--to")):
            if value:
                raise ConfigError(f"{option} is for a plan of labels: add --label-budget N")
    if arguments.to:
        given = {"--labels": arguments.labels, "--attributes": arguments.attributes, "--subject": arguments.subject}
        for option, value in given.items():
            if value:
                raise ConfigError(f"--to reads a finished run with the labels it has: leave {option} out")
    elif arguments.label_attribute and arguments.attributes and arguments.label_attribute not in arguments.attributes:
        raise ConfigError(
            f"--label-attribute {arguments.label_attribute} is none of --attributes {','.join(arguments.attributes)}: "
            "add it there, or correct it"
        )


def check_carried_out(config: PipelineConfig) -> None:
    """ConfigError or StorageError when `audit.label_plan_path` names no plan that can be read."""
    if config.audit.label_plan_path:
        from facelib.spark.partial_stage import carried_out_plan

        carried_out_plan(config)


def plan_to_file(arguments: argparse.Namespace) -> int:
    """Write the plan of a finished run to `--to`, for whoever may look at the images; the run is only read."""
    from facelib.spark.evaluation import FinishedRun
    from facelib.spark.partial_stage import label_plan_of
    from facelib.spark.pipeline_config import resolve_config

    target = private_path(arguments.to, "--to")
    if target.suffix.lower() not in _SUFFIXES or target.is_dir():
        raise ConfigError(f"--to {arguments.to} is neither .csv nor .parquet: name the file so")
    storage = resolve_config(arguments.config, arguments.assignments).storage
    run = FinishedRun.open(arguments.output, arguments.run, storage)
    plan, noted = label_plan_of(run, arguments.label_budget, arguments.label_attribute)
    write_private(target, _encoded(_with_keys(plan, run.images()), target))
    sys.stdout.write(f"run {run.record.run_id}: {said(plan.num_rows, noted)}\n{target}\n")
    sys.stdout.write(_NEXT.format(target))
    return 0


def plan_of_run(context: StageContext, arguments: argparse.Namespace) -> None:
    """Write the table `label_plan` of a run whose balance is done."""
    from facelib.spark.partial_stage import label_plan_stage

    label_plan_stage(context, arguments.label_budget, arguments.label_attribute)
    noted = context.record.stages["label_plan"]
    sys.stdout.write(f"run {context.record.run_id}: {said(noted['rows'], noted)}\n")


def said(rows: int, noted: dict[str, Any]) -> str:
    """The plan in words."""
    return (
        f"{rows:,} images to label next, of {noted['without_label']:,} whose main face has no label of "
        f"{noted['attribute']}, in {noted['strata']} strata"
    )


def _with_keys(plan: pa.Table, images: pa.Table) -> pa.Table:
    """The plan with the path of each image below `--images` in front."""
    import pyarrow.compute as pc

    row = pc.index_in(plan.column("image_id"), value_set=images.column("image_id").combine_chunks())
    return plan.add_column(0, "key", images.column("key").take(row))


def _encoded(rows: pa.Table, target: Path) -> bytes:
    import pyarrow.parquet as pq
    from pyarrow import csv

    sink = io.BytesIO()
    if target.suffix.lower() == ".csv":
        csv.write_csv(rows, sink)
    else:
        pq.write_table(rows, sink)
    return sink.getvalue()
