"""What was computed once is not computed again: image GETs are counted at the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import Output, ServedArchive, copy_image, facelib

from facelib.demo.archive import PlantedArchive

pytestmark = pytest.mark.spark
SMALL_SHARDS = ("--set", "extract.shard_images=8")


def names(archive: PlantedArchive) -> list[str]:
    return sorted(archive.planted["subject_of"])


def test_second_run_reads_no_image_and_growth_reads_only_what_is_new(
    s3: ServedArchive, archive: PlantedArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = names(archive)[:40]
    for name in chosen:
        copy_image(archive, name, tmp_path / "images" / name)
    s3.server.upload_folder(tmp_path / "images", "images", "growing")
    command = ("run", "--images", "s3://images/growing", "--output", str(tmp_path / "out"), *SMALL_SHARDS)
    s3.reads.clear()
    assert facelib(*command) == 0
    assert sorted(s3.reads) == sorted(f"growing/{n}" for n in chosen)
    first = Output(str(tmp_path / "out"))
    before = (first.current, first.rows("clusters"))

    s3.reads.clear()
    assert facelib(*command) == 0
    assert s3.reads == []
    assert first.current != before[0]
    unchanged = [{**r, "run_id": ""} for r in first.rows("clusters")]
    assert unchanged == [{**r, "run_id": ""} for r in before[1]]
    assert "nothing changed, 40 images" in balance_diff(first, before[0], capsys)

    extra = names(archive)[40:42]
    for name in extra:
        copy_image(archive, name, tmp_path / "more" / name)
    s3.server.upload_folder(tmp_path / "more", "images", "growing")
    s3.reads.clear()
    assert facelib(*command) == 0
    assert sorted(s3.reads) == sorted(f"growing/{n}" for n in extra)
    assert first.record()["stages"]["extract"]["shards_computed"] == 1
    assert first.record()["stages"]["embed"]["shards_computed"] == 1
    assert len(first.rows("images")) == 42
    assert "images    40 → 42: 40 in both, 0 only before, 2 only after" in balance_diff(first, before[0], capsys)


def balance_diff(output: Output, run_a: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert facelib("balance", "diff", run_a, output.current, "--output", output.uri) == 0
    return capsys.readouterr().out


def test_killed_driver_goes_on_where_it_stopped(s3: ServedArchive, archive: PlantedArchive, tmp_path: Path) -> None:
    chosen = names(archive)[:48]
    for name in chosen:
        copy_image(archive, name, tmp_path / "images" / name)
    s3.server.upload_folder(tmp_path / "images", "images", "killed")
    out = tmp_path / "out"
    command = ["run", "--images", "s3://images/killed", "--output", str(out), "--set", "extract.shard_images=4"]
    s3.reads.clear()
    driver = subprocess.Popen(
        [sys.executable, "-m", "facelib.cli.main", *command, "--set", "spark.master=local[1,4]"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while len(finished(out)) < 3 and time.monotonic() < deadline:
        assert driver.poll() is None, "the driver ended before it could be killed"
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    done = finished(out)
    assert 3 <= len(done) < 12
    assert not (out / "CURRENT").exists()
    written = {p: p.stat().st_mtime_ns for p in done}

    s3.reads.clear()
    assert facelib(*command) == 0
    assert len(s3.reads) == len(chosen) - 4 * len(done)
    assert len(set(s3.reads)) == len(s3.reads)
    assert {p: p.stat().st_mtime_ns for p in done} == written
    assert len(Output(str(out)).rows("images")) == 48


def finished(out: Path) -> list[Path]:
    return [p for p in out.glob("store/extracted/*/*.parquet") if not p.name.startswith(".")]


def test_shard_size_changes_no_result(spark, archive: PlantedArchive, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tables = []
    for size in (16, 1000):
        out = tmp_path / f"out-{size}"
        code = facelib(
            "run", "--images", str(archive.images), "--output", str(out), "--set", f"extract.shard_images={size}"
        )
        assert code == 0
        output = Output(str(out))
        drop = ("run_id", "shard")
        tables.append(
            {
                t: output.table(t).drop_columns([c for c in drop if c in output.table(t).column_names])
                for t in ("images", "faces", "clusters", "edges")
            }
        )
    for name, table in tables[0].items():
        assert table.equals(tables[1][name]), name


def test_the_same_pictures_elsewhere_give_the_same_clusters(spark, archive: PlantedArchive, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Other names put the faces in another order of ids, and images of the same bytes too."""
    found = []
    for turn, place in enumerate(("here", "there")):
        chosen = names(archive)[:60]
        for number, name in enumerate(chosen):
            copy_image(archive, name, tmp_path / place / f"{number if turn else len(chosen) - number:03d}.jpg")
        out = Output(str(tmp_path / f"out-{place}"))
        assert facelib("run", "--images", str(tmp_path / place), "--output", out.uri) == 0
        content = {row["image_id"]: row["content_sha256"] for row in out.rows("images")}
        members = defaultdict(set)
        for row in out.rows("clusters"):
            members[row["cluster_id"]].add((content[row["image_id"]], row["face_id"].rpartition("-")[2], row["role"]))
        found.append((out.rows("clusters")[0]["face_id"], {frozenset(m) for m in members.values()}))
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]
    assert 1 < len(found[0][1]) < 60
