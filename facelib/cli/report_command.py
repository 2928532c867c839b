"""`facelib report`: the report of a finished run, or a document beside it, once more, as a file elsewhere."""

from __future__ import annotations

import argparse
import sys

from facelib.errors import ConfigError
from facelib.storage import open_store

_WORDS = {"html": "report", "croissant": "Croissant", "datasheet": "datasheet"}


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.spark.evaluation import FinishedRun
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.report_stage import run_report

    storage = resolve_config(arguments.config, arguments.assignments).storage
    run = FinishedRun.open(arguments.output, arguments.run, storage)
    parent, slash, name = arguments.to.rpartition("/")
    if not name:
        raise ConfigError(f"--to {arguments.to} names a folder: give a file, such as {arguments.to}report.html")
    target = open_store(parent or slash or ".", storage)
    if f"{target.root}/".startswith(f"{run.store.root}/"):
        raise ConfigError(f"--to {arguments.to} lies inside --output, where finished runs never change: choose another")
    target.put(name, run_report(run, arguments.format).encode())
    sys.stdout.write(f"{_WORDS[arguments.format]} of run {run.record.run_id}\n{arguments.to}\n")
    return 0
