"""The expectations that follow from a contract, as plain data (Great Expectations types and arguments)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from schemas.contract import Column, Table, Type

Severity = Literal["critical", "warning"]
_LISTS = (Type.LIST_FLOAT32, Type.LIST_STRING)


@dataclass(frozen=True)
class Expectation:
    """One expectation: its Great Expectations type, its arguments, and what its failure means."""

    type: str
    arguments: dict[str, Any]
    severity: Severity = "critical"


def suite(table: Table) -> list[Expectation]:
    """Key uniqueness, nulls, ranges and sets that the table's declaration promises.

    List columns are compared by key only: the keys of `balance` hold lists and are made by us, not read.
    """
    out: list[Expectation] = []
    if not any(table.column(k).type in _LISTS for k in table.key):
        out.append(_unique(table.key))
    for column in table:
        if column.name != "run_id":
            out += _of_column(column)
    return out + EXTRA.get(table.name, [])


def _unique(key: tuple[str, ...]) -> Expectation:
    if len(key) == 1:
        return Expectation("expect_column_values_to_be_unique", {"column": key[0]})
    return Expectation("expect_compound_columns_to_be_unique", {"column_list": list(key)})


def _of_column(c: Column) -> list[Expectation]:
    out = []
    if not c.nullable:
        out.append(Expectation("expect_column_values_to_not_be_null", {"column": c.name}))
    if c.values:
        out.append(Expectation("expect_column_values_to_be_in_set", {"column": c.name, "value_set": list(c.values)}))
    elif c.minimum is not None or c.maximum is not None:
        arguments = {"column": c.name, "min_value": c.minimum, "max_value": c.maximum}
        out.append(Expectation("expect_column_values_to_be_between", arguments))
    return out


EXTRA: dict[str, list[Expectation]] = {
    "images": [
        Expectation("expect_table_row_count_to_be_between", {"min_value": 1}),
        Expectation(
            "expect_column_proportion_of_non_null_values_to_be_between",
            {"column": "content_sha256", "min_value": 0.5},
            "warning",
        ),
    ],
    "faces": [
        Expectation("expect_table_row_count_to_be_between", {"min_value": 1}),
        Expectation("expect_column_mean_to_be_between", {"column": "quality_score", "min_value": 0.1}, "warning"),
    ],
}
