"""Labels file (CSV or Parquet, one row per image) to an Arrow table of strings."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from facelib.errors import ConfigError


@dataclass(frozen=True)
class LabelColumns:
    """Columns of a labels file: the image key, the verified person (or None), the attributes."""

    key: str
    subject: str | None
    attributes: tuple[str, ...]


def read_label_file(data: bytes, name: str, columns: LabelColumns) -> pa.Table:
    """Labels of a CSV (UTF-8, comma, header row) or Parquet file; `name` decides by its suffix.

    Returns one row per image in the order of the file, all columns string: `key` (never null),
    `subject` (null throughout when `columns.subject` is None), then every attribute under its own
    name. Values are stripped of surrounding whitespace and otherwise kept; numbers of a Parquet
    file become their decimal text. Missing (null) is only: a null, an empty or blank text, a
    floating-point NaN; "NA" or "unknown" are values like any other. Rows that are identical in
    these columns collapse to the first.

    Raises ConfigError for an unknown suffix, an unreadable file, a missing or doubled column, a
    row without key, and a key with conflicting rows. No message holds a value of the file.
    """
    _check_attribute_names(columns.attributes)
    suffix = name.rpartition(".")[2].lower()
    if suffix not in _READERS:
        raise ConfigError(f"labels file {name} is neither .csv nor .parquet: convert it to one of them")
    wanted = [columns.key, *([columns.subject] if columns.subject is not None else []), *columns.attributes]
    raw = _READERS[suffix](data, name, list(dict.fromkeys(wanted)))
    texts = {c: _texts(raw.column(c), name, c) for c in raw.column_names}
    subject = pa.nulls(raw.num_rows, pa.string()) if columns.subject is None else texts[columns.subject]
    table = pa.table(
        [texts[columns.key], subject, *(texts[a] for a in columns.attributes)],
        names=["key", "subject", *columns.attributes],
    )
    return _one_row_per_key(table, name, columns.key)


def _check_attribute_names(attributes: Sequence[str]) -> None:
    taken = {"key", "subject"} & set(attributes)
    if taken or len(set(attributes)) < len(attributes):
        raise ConfigError("attributes repeat a column or use the name key or subject: rename or drop it")


def _check_columns(names: Sequence[str], wanted: Sequence[str], file: str) -> None:
    times = Counter(names)
    for column in wanted:
        if times[column] != 1:
            fault = "no column" if times[column] == 0 else "more than one column"
            raise ConfigError(f"labels file {file} has {fault} {column}: its columns are {', '.join(names)}")


def _read_csv(data: bytes, file: str, wanted: list[str]) -> pa.Table:
    names, n_lines = _csv_header(data, file)
    _check_columns(names, wanted, file)
    if not data.endswith(b"\n"):
        data += b"\n"  # Arrow rejects a header without a line end
    bad_rows: list[Any] = []

    def stop_at(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    try:
        return pacsv.read_csv(
            pa.BufferReader(data),
            pacsv.ReadOptions(use_threads=False, column_names=names, skip_rows_after_names=n_lines),
            pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=stop_at),
            pacsv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted),
        )
    except (pa.ArrowException, OSError):
        if not bad_rows:
            raise ConfigError(f"labels file {file} is not a readable CSV: save it as UTF-8 with commas") from None
        bad = bad_rows[0]
        raise ConfigError(
            f"labels file {file} has {bad.actual_columns} fields instead of {bad.expected_columns} "
            f"in row {bad.number}: quote fields that hold a comma"
        ) from None


def _csv_header(data: bytes, file: str) -> tuple[list[str], int]:
    """Stripped column names, and the number of rows up to and with them."""
    try:
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""))
        for number, row in enumerate(rows, start=1):
            if row:
                return [column.strip() for column in row], number
    except (csv.Error, UnicodeDecodeError):
        raise ConfigError(f"labels file {file} is not a readable CSV: save it as UTF-8 with commas") from None
    raise ConfigError(f"labels file {file} is empty: it needs a header row")


def _read_parquet(data: bytes, file: str, wanted: list[str]) -> pa.Table:
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data))
        _check_columns(parquet.schema_arrow.names, wanted, file)
        return parquet.read(columns=wanted)
    except (pa.ArrowException, OSError):
        raise ConfigError(f"labels file {file} is not a readable Parquet file: write it again") from None


_READERS: dict[str, Callable[[bytes, str, list[str]], Any]] = {"csv": _read_csv, "parquet": _read_parquet}


def _texts(column: Any, file: str, name: str) -> Any:
    """The column as stripped strings, null where missing."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        stripped = pc.utf8_trim_whitespace(column.cast(pa.string()))
    except pa.ArrowException:
        raise ConfigError(
            f"column {name} of labels file {file} has type {column.type}: write it as text or numbers"
        ) from None
    return pc.if_else(pc.equal(stripped, ""), pa.scalar(None, pa.string()), stripped)


def _one_row_per_key(table: pa.Table, file: str, key: str) -> pa.Table:
    n_without = table.column("key").null_count
    if n_without:
        raise ConfigError(f"labels file {file} has {n_without} rows without a value in {key}: fill or drop them")
    n_keys = pc.count_distinct(table.column("key")).as_py()
    if n_keys == table.num_rows:
        return table
    names = [str(i) for i in range(table.num_columns)]
    numbered = pa.table([*table.columns, np.arange(table.num_rows)], names=[*names, "row"])
    firsts = numbered.group_by(names).aggregate([("row", "min")]).column("row_min").to_numpy()
    distinct = table.take(pa.array(np.sort(firsts)))
    if distinct.num_rows > n_keys:
        repeats = pc.value_counts(distinct.column("key")).field("counts")
        n_conflicts = pc.sum(pc.greater(repeats, 1)).as_py()
        raise ConfigError(
            f"labels file {file} has {n_conflicts} values of {key} with conflicting rows: keep one row per image"
        )
    return distinct
