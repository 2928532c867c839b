"""Two finished runs side by side, read on the driver without a Spark session."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facelib.reports.balance_difference import balance_difference, categories_of
from facelib.reports.cell_changes import BalanceDifference
from facelib.reports.matched_units import (
    CLUSTER_COLUMNS,
    FACE_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    RunUnits,
    matched_units,
)
from facelib.spark.evaluation import FinishedRun
from facelib.storage import StorageSettings
from schemas.audit_tables import BALANCE, LOSSES
from schemas.contract import Table
from schemas.tables import CLUSTERS, FACES, IMAGES, LABELS


def compare_balance(output: str, run_a: str, run_b: str, storage: StorageSettings) -> BalanceDifference:
    """What changed in the balance and in the losses from run a to run b of one output.

    ConfigError when there is no such run, or it has no balance yet. Two runs of a million images with four attributes
    take 1.1 GB of memory.
    """
    runs = [FinishedRun.open(output, run_id, storage) for run_id in (run_a, run_b)]
    balance = [_rows(run, BALANCE) for run in runs]
    losses = [_rows(run, LOSSES) for run in runs]
    units = matched_units(_units(runs[0]), _units(runs[1]), categories_of(balance))
    return balance_difference(balance[0], balance[1], (losses[0], losses[1]), units)


def _rows(run: FinishedRun, table: Table) -> list[dict[str, Any]]:
    """The rows of a small table as they were written, under whatever version of its contract."""
    parts = [pq.read_table(io.BytesIO(run.store.get(key))) for key in run.record.files(table)]
    rows: list[dict[str, Any]] = pa.concat_tables(parts).to_pylist()
    return rows


def _units(run: FinishedRun) -> RunUnits:
    return RunUnits(
        images=run.read(IMAGES, IMAGE_COLUMNS),
        faces=run.read(FACES, FACE_COLUMNS),
        clusters=run.read(CLUSTERS, CLUSTER_COLUMNS),
        labels=run.read(LABELS, LABEL_COLUMNS),
    )
