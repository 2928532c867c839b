"""Duplicates found in Spark tasks are those that the driver finds, however the rows are spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.duplicates import duplicate_rows
from facelib.errors import DegenerateResultError
from facelib.spark import duplicate_frames
from facelib.spark.duplicate_frames import duplicate_frame, on_driver, on_executors

pytestmark = pytest.mark.spark

HASHES = ("phash", "dhash", "phash_mirror", "dhash_mirror")
SCHEMA = pa.schema(
    [(c, pa.string()) for c in ("image_id", "uri", "content_sha256")] + [(h, pa.int64()) for h in HASHES]
)


def archive(n: int, seed: int) -> pa.Table:
    """Images of few contents; two thirds are variants of a few pictures, some of them mirrored; some are damaged."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-(2**63), 2**63 - 1, (n, 4))
    for i in range(n // 3, n):
        codes[i] = codes[rng.integers(n // 10), [2, 3, 0, 1] if i % 5 == 0 else [0, 1, 2, 3]]
        for _ in range(rng.integers(0, 14)):
            codes[i, rng.integers(4)] ^= np.int64(1) << np.int64(rng.integers(63))
    decoded = rng.random(n) > 0.1
    rows = {
        "image_id": [f"id{k:09d}{i}" for i, k in enumerate(rng.integers(10**9, size=n))],
        "uri": [f"s3://b/{'äz𝄞A'[i % 4]}{k}" for i, k in enumerate(rng.integers(10**6, size=n))],
        "content_sha256": [None if rng.random() < 0.1 else f"sha{rng.integers(n)}" for _ in range(n)],
        **{h: [int(c) if d else None for c, d in zip(codes[:, j], decoded, strict=True)] for j, h in enumerate(HASHES)},
    }
    return pa.table(rows, schema=SCHEMA)


def rows_of(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, frame.collect()), key=str)


def expected(table: pa.Table, settings: DuplicateSettings) -> list[tuple[Any, ...]]:
    return sorted((tuple(r.values()) for r in duplicate_rows(table, settings).to_pylist()), key=str)


@pytest.mark.parametrize("max_distance", [0, 5, 14])
def test_tasks_find_what_the_driver_finds(spark: SparkSession, max_distance: int) -> None:
    table, settings = archive(700, 1), DuplicateSettings(max_distance)
    frame = spark.createDataFrame(table).repartition(3)
    assert rows_of(on_executors(frame, settings)) == rows_of(on_driver(frame, settings)) == expected(table, settings)


def test_partitions_do_not_matter(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    table, settings = archive(400, 2), DuplicateSettings()
    shuffled = table.take(np.random.default_rng(2).permutation(400))
    monkeypatch.setattr(duplicate_frames, "_ENTRIES_PER_TASK", 1000)
    for partitions in (1, 5):
        frame = spark.createDataFrame(shuffled).repartition(partitions)
        assert rows_of(on_executors(frame, settings)) == expected(table, settings)


def test_many_images_of_one_picture(spark: SparkSession) -> None:
    """Neither the bytes nor the hashes tell 30,000 placeholders apart; ten others are alone."""
    table = archive(10, 3)
    same = {"content_sha256": "placeholder", **dict.fromkeys(HASHES, -5)}
    rows = [{"image_id": f"p{i}", "uri": f"s3://p/{i:05d}", **same} for i in range(30_000)]
    frame = spark.createDataFrame(pa.concat_tables([table, pa.Table.from_pylist(rows, schema=SCHEMA)]))
    found = [r for r in on_executors(frame, DuplicateSettings()).collect() if r.image_id.startswith("p")]
    assert {r.image_id for r in found} == {r["image_id"] for r in rows}
    assert {r.duplicate_of for r in found if r.image_id != "p0"} == {"p0"}
    assert len({r.near_duplicate_group for r in found}) == 1


def test_unread_and_undecoded_images_are_no_duplicates(spark: SparkSession) -> None:
    rows = [{"image_id": f"i{k}", "uri": f"u{k}"} for k in range(4)]
    frame = spark.createDataFrame(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert on_executors(frame, DuplicateSettings()).collect() == []
    assert on_executors(frame.where("false"), DuplicateSettings()).collect() == []


def test_the_path_is_chosen_by_the_number_of_images(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = spark.createDataFrame(archive(30, 4))
    chosen: list[str] = []
    for path in ("on_driver", "on_executors"):
        monkeypatch.setattr(duplicate_frames, path, lambda *_, path=path: chosen.append(path))
    for limit in (30, 29):
        monkeypatch.setattr(duplicate_frames, "DRIVER_IMAGES", limit)
        duplicate_frame(frame, DuplicateSettings())
    assert chosen == ["on_driver", "on_executors"]


def test_too_many_links_are_refused(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_frames, "MAX_LINKS", 3)
    with pytest.raises(DegenerateResultError, match=r"duplicates\.max_distance"):
        on_executors(spark.createDataFrame(archive(300, 5)), DuplicateSettings())
