"""Exact and near duplicates on Spark: on the driver while that is cheaper, in tasks beyond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from facelib.clusters.components import components
from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.duplicates import CODE, COLUMNS, MIRROR_CODE, duplicate_rows, group_name
from facelib.clusters.hash_bands import WORD_BITS, Band, plan_bands
from facelib.clusters.near_duplicates import chain, distinct_codes, near_components
from facelib.errors import DegenerateResultError
from facelib.spark.tasks import Batches, map_batches

DRIVER_IMAGES = 200_000
"""Archives of up to so many images are compared on the driver, which takes seconds and less CPU time than tasks do."""
MAX_LINKS = 20_000_000
"""Links between near codes that the driver takes: 640 MB."""
_ENTRIES_PER_TASK = 1_000_000

_RESULT = "image_id string, duplicate_of string, near_duplicate_group string"
_ENTRY = ("code_0", "code_1", "node_0", "node_1")
_BANDED = "band long, key long, code_0 long, code_1 long, node_0 long, node_1 long"
_LINK = ("u_0", "u_1", "v_0", "v_1")

Ints = npt.NDArray[np.int64]


def duplicate_frame(frame: DataFrame, settings: DuplicateSettings) -> DataFrame:
    """(image_id, duplicate_of, near_duplicate_group) of the images that have either, as `duplicate_rows` says.

    `frame` has `COLUMNS` and is evaluated several times: cache it. Raises DegenerateResultError when more than
    `MAX_LINKS` links between near duplicates come together.
    """
    if frame.count() <= DRIVER_IMAGES:
        return on_driver(frame, settings)
    return on_executors(frame, settings)


def on_driver(frame: DataFrame, settings: DuplicateSettings) -> DataFrame:
    """All rows are brought to the driver and compared there."""
    rows = duplicate_rows(frame.select(*COLUMNS).toArrow(), settings)
    return frame.sparkSession.createDataFrame(rows, _RESULT)


def on_executors(frame: DataFrame, settings: DuplicateSettings) -> DataFrame:
    """Codes are compared in tasks; the driver holds the links between near ones."""
    exact, near = _exact(frame), _near(frame, settings.max_distance)
    return exact.join(near, "image_id", "full_outer").select("image_id", "duplicate_of", "near_duplicate_group")


def _exact(frame: DataFrame) -> DataFrame:
    """(image_id, duplicate_of) of all but the first image of the same bytes."""
    read = frame.where("content_sha256 IS NOT NULL").select("content_sha256", f.struct("uri", "image_id").alias("at"))
    firsts = read.groupBy("content_sha256").agg(f.min("at").alias("first"), f.count("*").alias("copies"))
    copies = read.join(firsts.where("copies > 1"), "content_sha256").where("at != first")
    return copies.select("at.image_id", f.col("first.image_id").alias("duplicate_of"))


def _near(frame: DataFrame, max_distance: int) -> DataFrame:
    """(image_id, near_duplicate_group). A node is the code of an image; it has that code and those of mirror images."""
    hashed = frame.where(f.col(CODE[0]).isNotNull())
    roots = frame.sparkSession.createDataFrame(_roots(_links(hashed, max_distance)))
    rooted = hashed.join(roots, list(CODE), "left").select(
        "image_id", *(f.coalesce(f"root_{i}", name).alias(f"root_{i}") for i, name in enumerate(CODE))
    )
    members = rooted.groupBy("root_0", "root_1").agg(f.collect_list("image_id").alias("members"))
    return map_batches(
        members.where("size(members) > 1").select("members"), _named, "image_id string, near_duplicate_group string"
    )


def _named(batches: Batches) -> Batches:
    for batch in batches:
        for members in batch.column("members").to_pylist():
            yield pa.RecordBatch.from_pydict(
                {"image_id": members, "near_duplicate_group": [group_name(members)] * len(members)}
            )


def _links(hashed: DataFrame, max_distance: int) -> pa.Table:
    """Pairs of nodes that join all near ones."""
    node = [f.col(c).alias(n) for c, n in zip(CODE, _ENTRY[2:], strict=True)]
    sides = [
        hashed.select(*(f.col(c).alias(n) for c, n in zip(code, _ENTRY[:2], strict=True)), *node)
        for code in (CODE, MIRROR_CODE)
    ]
    entries = sides[0].union(sides[1]).distinct().persist()
    try:
        n, ones = _count(entries)
        bands = plan_bands(ones, max(n, 1), max_distance).bands
        tasks = max(hashed.sparkSession.sparkContext.defaultParallelism, n * len(bands) // _ENTRIES_PER_TASK + 1)
        banded = map_batches(entries, _spreader(bands), _BANDED).repartition(tasks, "band", "key")
        return _collected(map_batches(banded, _linker(bands, max_distance), ", ".join(f"{c} long" for c in _LINK)))
    finally:
        entries.unpersist()


def _count(entries: DataFrame) -> tuple[int, Ints]:
    """Number of entries, and how many have each bit of their code set, (2, 64)."""
    bits = [f.sum(f.getbit(word, f.lit(bit))) for word in _ENTRY[:2] for bit in range(WORD_BITS)]
    n, *ones = entries.agg(f.count("*"), *(f.coalesce(b, f.lit(0)) for b in bits)).collect()[0]
    return n, np.array(ones, np.int64).reshape(-1, WORD_BITS)


def _collected(links: DataFrame) -> pa.Table:
    links.persist()
    try:
        found = links.count()
        if found > MAX_LINKS:
            raise DegenerateResultError(
                f"{found} links between near duplicates, more than {MAX_LINKS}: lower duplicates.max_distance"
            )
        return links.toArrow()
    finally:
        links.unpersist()


def _spreader(bands: tuple[Band, ...]) -> Callable[[Batches], Batches]:
    """Each entry once per band, with the bits that entries must share to meet there."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            words = _matrix(batch, _ENTRY[:2])
            for number, band in enumerate(bands):
                key = (words[:, band.word].view(np.uint64) & np.uint64(band.mask)).view(np.int64)
                columns = [np.full(len(key), number), key, *(batch.column(c) for c in _ENTRY)]
                yield pa.RecordBatch.from_arrays([pa.array(c) for c in columns], ["band", "key", *_ENTRY])

    return run


