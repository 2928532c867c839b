"""`facelib bench`: the benchmarks of the source checkout, in a process with the environment of extraction."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import facelib
from facelib.errors import ConfigError
from facelib.isolation import ENVIRONMENT


def command(arguments: argparse.Namespace) -> int:
    """Run the benchmarks named in `arguments.benchmark` (all when empty); returns their exit code.

    Raises ConfigError when facelib is installed without its source checkout.
    """
    benchmarks = benchmarks_folder()
    paths = (str(benchmarks.parent), str(benchmarks.parents[1]), os.environ.get("PYTHONPATH"))
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    run = [sys.executable, "-m", "benchmarks", *arguments.benchmark]
    return subprocess.run(run, env=os.environ | environment, check=False).returncode


def benchmarks_folder() -> Path:
    """The folder tests/benchmarks beside the package; ConfigError when facelib does not run from a checkout."""
    folder = Path(facelib.__file__).resolve().parents[1] / "tests" / "benchmarks"
    if not (folder / "harness.py").is_file():
        raise ConfigError("facelib bench needs tests/benchmarks, which only the source checkout has: run it from there")
    return folder
