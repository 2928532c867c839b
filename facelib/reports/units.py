"""What is counted: images, faces and clusters, each with its attribute values.

A label describes an image's main face, the most prominent one (index 0). Other faces of the
image have no label: their values are missing. A cluster takes the value most of its labelled faces
have; a tie is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from facelib.ids import face_id

Values = Mapping[str, Mapping[str, str]]


def is_main_face(rows: pa.Table) -> pa.ChunkedArray:
    """Whether each row, with face_id and image_id, is of the main face of its image: bool, one per row."""
    return pc.equal(rows.column("face_id"), pc.binary_join_element_wise(rows.column("image_id"), "-0", ""))


def values_by_image(labels: pa.Table, attributes: Sequence[str]) -> dict[str, dict[str, str]]:
    """attribute → image_id → value, of the rows of the `labels` table that have a value."""
    found: dict[str, dict[str, str]] = {a: {} for a in attributes}
    columns = (labels.column(n).to_pylist() for n in ("image_id", "attribute", "value"))
    for image, attribute, value in zip(*columns, strict=True):
        if value is not None and attribute in found:
            found[attribute][image] = value
    return found


def image_units(image_ids: Sequence[str], values: Values) -> pa.Table:
    """One row per image: a nullable string column per attribute."""
    return _table({a: [known.get(i) for i in image_ids] for a, known in values.items()})


def face_units(face_ids: Sequence[str], image_ids: Sequence[str], values: Values) -> pa.Table:
    """One row per face; only an image's main face carries its labels."""
    main = [i if f == face_id(i, 0) else None for f, i in zip(face_ids, image_ids, strict=True)]
    return _table({a: [None if i is None else known.get(i) for i in main] for a, known in values.items()})


def cluster_units(
    face_ids: Sequence[str], image_ids: Sequence[str], cluster_ids: Sequence[str | None], values: Values
) -> pa.Table:
    """One row per cluster (in order of cluster_id), its values by majority of labelled faces."""
    clusters = sorted({c for c in cluster_ids if c is not None})
    columns: dict[str, list[str | None]] = {}
    for attribute, column in zip(values, face_units(face_ids, image_ids, values).columns, strict=True):
        votes: dict[str, Counter[str]] = {c: Counter() for c in clusters}
        for cluster, value in zip(cluster_ids, column.to_pylist(), strict=True):
            if cluster is not None and value is not None:
                votes[cluster][value] += 1
        columns[attribute] = [_majority(votes[c]) for c in clusters]
    return _table(columns)


def _majority(votes: Counter[str]) -> str | None:
    best = votes.most_common(2)
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return None
    return best[0][0]


def _table(columns: Mapping[str, list[str | None]]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
