"""Connected components on Spark: on the driver while the edges fit there, by alternating stars on frames beyond."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

from facelib.clusters.components import components
from facelib.spark.checkpoints import Checkpoint, LocalCheckpoint

Ints = npt.NDArray[np.int64]

_COMPONENT = "node long, component long"
_ROOTED = "node long, root long"


def component_frame(
    edges: DataFrame,
    max_driver_edges: int,
    checkpoint: Checkpoint | None = None,
    *,
    finish_on_driver: bool = True,
) -> DataFrame:
    """(node long, component long) of an undirected graph: the smallest node of each node's component.

    `edges` has columns `u` and `v` (long, never null) in any order; repeated pairs and self loops are welcome, and
    other columns ignored. The result has one row per node that occurs in an edge, a self loop included. `edges` is
    evaluated once.

    Up to `max_driver_edges` edges are collected and solved by scipy: up to some 180 bytes per edge at the peak. More
    are solved on frames by `_rounds`; as soon as no more than `max_driver_edges` remain, these are finished on the
    driver, unless `finish_on_driver` is false. The rows then lie in `checkpoint` (default: `LocalCheckpoint`).
    """
    store = checkpoint or LocalCheckpoint()
    start = store.cut(edges.select(f.col("u").cast("long"), f.col("v").cast("long")))
    n_edges, n_loops = start.agg(f.count("*"), f.count_if(f.expr("u = v"))).collect()[0]
    if n_edges <= max_driver_edges:
        result = edges.sparkSession.createDataFrame(smallest_nodes(start.toArrow()), _COMPONENT)
    else:
        leaves, left = _rounds(start, max_driver_edges if finish_on_driver else 0, store)
        rooted = _rooted(leaves, edges.sparkSession.createDataFrame(left, _ROOTED), store)
        result = _named(rooted, start.where("u = v") if n_loops else None)
        result = store.cut(result)
        for frame in rooted[1:]:
            store.release(frame)
    store.release(start)
    return result


def smallest_nodes(edges: pa.Table) -> pa.Table:
    """(node, component) int64, by ascending node, from an Arrow table of edges (u, v) int64; in memory."""
    u, v = (edges.column(c).to_numpy() for c in ("u", "v"))
    nodes, place = np.unique(np.concatenate([u, v]), return_inverse=True)
    labels = components(len(nodes), place[: len(u)], place[len(u) :])
    _, first = np.unique(labels, return_index=True)
    return pa.table({"node": nodes, "component": nodes[first[labels]]})


def _rounds(start: DataFrame, enough: int, store: Checkpoint) -> tuple[list[DataFrame], pa.Table]:
    """Contract the graph until at most `enough` edges are left.

    Returns the leaves taken off in each round (node, parent), and (node, root) of the nodes left but for the roots.

    A round is a large star, then a small star (Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected
    Components in MapReduce and Beyond", SoCC 2014): each node links its larger neighbours to the smallest node it
    knows, then its smaller ones. Two things are added. Nodes are ordered by a hash, a bijection, instead of their
    number: numbering along a chain, the worst case, then is as good as any other. And what a small star leaves with
    one edge and nothing larger is taken off (node, parent): it has its parent's component. So the edges left
    fall by a factor from round to round, to none; a path of a million nodes is gone after some 15 rounds, which handle
    1.7 million edges together.

    The rounds end by the number of edges counted in the frame, not by an accumulator, which retries would raise.
    """
    leaves, rest, previous = [], start.where("u != v").select(*(_mixed(f.col(c)).alias(c) for c in ("u", "v"))), None
    while True:
        step = store.cut(_small_star(_large_star(rest)))
        if previous is not None:
            store.release(previous)
        previous = step
        leaves.append(store.cut(step.where("leaf").select("node", "parent")))
        rest = step.where("NOT leaf").select(f.col("node").alias("u"), f.col("parent").alias("v"))
        if rest.count() <= enough:
            break
    left = smallest_nodes(rest.toArrow()).rename_columns(["node", "root"])
    store.release(step)
    return leaves, left.filter(np.not_equal(*left.columns))


def _large_star(edges: DataFrame) -> DataFrame:
    """(big, small, marks): each node's larger neighbours, linked to the smallest of the node and its neighbours.

    The last larger neighbour of a node has `marks` set: it stands for the group where one row is enough.

    A window rather than a list per node: rows of a node with many neighbours stream through one task, which spills
    to disk, and are never an array in one row. That task takes longer than the others; it does not need more memory.
    """
    both = edges.select("u", "v").union(edges.select(f.col("v").alias("u"), f.col("u").alias("v")))
    around = Window.partitionBy("u")
    least = f.min("v").over(around)
    most = f.max("v").over(around)
    found = both.repartition("u").select("u", "v", least.alias("least"), most.alias("most"))
    return found.where("v > u").select(
        f.col("v").alias("big"),
        f.least("u", "least").alias("small"),
        (f.col("v") == f.col("most")).alias("marks"),
    )


def _small_star(edges: DataFrame) -> DataFrame:
    """(node, parent, leaf): each node and its smaller neighbours, linked to the smallest of them.

    `leaf` is true where the edge is the only one of `node`. For that each node must know whether it has larger
    neighbours, so edges with `marks` come twice: the second time as (small, null).
    """
    edge = f.struct("big", "small")
    mark = f.struct(f.col("small").alias("big"), f.lit(None).cast("long").alias("small"))
    rows = edges.select(f.explode(f.when(f.col("marks"), f.array(edge, mark)).otherwise(f.array(edge))).alias("e"))
    at = rows.select(f.col("e.big").alias("u"), f.col("e.small").alias("v")).repartition("u").dropDuplicates()
    around = Window.partitionBy("u")
    least = f.min("v").over(around)
    found = at.select("u", "v", least.alias("least"), f.max(f.isnull("v")).over(around).alias("has_larger"))
    own = f.col("v") == f.col("least")
    return found.where("v IS NOT NULL").select(
        f.when(own, f.col("u")).otherwise(f.col("v")).alias("node"),
        f.col("least").alias("parent"),
        (own & ~f.col("has_larger")).alias("leaf"),
    )


def _mixed(node: Column) -> Column:
    """Another number for each node, which looks random: two rounds of a Feistel network, so no two nodes share one."""
    low = _low(node).bitwiseXOR(_low(f.xxhash64(_high(node))))
    high = _high(node).bitwiseXOR(_low(f.xxhash64(low)))
    return f.shiftleft(high, 32).bitwiseOR(low)


def _unmixed(number: Column) -> Column:
    """The node that `_mixed` turned into `number`."""
    high = _high(number).bitwiseXOR(_low(f.xxhash64(_low(number))))
    low = _low(number).bitwiseXOR(_low(f.xxhash64(high)))
    return f.shiftleft(high, 32).bitwiseOR(low)


def _high(number: Column) -> Column:
    return f.shiftrightunsigned(number, 32)


def _low(number: Column) -> Column:
    return number.bitwiseAND(f.lit(0xFFFFFFFF))


def _rooted(leaves: list[DataFrame], left: DataFrame, store: Checkpoint) -> list[DataFrame]:
    """(node, root) of every node but the roots, in several frames: from the last round to the first.

    Each leaf takes the root of its parent, which was taken off later, or is a root. Releases the leaves.
    """
    rooted = [left]
    for taken in reversed(leaves):
        known = rooted[0]
        for frame in rooted[1:]:
            known = known.union(frame)
        known = known.select(f.col("node").alias("parent"), "root")
        joined = taken.join(known, "parent", "left")
        rooted.append(store.cut(joined.select("node", f.coalesce("root", "parent").alias("root"))))
        store.release(taken)
    return rooted


def _named(rooted: list[DataFrame], loops: DataFrame | None) -> DataFrame:
    """Components named by their smallest node, roots and nodes with nothing but a self loop added."""
    found = rooted[0]
    for frame in rooted[1:]:
        found = found.union(frame)
    found = found.select(*(_unmixed(f.col(c)).alias(c) for c in ("node", "root")))
    smallest = found.groupBy("root").agg(f.min("node").alias("least"))
    smallest = smallest.select("root", f.least("root", "least").alias("component"))
    named = found.join(smallest, "root").select("node", "component")
    named = named.union(smallest.select(f.col("root").alias("node"), "component"))
    if loops is None:
        return named
    alone = loops.select(f.col("u").alias("node"), f.col("v").alias("component")).distinct()
    return named.union(alone.join(named, "node", "left_anti"))
