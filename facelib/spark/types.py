"""Spark schema of a table contract."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import types as t

from schemas.contract import Table, Type

SPARK_TYPE: dict[Type, t.DataType] = {
    Type.STRING: t.StringType(),
    Type.INT64: t.LongType(),
    Type.FLOAT32: t.FloatType(),
    Type.FLOAT64: t.DoubleType(),
    Type.BOOL: t.BooleanType(),
    Type.TIMESTAMP: t.TimestampType(),
    Type.BINARY: t.BinaryType(),
    Type.LIST_FLOAT32: t.ArrayType(t.FloatType()),
    Type.LIST_STRING: t.ArrayType(t.StringType()),
}


def spark_schema(table: Table, columns: Sequence[str] | None = None) -> t.StructType:
    """Spark schema of the table, or of some of its columns in the given order."""
    chosen = [table.column(name) for name in columns] if columns else list(table)
    return t.StructType([t.StructField(c.name, SPARK_TYPE[c.type], c.nullable) for c in chosen])
