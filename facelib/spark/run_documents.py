"""The documents beside a run's report, `croissant.json` and `datasheet.md`, from its files; without a Spark job."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from facelib.reports.croissant import FilePart, TableFiles, croissant
from facelib.reports.datasheet import ArchiveFacts, datasheet
from facelib.reports.html.chapter import ReportInput
from facelib.reports.run_words import RunWords
from facelib.spark.evaluation import FinishedRun
from schemas.contract import Table
from schemas.tables import IMAGES, LABELS, TABLES

CROISSANT = "croissant.json"
DATASHEET = "datasheet.md"


@dataclass(frozen=True)
class RunDocuments:
    """All that the documents are made from."""

    words: RunWords
    tables: Sequence[TableFiles]
    archive: ArchiveFacts

    @classmethod
    def of(cls, run: FinishedRun, data: ReportInput) -> RunDocuments:
        """Reads every file of the run's tables once, for its digest; one file at a time is in memory."""
        found: list[TableFiles] = []
        footers: dict[str, list[Any]] = {}
        for table in TABLES.values():
            if table.name in run.record.tables and not table.is_store:
                files, footers[table.name] = _files(run, table)
                found.append(files)
        return cls(RunWords(data, _sources(run)), found, _archive(footers.get(IMAGES.name, [])))

    def files(self) -> Mapping[str, str]:
        """Name and text of each document."""
        return {CROISSANT: self.croissant(), DATASHEET: self.datasheet()}

    def croissant(self) -> str:
        """`croissant.json`."""
        return croissant(self.words, self.tables)

    def datasheet(self) -> str:
        """`datasheet.md`."""
        return datasheet(self.words, self.tables, self.archive)


def _files(run: FinishedRun, table: Table) -> tuple[TableFiles, list[Any]]:
    """The files of a table, and the Parquet footer of each."""
    folder = f"runs/{run.record.run_id}/"
    parts: list[FilePart] = []
    footers: list[Any] = []
    held: set[str] = set()
    for key in run.record.files(table):
        data = run.store.get(key)
        footer = pq.read_metadata(io.BytesIO(data))
        names = set(footer.schema.to_arrow_schema().names)
        held = held & names if footers else names
        footers.append(footer)
        digest = hashlib.sha256(data).hexdigest()
        parts.append(FilePart(key.removeprefix(folder), digest, len(data), footer.num_rows))
    columns = tuple(column for column in table if column.name in held)
    return TableFiles(table, columns, tuple(parts)), footers


def _sources(run: FinishedRun) -> dict[str, tuple[str, ...]]:
    """By attribute of `labels`, where its values come from."""
    if LABELS.name not in run.record.tables:
        return {}
    rows = run.read(LABELS, ["attribute", "source"]).group_by(["attribute", "source"]).aggregate([]).to_pylist()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["attribute"], []).append(row["source"])
    return {attribute: tuple(sorted(sources)) for attribute, sources in sorted(found.items())}


def _archive(footers: Sequence[Any]) -> ArchiveFacts:
    """From the statistics in the footers of `images`."""
    days = _range(footers, "modified_at")
    return ArchiveFacts(_filled(footers, "duplicate_of"), _filled(footers, "near_duplicate_group"), days)


def _statistics(footers: Sequence[Any], column: str) -> list[tuple[int, Any]]:
    """Rows and statistics of every row group that holds the column."""
    found = []
    for footer in footers:
        names = [footer.schema.column(i).path for i in range(footer.num_columns)]
        for group in range(footer.num_row_groups) if column in names else ():
            rows = footer.row_group(group)
            found.append((rows.num_rows, rows.column(names.index(column)).statistics))
    return found


def _filled(footers: Sequence[Any], column: str) -> int | None:
    """Values of a column that are not null; None where a file does not say."""
    parts = _statistics(footers, column)
    if not parts or any(s is None or not s.has_null_count for _, s in parts):
        return None
    return sum(int(rows - s.null_count) for rows, s in parts)


def _range(footers: Sequence[Any], column: str) -> tuple[str, str] | None:
    """First and last day of a column of times; None where no file says."""
    known = [s for _, s in _statistics(footers, column) if s is not None and s.has_min_max]
    if not known:
        return None
    return min(s.min for s in known).date().isoformat(), max(s.max for s in known).date().isoformat()
