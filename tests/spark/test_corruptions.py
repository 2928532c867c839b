"""An archive of broken files: each is a row, no task fails, nothing takes long."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Output, facelib
from corruptions import corruptions
from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

N = 2000


def test_two_thousand_corruptions_are_two_thousand_rows(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    names = []
    for name, data in corruptions(N):
        (folder / name).write_bytes(data)
        names.append(name)
    assert len(set(names)) == N
    out = tmp_path / "out"
    assert facelib("extract", "--images", str(folder), "--output", str(out), "--set", "decode.timeout_s=10") == 0

    output = Output(str(out))
    (run_id,) = output.runs()
    rows = output.rows("images", run_id)
    assert sorted(r["uri"].rsplit("/", 1)[1] for r in rows) == sorted(names)
    assert all((r["status"] == "ok") == (r["reason"] is None) for r in rows)
    reasons = {r["reason"] for r in rows}
    assert {"truncated", "decode_error", "not_an_image", "no_face"} <= reasons
    assert not {"timeout", "worker_crash"} & reasons
    record = output.record(run_id)
    assert record["stages"]["extract"]["shards_computed"] == -(-N // 256)
    assert failed_tasks(spark, run_id, record["stages"]["extract"]["shards_computed"]) == 0


def failed_tasks(spark: SparkSession, run_id: str, shards: int) -> int:
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(f"{run_id} extract {shards} shards")]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    assert sum(stage.numCompletedTasks for stage in stages if stage) == shards
    return sum(stage.numFailedTasks for stage in stages if stage)
