"""Runs benchmarks by name, prints their tables, and records them in RESULTS.md.

A benchmark is a module with `PACKAGES` (whose versions matter) and `run(data, quick)`, which returns tables.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results_file import record, section
from facelib.errors import ConfigError, FacelibError

CHECKOUT = Path(__file__).resolve().parents[2]
BENCHMARKS = {
    "stages": "benchmarks.stages",
    "spark": "benchmarks.spark_tax",
    "kernel": "benchmarks.kernel",
    "clusters": "benchmarks.clusters",
    "identification": "benchmarks.identification",
    "hostile": "benchmarks.hostile",
    "faults": "benchmarks.faults",
    "growth": "benchmarks.growth",
    "quality": "benchmarks.quality",
    "duplicates": "benchmarks.duplicates",
    "detectors": "benchmarks.detectors",
    "readers": "benchmarks.readers",
    "normalisation": "benchmarks.normalisation",
    "planted": "benchmarks.planted",
    "planted_beside": "benchmarks.planted_beside",
    "planted_search": "benchmarks.planted_search",
    "coverage": "benchmarks.coverage",
    "biased_draws": "benchmarks.biased_draws",
    "audit_scale": "benchmarks.audit_scale",
    "added": "benchmarks.added",
    "group_tails": "benchmarks.group_tails",
    "partial_labels": "benchmarks.partial_labels",
}
NEEDS_PHOTOGRAPHS = frozenset(
    {"clusters", "quality", "identification", "normalisation", "group_tails", "partial_labels", "biased_draws"}
)
QUICK = "--quick"


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all; `--quick` takes tiny sizes, to try the code, and records nothing."""
    try:
        data = photographs()
        for name in chosen([a for a in arguments if a != QUICK], data):
            _run(name, data, QUICK in arguments)
    except FacelibError as error:
        sys.stderr.write(f"facelib: {error}\n")
        return error.exit_code
    return 0


def chosen(names: Sequence[str], data: Path | None) -> list[str]:
    """The benchmarks to run; all when `names` is empty, except those that need photographs that are not there.

    Raises ConfigError for an unknown name.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise ConfigError(f"benchmark {name!r} is not known: choose from {', '.join(BENCHMARKS)}")
    if names:
        return list(dict.fromkeys(names))
    if data is None:
        for name in sorted(NEEDS_PHOTOGRAPHS):
            sys.stdout.write(f"left out: {needs_photographs(name)}\n")
    return [n for n in BENCHMARKS if data is not None or n not in NEEDS_PHOTOGRAPHS]


def photographs() -> Path | None:
    """The folder lfw_dev below $FACELIB_DATA, or below ../shared/data of the checkout; None when there is none.

    Raises ConfigError when $FACELIB_DATA is set but holds no lfw_dev.
    """
    given = os.environ.get("FACELIB_DATA")
    folder = (Path(given) if given else CHECKOUT.parent / "shared" / "data") / "lfw_dev"
    if (folder / "images").is_dir():
        return folder
    if given:
        raise ConfigError("FACELIB_DATA names a folder without lfw_dev/images: set it to the folder above lfw_dev")
    return None


def needs_photographs(name: str) -> str:
    """The sentence that says what the benchmark lacks."""
    return f"the benchmark {name} needs the photographs of lfw_dev: set FACELIB_DATA to the folder that holds it"


def _run(name: str, data: Path | None, quick: bool) -> None:
    benchmark = importlib.import_module(BENCHMARKS[name])
    body = section(name, benchmark.run(data, quick), benchmark.PACKAGES)
    sys.stdout.write(f"{body}\n\n")
    if not quick:
        record(name, body)
