"""What every stage works with."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from tqdm import tqdm

from facelib import errors
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place, read_arrow, read_table, write_arrow, write_frame
from facelib.storage import ObjectStore, open_store
from schemas.contract import Table

log = logging.getLogger("facelib")


@dataclass(frozen=True)
class StageContext:
    """Session, configuration, output place and record of the run at hand."""

    spark: SparkSession
    config: PipelineConfig
    place: Place
    record: RunRecord

    @property
    def store(self) -> ObjectStore:
        """The output's store, on the driver."""
        return open_store(self.place.uri, self.place.settings)

    def write(self, frame: DataFrame, table: Table, rows: int) -> int:
        """Write a frame as the run's table, one file per million of the expected rows; returns its rows."""
        files = 1 + rows // 1_000_000
        return self.record.add_table(table, write_frame(frame, table, self.place, self.record.folder(table), files))

    def write_arrow(self, data: pa.Table, table: Table) -> int:
        """Write a driver-side table, run_id added, as the run's table; returns its rows."""
        data = data.append_column("run_id", pa.array([self.record.run_id] * len(data), pa.string()))
        return self.record.add_table(table, write_arrow(data, table, self.place, self.record.folder(table)))

    def read(self, table: Table, columns: list[str] | None = None) -> DataFrame:
        """A table of the run as a frame."""
        return read_table(self.spark, self.place, self.record.files(table), table, columns)

    def read_arrow(self, table: Table, columns: list[str] | None = None) -> pa.Table:
        """A table of the run on the driver."""
        return read_arrow(self.place, self.record.files(table), table, columns)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time and log a stage, and save the record when it ends well."""
        log_event("stage_started", run_id=self.record.run_id, stage=name)
        with self.record.stage(name) as facts:
            yield facts
        self.record.save(self.store)
        log_event("stage_finished", run_id=self.record.run_id, stage=name, **facts)

    @contextlib.contextmanager
    def job(self, description: str, tasks: int) -> Iterator[None]:
        """Name the Spark jobs of the block, and show their finished tasks on a terminal."""
        context = self.spark.sparkContext
        group = f"{self.record.run_id} {description}"
        context.setJobGroup(group, description)
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(self.spark, group, description, tasks, done), daemon=True)
        if sys.stderr.isatty():
            watcher.start()
        try:
            yield
        except (PySparkException, Py4JJavaError) as error:
            cause = _cause(str(error))
            if cause is None:
                raise
            raise cause from error
        finally:
            done.set()
            if watcher.is_alive():
                watcher.join()
            context.setLocalProperty("spark.jobGroup.id", None)
            context.setLocalProperty("spark.job.description", None)


def _cause(text: str) -> errors.FacelibError | None:
    """The FacelibError a task raised, as far as Spark's text of the failure still tells."""
    for name, message in re.findall(r"facelib\.errors\.(\w+): (.+)", text):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.FacelibError):
            return kind(message.strip())
    return None


def log_event(event: str, **facts: Any) -> None:
    """One JSON line in the log."""
    log.info(json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **facts}, ensure_ascii=False))


def _watch(spark: SparkSession, group: str, description: str, tasks: int, done: threading.Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    with tqdm(total=tasks, desc=description, unit="task", leave=False) as bar:
        while not done.wait(0.3):
            infos = [tracker.getJobInfo(j) for j in tracker.getJobIdsForGroup(group)]
            stages = {s for info in infos if info for s in info.stageIds}
            finished = sum(info.numCompletedTasks for s in stages if (info := tracker.getStageInfo(s)))
            bar.update(min(finished, tasks) - bar.n)
