"""Arguments of every command, the same for `facelib` and for the scripts under `jobs/`."""

from __future__ import annotations

import argparse
from typing import NoReturn

import facelib
from facelib.errors import ConfigError

DESCRIPTION = "Batch analytics of face-image archives: identity clusters and balance reports in Parquet."
STAGES = {
    "extract": "list the archive, extract images and faces",
    "embed": "compute embeddings of extracted faces",
    "cluster": "group faces into identity clusters",
    "balance": "join labels, compute balance and losses",
    "check": "run the data-quality gate and publish",
}


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as ConfigError: one sentence, no usage dump."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the `facelib` command."""
    parser = Parser(prog="facelib", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"facelib {facelib.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    run = _command(commands, "run", "everything, in order, and publish")
    _images(run, required=True)
    _labels(run)
    for name, text in STAGES.items():
        stage = _command(commands, name, text)
        if name == "extract":
            _images(stage, required=True)
        else:
            stage.add_argument("--run", metavar="RUN_ID", help="run to continue (default: the newest)")
        if name == "balance":
            _labels(stage)
    rescore = _command(commands, "rescore", "a new run from what an earlier one extracted, with other thresholds")
    rescore.add_argument("--run", metavar="RUN_ID", help="the earlier run (default: the published one)")
    _export(_command(commands, "export", "write a retraining set: chips, labels and weights"))
    demo = commands.add_parser("demo", help="generate an archive, serve it over S3, run everything", allow_abbrev=False)
    demo.add_argument("--output", default="build/demo", help="folder to work in (default: %(default)s)")
    demo.add_argument("--identities", type=int, default=60, help="planted identities (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=7, help="seed of the archive (default: %(default)s)")
    bench = commands.add_parser("bench", help="measure against peers on this machine", allow_abbrev=False)
    bench.add_argument("benchmark", nargs="*", help="names of benchmarks (default: all)")
    return parser


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.add_argument("--output", required=True, metavar="URI", help="folder or s3:// prefix for store and runs")
    command.add_argument("--config", metavar="FILE", help="TOML file, one table per section")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="assignments",
        help="override one setting; may be repeated",
    )
    command.add_argument(
        "--log", metavar="FILE", help="append JSON lines here (default: standard error when it is not a terminal)"
    )
    return command


def _images(command: argparse.ArgumentParser, required: bool) -> None:
    command.add_argument(
        "--images",
        required=required,
        metavar="URI",
        help="folder, file://, s3://bucket/prefix, or a .csv/.parquet manifest with a column uri",
    )


def _labels(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("labels")
    group.add_argument("--labels", metavar="FILE", help="CSV or Parquet file, one row per image")
    group.add_argument("--label-key", metavar="COL", help="column with the path below --images, or the full URI")
    group.add_argument("--subject", metavar="COL", help="column with the verified person")
    group.add_argument("--attributes", metavar="A,B", type=_names, default=(), help="columns to audit")


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", metavar="RUN_ID", help="run to export (default: the published one)")
    command.add_argument("--to", required=True, metavar="FOLDER", help="local folder for the training set")
    command.add_argument(
        "--split-by",
        choices=("cluster", "subject"),
        default="cluster",
        help="keep all faces of one on the same side (default: %(default)s)",
    )
    command.add_argument("--attributes", metavar="A,B", type=_names, default=(), help="labels to balance and export")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
