"""Clustering in Spark tasks gives the bits that one process gives, and leaves nothing behind in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import scipy.sparse
from conftest import ServedArchive
from pyspark.sql import SparkSession

from facelib.clusters import cells, similarity_graph
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.engine import LOCAL, Engine, blocks
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.sorted_faces import Known
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.errors import DegenerateResultError
from facelib.spark import task_engine
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import resolve_config
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place
from facelib.spark.task_engine import TaskEngine
from facelib.storage import StorageSettings, open_store

pytestmark = pytest.mark.spark
N = 3000


@dataclass
class Watched:
    """An engine on a store of its own, and the jobs it began: description → tasks."""

    spark: SparkSession
    uri: str
    driver_edges: int = 10**6
    folder: str = field(default_factory=lambda: f"scratch/{uuid4().hex}")
    jobs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        place = Place(self.uri, StorageSettings())
        record = RunRecord.begin("", {}, {}, "")
        context = StageContext(self.spark, resolve_config(None, []), place, record)

        @contextmanager
        def job(description: str, tasks: int) -> Iterator[None]:
            self.jobs[description] = tasks
            with context.job(description, tasks):
                yield

        self.engine = TaskEngine(self.spark, place, self.folder, job, self.driver_edges)

    def keys(self) -> list[str]:
        return [stored.key for stored in open_store(self.uri).list("scratch/")]


def faces() -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """3,000 faces, two on each of the first 200 images, a tenth of them unusable."""
    planted = planted_embeddings(N, KINDS["dlib"], seed=5)
    place = [(i // 2, i % 2) if i < 400 else (i, 0) for i in range(N)]
    images = [f"image-{image:05d}" for image, _ in place]
    ids = [f"{image}-{index}" for image, (_, index) in zip(images, place, strict=True)]
    return ids, images, planted.embeddings, np.random.default_rng(6).random(N) < 0.9


def clustered(engine: Engine, order: np.ndarray) -> Assignment:
    ids, images, embeddings, usable = faces()
    place = np.argsort(order)
    copy_of = np.full(N, -1, np.int64)
    copy_of[place[1000:1020]] = place[2000:2020]
    settings = ClusterSettings(exact_faces=1000, cells=15, graph_edges=2000)
    known = Known(copy_of, cannot=place[np.array([[500, 501]])], must=place[np.array([[600, 601]])])
    shuffled = ([ids[i] for i in order], [images[i] for i in order], embeddings[order], usable[order])
    return assign(*shuffled, settings, known, engine)


@pytest.fixture
def small_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that 3,000 faces are many tasks in every step."""
    for name in ("_SORTED", "_RANKED", "_FEWEST_QUERIES"):
        monkeypatch.setattr(cells, name, 700)
    monkeypatch.setattr(similarity_graph, "_WEIGHED", 700)


def test_clusters_do_not_depend_on_the_engine_the_order_or_the_cores(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_items: None
) -> None:
    expected = clustered(LOCAL, np.arange(N))
    assert expected.summary.search.cells > 1
    assert expected.summary.search.cohort > 0
    assert expected.summary.graph_parts > 1
    assert len(expected.evidence.mated) > 0
    assert len(expected.evidence.non_mated) > 0
    run_each = task_engine.run_each

    def one_at_a_time(spark: SparkSession, items: Sequence[Any], function: Any) -> list[Any]:
        return [found for item in items for found in run_each(spark, [item], function)]

    for seed, way in ((1, run_each), (2, one_at_a_time)):
        monkeypatch.setattr(task_engine, "run_each", way)
        watched = Watched(spark, str(tmp_path / f"engine-{seed}"))
        found = clustered(watched.engine, np.random.default_rng(seed).permutation(N))
        assert found.summary == expected.summary
        steps = {description.partition(" ")[0] for description, tasks in watched.jobs.items() if tasks > 1}
        assert steps == {"surroundings", "neighbours", "cells", "ranks", "pairs", "communities"}
        assert found.clusters.equals(expected.clusters)
        assert found.edges.equals(expected.edges)
        assert found.summary == expected.summary
        for kind in ("mated", "non_mated"):
            assert np.array_equal(*(np.sort(getattr(a.evidence, kind)) for a in (found, expected)))
        assert watched.engine.cpu_seconds > 0
        assert watched.keys()
        watched.engine.close()
        assert watched.keys() == []


