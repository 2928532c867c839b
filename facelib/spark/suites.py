"""Great Expectations suites over a table, on the driver or in Spark."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Real
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from schemas.contract import Table
from schemas.expectations import Expectation

Rows = list[dict[str, Any]]
_SOURCE = "rows"


def run_suite(table: Table, expectations: Sequence[Expectation], rows: pa.Table | DataFrame) -> Rows:
    """One row (contract `checks`, without run_id) per expectation, the same whether the rows are on the driver or in
    Spark. No cell value ever leaves them: results are counts only."""
    if not expectations:
        return []
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    with _quiet():
        sources = _context().data_sources
        is_local = isinstance(rows, pa.Table)
        source = sources.add_pandas(_SOURCE) if is_local else sources.add_spark(_SOURCE)
        try:
            batch = (
                source.add_dataframe_asset(table.name)
                .add_batch_definition_whole_dataframe("all")
                .get_batch({"dataframe": _as_spark_compares(rows).to_pandas() if is_local else rows})
            )
            wanted = [get_expectation_impl(e.type)(**e.arguments, meta={"severity": e.severity}) for e in expectations]
            made = gx.ExpectationSuite(table.name, expectations=wanted)
            result = batch.validate(made, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
        finally:
            sources.delete(_SOURCE)
    return [_row(table, r) for r in result.results]


@cache
def _context() -> Any:
    """One for all suites, because each makes a folder of its own."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _as_spark_compares(rows: pa.Table) -> pa.Table:
    """Floats as float64, because limits are; NaN, which pandas takes for null and Spark for the largest number, as
    infinity."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            wide = rows.column(at).cast(pa.float64())
            rows = rows.set_column(at, field.name, pc.if_else(pc.is_nan(wide), pa.scalar(math.inf), wide))
    return rows


def _row(table: Table, result: Any) -> dict[str, Any]:
    config, found = result.expectation_config, result.result
    columns = config.kwargs.get("column_list") or [config.kwargs.get("column")]
    observed, unexpected = found.get("observed_value"), found.get("unexpected_count")
    applies_to = (found.get("element_count") or 0) - (found.get("missing_count") or 0)
    if found.get("element_count") == 0:
        unexpected = 0
    return {
        "suite": table.name,
        "table_name": table.name,
        "column_name": ", ".join(c for c in columns if c) or None,
        "expectation": config.type,
        "severity": config.meta["severity"],
        "success": bool(result.success),
        "observed": str(observed) if isinstance(observed, Real) else None,
        "n_unexpected": None if unexpected is None else int(unexpected),
        "unexpected_rate": unexpected / applies_to if unexpected is not None and applies_to else None,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No usage statistics and no log lines from Great Expectations."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
