"""Contracts: documented, recorded by version, castable, and readable by Spark's Arrow converter."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import from_arrow_schema

from facelib.spark.types import spark_schema
from facelib.training.export import training_table
from schemas import TABLES, Column, Table, dictionary
from schemas.arrow import arrow_schema, conform, empty
from schemas.contract import Type
from schemas.expectations import suite

pytestmark = pytest.mark.unit

ALL_TABLES = [*TABLES.values(), training_table(("gender", "age"))]
EXAMPLE = Table(
    "example",
    1,
    "example",
    ("name", "index"),
    (
        Column("run_id", Type.STRING, "the run"),
        Column("name", Type.STRING, "name", values=("a", "b")),
        Column("index", Type.INT64, "index", "px", minimum=0),
        Column("share", Type.FLOAT32, "share; null when unknown", "0–1", True, 0, 1),
        Column("seen_at", Type.TIMESTAMP, "when", "UTC", True),
        Column("vector", Type.LIST_FLOAT32, "vector"),
    ),
)
ROW: dict[str, Any] = {
    "run_id": "r",
    "name": "a",
    "index": 3,
    "share": 0.5,
    "seen_at": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    "vector": [1.0, 2.0],
}


def example(**changes: Any) -> pa.Table:
    return pa.Table.from_pylist([ROW | changes])


def with_share(change: dict[str, Any]) -> Table:
    """EXAMPLE with another column `share`."""
    columns = tuple(dataclasses.replace(c, **change) if c.name == "share" else c for c in EXAMPLE)
    return dataclasses.replace(EXAMPLE, columns=columns)


def test_the_data_dictionary_is_up_to_date() -> None:
    assert dictionary.DICTIONARY.read_text("utf-8") == dictionary.dictionary(), "run python -m schemas.dictionary"


def test_every_column_is_documented_with_its_unit_and_range() -> None:
    text = dictionary.dictionary()
    for table in TABLES.values():
        section = text.split(f"## `{table.name}` (")[1].split("\n## ")[0]
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
        assert [r[0].strip("| `") for r in rows] == table.names
        assert all(len(r) == 6 and r[5].strip(" |") for r in rows), table.name
    assert "| `brightness` | float32 | 0–1 | yes | 0 … 1 | mean luma |" in text


def test_every_version_is_recorded() -> None:
    recorded = dictionary.published()
    for table in TABLES.values():
        assert recorded[table.name][str(table.version)] == table.fingerprint()
    assert dictionary.unrecorded_changes(TABLES, recorded) == []


@pytest.mark.parametrize(
    "change",
    [
        {"type": Type.FLOAT64},
        {"unit": "%"},
        {"nullable": False},
        {"maximum": 2},
        {"minimum": None},
        {"name": "rate"},
        {"values": ("x",)},
    ],
)
def test_a_changed_column_needs_a_version_step(change: dict[str, Any]) -> None:
    recorded = {EXAMPLE.name: {"1": EXAMPLE.fingerprint()}}
    altered = with_share(change)
    (problem,) = dictionary.unrecorded_changes({EXAMPLE.name: altered}, recorded)
    assert problem == "table example changed but is still version 1: step its version"
    stepped = dataclasses.replace(altered, version=2)
    assert dictionary.unrecorded_changes({EXAMPLE.name: stepped}, recorded) == []


@pytest.mark.parametrize(
    "altered",
    [
        dataclasses.replace(EXAMPLE, columns=EXAMPLE.columns[:-1]),
        dataclasses.replace(EXAMPLE, columns=EXAMPLE.columns[::-1]),
        dataclasses.replace(EXAMPLE, key=("name",)),
    ],
    ids=["dropped", "reordered", "key"],
)
def test_dropped_and_moved_columns_and_keys_count_as_changes(altered: Table) -> None:
    assert len(dictionary.unrecorded_changes({"example": altered}, {"example": {"1": EXAMPLE.fingerprint()}})) == 1


def test_rewording_a_meaning_is_no_change() -> None:
    assert with_share({"meaning": "another wording"}).fingerprint() == EXAMPLE.fingerprint()


def test_writing_refuses_an_unstepped_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published, document = tmp_path / "published.json", tmp_path / "dictionary.md"
    monkeypatch.setattr(dictionary, "PUBLISHED", published)
    monkeypatch.setattr(dictionary, "DICTIONARY", document)
    assert dictionary.main() == 0
    assert document.read_text("utf-8") == dictionary.dictionary()
    recorded = json.loads(published.read_text())
    assert set(recorded) == set(TABLES)
    recorded["edges"][str(TABLES["edges"].version)] = "0" * 16
    published.write_text(json.dumps(recorded))
    document.unlink()
    assert dictionary.main() == 1
    assert "table edges changed" in capsys.readouterr().err
    assert not document.exists()


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda t: t.name)
def test_declarations_are_sound(table: Table) -> None:
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)
    for c in table:
        assert c.meaning
        assert c.minimum is None or c.maximum is None or c.minimum < c.maximum
        assert not (c.values and (c.minimum is not None or c.type is not Type.STRING))


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda t: t.name)
def test_spark_reads_every_arrow_type_as_declared(table: Table) -> None:
    """The oracle is Spark's own converter, which rejects unsigned and fixed-size-list types."""
    assert from_arrow_schema(arrow_schema(table)) == spark_schema(table)


