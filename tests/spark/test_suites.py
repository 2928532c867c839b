"""Suites say the same of rows on the driver and of the same rows in Spark, faults included."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from facelib.spark.check_stage import CHECKED
from facelib.spark.suites import run_suite
from schemas.arrow import arrow_schema
from schemas.contract import Column, Table, Type
from schemas.expectations import Expectation, suite
from schemas.tables import CHECKS, TABLES

pytestmark = pytest.mark.spark

EXAMPLE = Table(
    "example",
    1,
    "row",
    ("a", "b"),
    (
        Column("a", Type.STRING, "key"),
        Column("b", Type.STRING, "key", nullable=True),
        Column("kind", Type.STRING, "one of two", values=("x", "y")),
        Column("n", Type.INT64, "count", nullable=True, minimum=1),
        Column("share", Type.FLOAT32, "share", nullable=True, minimum=0, maximum=0.1),
        Column("height", Type.FLOAT64, "at least 0", minimum=0),
        Column("names", Type.LIST_STRING, "list"),
        Column("is_on", Type.BOOL, "switch", nullable=True),
    ),
)
SOUND: dict[str, Any] = {
    "a": "1", "b": "1", "kind": "x", "n": 3, "share": 0.05, "height": 1.0, "names": ["p"], "is_on": True
}  # fmt: skip
MORE = [
    Expectation("expect_column_values_to_be_unique", {"column": "a"}),
    Expectation("expect_table_row_count_to_be_between", {"min_value": 3}),
    Expectation("expect_column_mean_to_be_between", {"column": "n", "min_value": 1.5}, "warning"),
    Expectation(
        "expect_column_proportion_of_non_null_values_to_be_between", {"column": "n", "min_value": 0.5}, "warning"
    ),
]


def both(spark: SparkSession, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a suite says of the rows on the driver, after it is shown to say the same in Spark."""
    schema = arrow_schema(EXAMPLE)
    found = pa.Table.from_pylist(rows, schema=pa.schema([field.with_nullable(True) for field in schema]))
    frame = spark.createDataFrame(found)
    expectations = [*suite(EXAMPLE), *MORE]
    local = run_suite(EXAMPLE, expectations, found)
    assert local == run_suite(EXAMPLE, expectations, frame)
    return local


def failed(found: list[dict[str, Any]]) -> dict[tuple[str, str], int | None]:
    """Unexpected rows by column, and what the expectation's name says after its first word."""
    return {
        (row["column_name"], row["expectation"].removeprefix("expect_column_").removeprefix("values_to_")): row[
            "n_unexpected"
        ]
        for row in found
        if not row["success"]
    }


def test_faults_are_counted_alike(spark: SparkSession) -> None:
    sound = [SOUND | {"a": str(i), "n": i + 1} for i in range(4)]
    assert failed(both(spark, sound)) == {}
    faults = [
        SOUND | {"a": "0"},
        SOUND | {"a": None, "b": None, "kind": None, "height": None, "names": None},
        SOUND | {"a": "7", "kind": "z", "n": 0, "share": 0.11, "is_on": None},
        SOUND | {"a": "8", "n": None, "share": math.nan, "height": -1.0},
        SOUND | {"a": "8", "n": None, "share": -0.5, "height": math.nan},
    ]
    assert failed(both(spark, [*sound, *faults])) == {
        ("a, b", "expect_compound_columns_to_be_unique"): 4,
        ("a", "not_be_null"): 1,
        ("kind", "not_be_null"): 1,
        ("kind", "be_in_set"): 1,
        ("n", "be_between"): 1,
        ("a", "be_unique"): 4,
        ("share", "be_between"): 3,
        ("height", "not_be_null"): 1,
        ("height", "be_between"): 1,
        ("names", "not_be_null"): 1,
    }


def test_no_rows_and_only_nulls(spark: SparkSession) -> None:
    unknown = {("n", "mean_to_be_between"): None, ("n", "proportion_of_non_null_values_to_be_between"): None}
    assert failed(both(spark, [])) == {(None, "expect_table_row_count_to_be_between"): None} | unknown
    nothing = [SOUND | {"a": str(i), "n": None, "share": None} for i in range(3)]
    assert failed(both(spark, nothing)) == unknown


def test_every_table_but_the_result_is_checked() -> None:
    assert {t.name for t in TABLES.values() if not t.is_store} - {t.name for t in CHECKED} == {CHECKS.name}
