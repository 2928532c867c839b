"""Arguments of the commands that read a finished run, and of the gallery."""

from __future__ import annotations

import argparse

from facelib.cli.parser import Parser, add_action, add_command, add_settings, count, names, positive


def add_report(command: argparse.ArgumentParser) -> None:
    """Arguments of `facelib report`."""
    command.add_argument("--run", metavar="RUN_ID", help="run to report on (default: the published one)")
    command.add_argument("--to", required=True, metavar="FILE", help="the report, one file")
    command.add_argument(
        "--format",
        choices=("html", "croissant", "datasheet"),
        default="html",
        help="the page for auditors; the tables as MLCommons Croissant (JSON-LD, paths below the run's folder); the "
        "datasheet of the archive (Markdown) (default: %(default)s)",
    )


def add_label_plan(command: argparse.ArgumentParser) -> None:
    """Arguments of `facelib balance` for a plan of labels."""
    group = command.add_argument_group("plan of labels")
    group.add_argument(
        "--label-budget", metavar="N", type=positive, help="choose N images to label next: table label_plan"
    )
    group.add_argument(
        "--label-attribute",
        metavar="A",
        help="attribute to label (default: the only one that some main faces have no label of)",
    )
    group.add_argument(
        "--to",
        metavar="FILE",
        help="write the plan with the paths of the images here, .csv or .parquet outside any run, and leave the run as "
        "it is (default of --run: the published one)",
    )


def add_export(command: argparse.ArgumentParser) -> None:
    """Arguments of `facelib export`."""
    command.add_argument("--run", metavar="RUN_ID", help="run to export (default: the published one)")
    command.add_argument("--to", required=True, metavar="FOLDER", help="local folder for the training set")
    command.add_argument(
        "--split-by",
        choices=("cluster", "subject"),
        default="cluster",
        help="keep all faces of one on the same side (default: %(default)s)",
    )
    command.add_argument("--attributes", metavar="A,B", type=names, default=(), help="labels to balance and export")


def add_evaluate(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """The command `facelib evaluate` with its two subcommands."""
    text = "compare a run with verified subjects"
    evaluate = commands.add_parser("evaluate", help=text, description=text, allow_abbrev=False)
    kinds = evaluate.add_subparsers(dest="evaluation", required=True, metavar="WHAT", parser_class=Parser)
    clusters = add_command(kinds, "clusters", "agreement of the clusters with subjects, overall and by group")
    verification = add_command(kinds, "verification", "errors of comparing one face with one other")
    for command in (clusters, verification):
        command.add_argument("--run", metavar="RUN_ID", help="run to evaluate (default: the published one)")
        group = command.add_argument_group("labels (default: those of the run)")
        group.add_argument("--labels", metavar="FILE", help="CSV or Parquet file, one row per image")
        group.add_argument("--label-key", metavar="COL", help="column with the path below --images, or the full URI")
        group.add_argument("--subject", metavar="COL", help="column with the verified person")
        command.add_argument("--json", metavar="FILE", help="write all figures here too")
    clusters.add_argument("--attributes", metavar="A,B", type=names, default=(), help="labels to group the faces by")
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
        verification.add_argument(name, metavar="N", type=count, default=default, help=f"{text} (default: {default})")


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(name) for name in names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers such as 1e-3,1e-4") from None


def add_clusters(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """The command `facelib clusters` with its subcommands."""
    text = "look at the clusters of a run, or compare those of two"
    clusters = commands.add_parser("clusters", help=text, description=text, allow_abbrev=False)
    actions = clusters.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    _diff(add_command(actions, "diff", "what changed between the clusters of two runs"), "merges and splits")
    _show(
        add_command(actions, "show", "contact sheets of clusters: local pages with faces, for who is entitled to look")
    )


def add_balance_diff(command: argparse.ArgumentParser) -> None:
    """The action `facelib balance diff`."""
    _diff(
        add_action(command, "diff", "what changed in the balance between two runs, and whether by more than chance"),
        "changes",
    )


def _diff(command: argparse.ArgumentParser, listed: str) -> None:
    command.add_argument("run_a", metavar="RUN_A", help="the earlier run")
    command.add_argument("run_b", metavar="RUN_B", help="the later run")
    command.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    command.add_argument(
        "--limit",
        type=count,
        default=10,
        metavar="N",
        help=f"largest {listed} to list (default: %(default)s)",
    )


def _show(command: argparse.ArgumentParser) -> None:
    command.add_argument("clusters", nargs="*", metavar="ID", help="cluster ids; or else one of the next two")
    command.add_argument("--largest", type=positive, metavar="N", help="the N largest clusters")
    command.add_argument(
        "--suspicious",
        type=positive,
        metavar="N",
        help="the N clusters most likely of several people: those whose faces are least alike on average",
    )
    command.add_argument("--to", required=True, metavar="DIR", help="local folder for the pages, new or made by show")
    command.add_argument("--run", metavar="RUN_ID", help="run to look at (default: the published one)")


def add_enrol(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """The command `facelib enrol`."""
    text = "make a gallery of known subjects for identify; the file holds embeddings and names, so protect it"
    command = commands.add_parser("enrol", help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "--images", required=True, metavar="TABLE", help=".csv or .parquet file with a column uri; several per subject"
    )
    command.add_argument("--subject", required=True, metavar="COL", help="column with the person on the image")
    command.add_argument(
        "--output", required=True, metavar="FILE", help="the gallery, .parquet: a local file outside any run, mode 0600"
    )
    add_settings(command)


def add_identify(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """The command `facelib identify`."""
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
    command.add_argument("--top", type=positive, default=1, metavar="N", help="candidates per face (default: 1)")
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
    add_settings(command)