def test_arrays_in_object_storage_are_fetched_once_and_mapped(
    spark: SparkSession, s3: ServedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_engine, "_PART_BYTES", 1000)
    seen: list[tuple[str, str]] = []
    s3.server.fault = lambda method, bucket, key: seen.append((method, key)) if "array" in key else None
    watched = Watched(spark, "s3://out/engine-arrays")
    arrays = {
        "rows": np.arange(4000, dtype=np.float32).reshape(1000, 4),
        "one": np.array(2.5),
        "none": np.empty((0, 3)),
        "text": np.array(["a", "bc"]),
    }

    def work(given: Any, rows: tuple[int, int]) -> list[np.ndarray]:
        part = given["rows"][rows[0] : rows[1]]
        kinds = [type(given["rows"]).__name__, str(given["rows"].flags.writeable), str(given["none"].shape)]
        return [part * given["one"], np.array([*kinds, *given["text"]])]

    for _ in range(2):
        found = watched.engine.run("slices", work, blocks(1000, 100), arrays)
        assert np.array_equal(np.concatenate([part[0] for part in found]), arrays["rows"] * 2.5)
        assert {tuple(part[1]) for part in found} == {("memmap", "False", "(0, 3)", "a", "bc")}
    counts = Counter(seen)
    puts = {key for method, key in counts if method == "PUT"}
    assert len(puts) == 17 + 3  # 62 rows of 16 bytes in a part
    assert {counts[method, key] for method in ("PUT", "GET") for key in puts} == {1}
    watched.engine.close()
    assert watched.keys() == []


def test_arrays_in_parts_are_whole_in_a_local_folder(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_engine, "_PART_BYTES", 1000)
    watched = Watched(spark, str(tmp_path / "out with ümlaut"))
    whole, long = np.arange(100), np.arange(30_000).reshape(-1, 3)
    found = watched.engine.run(
        "sums", lambda given, i: [given["long"][:, i].sum(), given["whole"][i :: 3].sum()], range(3),
        {"long": long, "whole": whole},
    )  # fmt: skip
    assert [[int(a) for a in part] for part in found] == [[long[:, i].sum(), whole[i::3].sum()] for i in range(3)]
    assert len(watched.keys()) == 1 + 244  # 41 rows of 24 bytes in a part


@pytest.mark.parametrize("uri", ["local", "s3://out/engine-results"])
def test_large_results_travel_through_the_store_and_are_removed(
    spark: SparkSession, s3: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setattr(task_engine, "_SMALL_RESULT", 100)
    taken: list[str] = []
    take = TaskEngine._take

    def watched_take(engine: TaskEngine, key: str) -> list[np.ndarray]:
        taken.append(key)
        return take(engine, key)

    monkeypatch.setattr(TaskEngine, "_take", watched_take)
    watched = Watched(spark, str(tmp_path) if uri == "local" else uri)
    found = watched.engine.run("squares", lambda _, n: [np.arange(n) ** 2, np.arange(n) > 1], [3, 500, 4, 700], {})
    for n, (squares, above) in zip([3, 500, 4, 700], found, strict=True):
        assert np.array_equal(squares, np.arange(n) ** 2)
        assert np.array_equal(above, np.arange(n) > 1)
    assert [key.rpartition("-")[2] for key in taken] == ["1.npz", "3.npz"]
    assert watched.keys() == []


def test_components_on_frames_are_those_of_scipy(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_engine, "_EDGES_PER_PART", 40)
    n, m = 150, 100
    u, v = np.random.default_rng(7).integers(0, n, (2, m))
    watched = Watched(spark, str(tmp_path / "out"), driver_edges=10)
    found = watched.engine.components(n, u, v)
    graph = scipy.sparse.coo_array((np.ones(m), (u, v)), (n, n))
    _, expected = scipy.sparse.csgraph.connected_components(graph, directed=False)
    _, first = np.unique(expected, return_index=True)
    assert np.array_equal(found, np.argsort(np.argsort(first))[expected])
    assert 50 < len(first) < n - 50
    assert watched.jobs == {"components of 100 edges": 3}
    watched.engine.close()
    assert watched.keys() == []


def test_a_failure_in_a_task_is_raised_here_and_nothing_stays(spark: SparkSession, tmp_path: Path) -> None:
    watched = Watched(spark, str(tmp_path / "out"))

    def work(given: Any, item: int) -> list[np.ndarray]:
        if item == 2:
            raise DegenerateResultError(f"item {item} of {len(given['a'])} is degenerate")
        return [given["a"]]

    with pytest.raises(DegenerateResultError, match=r"^item 2 of 5 is degenerate$"):
        watched.engine.run("fails", work, range(3), {"a": np.arange(5)})

    def crash(given: Any, item: int) -> list[np.ndarray]:
        return [given["a"] / np.zeros((2, item))]

    with pytest.raises(Exception, match="could not be broadcast"):
        watched.engine.run("crashes", crash, range(2), {"a": np.arange(5)})
    assert watched.keys()
    watched.engine.close()
    assert watched.keys() == []


@pytest.mark.parametrize("uri", ["local", "s3://out/engine-again"])
def test_a_second_engine_in_the_same_folder_has_its_own_arrays(
    spark: SparkSession, s3: ServedArchive, tmp_path: Path, uri: str
) -> None:
    """As when a stage is run again in the same session."""
    for value in (1, 2):
        watched = Watched(spark, str(tmp_path) if uri == "local" else uri, folder="scratch/again")
        found = watched.engine.run("read", lambda given, i: [given["a"] + i], range(4), {"a": np.full(3, value)})
        watched.engine.close()
        assert [part[0].tolist() for part in found] == [[value + i] * 3 for i in range(4)]