def _linker(bands: tuple[Band, ...], max_distance: int) -> Callable[[Batches], Batches]:
    """Links between near nodes among the entries of a partition, which holds all that share a key."""

    def run(batches: Batches) -> Batches:
        held = list(batches)
        if not held:
            return
        rows = pa.Table.from_batches(held)
        numbers, entries = rows.column("band").to_numpy(), _matrix(rows, _ENTRY)
        for number in np.unique(numbers):
            codes, ids = np.split(entries[numbers == number], 2, axis=1)
            nodes, place = distinct_codes(ids.view(np.uint64))
            labels = near_components(codes.view(np.uint64), place, max_distance, (bands[number],)).labels
            u, v = chain(np.arange(len(nodes)), labels)
            pairs = np.concatenate([nodes[u], nodes[v]], axis=1).view(np.int64)
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in pairs.T], list(_LINK))

    return run


def _roots(links: pa.Table) -> pa.Table:
    """For each linked node the smallest of its component."""
    pairs = _matrix(links, _LINK).reshape(-1, 2).view(np.uint64)
    nodes, place = distinct_codes(pairs)
    u, v = place.reshape(-1, 2).T
    labels = components(len(nodes), u, v)
    _, first = np.unique(labels, return_index=True)
    columns = np.concatenate([nodes, nodes[first][labels]], axis=1).view(np.int64).T
    return pa.table(dict(zip((*CODE, "root_0", "root_1"), columns, strict=True)))


def _matrix(rows: pa.Table | pa.RecordBatch, columns: tuple[str, ...]) -> Ints:
    """Integer columns side by side, (n, len(columns)) int64."""
    return np.ascontiguousarray(np.stack([rows.column(c).to_numpy() for c in columns], axis=1))
