"""Arrow schema of a table, and the cast that every written batch goes through."""

from __future__ import annotations

import pyarrow as pa

from schemas.contract import Table, Type

ARROW_TYPE: dict[Type, pa.DataType] = {
    Type.STRING: pa.string(),
    Type.INT64: pa.int64(),
    Type.FLOAT32: pa.float32(),
    Type.FLOAT64: pa.float64(),
    Type.BOOL: pa.bool_(),
    Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    Type.BINARY: pa.binary(),
    Type.LIST_FLOAT32: pa.list_(pa.field("element", pa.float32())),
    Type.LIST_STRING: pa.list_(pa.field("element", pa.string())),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Arrow schema with units and meanings as field metadata, name and version as schema metadata."""
    fields = [
        pa.field(c.name, ARROW_TYPE[c.type], nullable=c.nullable, metadata={"unit": c.unit, "meaning": c.meaning})
        for c in table
    ]
    return pa.schema(fields, metadata={"facelib.table": table.name, "facelib.version": str(table.version)})


def conform(data: pa.Table, table: Table) -> pa.Table:
    """`data` with exactly the table's columns, order and types.

    Raises ValueError naming the table and column when one is missing, cannot be cast, or holds
    nulls although the contract allows none. Columns outside the contract are dropped.
    """
    schema = arrow_schema(table)
    columns = []
    for column, field in zip(table, schema, strict=True):
        if column.name not in data.column_names:
            raise ValueError(f"table {table.name}: column {column.name} is missing")
        try:
            values = data.column(column.name).cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"table {table.name}: column {column.name} is not {column.type}") from error
        if not column.nullable and values.null_count:
            raise ValueError(f"table {table.name}: column {column.name} holds {values.null_count} nulls")
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=schema)


def empty(table: Table) -> pa.Table:
    """The table with no rows."""
    return arrow_schema(table).empty_table()
