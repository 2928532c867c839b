"""Cost per image and memory of the driver as the archive grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.archives import scratch
from benchmarks.results_file import Result
from benchmarks.small_faces import small_faces

PACKAGES = ("pyspark", "pyarrow", "numpy", "torch")
_SIZES = (1_000, 10_000, 100_000)
_HEAP_MB = 512


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """One extraction per size, each by a driver of its own."""
    sizes = (100, 200) if quick else _SIZES
    found = [_measured(n) for n in sizes]
    first = found[0]["tasks"] / sizes[0]
    rows = [
        (
            f"{n:,}",
            f"{1000 * f['tasks'] / n:.2f}",
            f"{f['tasks'] / n / first:.2f}",
            f"{1000 * f['seconds'] / n:.2f}",
            f"{f['driver_mb']:,}",
            f"{f['jvm_mb']:,}",
            f"{f['worker_mb']:,}",
        )
        for n, f in zip(sizes, found, strict=True)
    ]
    columns = (
        "objects", "task CPU s per 1,000", "against the smallest", "wall s per 1,000",
        "driver Python MB", "JVM MB", "largest worker MB",
    )  # fmt: skip
    notes = (
        "112 × 112 px pictures with a face each, in a local folder; `local[2,4]`; the extract stage with its tables. "
        "Wall clock includes the start of the workers and the loading of models, which small archives feel.",
        "Memory: largest resident size of the driver's Python process, of the JVM (driver and executor in one, with a "
        f"heap of at most {_HEAP_MB} MB: without a limit it grows before it collects), and of any worker process.",
    )
    return [Result("Cost and memory as the archive grows", columns, tuple(rows), notes, text_columns=0)]


def _measured(n: int) -> dict[str, Any]:
    images = small_faces(n)
    with scratch() as out:
        command = [sys.executable, "-m", "benchmarks.growth", str(images), out]
        environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--driver-memory {_HEAP_MB}m pyspark-shell"}
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def _extract(images: str, out: str) -> Iterator[tuple[str, float]]:
    """The figures of one extraction, measured by its driver."""
    from benchmarks.timing import child_pids
    from facelib.cli.main import main
    from facelib.isolation import peak_resident_bytes
    from facelib.spark.run_record import RunRecord, latest_run_id
    from facelib.spark.session import SparkSettings, build_session
    from facelib.storage import open_store

    with build_session(SparkSettings(master="local[2,4]"), "facelib-bench"):
        assert main(["extract", "--images", images, "--output", out, "--log", os.devnull]) == 0
        store = open_store(out)
        stages = RunRecord.load(store, latest_run_id(store)).stages
        yield "tasks", stages["extract"]["cpu_seconds"]
        yield "seconds", stages["extract"]["seconds"] + stages["images"]["seconds"]
        yield "worker_mb", stages["extract"]["worker_peak_mb"]
        yield "driver_mb", peak_resident_bytes() >> 20
        yield "jvm_mb", max(peak_resident_bytes(pid) for pid in child_pids(os.getpid())) >> 20


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict(_extract(*sys.argv[1:]))) + "\n")
