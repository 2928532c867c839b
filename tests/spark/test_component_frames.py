"""Components found on frames and on the driver are those of networkx; a chain of a million nodes is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from facelib.errors import ConfigError
from facelib.spark import component_frames
from facelib.spark.checkpoints import LocalCheckpoint, ParquetCheckpoint
from facelib.spark.component_frames import component_frame

pytestmark = pytest.mark.spark

Pairs = list[tuple[int, int]]
MILLION = 1_000_000


def _table(pairs: Pairs) -> pa.Table:
    u, v = np.array(pairs, np.int64).reshape(-1, 2).T
    return pa.table({"u": u, "v": v})


def _expected(pairs: Pairs) -> list[tuple[int, int]]:
    graph = nx.Graph(pairs)
    return sorted((node, min(members)) for members in nx.connected_components(graph) for node in members)


def _rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    assert frame.dtypes == [("node", "bigint"), ("component", "bigint")]
    return sorted(map(tuple, frame.collect()))


def _gnm(n: int, m: int, seed: int) -> Pairs:
    return list(nx.gnm_random_graph(n, m, seed=seed).edges)


def _small_components(seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    return [
        (10 * c + int(a), 10 * c + int(b)) for c in range(150) for a, b in rng.integers(0, 6, (rng.integers(1, 7), 2))
    ]


def _renumbered(pairs: Pairs, seed: int) -> Pairs:
    """Other numbers, negative and up to 2**62, pairs turned round, some of them twice, in another order."""
    rng = np.random.default_rng(seed)
    nodes = sorted({node for pair in pairs for node in pair})
    numbers = np.concatenate([[2**62, -(2**62), 0, -1], rng.integers(-(2**62), 2**62, 2 * len(nodes))])
    name = dict(zip(nodes, rng.permutation(np.unique(numbers)).tolist(), strict=False))
    named = [(name[a], name[b]) if rng.random() < 0.5 else (name[b], name[a]) for a, b in pairs]
    named += [named[i] for i in rng.integers(0, max(len(named), 1), len(named) // 4)]
    return [named[i] for i in rng.permutation(len(named))]


GRAPHS: dict[str, Pairs] = {
    "nothing": [],
    "one loop": [(7, 7)],
    "one edge": [(2**62, 5)],
    "loops beside edges": [(1, 1), (1, 2), (9, 9), (9, 9), (4, 3)],
    "sparse": _gnm(400, 150, 1),
    "near the threshold": _gnm(400, 220, 2),
    "connected": _gnm(300, 900, 3),
    "dense": _gnm(60, 1200, 4),
    "chain": [(i, i + 1) for i in range(300)],
    "star of the smallest": [(0, i) for i in range(1, 400)],
    "star of the largest": [(500, i) for i in range(400)],
    "two hubs": [(h, i) for h in (1000, 1001) for i in range(300)],
    "cliques": [(10 * c + i, 10 * c + j) for c in range(12) for i in range(8) for j in range(i)],
    "forest": [(i, (i - 1) // 2) for i in range(1, 400) if i % 17],
    "grid": [(n, m) for n in range(400) for m in ((n + 1,) if n % 20 < 19 else ()) + ((n + 20,) if n < 380 else ())],
    "small components": _small_components(5),
}  # fmt: skip


@pytest.fixture(scope="module")
def one_partition(spark: SparkSession) -> Iterator[None]:
    """Small graphs need one; sixteen of them with several would take minutes."""
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    yield
    spark.conf.set("spark.sql.shuffle.partitions", before)


def test_graphs_of_every_kind_at_once_have_the_components_of_networkx(spark: SparkSession) -> None:
    """Side by side, each renumbered, in one frame: on the driver, on frames, and on both, one after the other."""
    pairs = [pair for i, graph in enumerate(GRAPHS.values()) for pair in _renumbered([(a, b) for a, b in graph], i)]
    frame, expected = spark.createDataFrame(_table(pairs)).repartition(5), _expected(pairs)
    assert len(pairs) > 5000
    assert _rows(component_frame(frame, len(pairs))) == expected
    assert _rows(component_frame(frame, 0)) == expected
    assert _rows(component_frame(frame, 500)) == expected
    assert _rows(component_frame(frame, 500, finish_on_driver=False)) == expected


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_alone_has_the_components_of_networkx(name: str, spark: SparkSession, one_partition: None) -> None:
    frame = spark.createDataFrame(_table(GRAPHS[name]), "u long, v long")
    assert _rows(component_frame(frame, 0, finish_on_driver=False)) == _expected(GRAPHS[name])
    assert _rows(component_frame(frame, 10**6)) == _expected(GRAPHS[name])


def test_the_driver_takes_over_as_soon_as_few_edges_are_left(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    solve = component_frames.smallest_nodes
    monkeypatch.setattr(component_frames, "smallest_nodes", lambda e: collected.append(len(e)) or solve(e))
    frame = spark.createDataFrame(_table(_gnm(500, 800, 6))).coalesce(1)
    for limit, finish in ((800, True), (799, True), (799, False)):
        component_frame(frame, limit, finish_on_driver=finish)
    assert collected[0] == 800
    assert 0 < collected[1] <= 799
    assert collected[2] == 0


def test_mixing_node_numbers_can_be_undone_and_makes_no_two_equal(spark: SparkSession) -> None:
    rng = np.random.default_rng(7)
    nodes = np.unique(
        np.concatenate([np.arange(-500, 500), [2**63 - 1, -(2**63)], rng.integers(-(2**62), 2**62, 3000)])
    )
    mixed = component_frames._mixed(f.col("node"))
    frame = spark.createDataFrame(pa.table({"node": nodes})).select("node", mixed.alias("mixed"))
    rows = frame.select("node", "mixed", component_frames._unmixed(f.col("mixed")).alias("back")).toArrow()
    assert rows.column("back").equals(rows.column("node"))
    assert len(np.unique(rows.column("mixed").to_numpy())) == len(nodes)


@pytest.mark.parametrize("numbering", ["sorted", "random"])
def test_a_chain_of_a_million_nodes_is_one_component_after_few_rounds(
    numbering: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[DataFrame] = []
    small_star = component_frames._small_star
    monkeypatch.setattr(component_frames, "_small_star", lambda e: rounds.append(e) or small_star(e))
    if numbering == "sorted":
        frame = spark.range(MILLION - 1).select(f.col("id").alias("u"), (f.col("id") + 1).alias("v"))
    else:
        nodes = np.random.default_rng(8).permutation(MILLION)
        frame = spark.createDataFrame(pa.table({"u": nodes[:-1], "v": nodes[1:]}))
    found = component_frame(frame, 0)
    assert tuple(found.agg(f.count("*"), f.min("node"), f.max("node"), f.max("component")).collect()[0]) == (
        MILLION, 0, MILLION - 1, 0,
    )  # fmt: skip
    assert found.select("node").distinct().count() == MILLION
    assert len(rounds) <= 25


def test_a_star_of_a_million_leaves_is_one_component_after_two_rounds(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[DataFrame] = []
    small_star = component_frames._small_star
    monkeypatch.setattr(component_frames, "_small_star", lambda e: rounds.append(e) or small_star(e))
    frame = spark.range(MILLION).select(f.lit(MILLION).alias("u"), f.col("id").alias("v"))
    found = component_frame(frame, 0)
    assert tuple(found.agg(f.count("*"), f.max("component")).collect()[0]) == (MILLION + 1, 0)
    assert len(rounds) <= 2


def test_parquet_checkpoints_give_the_same_and_leave_only_the_result(spark: SparkSession, tmp_path: Path) -> None:
    pairs = _renumbered(GRAPHS["near the threshold"] + GRAPHS["loops beside edges"], 9)
    frame = spark.createDataFrame(_table(pairs)).coalesce(1)
    found = component_frame(frame, 20, ParquetCheckpoint(str(tmp_path)))
    assert _rows(found) == _expected(pairs)
    assert len(list(tmp_path.iterdir())) == 1


def test_parquet_checkpoints_need_a_folder_or_that_of_the_context(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(3)
    assert spark.sparkContext.getCheckpointDir() is None
    with pytest.raises(ConfigError, match="no folder for checkpoints"):
        ParquetCheckpoint().cut(frame)
    spark.sparkContext.setCheckpointDir(str(tmp_path))
    store = ParquetCheckpoint()
    kept = store.cut(frame)
    assert sorted(r.id for r in kept.collect()) == [0, 1, 2]
    assert any(tmp_path.rglob("*.parquet"))
    store.release(kept)
    assert not any(tmp_path.rglob("*.parquet"))


def test_blocks_are_given_up_but_for_those_of_the_result(spark: SparkSession) -> None:
    def held() -> set[int]:
        return set(spark.sparkContext._jsc.getPersistentRDDs().keySet())

    before = held()  # of other tests, which may be given up at any time
    found = component_frame(spark.createDataFrame(_table(GRAPHS["forest"])).coalesce(1), 0)
    assert len(held() - before) == 1
    LocalCheckpoint().release(found)
    assert held() <= before
