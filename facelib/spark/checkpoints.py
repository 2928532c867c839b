"""Where iterative algorithms put the frames of their rounds, so that plans do not grow from round to round."""

from __future__ import annotations

from typing import Protocol
from uuid import uuid4

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from facelib.errors import ConfigError


class Checkpoint(Protocol):
    """A place for the rows of a frame."""

    def cut(self, frame: DataFrame) -> DataFrame:
        """The same rows, computed now; their plan begins here."""
        ...

    def release(self, frame: DataFrame) -> None:
        """Give up what `cut` returned: it, and frames made from it, can no longer be read."""
        ...


class LocalCheckpoint:
    """Rows stay with the executors that computed them, in memory, on their disks where it runs short.

    Quick, but not safe: when an executor is lost, or its blocks are dropped, its rows cannot be computed again, for
    the plan that led to them is gone; every later job on them fails ("Checkpoint block … not found") and the caller
    must start over. Where executors come and go (spot instances, dynamic allocation) use `ParquetCheckpoint`.
    """

    def cut(self, frame: DataFrame) -> DataFrame:
        return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)

    def release(self, frame: DataFrame) -> None:
        frame._jdf.queryExecution().analyzed().rdd().unpersist(False)


class ParquetCheckpoint:
    """Rows are Parquet files below a folder that all executors reach, so they outlive every one of them.

    `folder` is any URI that Spark itself writes to (`hdfs://`, a shared disk; `s3a://` with its jars). Without it the
    folder of `SparkContext.setCheckpointDir` is used; ConfigError when there is none. What is not released (results,
    and what a failed computation left) stays below the folder until the caller deletes it.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._written: dict[int, tuple[DataFrame, str]] = {}

    def cut(self, frame: DataFrame) -> DataFrame:
        spark = frame.sparkSession
        folder = self._folder or spark.sparkContext.getCheckpointDir()
        if folder is None:
            raise ConfigError("there is no folder for checkpoints: name one, or set the Spark context's checkpoint dir")
        path = f"{folder}/{uuid4().hex}"
        frame.write.parquet(path)
        written = spark.read.schema(frame.schema).parquet(path)
        self._written[id(written)] = written, path
        return written

    def release(self, frame: DataFrame) -> None:
        context = frame.sparkSession.sparkContext
        path = context._jvm.org.apache.hadoop.fs.Path(self._written.pop(id(frame))[1])
        path.getFileSystem(context._jsc.hadoopConfiguration()).delete(path, True)
