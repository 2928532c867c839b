"""What must not be published is refused with one sentence and the right exit code."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Output, copy_image, facelib

from facelib.demo.archive import PlantedArchive

pytestmark = pytest.mark.spark


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip()


def test_archive_without_a_face_is_degenerate(spark, archive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for name in ("scenery/gradient.jpg", "damaged/notes.jpg"):
        copy_image(archive, name, tmp_path / "images" / name)
    assert facelib("run", "--images", str(tmp_path / "images"), "--output", str(tmp_path / "out")) == 4
    assert "no face was detected" in said(capsys)
    output = Output(str(tmp_path / "out"))
    assert not output.has_current
    (run_id,) = output.runs()
    assert (output.record(run_id)["status"], output.record(run_id)["exit_code"]) == ("failed", 4)
    assert sorted(r["reason"] for r in output.rows("images", run_id)) == ["no_face", "not_an_image"]


def test_giant_cluster_is_degenerate(spark, archive: PlantedArchive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    code = facelib(
        "run", "--images", str(archive.images), "--output", str(out),
        "--set", "cluster.floor=-0.99", "--set", "cluster.max_cluster_share=0.05",
    )  # fmt: skip
    assert code == 4
    assert "one cluster holds" in said(capsys)
    assert not Output(str(out)).has_current


def test_stages_one_by_one_and_a_gate_that_closes(spark, archive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    for name in sorted(archive.planted["subject_of"])[:24]:
        copy_image(archive, name, tmp_path / "images" / name)
    out = str(tmp_path / "out")
    assert facelib("extract", "--images", str(tmp_path / "images"), "--output", out) == 0
    assert facelib("check", "--output", out) == 2
    assert "has no table labels yet" in said(capsys)
    for stage in ("embed", "cluster"):
        assert facelib(stage, "--output", out) == 0
    assert facelib("balance", "--output", out, "--label-budget", "7", "--label-attribute", "hair") == 0
    assert "7 images to label next" in capsys.readouterr().out
    (plan,) = {r["attribute"] for r in Output(out).rows("label_plan", Output(out).runs()[0])}
    assert plan == "hair"
    labels = ["--labels", str(archive.labels), "--label-key", "file", "--attributes", "glasses"]
    assert facelib("balance", "--output", out, *labels) == 0
    output = Output(out)
    assert not output.has_current

    (run_id,) = output.runs()
    part = next((tmp_path / "out" / "runs" / run_id / "clusters").glob("*.parquet"))
    intact = part.read_bytes()
    rows = pq.read_table(io.BytesIO(intact))
    pq.write_table(pa.concat_tables([rows, rows.slice(0, 1)]), part)
    capsys.readouterr()
    assert facelib("check", "--output", out) == 3
    assert "do not add up" in said(capsys)
    assert not output.has_current
    failed = [c for c in output.rows("checks", run_id) if not c["success"]]
    assert {c["expectation"] for c in failed} == {"expect_column_values_to_be_unique", "rows_add_up"}

    part.write_bytes(intact)
    assert facelib("check", "--output", out) == 0
    assert output.current == run_id
    assert facelib("embed", "--output", out) == 2
    assert "published and never changes" in said(capsys)


def test_a_wrong_model_file_shows_in_a_task_and_is_a_wrong_setting(spark, archive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    copy_image(archive, sorted(archive.planted["subject_of"])[0], tmp_path / "images" / "a.jpg")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    yunet = ("--set", "detect.detector=yunet", "--set", f"detect.model_path={tmp_path / 'model.onnx'}")
    assert facelib("extract", "--images", str(tmp_path / "images"), "--output", str(tmp_path / "out"), *yunet) == 2
    assert said(capsys).startswith("facelib: model_path is not a whole ONNX model")


def test_crash_of_a_task_is_reported_and_not_published(spark, archive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    copy_image(archive, sorted(archive.planted["subject_of"])[0], tmp_path / "images" / "a.jpg")
    out = tmp_path / "out"
    assert facelib("extract", "--images", str(tmp_path / "images"), "--output", str(out)) == 0
    for shard in out.glob("store/extracted/*/*.parquet"):
        shard.write_bytes(b"not parquet")
    assert facelib("embed", "--output", str(out)) == 1
    assert "crashed with" in said(capsys)
    assert not (out / "CURRENT").exists()
    assert os.listdir(out / "runs")
