"""Running a function in Spark tasks, one item after the other, with the worker's fixed costs kept low."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.machinery import PathFinder
from typing import Protocol, TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

Batches = Iterator[pa.RecordBatch]
T = TypeVar("T")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


class Items(Protocol[T_co]):
    """Items that are counted, and made when they are asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...


def map_items(
    spark: SparkSession,
    items: Sequence[T],
    function: Callable[[T], Batches],
    schema: str | StructType,
    tasks: int | None = None,
) -> DataFrame:
    """The batches that `function` gives for each item, as a frame; one task per item, or `tasks` of them.

    Items travel by broadcast: the whole list reaches every worker, so they must be small (keys, offsets).
    """
    shared = spark.sparkContext.broadcast(list(items))
    rows = spark.range(0, len(items), 1, tasks or max(1, len(items)))

    def run(batches: Batches) -> Batches:
        for batch in batches:
            for i in batch.column(0).to_pylist():
                yield from function(shared.value[i])

    return map_batches(rows, run, schema)


def run_each(spark: SparkSession, items: Items[T], function: Callable[[T], R]) -> list[R]:
    """What `function` gives for each item, in order; one task per item, which alone receives it.

    Items and results are pickled, so both must be small. No frame is involved: one that is made of Python rows costs
    every task a second worker. Tasks of all calls share the same workers; those of frames have others.
    """

    def run(received: Iterator[T]) -> Iterator[R]:
        settle()
        return map(function, received)

    results: list[R] = spark.sparkContext.parallelize(items, len(items)).mapPartitions(run).collect()
    return results


def map_batches(frame: DataFrame, function: Callable[[Batches], Batches], schema: str | StructType) -> DataFrame:
    """`frame.mapInArrow` in workers that have been settled."""

    def run(batches: Batches) -> Batches:
        settle()
        yield from function(batches)

    return frame.mapInArrow(run, schema)


@cache
def settle() -> None:
    """Once per worker: stop Python from reading the directories of Spark's zip archives before each task.

    Spark puts pyspark.zip and py4j.zip on the workers' path, and its worker calls
    `importlib.invalidate_caches()` at the start of every task, which reads both directories again (0.2 s).
    Where pyspark is installed as a package too, the archives are not needed.
    """
    archives = [p for p in sys.path if p.endswith(".zip") and ("pyspark" in p or "py4j" in p)]
    elsewhere = [p for p in sys.path if p not in archives]
    if not all(PathFinder.find_spec(package, elsewhere) for package in ("pyspark", "py4j")):
        return
    for path in archives:
        sys.path.remove(path)
    for path in list(sys.path_importer_cache):
        if path.startswith(tuple(archives)):
            del sys.path_importer_cache[path]
