"""Arguments of every command, the same for `facelib` and for the scripts under `jobs/`."""

from __future__ import annotations

import argparse

import facelib
from facelib.cli.parser import Parser, add_command, names
from facelib.cli.query_arguments import (
    add_balance_diff,
    add_clusters,
    add_enrol,
    add_evaluate,
    add_export,
    add_identify,
    add_label_plan,
    add_report,
)

DESCRIPTION = "Batch analytics of face-image archives: identity clusters and balance reports in Parquet."
STAGES = {
    "extract": "list the archive, extract images and faces",
    "embed": "compute embeddings of extracted faces",
    "cluster": "group faces into identity clusters",
    "balance": "join labels, compute balance and losses",
    "check": "run the data-quality gate, write the report and publish",
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the `facelib` command."""
    parser = Parser(prog="facelib", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"facelib {facelib.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    run = add_command(commands, "run", "everything, in order, and publish")
    _images(run, required=True)
    _labels(run)
    _clustering(run)
    for name, text in STAGES.items():
        stage = add_command(commands, name, text)
        if name == "extract":
            _images(stage, required=True)
        else:
            stage.add_argument("--run", metavar="RUN_ID", help="run to continue (default: the newest)")
        if name == "balance":
            _labels(stage)
            add_label_plan(stage)
            add_balance_diff(stage)
        if name == "cluster":
            _clustering(stage)
    rescore = add_command(commands, "rescore", "a new run from what an earlier one extracted, with other thresholds")
    rescore.add_argument("--run", metavar="RUN_ID", help="the earlier run (default: the published one)")
    _clustering(rescore)
    add_report(add_command(commands, "report", "the report of a finished run once more, as a file of your choice"))
    add_export(add_command(commands, "export", "write a retraining set: chips, labels and weights"))
    add_clusters(commands)
    add_enrol(commands)
    add_identify(commands)
    add_evaluate(commands)
    demo = commands.add_parser("demo", help="generate an archive, serve it over S3, run everything", allow_abbrev=False)
    demo.add_argument("--output", default="build/demo", help="folder to work in (default: %(default)s)")
    demo.add_argument("--identities", type=int, default=60, help="planted identities (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=7, help="seed of the archive (default: %(default)s)")
    bench = commands.add_parser("bench", help="measure against peers on this machine", allow_abbrev=False)
    bench.add_argument("benchmark", nargs="*", help="names of benchmarks (default: all)")
    return parser


def _images(command: argparse.ArgumentParser, required: bool) -> None:
    command.add_argument(
        "--images",
        required=required,
        metavar="URI",
        help="folder, file://, s3://bucket/prefix, or a .csv/.parquet manifest with a column uri",
    )


def _clustering(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--previous",
        metavar="RUN_ID",
        help="run whose cluster ids are kept (default: the published one); none: start afresh",
    )
    command.add_argument(
        "--cohort",
        metavar="FILE",
        help="a gallery of facelib enrol with at least 200 people, against whom similarities are corrected, each by "
        "the mean of their embeddings (default: people of the archive)",
    )
    group = command.add_argument_group("links", "CSV or Parquet files; columns a and b name faces or images")
    group.add_argument("--must-link", metavar="FILE", help="pairs that are one person")
    group.add_argument("--cannot-link", metavar="FILE", help="pairs that are two persons")


def _labels(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("labels")
    group.add_argument("--labels", metavar="FILE", help="CSV or Parquet file, one row per image")
    group.add_argument("--label-key", metavar="COL", help="column with the path below --images, or the full URI")
    group.add_argument("--subject", metavar="COL", help="column with the verified person")
    group.add_argument("--attributes", metavar="A,B", type=names, default=(), help="columns to audit")
