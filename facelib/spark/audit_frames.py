"""Units of the audit on Spark: tables are turned into rows of numbers where they are read, joined by image in one
shuffle, and counted by identity in another; the parts add up.

Ids become 64-bit numbers: of ten million images two have the same with chance 3e-6.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from facelib.audit.loss_counts import LossCounts, count_losses
from facelib.audit.moments import Int64, sum_of
from facelib.audit.unit_counts import Names, UnitCounts, count_units
from facelib.reports.audit_units import Votes, count_votes
from facelib.reports.declared import category_codes
from facelib.reports.labels import SUBJECT
from facelib.reports.losses import STAGES, is_decoded
from facelib.reports.units import is_main_face
from facelib.spark.tasks import Batches, map_batches

Categories = Mapping[str, Sequence[str]]
EVENTS = "image long, kind int, value long"
"""Something that is known of an image: `kind` says what (`_LISTED` … or the position of an attribute)."""
NO_IDENTITY = 0
_LISTED, _USABLE, _CLUSTERED, _MAIN, _OTHER, _ALONE, _SUBJECT = -1, -2, -3, -4, -5, -6, -7
_DECODED, _HAS_FACE = 1, 2
_DIGITS = 16
_SHIFTS = np.arange(60, -1, -4, dtype=np.uint64)
_HEX = np.full(256, 16, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_IMAGE, _FACE = 0, 1
Part = Callable[[Int64, Int64], Any]
"""From keys (rows,) and the other columns (rows, k) to something that adds up."""


def number(ids: pa.ChunkedArray | pa.Array) -> Int64:
    """A 64-bit number of each string, int64; NO_IDENTITY for null.

    Of a string that begins with 16 hexadecimal digits, as digests do, these digits; of any other a hash.
    """
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    known = whole.is_valid().to_numpy(zero_copy_only=False)
    texts = pa.concat_arrays([whole.fill_null("")])  # without an offset into its buffers
    ends = np.frombuffer(texts.buffers()[1], np.int32)[: len(texts) + 1]
    long = np.diff(ends) >= _DIGITS
    found = np.zeros(len(texts), np.uint64)
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    digits = _HEX[data[ends[:-1][long, None] + np.arange(_DIGITS)]]
    is_hex = (digits < 16).all(axis=1)
    found[long] = (digits.astype(np.uint64) << _SHIFTS).sum(axis=1, dtype=np.uint64)
    others = known.copy()
    others[np.flatnonzero(long)[is_hex]] = False
    rest = texts.filter(pa.array(others)).to_numpy(zero_copy_only=False)
    found[others] = pd.util.hash_array(rest.astype(object), categorize=False)
    found[~known] = NO_IDENTITY
    return found.view(np.int64)


def face_number(ids: pa.ChunkedArray) -> Int64:
    """A 64-bit hash of each face_id, int64; the ids of the faces of one image begin alike."""
    return pd.util.hash_array(ids.to_numpy().astype(object), categorize=False).view(np.int64)


def image_events(images: pa.Table) -> pa.Table:
    """Of rows with image_id, status, reason and n_faces."""
    has_face = pc.fill_null(pc.greater(images.column("n_faces"), 0), False).to_numpy(zero_copy_only=False)
    return _events(images.column("image_id"), _LISTED, _DECODED * is_decoded(images) + _HAS_FACE * has_face)


def face_events(faces: pa.Table) -> pa.Table:
    """Of rows with image_id and is_usable: the images with a usable face."""
    usable = faces.filter(faces.column("is_usable")).column("image_id").unique()
    return _events(usable, _USABLE, np.zeros(len(usable), np.int64))


def cluster_events(clusters: pa.Table) -> pa.Table:
    """Of rows with face_id, image_id, cluster_id and role."""
    clustered = clusters.filter(pc.not_equal(clusters.column("role"), "noise")).column("image_id").unique()
    is_main = is_main_face(clusters)
    main, others = clusters.filter(is_main), clusters.filter(pc.invert(is_main))
    alone = others.filter(others.column("cluster_id").is_null())
    others = others.filter(others.column("cluster_id").is_valid())
    return pa.concat_tables(
        [
            _events(clustered, _CLUSTERED, np.zeros(len(clustered), np.int64)),
            _events(main.column("image_id"), _MAIN, number(main.column("cluster_id"))),
            _events(others.column("image_id"), _OTHER, number(others.column("cluster_id"))),
            _events(alone.column("image_id"), _ALONE, face_number(alone.column("face_id"))),
        ]
    ).combine_chunks()


def label_events(labels: pa.Table, categories: Categories) -> pa.Table:
    """Of rows with image_id, attribute and value: subjects, and declared values."""
    parts = []
    for kind, (attribute, declared) in enumerate(categories.items()):
        own = labels.filter(pc.equal(labels.column("attribute"), attribute))
        codes = category_codes(own.column("value"), declared)
        known = pa.array(codes < len(declared))
        parts.append(_events(own.column("image_id").filter(known), kind, codes[codes < len(declared)]))
    is_subject = pc.and_(pc.equal(labels.column("attribute"), SUBJECT), labels.column("value").is_valid())
    own = labels.filter(is_subject)
    parts.append(_events(own.column("image_id"), _SUBJECT, number(own.column("value"))))
    return pa.concat_tables(parts).combine_chunks()


def _events(images: Any, kind: int, values: npt.NDArray[Any]) -> pa.Table:
    size = len(values)
    return pa.table(
        {
            "image": number(images),
            "kind": pa.repeat(pa.scalar(kind, pa.int32()), size),
            "value": values.astype(np.int64),
        }
    )


def unit_frame(events: DataFrame, categories: Categories, tasks: int) -> DataFrame:
    """A row per image and per face: `identity`, `unit`, `passed`, c0, c1, … and `cluster`.

    `cluster` is that of a face, or the subject of an image, NO_IDENTITY without. The codes of the attributes are their
    number of categories where missing. events: rows under EVENTS of all images.
    """
    sizes = [len(c) for c in categories.values()]
    columns = "".join(f", c{i} int" for i in range(len(sizes)))

    def join(batches: Batches) -> Batches:
        image, kind, value = _columns(batches, 3)
        yield from pa.Table.from_pydict(_joined(image, kind, value, sizes)).to_batches()

    schema = f"identity long, cluster long, unit int, passed int{columns}"
    return map_batches(events.repartition(tasks, "image"), join, schema)


def _joined(image: Int64, kind: Int64, value: Int64, sizes: Sequence[int]) -> dict[str, Any]:
    """The columns of the units of some images, from all that is known of these."""
    listed = kind == _LISTED
    names, state = image[listed], value[listed]
    order = np.argsort(names)
    names, state = names[order], state[order]

    def at(wanted: Any) -> tuple[Int64, Int64]:
        rows = np.flatnonzero(wanted)
        return np.searchsorted(names, image[rows]), value[rows]

    def flags(wanted: int) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(names), np.bool_)
        found[at(kind == wanted)[0]] = True
        return found

    still_in = (state & _DECODED) > 0
    passed = still_in.astype(np.int64)
    for flag in ((state & _HAS_FACE) > 0, flags(_USABLE), flags(_CLUSTERED)):
        still_in &= flag
        passed += still_in
    codes = np.empty((len(names), len(sizes)), np.int64)
    for i, size in enumerate(sizes):
        codes[:, i] = size
        rows, of = at(kind == i)
        codes[rows, i] = of
    subject, cluster = np.zeros((2, len(names)), np.int64)
    for target, wanted in ((subject, _SUBJECT), (cluster, _MAIN)):
        rows, of = at(kind == wanted)
        target[rows] = of
    of_image = np.where(subject != NO_IDENTITY, subject, np.where(cluster != NO_IDENTITY, cluster, names))
    main, others, alone = at(kind == _MAIN)[0], value[kind == _OTHER], value[kind == _ALONE]
    unlabelled = np.broadcast_to(np.array(sizes, np.int64), (len(others) + len(alone), len(sizes)))
    every_code = np.concatenate([codes, codes[main], unlabelled])
    faces = len(main) + len(unlabelled)
    found = {
        "identity": np.concatenate([of_image, of_image[main], others, alone]),
        "cluster": np.concatenate([subject, cluster[main], others, np.full(len(alone), NO_IDENTITY)]),
        "unit": np.repeat(np.array([_IMAGE, _FACE], np.int32), [len(names), faces]),
        "passed": np.concatenate([passed, np.zeros(faces, np.int64)]).astype(np.int32),
    }
    return found | {f"c{i}": every_code[:, i].astype(np.int32) for i in range(len(sizes))}


def count(
    units: DataFrame, categories: Categories, sets: Sequence[Names], tasks: int
) -> tuple[UnitCounts, UnitCounts, LossCounts]:
    """Images, faces, and the images lost, of a `unit_frame`."""

    def part(identity: Int64, rows: Int64) -> tuple[UnitCounts, UnitCounts, LossCounts]:
        is_image = rows[:, 0] == _IMAGE
        of, own = identity[is_image], rows[is_image]
        lost = count_losses(categories, own[:, 2:], own[:, 1], of, len(STAGES), sets)
        faces = count_units(categories, rows[~is_image, 2:], identity[~is_image], sets)
        return count_units(categories, own[:, 2:], of, sets), faces, lost

    names = ["identity", "unit", "passed", *_codes(categories)]
    parts = _parts(units.select(*names), "identity", part, tasks)
    return sum_of(p[0] for p in parts), sum_of(p[1] for p in parts), sum_of(p[2] for p in parts)


def vote(units: DataFrame, categories: Categories, tasks: int) -> tuple[Votes, Votes]:
    """Clusters by their faces, and subjects by their images, of a `unit_frame`."""

    def part(named: Int64, rows: Int64) -> tuple[Votes, Votes]:
        _, group = np.unique(named, return_inverse=True)  # hashes may be negative
        is_face = rows[:, 0] == _FACE
        found = [count_votes(group[kept], rows[kept, 1:], categories) for kept in (is_face, ~is_face)]
        return found[0], found[1]

    names = ["cluster", "unit", *_codes(categories)]
    parts = _parts(units.where(f"cluster != {NO_IDENTITY}").select(*names), "cluster", part, tasks)
    return sum_of(p[0] for p in parts), sum_of(p[1] for p in parts)


def _codes(categories: Categories) -> list[str]:
    return [f"c{i}" for i in range(len(categories))]


def _parts(frame: DataFrame, key: str, part: Part, tasks: int) -> list[Any]:
    """What each of `tasks` parts of the rows, which share no key, gives; the key is the first column."""
    width = len(frame.columns)

    def run(batches: Batches) -> Batches:
        columns = _columns(batches, width)
        yield pa.RecordBatch.from_pydict({"part": [pickle.dumps(part(columns[0], np.stack(columns[1:], axis=1)))]})

    rows = map_batches(frame.repartition(tasks, key), run, "part binary").collect()
    return [pickle.loads(row["part"]) for row in rows]  # noqa: S301 (made above)


def _columns(batches: Batches, width: int) -> list[Int64]:
    found = [[c.to_numpy(zero_copy_only=False) for c in batch.columns] for batch in batches]
    return [np.concatenate([b[i] for b in found] or [np.zeros(0)]).astype(np.int64) for i in range(width)]
