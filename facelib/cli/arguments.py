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
    _previous(run)
    _links(run)
    for name, text in STAGES.items():
        stage = _command(commands, name, text)
        if name == "extract":
            _images(stage, required=True)
        else:
            stage.add_argument("--run", metavar="RUN_ID", help="run to continue (default: the newest)")
        if name == "balance":
            _labels(stage)
        if name == "cluster":
            _previous(stage)
            _links(stage)
    rescore = _command(commands, "rescore", "a new run from what an earlier one extracted, with other thresholds")
    rescore.add_argument("--run", metavar="RUN_ID", help="the earlier run (default: the published one)")
    _previous(rescore)
    _links(rescore)
    _export(_command(commands, "export", "write a retraining set: chips, labels and weights"))
    _clusters(commands)
    _enrol(commands)
    _identify(commands)
    _evaluate(commands)
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
    _settings(command)
    return command


def _settings(command: argparse.ArgumentParser) -> None:
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


def _images(command: argparse.ArgumentParser, required: bool) -> None:
    command.add_argument(
        "--images",
        required=required,
        metavar="URI",
        help="folder, file://, s3://bucket/prefix, or a .csv/.parquet manifest with a column uri",
    )


def _links(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("links", "CSV or Parquet files; columns a and b name faces or images")
    group.add_argument("--must-link", metavar="FILE", help="pairs that are one person")
    group.add_argument("--cannot-link", metavar="FILE", help="pairs that are two persons")


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


def _evaluate(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    text = "compare a run with verified subjects"
    evaluate = commands.add_parser("evaluate", help=text, description=text, allow_abbrev=False)
    kinds = evaluate.add_subparsers(dest="evaluation", required=True, metavar="WHAT", parser_class=Parser)
    clusters = _command(kinds, "clusters", "agreement of the clusters with subjects, overall and by group")
    verification = _command(kinds, "verification", "errors of comparing one face with one other")
    for command in (clusters, verification):
        command.add_argument("--run", metavar="RUN_ID", help="run to evaluate (default: the published one)")
        group = command.add_argument_group("labels (default: those of the run)")
        group.add_argument("--labels", metavar="FILE", help="CSV or Parquet file, one row per image")
        group.add_argument("--label-key", metavar="COL", help="column with the path below --images, or the full URI")
        group.add_argument("--subject", metavar="COL", help="column with the verified person")
        command.add_argument("--json", metavar="FILE", help="write all figures here too")
    clusters.add_argument("--attributes", metavar="A,B", type=_names, default=(), help="labels to group the faces by")
    verification.add_argument("--pairs", metavar="FILE", help="pairs for cross-validation, like LFW's pairs.txt")
    verification.add_argument(
        "--fmr",
        metavar="A,B",
        type=_rates,
        default=_rates("1e-3,1e-4,1e-5,1e-6"),
        help="false match rates (default: 1e-3,1e-4,1e-5,1e-6)",
    )
    for name, default, text in (
        ("--resamples", 1000, "sets of subjects drawn for the intervals"),
        ("--max-faces", 20_000, "of more faces, compare those of a sample of subjects"),
        ("--seed", 0, "seed of both draws"),
    ):
        verification.add_argument(name, metavar="N", type=_count, default=default, help=f"{text} (default: {default})")


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(name) for name in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers such as 1e-3,1e-4") from None


def _previous(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--previous",
        metavar="RUN_ID",
        help="run whose cluster ids are kept (default: the published one); none: start afresh",
    )


def _clusters(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    text = "look at the clusters of a run, or compare those of two"
    clusters = commands.add_parser("clusters", help=text, description=text, allow_abbrev=False)
    actions = clusters.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    _diff(_command(actions, "diff", "what changed between the clusters of two runs"))
    _show(_command(actions, "show", "contact sheets of clusters: local pages with faces, for those entitled to look"))


def _diff(command: argparse.ArgumentParser) -> None:
    command.add_argument("run_a", metavar="RUN_A", help="the earlier run")
    command.add_argument("run_b", metavar="RUN_B", help="the later run")
    command.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    command.add_argument(
        "--limit",
        type=_count,
        default=10,
        metavar="N",
        help="largest merges and splits to list (default: %(default)s)",
    )


def _show(command: argparse.ArgumentParser) -> None:
    command.add_argument("clusters", nargs="*", metavar="ID", help="cluster ids; or else one of the next two")
    command.add_argument("--largest", type=_positive, metavar="N", help="the N largest clusters")
    command.add_argument(
        "--suspicious",
        type=_positive,
        metavar="N",
        help="the N clusters most likely of several people: those whose faces are least alike on average",
    )
    command.add_argument("--to", required=True, metavar="DIR", help="local folder for the pages, new or made by show")
    command.add_argument("--run", metavar="RUN_ID", help="run to look at (default: the published one)")


def _enrol(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    text = "make a gallery of known subjects for identify; the file holds embeddings and names, so protect it"
    command = commands.add_parser("enrol", help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "--images", required=True, metavar="TABLE", help=".csv or .parquet file with a column uri; several per subject"
    )
    command.add_argument("--subject", required=True, metavar="COL", help="column with the person on the image")
    command.add_argument(
        "--output", required=True, metavar="FILE", help="the gallery, .parquet: a local file outside any run, mode 0600"
    )
    _settings(command)


def _identify(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    text = "search a gallery for the faces of images (1:N); the answer may be unknown"
    command = commands.add_parser("identify", help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "--gallery", required=True, metavar="FILE", help="a file of facelib enrol; it holds embeddings, so protect it"
    )
    command.add_argument(
        "--probes", required=True, metavar="URI", help="folder, s3://bucket/prefix, or .csv/.parquet manifest of images"
    )
    command.add_argument(
        "--output", required=True, metavar="FILE", help=".csv or .parquet: a local file outside any run, mode 0600"
    )
    command.add_argument("--top", type=_positive, default=1, metavar="N", help="candidates per face (default: 1)")
    command.add_argument(
        "--method",
        choices=("nearest", "svm"),
        default="nearest",
        help="nearest template, or a linear machine per subject (default: %(default)s)",
    )
    group = command.add_mutually_exclusive_group()
    group.add_argument("--threshold", type=float, metavar="T", help="similarity that must be exceeded")
    group.add_argument(
        "--fpir",
        type=float,
        metavar="RATE",
        help="false-positive identification rate wanted; the threshold is estimated from the gallery (default: 0.01)",
    )
    _settings(command)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
