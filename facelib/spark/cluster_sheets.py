"""What the contact sheets of clusters show, read without Spark from tables and shard files."""

from __future__ import annotations

import io
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facelib.clusters.cluster_tables import CORE
from facelib.clusters.cohesion import mean_pair_similarities
from facelib.embeddings.embed import CHIP_COLUMNS
from facelib.ids import face_id
from facelib.reports.contact_sheet import MOST_FACES, Sheet, SheetFace
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place, read_arrow
from facelib.storage import open_store
from schemas.contract import Table
from schemas.tables import CLUSTERS, EDGES, FACES, IMAGES

_MEMBERS = ["face_id", "image_id", "cluster_id", "role", "similarity_to_centroid"]


class RunFaces:
    """The clusters of a run and their faces; each table is read once, of the store only the shards that are shown."""

    def __init__(self, record: RunRecord, place: Place) -> None:
        self.run_id = record.run_id
        self._record, self._place = record, place

    @cached_property
    def mean_of(self) -> dict[str, float]:
        """Mean cosine of all pairs of core faces of each cluster, NaN for one face; ids in ascending order."""
        core = self._members.filter(pc.equal(self._members.column("role"), CORE))
        clusters = np.array(core.column("cluster_id").to_pylist(), dtype=np.str_)
        names, means = mean_pair_similarities(clusters, core.column("similarity_to_centroid").to_numpy())
        return dict(zip(names.tolist(), means.tolist(), strict=True))

    @cached_property
    def sizes(self) -> Counter[str]:
        """Faces of each cluster, attached ones counted."""
        return Counter(self._members.column("cluster_id").to_pylist())

    def sheets(self, ids: list[str]) -> list[Sheet]:
        """The sheets of these clusters, in this order."""
        members = self._members.filter(_among(self._members.column("cluster_id"), ids))
        members = members.sort_by([("similarity_to_centroid", "ascending"), ("face_id", "ascending")])
        rows: dict[str, list[dict[str, Any]]] = {c: [] for c in ids}
        for row in members.to_pylist():
            rows[row["cluster_id"]].append(row)
        shown = [row for c in ids for row in rows[c][:MOST_FACES]]
        images = self._read(IMAGES, ["image_id", "uri", "shard"], [row["image_id"] for row in shown])
        face_ids = [row["face_id"] for row in shown]
        qualities = self._read(FACES, ["face_id", "quality_score"], face_ids)
        uri_of, quality_of = (_mapping(images, "uri"), _mapping(qualities, "quality_score"))
        chip_of = self._chips(set(images.column("shard").to_pylist()), face_ids)
        edges = self._edges(members)

        def face(row: dict[str, Any]) -> SheetFace:
            name, similarity = row["face_id"], row["similarity_to_centroid"]
            uri, quality = uri_of[row["image_id"]], quality_of[name]
            return SheetFace(name, uri, row["role"], similarity, quality, chip_of.get(name))

        def sheet(c: str) -> Sheet:
            faces = tuple(face(row) for row in rows[c][:MOST_FACES])
            similarities, mean = edges.get(c, []), self.mean_of[c]
            return Sheet(
                cluster_id=c,
                size=len(rows[c]),
                n_images=len({row["image_id"] for row in rows[c]}),
                n_edges=len(similarities),
                mean_similarity=None if np.isnan(mean) else mean,
                mean_edge_similarity=float(np.mean(similarities)) if similarities else None,
                faces=faces,
            )

        return [sheet(c) for c in ids]

    @cached_property
    def _members(self) -> pa.Table:
        rows = read_arrow(self._place, self._record.files(CLUSTERS), CLUSTERS, _MEMBERS)
        return rows.filter(pc.is_valid(rows.column("cluster_id")))

    def _read(self, table: Table, columns: list[str], wanted: list[str]) -> pa.Table:
        """Rows of a table whose first column is among the wanted."""
        rows = read_arrow(self._place, self._record.files(table), table, columns)
        return rows.filter(_among(rows.column(columns[0]), wanted))

    def _chips(self, shards: set[str], face_ids: list[str]) -> dict[str, bytes]:
        """The chips that the store has of these faces."""
        store, wanted = open_store(self._place.uri, self._place.settings), set(face_ids)
        found: dict[str, bytes] = {}
        for key in self._record.shards:
            if key.rsplit("/", 1)[1].removesuffix(".parquet") in shards:
                rows = pq.read_table(io.BytesIO(store.get(key)), columns=CHIP_COLUMNS)
                for i, (image, index) in enumerate(
                    zip(rows.column("image_id").to_pylist(), rows.column("face_index").to_pylist(), strict=True)
                ):
                    if index is not None and face_id(image, index) in wanted:
                        found[face_id(image, index)] = rows.column("chip")[i].as_py()
        return found

    def _edges(self, members: pa.Table) -> dict[str, list[float]]:
        """Similarities of the edges within each cluster of the members."""
        cluster_of = dict(zip(members["face_id"].to_pylist(), members["cluster_id"].to_pylist(), strict=True))
        edges = read_arrow(self._place, self._record.files(EDGES), EDGES, ["face_a", "face_b", "similarity"])
        edges = edges.filter(_among(edges.column("face_a"), list(cluster_of)))
        found: dict[str, list[float]] = {}
        for edge in edges.to_pylist():
            cluster = cluster_of[edge["face_a"]]
            if cluster_of.get(edge["face_b"]) == cluster:
                found.setdefault(cluster, []).append(edge["similarity"])
        return found


def _among(column: pa.ChunkedArray, wanted: list[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(wanted, pa.string()))


def _mapping(rows: pa.Table, column: str) -> dict[str, Any]:
    """The first column of the rows to another one."""
    return dict(zip(rows.column(0).to_pylist(), rows.column(column).to_pylist(), strict=True))
