"""Extraction from an S3 that fails: what passes is recovered, what lasts is a row, and too many denials end the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Output, copy_image, facelib
from fault_script import Answer, FaultScript
from pyspark.sql import SparkSession

from facelib.demo.archive import PlantedArchive
from facelib.demo.s3_server import S3Server

pytestmark = pytest.mark.spark

N = 30
ATTEMPTS = 4
QUICK = ("--set", "storage.backoff_s=0.01", "--set", f"storage.attempts={ATTEMPTS}", "--set", "extract.shard_images=8")


@pytest.fixture
def keys(spark: SparkSession, server: S3Server, archive: PlantedArchive, tmp_path: Path) -> Iterator[list[str]]:
    """Keys of N portraits below s3://images/faulty, in the order of their listing."""
    chosen = sorted(archive.planted["subject_of"])[:N]
    for name in chosen:
        copy_image(archive, name, tmp_path / "images" / name)
    server.upload_folder(tmp_path / "images", "images", "faulty")
    yield [f"faulty/{name}" for name in chosen]
    server.fault = None


def extract(out: Path, *options: str) -> int:
    return facelib("extract", "--images", "s3://images/faulty", "--output", str(out), *QUICK, *options)


def outcomes(out: Path) -> dict[str, str]:
    """Reason, or `ok`, of each key in the newest run."""
    output = Output(str(out))
    rows = output.rows("images", output.runs()[-1])
    return {r["uri"].removeprefix("s3://images/"): r["reason"] or r["status"] for r in rows}


def test_every_object_ends_in_its_right_row(server: S3Server, keys: list[str], tmp_path: Path) -> None:
    lasting = {keys[3]: 404, keys[9]: 412, keys[15]: 403, keys[20]: 503}
    passing: dict[str, list[Answer]] = {
        keys[0]: [503], keys[1]: ["reset"], keys[2]: ["truncate"], keys[25]: [500],
        keys[12]: [503, "reset", "truncate"],
    }  # fmt: skip
    answers = passing | {key: [status] * ATTEMPTS for key, status in lasting.items()}
    server.fault = script = FaultScript(lambda key: answers.get(key, []))
    assert extract(tmp_path / "out") == 0
    reasons = {keys[3]: "not_found", keys[9]: "changed", keys[15]: "access_denied", keys[20]: "read_error"}
    found = outcomes(tmp_path / "out")
    assert {key: found[key] for key in reasons} == reasons
    assert {key: script.reads[key] for key in (*passing, *reasons)} == {
        keys[0]: 2, keys[1]: 2, keys[2]: 2, keys[12]: 4, keys[25]: 2,
        keys[3]: 1, keys[9]: 1, keys[15]: 1, keys[20]: 4,
    }  # fmt: skip

    server.fault = None
    assert extract(tmp_path / "calm") == 0
    calm = outcomes(tmp_path / "calm")
    assert found.keys() == calm.keys() == set(keys)
    assert {key: found[key] for key in keys if key not in lasting} == {k: calm[k] for k in keys if k not in lasting}

    server.fault = again = FaultScript(lambda key: [])
    assert extract(tmp_path / "out") == 0
    assert set(again.reads) == set(keys[8:24])  # the shards that hold a denied or failed read
    healed = outcomes(tmp_path / "out")
    assert healed == {**calm, keys[3]: "not_found"}


def test_too_many_denials_end_the_run_with_three_keys(
    server: S3Server, keys: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    denied = [keys[i] for i in (2, 8, 14, 21, 27)]
    server.fault = FaultScript(lambda key: [403] * 2 if key in denied else [])
    assert extract(tmp_path / "out") == 5
    said = capsys.readouterr().err
    assert f"reading was denied for 5 of {N} objects" in said
    assert [key for key in keys if f"s3://images/{key}" in said] == denied[:3]
    output = Output(str(tmp_path / "out"))
    assert not output.has_current
    assert output.record(output.runs()[-1])["exit_code"] == 5

    assert extract(tmp_path / "out", "--set", "extract.max_denied_share=0.2") == 0
    assert Counter(outcomes(tmp_path / "out").values())["access_denied"] == 5
