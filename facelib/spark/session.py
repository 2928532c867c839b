"""The Spark session: settings every job needs, and none that belong to the cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from facelib.spark.java import ensure_java
from facelib.threads import ONE_THREAD


@dataclass(frozen=True)
class SparkSettings:
    """`master` is used only where spark-submit has not set one. `shuffle_partitions` 0 = twice the cores."""

    master: str = "local[*,4]"
    shuffle_partitions: int = 0
    ui: bool = False


@contextmanager
def session(settings: SparkSettings) -> Iterator[SparkSession]:
    """The session of a command: an active one is used and left running, else one is started and stopped."""
    active = SparkSession.getActiveSession()
    spark = active or build_session(settings)
    try:
        yield spark
    finally:
        if active is None:
            spark.stop()


def build_session(settings: SparkSettings, app_name: str = "facelib") -> SparkSession:
    """Start (or get) the session. One thread per task; workers use this interpreter; times are UTC micros."""
    ensure_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name)
    if not os.environ.get("PYSPARK_GATEWAY_PORT"):  # which spark-submit sets
        log_file = (Path(__file__).parent / "log4j2.properties").as_uri()
        builder = (
            builder.master(settings.master)
            .config("spark.ui.enabled", str(settings.ui).lower())
            .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={log_file}")
        )
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
        builder = builder.config(f"spark.executorEnv.{name}", "1")
    spark = (
        builder.config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "4096")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.python.worker.reuse", "true")
        .config("spark.sql.adaptive.enabled", "true")
        .getOrCreate()
    )
    partitions = settings.shuffle_partitions or max(2, 2 * spark.sparkContext.defaultParallelism)
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    return spark
