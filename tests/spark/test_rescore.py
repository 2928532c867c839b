"""Thresholds moved without reading an image again."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from conftest import Output, ServedArchive, copy_image, facelib, label_options

from facelib.demo.archive import PlantedArchive
from schemas.tables import TABLES

pytestmark = pytest.mark.spark


def without_run(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by key: Spark may write them in another order."""
    return sorted(({**row, "run_id": ""} for row in rows), key=lambda row: [row[k] for k in TABLES[table].key])


def test_rescore_decides_anew_from_what_was_extracted(
    s3: ServedArchive, archive: PlantedArchive, tmp_path: Path
) -> None:
    for name in sorted(archive.planted["subject_of"])[:40]:
        copy_image(archive, name, tmp_path / "images" / name)
    s3.server.upload_folder(tmp_path / "images", "images", "rescored")
    out = str(tmp_path / "out")
    audit = ("--set", "audit.min_cell=3", "--set", "audit.edges={ita_deg=[10, 41.5]}")
    options = (*audit, "--set", "extract.shard_images=16")
    assert facelib("run", "--images", "s3://images/rescored", "--output", out, *options, *label_options(archive)) == 0
    output = Output(out)
    first = output.current
    before = {t: output.rows(t) for t in ("images", "faces", "labels", "clusters")}
    check_measured_labels(before["labels"], before["faces"])
    check_withheld(output)
    half = statistics.median(r["quality_score"] for r in before["faces"])

    s3.reads.clear()
    s3.server.reset_counts()
    assert facelib("rescore", "--output", out, "--set", f"quality.min_quality={half}") == 0
    assert s3.server.counts()["LIST"] == 0
    assert s3.reads == []
    assert output.current != first
    record = output.record()
    assert record["config"]["quality"]["min_quality"] == half
    assert record["config"]["audit"]["min_cell"] == 3
    assert record["arguments"]["rescored"] == first
    for table in ("images", "labels"):
        assert without_run(table, output.rows(table)) == without_run(table, before[table])
    pairs = (without_run("faces", rows) for rows in (before["faces"], output.rows("faces")))
    for old, new in zip(*pairs, strict=True):
        is_usable = old["is_usable"] and old["quality_score"] >= half
        assert new["is_usable"] == is_usable
        assert {**old, "is_usable": is_usable, "reason": new["reason"]} == new
    assert 0 < sum(r["is_usable"] for r in output.rows("faces")) < sum(r["is_usable"] for r in before["faces"])
    roles = {r["face_id"]: r["role"] for r in output.rows("clusters")}
    assert all(roles[r["face_id"]] != "core" for r in output.rows("faces") if not r["is_usable"])

    assert facelib("rescore", "--output", out, "--run", first) == 0
    for table, rows in before.items():
        assert without_run(table, output.rows(table)) == without_run(table, rows), table


def check_measured_labels(labels: list[dict], faces: list[dict]) -> None:
    """Skin tone where the light allows it, cut at the declared edges."""
    found = {r["image_id"]: r["value"] for r in labels if r["attribute"] == "ita_deg"}
    main = [r for r in faces if r["face_id"].endswith("-0") and r["ita_is_reliable"]]
    names = ("<10", "[10, 41.5)", "≥41.5")
    assert found == {r["image_id"]: names[(r["ita_deg"] >= 10) + (r["ita_deg"] >= 41.5)] for r in main}
    assert len(found) > 5
    assert {r["source"] for r in labels if r["attribute"] == "ita_deg"} == {"measured"}


def check_withheld(output: Output) -> None:
    """No count of a group below 3 is in any table, and some are withheld; missing labels may be few."""
    balance = output.rows("balance")
    assert any(r["is_suppressed"] for r in balance)
    assert all(r["n"] in (None, 0) or r["n"] >= 3 for r in balance if None not in r["groups"])
    hidden = {
        (r["attributes"][0], r["groups"][0])
        for r in balance
        if r["unit"] == "image" and len(r["groups"]) == 1 and r["is_suppressed"]
    }
    for r in output.rows("losses"):
        if (r["attribute"], r["group"]) in hidden:
            assert r["n_in"] is r["n_out"] is r["rate"] is None


def test_rescore_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert facelib("rescore", "--output", str(tmp_path)) == 2
    assert "holds no published run" in capsys.readouterr().err
    assert facelib("rescore", "--output", str(tmp_path), "--run", "none") == 2
    assert "there is no run none" in capsys.readouterr().err
