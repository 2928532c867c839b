"""The command line without Spark: what is accepted, and one sentence and an exit code for what is not."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import facelib
from facelib import errors
from facelib.cli import commands
from facelib.cli.arguments import build_parser
from facelib.cli.main import main
from facelib.errors import FacelibError

pytestmark = pytest.mark.unit

COMMANDS = (
    "run",
    "extract",
    "embed",
    "cluster",
    "balance",
    "check",
    "rescore",
    "report",
    "export",
    "clusters",
    "evaluate",
    "demo",
    "bench",
    "enrol",
    "identify",
)
RUN = ["run", "--images", "in", "--output", "out"]
IDENTIFY = ["identify", "--gallery", "g.parquet", "--probes", "in", "--output", "found.csv"]


@pytest.fixture(autouse=True)
def _facelib_log() -> Iterator[None]:
    """The log is set up once per command; tests must not inherit it from each other."""
    log = logging.getLogger("facelib")
    before = (log.handlers[:], log.level, log.propagate)
    yield
    for handler in log.handlers:
        handler.close()
    log.handlers[:], log.level, log.propagate = before


def parse(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(arguments)


def test_every_command_is_parsed_and_can_be_run() -> None:
    assert set(commands.COMMANDS) == set(COMMANDS)
    needed = {
        "run": ["--images", "in"],
        "extract": ["--images", "in"],
        "report": ["--to", "report.html"],
        "export": ["--to", "set"],
        "clusters": ["diff", "a", "b"],
        "evaluate": ["verification"],
        "enrol": ["--images", "in.csv", "--subject", "person"],
        "identify": ["--gallery", "g.parquet", "--probes", "in"],
        "demo": [],
        "bench": [],
    }
    for name in COMMANDS:
        output = [] if name == "bench" else ["--output", "out"]
        assert parse(name, *needed.get(name, []), *output).command == name


def test_options_of_run() -> None:
    found = parse(*RUN, "--attributes", "a, b,,c", "--set", "a.b=1", "--set", "c.d=x=y", "--config", "f.toml")
    assert found.attributes == ("a", "b", "c")
    assert found.assignments == ["a.b=1", "c.d=x=y"]
    assert (found.config, found.labels, found.subject, found.log) == ("f.toml", None, None, None)
    assert (parse(*RUN).attributes, parse(*RUN).assignments) == ((), [])


def test_options_of_clusters_diff() -> None:
    found = parse("clusters", "diff", "a", "b", "--output", "out")
    assert (found.action, found.run_a, found.run_b, found.format, found.limit) == ("diff", "a", "b", "text", 10)
    found = parse("clusters", "diff", "--limit", "0", "--format", "json", "--output", "out", "a", "b")
    assert (found.run_a, found.run_b, found.format, found.limit) == ("a", "b", "json", 0)


def test_an_action_of_clusters_is_run_by_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facelib.cli.diff_command.command", lambda arguments: len(arguments.run_a))
    assert main(["clusters", "diff", "seven77", "b", "--output", "out"]) == 7


@pytest.mark.parametrize("command", [RUN, ["cluster", "--output", "out"]], ids=["run", "cluster"])
def test_the_run_whose_ids_are_kept_can_be_named(command: list[str]) -> None:
    assert parse(*command).previous is None
    assert parse(*command, "--previous", "none").previous == "none"


@pytest.mark.parametrize("command", [RUN, ["cluster", "--output", "out"], ["rescore", "--output", "out"]])
def test_a_cohort_can_be_given(command: list[str]) -> None:
    assert parse(*command).cohort is None
    assert parse(*command, "--cohort", "g.parquet").cohort == "g.parquet"


def test_assignments_are_not_shared_between_command_lines() -> None:
    parse(*RUN, "--set", "a.b=1")
    assert parse(*RUN).assignments == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND; see facelib --help"),
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "required: --output, --images; see facelib run --help"),
        (["run", "--output", "o"], "required: --images"),
        ([*RUN, "--atributes", "a"], "unrecognized arguments: --atributes a"),
        ([*RUN, "--attr", "a"], "unrecognized arguments: --attr a"),
        ([*RUN, "--set"], "argument --set: expected one argument"),
        (["export", "--output", "o"], "required: --to"),
        (["export", "--output", "o", "--to", "t", "--split-by", "image"], "--split-by: invalid choice: 'image'"),
        (["demo", "--identities", "many"], "--identities: invalid int value: 'many'"),
        ([*IDENTIFY, "--top", "0"], "--top: 0 is not a whole number of 1 or more"),
        ([*IDENTIFY, "--threshold", "0.9", "--fpir", "0.1"], "--fpir: not allowed with argument --threshold"),
        ([*IDENTIFY, "--output", "s3://b/found.csv"], "--output s3://b/found.csv is not a local path"),
        ([*IDENTIFY, "--output", "found.txt"], "--output found.txt is neither .csv nor .parquet"),
        ([*IDENTIFY, "--threshold", "nan"], "--threshold is nan: give a number"),
        (["enrol", "--images", "in", "--subject", "s", "--output", "g.csv"], "g.csv is not a .parquet file"),
        (["enrol", "--images", "in", "--subject", "s", "--output", "g.parquet"], "--images in is not a table"),
        ([*RUN, "--label-key", "file"], "--label-key needs a labels file: add --labels FILE"),
        ([*RUN, "--subject", "person"], "--subject needs a labels file"),
        ([*RUN, "--attributes", "a"], "--attributes needs a labels file"),
        ([*RUN, "--labels", "l.csv"], "--labels needs --label-key"),
        ([*RUN, "--labels", "l.csv", "--label-key", "file"], "--labels needs --attributes or --subject"),
        ([*RUN, "--set", "cluster.neighbors=3"], "section cluster has no key neighbors"),
        ([*RUN, "--set", "cluster.neighbours=few"], "--set cluster.neighbours: 'few' is not int"),
        ([*RUN, "--set", "clusters.neighbours=3"], "there is no section clusters"),
        ([*RUN, "--config", "gone.toml"], "config file gone.toml does not exist"),
        (["run", "--images", "ftp://x/y", "--output", "out"], "unknown scheme 'ftp'"),
        (["balance", "--output", "out", "--subject", "p"], "--subject needs a labels file"),
        (["embed", "--output", "out", "--run", "20240101"], "there is no run 20240101"),
        (["cluster", "--output", "out"], "holds no run yet"),
        (["export", "--output", "out", "--to", "t"], "holds no published run"),
        (["evaluate"], "required: WHAT; see facelib evaluate --help"),
        (["evaluate", "clusters"], "required: --output; see facelib evaluate clusters --help"),
        (["evaluate", "clusters", "--output", "o", "--subject", "s"], "--subject needs a labels file"),
        (["evaluate", "clusters", "--output", "o", "--labels", "l"], "--labels needs --label-key"),
        (["evaluate", "clusters", "--output", "o", "--labels", "l", "--label-key", "f"], "--labels needs --subject"),
        (["evaluate", "clusters", "--output", "o"], "holds no published run"),
        (["evaluate", "clusters", "--output", "o", "--run", "2024"], "there is no run 2024"),
        (["evaluate", "verification", "--output", "o", "--fmr", "1e-3,low"], "1e-3,low is not a list of numbers"),
        (["evaluate", "verification", "--output", "o", "--resamples", "-1"], "--resamples: -1 is not a whole number"),
        (["clusters"], "required: ACTION; see facelib clusters --help"),
        (["clusters", "diff", "a", "--output", "o"], "required: RUN_B; see facelib clusters diff --help"),
        (["clusters", "diff", "a", "b"], "required: --output"),
        (["clusters", "diff", "a", "b", "--output", "o", "--limit", "-1"], "--limit: -1 is not a whole number"),
        (["clusters", "diff", "a", "b", "--output", "o", "--format", "csv"], "--format: invalid choice: 'csv'"),
        (["clusters", "diff", "a", "b", "--output", "o"], "there is no run a"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_code_two(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("facelib: ")
    assert message in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_an_archive_that_is_not_there_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(RUN) == 5
    assert "does not exist: check the path" in capsys.readouterr().err


def with_command(monkeypatch: pytest.MonkeyPatch, command: Callable[[argparse.Namespace], int]) -> None:
    monkeypatch.setitem(commands.COMMANDS, "run", command)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def command(arguments: argparse.Namespace) -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FacelibError("m"), 1),
        (errors.ConfigError("m"), 2),
        (errors.GateError("m"), 3),
        (errors.DegenerateResultError("m"), 4),
        (errors.StorageError("m"), 5),
        (errors.ObjectNotFoundError("m"), 5),
        (errors.AccessDeniedError("m"), 5),
        (errors.ConflictError("m"), 5),
        (errors.ReadFailedError("m"), 5),
    ],
)
def test_every_expected_failure_has_its_exit_code(
    error: FacelibError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_command(monkeypatch, raising(error))
    assert main(RUN) == code
    assert capsys.readouterr().err == "facelib: m\n"


def test_the_exit_code_of_a_command_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with_command(monkeypatch, lambda arguments: 0 if arguments.images == "in" else 7)
    assert main(RUN) == 0


def test_a_crash_is_one_sentence_and_a_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with_command(monkeypatch, raising(KeyError("secret name")))
    log = tmp_path / "log.txt"
    assert main([*RUN, "--log", str(log)]) == 1
    assert capsys.readouterr().err == "facelib: crashed with KeyError; the log has the details\n"
    assert "Traceback" in log.read_text()


def test_an_interruption_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_command(monkeypatch, raising(KeyboardInterrupt()))
    assert main(RUN) == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"facelib {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"facelib {facelib.__version__}\n"


def test_the_module_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facelib.cli.main", "run"], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 2
    assert done.stderr.startswith("facelib: the following arguments are required")
    assert done.stdout == ""
