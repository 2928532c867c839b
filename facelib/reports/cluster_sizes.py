"""How many images the clusters hold: the curve of images per identity, without a single cluster in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CLUSTER_SIZES_SCHEMA = pa.schema(
    [
        pa.field("smallest", pa.int64(), nullable=False),
        pa.field("largest", pa.int64()),
        pa.field("clusters", pa.int64(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
    ]
)


def images_per_cluster(clusters: pa.Table) -> pa.Table:
    """cluster_id and `images`, the different images of each cluster, by cluster_id; noise is left out.

    `clusters` holds the columns image_id and cluster_id of the table of that name.
    """
    known = clusters.filter(clusters.column("cluster_id").is_valid())
    counted = known.group_by("cluster_id").aggregate([("image_id", "count_distinct")])
    counted = counted.select(["cluster_id", "image_id_count_distinct"]).rename_columns(["cluster_id", "images"])
    return counted.sort_by("cluster_id")


def cluster_sizes(images: npt.ArrayLike, min_cell: int = 0) -> pa.Table:
    """Clusters and their images by size, under CLUSTER_SIZES_SCHEMA, smallest first.

    images: images of each cluster, (n,) int, ≥ 1. The ranges are 1, 2, 3–4, 5–8 and so on by powers of two; a range
    with fewer than `min_cell` clusters is joined to the next smaller one, the first to the next larger. The last
    range is open (`largest` null) where `min_cell` is above 1, or it would tell the largest cluster.
    """
    sizes = np.asarray(images, np.int64)
    if sizes.size == 0:
        return CLUSTER_SIZES_SCHEMA.empty_table()
    power = np.ceil(np.log2(sizes)).astype(np.int64)
    clusters = np.bincount(power).tolist()
    held = np.bincount(power, weights=sizes).astype(np.int64).tolist()
    first = [1, *(2 ** (k - 1) + 1 for k in range(1, len(clusters)))]
    rows: list[list[int]] = []
    pending = [0, 0]
    for smallest, n, total in zip(reversed(first), reversed(clusters), reversed(held), strict=True):
        pending = [pending[0] + n, pending[1] + total]
        if pending[0] >= max(1, min_cell):
            rows.insert(0, [smallest, *pending])
            pending = [0, 0]
    if pending[0]:  # too few small ones: they go to the next range
        rows[:1] = [[1, pending[0] + rows[0][1], pending[1] + rows[0][2]]] if rows else [[1, *pending]]
    elif rows:
        rows[0][0] = 1
    last = None if min_cell > 1 else 2 ** (len(clusters) - 1)
    largest = [*(row[0] - 1 for row in rows[1:]), last]
    columns = list(zip(*rows, strict=True))
    return pa.table([columns[0], largest, columns[1], columns[2]], schema=CLUSTER_SIZES_SCHEMA)
