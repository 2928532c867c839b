"""Extraction from an S3 that fails, against the same S3 that does not: time, and what became of every object."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from benchmarks.archives import scratch
from benchmarks.faulty_server import PERMANENT, TRANSIENT, permanent
from benchmarks.results_file import Result
from benchmarks.small_faces import small_faces
from benchmarks.timing import ratios, spread
from facelib.config import config_dict, config_hash
from facelib.errors import FacelibError
from facelib.spark.context import StageContext
from facelib.spark.extract_stage import extract_stage
from facelib.spark.listing import list_archive
from facelib.spark.pipeline_config import PipelineConfig, with_endpoint
from facelib.spark.run_record import RunRecord
from facelib.spark.session import SparkSettings, build_session
from facelib.spark.tables import Place
from schemas.tables import IMAGES

PACKAGES = ("pyspark", "boto3", "moto")
_REASONS = {404: "not_found", 412: "changed"}


@dataclass(frozen=True)
class _Pass:
    """One extraction: wall seconds of its stage, the outcome of every key, and what the server did."""

    seconds: float
    outcomes: dict[str, str]
    served: dict[str, Any]


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Wall clock of both, in turn; FacelibError when an object did not end as it must."""
    n, repetitions = (200, 1) if quick else (5000, 3)
    images = small_faces(n)
    faulty, plain = [], []
    with _server(small_faces(64), "none") as (env, _):
        os.environ.update(env)  # Python workers keep the credentials that the session starts with
    with build_session(SparkSettings(master="local[2,4]"), "facelib-bench") as spark:
        _pass(spark, small_faces(64), "none")
        for repetition in range(repetitions):
            ways = [(plain, "none"), (faulty, "faults")]
            for passes, kind in ways[:: -1 if repetition % 2 else 1]:
                passes.append(_pass(spark, images, kind))
    for found in plain:
        _check(found, plain[0], is_faulty=False)
    for found in faulty:
        _check(found, plain[0], is_faulty=True)
    return [_table(plain, faulty, n)]


def _pass(spark: SparkSession, images: Path, kind: str) -> _Pass:
    with _server(images, kind) as (env, served), scratch() as out:
        os.environ.update(env)
        config = with_endpoint(PipelineConfig())
        record = RunRecord.begin("s3://images", {}, config_dict(config), config_hash(config))
        context = StageContext(spark, config, Place(f"file://{out}", config.storage), record)
        listing = list_archive("s3://images", config)
        begun = time.monotonic()
        extract_stage(context, listing)
        seconds = time.monotonic() - begun
        rows = context.read_arrow(IMAGES, ["uri", "status", "reason"]).to_pylist()
    return _Pass(seconds, {r["uri"]: r["reason"] or r["status"] for r in rows}, served)


@contextmanager
def _server(images: Path, kind: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Environment of its clients; and what it did, once it has ended."""
    command = [sys.executable, "-m", "benchmarks.faulty_server", str(images), kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    served: dict[str, Any] = {}
    try:
        yield json.loads(process.stdout.readline()), served
    finally:
        process.stdin.close()
        served.update(json.loads(process.stdout.readline()))
        process.wait()


def _check(found: _Pass, plain: _Pass, is_faulty: bool) -> None:
    for uri, outcome in plain.outcomes.items():
        fault = permanent(uri.removeprefix("s3://images/")) if is_faulty else None
        expected = outcome if fault is None else _REASONS[fault]
        if found.outcomes.get(uri) != expected:
            raise FacelibError(f"an object ended as {found.outcomes.get(uri)}, not as {expected}")
    if len(found.outcomes) != len(plain.outcomes):
        raise FacelibError("there are rows of objects that were never listed")


def _table(plain: list[_Pass], faulty: list[_Pass], n: int) -> Result:
    slower = ratios([p.seconds for p in faulty], [p.seconds for p in plain])
    rows = [
        (name, f"{statistics.median(p.seconds for p in passes):.1f}", f"{statistics.median(ratio):.2f}", spread(ratio))
        for name, passes, ratio in (("no faults", plain, [1.0] * len(plain)), ("faults", faulty, slower))
    ]
    injected = ", ".join(f"{count} × {fault}" for fault, count in sorted(faulty[0].served["injected"].items()))
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(Counter(faulty[0].outcomes.values()).items())
    )
    shares = ", ".join(f"{share:.1%} {fault}" for fault, share in (*TRANSIENT.items(), *PERMANENT.items()))
    notes = (
        f"{n} objects of 112 × 112 px, a face in each; `local[2,4]`, moto's S3 server on the same two cores; "
        f"{len(plain)} interleaved repetitions; wall clock of the extract stage with its tables.",
        f"Faults: {shares} of the GETs (503, reset and truncated; drawn anew for each attempt) or keys (404 vanished, "
        f"412 changed). Injected in the first repetition: {injected}; {faulty[0].served['requests']} GETs in all, "
        f"{plain[0].served['requests']} without faults.",
        "Every transient fault was recovered and every lasting one is a row with its reason, in all repetitions: "
        f"{outcomes}.",
    )
    return Result("Extraction from a failing S3", ("", "s", "against no faults", "min–max"), tuple(rows), notes)
