"""Reading and writing tables through the storage door, by the tasks themselves.

Spark's own readers and writers are not used for data in object storage: no extra jar is needed, one
door holds all credentials and retries, and a table's bytes follow its contract exactly.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from facelib.spark.tasks import Batches, map_batches, map_items
from facelib.spark.types import spark_schema
from facelib.storage import StorageSettings, open_store
from schemas.arrow import arrow_schema, conform
from schemas.contract import Table, Type

RowFunction = Callable[[pa.Table], pa.Table]

_WRITTEN = "key string, rows long"
_ROWS_PER_FILE = 2_000_000


@dataclass(frozen=True)
class Place:
    """A storage root that tasks can open: its URI and how to reach it."""

    uri: str
    settings: StorageSettings


def to_parquet(data: pa.Table, table: Table) -> bytes:
    """Parquet bytes of `data` under its contract: zstd; binary columns plain, without statistics."""
    data = conform(data, table)
    heavy = [c.name for c in table if c.type in (Type.BINARY, Type.LIST_FLOAT32)]
    light = [c.name for c in table if c.name not in heavy]
    sink = io.BytesIO()
    pq.write_table(
        data,
        sink,
        compression={n: "NONE" if table.is_store and n in heavy else "zstd" for n in table.names},
        use_dictionary=[n for n in light if table.column(n).type is Type.STRING],
        write_statistics=light,
        coerce_timestamps="us",
    )
    return sink.getvalue()


def write_frame(frame: DataFrame, table: Table, place: Place, folder: str, files: int) -> dict[str, int]:
    """Write a frame as `files` Parquet files under `folder`; returns key → rows.

    Rows are sorted by the table's key inside range partitions of it, so equal rows give equal files.
    A retried or speculative task writes the same name.
    """
    key = [frame[k] for k in table.key]
    frame = frame.select(*table.names)
    frame = frame.repartition(1) if files == 1 else frame.repartitionByRange(files, *key)
    frame = frame.sortWithinPartitions(*key)

    def write(batches: Batches) -> Batches:
        from pyspark import TaskContext

        context = TaskContext.get()
        part = context.partitionId() if context else 0
        found = list(batches)
        if found or part == 0:
            data = pa.Table.from_batches(found) if found else arrow_schema(table).empty_table()
            name = f"{folder}/part-{part:05d}.parquet"
            open_store(place.uri, place.settings).put(name, to_parquet(data, table))
            yield pa.RecordBatch.from_pydict({"key": [name], "rows": [data.num_rows]})

    return {r["key"]: r["rows"] for r in map_batches(frame, write, _WRITTEN).collect()}


def write_arrow(data: pa.Table, table: Table, place: Place, folder: str) -> dict[str, int]:
    """Write a driver-side table as Parquet files of up to two million rows under `folder`; returns key → rows."""
    store, written = open_store(place.uri, place.settings), {}
    for number, first in enumerate(range(0, max(1, data.num_rows), _ROWS_PER_FILE)):
        part = data.slice(first, _ROWS_PER_FILE)
        name = f"{folder}/part-{number:05d}.parquet"
        store.put(name, to_parquet(part, table))
        written[name] = part.num_rows
    return written


def read_arrow(
    place: Place,
    keys: Sequence[str],
    table: Table,
    columns: Sequence[str] | None = None,
    only: tuple[str, pa.Array] | None = None,
) -> pa.Table:
    """Read Parquet files on the driver; `only`: a column, and the values of it whose rows are kept.

    Nullable columns that files of an earlier version lack are null."""
    store, schema = open_store(place.uri, place.settings), arrow_schema(table)
    wanted = pa.schema([schema.field(c) for c in columns]) if columns else schema
    is_wanted = None if only is None else pc.field(only[0]).isin(only[1])
    parts = [_read(store.get(key), wanted, is_wanted) for key in keys]
    return pa.concat_tables(parts) if parts else wanted.empty_table()


def _read(data: bytes, wanted: pa.Schema, is_wanted: pc.Expression | None) -> pa.Table:
    stored = pq.read_schema(io.BytesIO(data)).names
    found = pq.read_table(io.BytesIO(data), columns=[n for n in wanted.names if n in stored], filters=is_wanted)
    for at, field in enumerate(wanted):
        if field.name not in stored and field.nullable:
            found = found.add_column(at, field, pa.nulls(len(found), field.type))
    return found.cast(wanted)


def read_frame(
    spark: SparkSession,
    place: Place,
    keys: Sequence[str],
    columns: Sequence[str],
    schema: str | StructType,
    function: RowFunction | None = None,
    file_column: str | None = None,
) -> DataFrame:
    """Read `columns` of Parquet files in tasks, apply `function` to each file's rows, return a frame.

    With `file_column`, each row also says which file (name without folder and suffix) it came from;
    the column is added before `function` runs.
    """
    parallel = spark.sparkContext.defaultParallelism

    def read(key: str) -> Batches:
        store = open_store(place.uri, place.settings)
        data = pq.read_table(io.BytesIO(store.get(key)), columns=list(columns))
        if file_column:
            stem = key.rsplit("/", 1)[-1].removesuffix(".parquet")
            data = data.append_column(file_column, pa.array([stem] * len(data), pa.string()))
        yield from (function(data) if function else data).to_batches()

    return map_items(spark, keys, read, schema, max(1, min(len(keys), 4 * parallel)))


def read_table(
    spark: SparkSession, place: Place, keys: Sequence[str], table: Table, columns: Sequence[str] | None = None
) -> DataFrame:
    """A light table (or some of its columns) as a frame."""
    names = list(columns or table.names)
    return read_frame(spark, place, keys, names, spark_schema(table, names))
