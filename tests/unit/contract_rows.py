"""Rows under a contract from the few columns a test cares about, and runs made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place, to_parquet
from facelib.storage import open_store
from schemas.arrow import arrow_schema
from schemas.contract import Column, Table, Type

_DEFAULTS: dict[Type, Any] = {
    Type.STRING: "x",
    Type.INT64: 1,
    Type.FLOAT32: 0.5,
    Type.FLOAT64: 0.5,
    Type.BOOL: False,
    Type.TIMESTAMP: datetime(2026, 1, 2, tzinfo=UTC),
    Type.LIST_FLOAT32: [0.0],
    Type.LIST_STRING: [],
}


def rows_of(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows with all columns of the contract: null where it may be, else something that its type allows."""
    filled = [{c.name: row.get(c.name, _default(c)) for c in table} for row in rows]
    return pa.Table.from_pylist(filled, schema=arrow_schema(table))


def _default(column: Column) -> Any:
    if column.nullable:
        return None
    return column.values[0] if column.values else _DEFAULTS[column.type]


def write_run(place: Place, record: RunRecord, tables: Mapping[Table, Sequence[pa.Table]]) -> None:
    """Write each table as so many files, and the record."""
    store = open_store(place.uri, place.settings)
    for table, parts in tables.items():
        files = {}
        for number, part in enumerate(parts):
            key = f"{record.folder(table)}/part-{number:05d}.parquet"
            store.put(key, to_parquet(part, table))
            files[key] = part.num_rows
        record.add_table(table, files)
    record.save(store)