def test_arrow_schema_carries_version_unit_and_meaning() -> None:
    schema = arrow_schema(EXAMPLE)
    assert schema.metadata == {b"facelib.table": b"example", b"facelib.version": b"1"}
    assert schema.field("index").metadata == {b"unit": b"px", b"meaning": b"index"}
    assert not schema.field("index").nullable
    assert schema.field("share").nullable


def test_spark_schema_of_some_columns_keeps_their_order() -> None:
    assert spark_schema(EXAMPLE, ["share", "name"]).names == ["share", "name"]
    with pytest.raises(KeyError, match="table example has no column rate"):
        spark_schema(EXAMPLE, ["rate"])


def test_conform_orders_casts_and_drops() -> None:
    data = example(index=7).append_column("extra", pa.array([1]))
    data = data.select(["extra", *reversed(EXAMPLE.names)])
    found = conform(data.set_column(1, "vector", pa.array([[1.5, 2.5]], pa.large_list(pa.float64()))), EXAMPLE)
    assert found.schema.equals(arrow_schema(EXAMPLE), check_metadata=True)
    assert found.to_pylist() == [ROW | {"index": 7, "vector": [1.5, 2.5]}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (example().drop_columns(["index"]), "table example: column index is missing"),
        (example(index="many"), "table example: column index is not int64"),
        (example(index=1.5), "table example: column index is not int64"),
        (example(vector=[["x"]]), r"table example: column vector is not list<float32>"),
        (example(vector=3), r"table example: column vector is not list<float32>"),
        (example(name=None), "table example: column name holds 1 nulls"),
        (example(seen_at="yesterday"), "table example: column seen_at is not timestamp_us_utc"),
    ],
)
def test_conform_names_the_column_that_breaks_the_contract(data: pa.Table, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conform(data, EXAMPLE)


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda t: t.name)
def test_an_empty_table_conforms(table: Table) -> None:
    assert conform(empty(table), table).num_rows == 0


def test_suite_promises_what_the_declaration_says() -> None:
    found = {(e.type.removeprefix("expect_"), e.arguments.get("column")): e.arguments for e in suite(EXAMPLE)}
    assert found == {
        ("compound_columns_to_be_unique", None): {"column_list": ["name", "index"]},
        ("column_values_to_not_be_null", "name"): {"column": "name"},
        ("column_values_to_be_in_set", "name"): {"column": "name", "value_set": ["a", "b"]},
        ("column_values_to_not_be_null", "index"): {"column": "index"},
        ("column_values_to_be_between", "index"): {"column": "index", "min_value": 0, "max_value": None},
        ("column_values_to_be_between", "share"): {"column": "share", "min_value": 0, "max_value": 1},
        ("column_values_to_not_be_null", "vector"): {"column": "vector"},
    }


def test_keys_that_hold_lists_are_not_compared() -> None:
    assert not [e for e in suite(TABLES["balance"]) if "unique" in e.type]
    assert [e.arguments for e in suite(TABLES["faces"]) if "unique" in e.type] == [{"column": "face_id"}]


@pytest.mark.parametrize(
    ("column", "allowed"),
    [
        (Column("a", Type.INT64, "x"), ""),
        (Column("a", Type.INT64, "x", minimum=1), "1 … ∞"),
        (Column("a", Type.INT64, "x", maximum=8), "−∞ … 8"),
        (Column("a", Type.STRING, "x", values=("p", "q")), "p, q"),
    ],
)
def test_allowed_range_as_text(column: Column, allowed: str) -> None:
    assert column.allowed == allowed
