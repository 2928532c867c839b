"""The units of two runs side by side: which are in both, of what group in each, and of which identity.

Images are matched by image_id, faces by face_id, clusters by the faces they share (`facelib.clusters.lineage`) and
verified people by their pseudonym. An image that was written anew is another image. Identities are those of the audit
(`facelib.reports.audit_units`) in the later run: the verified subject, else the cluster, else the unit itself; what
only the earlier run has goes with the cluster that continues its own there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.balance_change import ABSENT
from facelib.clusters.lineage import match
from facelib.ids import face_id
from facelib.reports.declared import category_codes
from facelib.reports.labels import SUBJECT
from facelib.reports.losses import stages_passed

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Categories = Mapping[str, Sequence[str]]
IMAGE_COLUMNS = ["image_id", "status", "reason", "n_faces"]
FACE_COLUMNS = ["face_id", "image_id", "is_usable"]
CLUSTER_COLUMNS = ["face_id", "image_id", "cluster_id", "role"]
LABEL_COLUMNS = ["image_id", "attribute", "value"]


@dataclass(frozen=True)
class RunUnits:
    """Columns of a run's tables, as named above."""

    images: pa.Table
    faces: pa.Table
    clusters: pa.Table
    labels: pa.Table


@dataclass(frozen=True)
class Matched:
    """U units. identity (U,). before, after: by attribute the position of the value among the categories, their number
    where it is missing, ABSENT in a run without the unit; (U,) each. categories: by attribute, those of both runs.
    passed_before, passed_after: of images, the stages passed (`facelib.reports.losses`), or ABSENT; else empty.
    """

    identity: Int64
    in_before: Bool
    in_after: Bool
    before: Mapping[str, Int64]
    after: Mapping[str, Int64]
    categories: Categories
    passed_before: Int64
    passed_after: Int64

    def cells(self, attributes: Sequence[str]) -> tuple[Int64, Int64]:
        """Cell of every unit before and after, (U,) each: positions in the flattened grid of all categories and the
        missing one, ABSENT in a run without the unit."""
        shape = [len(self.categories[a]) + 1 for a in attributes]
        found = []
        for codes, there in ((self.before, self.in_before), (self.after, self.in_after)):
            cell = np.zeros(self.identity.size, np.int64)
            for attribute, size in zip(attributes, shape, strict=True):
                cell = cell * size + codes[attribute]
            found.append(np.where(there, cell, ABSENT))
        return found[0], found[1]


def matched_units(a: RunUnits, b: RunUnits, categories: Categories) -> dict[str, Matched]:
    """The units image, face and cluster, and subject where a run names verified people; a is the earlier run."""
    images = _union(a.images.column("image_id"), b.images.column("image_id"))
    values = [_image_codes(run, images, categories) for run in (a, b)]
    subject = _subjects(a, b, images)
    faces = _union(a.clusters.column("face_id"), b.clusters.column("face_id"))
    cluster = _identities(a, b, faces)
    of_face = np.where(cluster[1] >= 0, cluster[1], cluster[0])
    owner = _owners(a, b, faces, images)
    is_main = _is_main(faces, images, owner)
    of_image = np.full(len(images), ABSENT, np.int64)
    of_image[owner[is_main]] = of_face[is_main]
    face_subject = np.where(is_main, subject[owner], ABSENT)
    there = [_is_there(images, run.images.column("image_id")) for run in (a, b)]
    face_there = [_is_there(faces, run.clusters.column("face_id")) for run in (a, b)]
    face_values = [
        {n: np.where(is_main, codes[owner], len(categories[n])) for n, codes in of_run.items()} for of_run in values
    ]
    passed = [np.where(t, _passed(run, images), ABSENT) for run, t in zip((a, b), there, strict=True)]
    found = {
        "image": replace(
            _matched(_identity(subject, of_image), there, values, categories),
            passed_before=passed[0],
            passed_after=passed[1],
        ),
        "face": _matched(_identity(face_subject, of_face), face_there, face_values, categories),
        "cluster": _grouped(cluster, face_there, face_values, categories),
    }
    if (subject >= 0).any():
        found["subject"] = _grouped([np.where(t, subject, ABSENT) for t in there], there, values, categories)
    return found


def _matched(
    identity: Int64, there: Sequence[Bool], values: Sequence[Mapping[str, Int64]], categories: Categories
) -> Matched:
    none = np.zeros(0, np.int64)
    return Matched(identity, there[0], there[1], values[0], values[1], categories, none, none)


def _identities(a: RunUnits, b: RunUnits, faces: pa.Array) -> list[Int64]:
    """Number of every face's cluster in the earlier and in the later run, ABSENT for none: first the later run's, then
    those of the earlier one that none continues; one that is continued has the number of the one that does."""
    found = match(b.clusters.select(["face_id", "cluster_id"]), a.clusters.select(["face_id", "cluster_id"]))
    number = np.arange(len(found.previous_ids) + 1) + len(found.current_ids)
    number[-1] = ABSENT
    continued = np.flatnonzero(found.continues >= 0)
    number[found.continues[continued]] = continued
    before, after = (np.full(len(faces), ABSENT, np.int64) for _ in (a, b))
    before[_at(a.clusters.column("face_id"), faces)] = number[_at(a.clusters.column("cluster_id"), found.previous_ids)]
    after[_at(b.clusters.column("face_id"), faces)] = found.label
    return [before, after]


def _identity(subject: Int64, cluster: Int64) -> Int64:
    """Subjects, then clusters, then units by themselves."""
    subjects, clusters = int(subject.max(initial=ABSENT)) + 1, int(cluster.max(initial=ABSENT)) + 1
    own = subjects + clusters + np.arange(len(subject))
    return np.where(subject >= 0, subject, np.where(cluster >= 0, subjects + cluster, own))


def _union(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
    return pa.chunked_array([*a.chunks, *b.chunks], pa.string()).unique()


def _at(ids: pa.ChunkedArray, among: pa.Array) -> Int64:
    """Position of every id, ABSENT for one that is not there."""
    return np.asarray(pc.index_in(ids, value_set=among).fill_null(ABSENT).to_numpy(), np.int64)


def _is_there(ids: pa.Array, among: pa.ChunkedArray) -> Bool:
    return np.asarray(pc.is_in(ids, value_set=among).to_numpy(zero_copy_only=False), np.bool_)


def _owners(a: RunUnits, b: RunUnits, faces: pa.Array, images: pa.Array) -> Int64:
    """Position of every face's image."""
    found = np.zeros(len(faces), np.int64)
    for run in (a, b):
        found[_at(run.clusters.column("face_id"), faces)] = _at(run.clusters.column("image_id"), images)
    return found


def _is_main(faces: pa.Array, images: pa.Array, owner: Int64) -> Bool:
    main = pc.binary_join_element_wise(images.take(pa.array(owner)), face_id("", 0), "")
    return np.asarray(pc.equal(faces, main).to_numpy(zero_copy_only=False), np.bool_)


def _image_codes(run: RunUnits, images: pa.Array, categories: Categories) -> dict[str, Int64]:
    """Position of every image's value, by attribute; of two rows the last that has one."""
    found = {}
    known = run.labels.filter(pc.is_valid(run.labels.column("value")))
    for attribute, declared in categories.items():
        rows = known.filter(pc.equal(known.column("attribute"), attribute))
        codes, at = np.full(len(images), len(declared), np.int64), _at(rows.column("image_id"), images)
        codes[at[at >= 0]] = category_codes(rows.column("value"), declared)[at >= 0]
        found[attribute] = codes
    return found


def _subjects(a: RunUnits, b: RunUnits, images: pa.Array) -> Int64:
    """Number of every image's verified person, as of the later run, else of the earlier; ABSENT where nobody knows."""
    rows = [
        run.labels.filter(
            pc.and_(pc.equal(run.labels.column("attribute"), SUBJECT), pc.is_valid(run.labels.column("value")))
        )
        for run in (a, b)
    ]
    names = _union(*(part.column("value") for part in rows))
    found = np.full(len(images), ABSENT, np.int64)
    for part in rows:
        at = _at(part.column("image_id"), images)
        found[at[at >= 0]] = _at(part.column("value"), names)[at >= 0]
    return found


def _passed(run: RunUnits, images: pa.Array) -> Int64:
    """Stages that every image passed in a run; of images that the run lacks the value has no meaning."""
    usable = run.faces.filter(run.faces.column("is_usable"))
    clustered = run.clusters.filter(pc.not_equal(run.clusters.column("role"), "noise"))
    outcomes = run.images
    for name, rows in (("n_usable", usable), ("n_clustered", clustered)):
        has = pc.is_in(run.images.column("image_id"), value_set=rows.column("image_id").combine_chunks())
        outcomes = outcomes.append_column(name, has.cast(pa.int64()))
    found = np.zeros(len(images), np.int64)
    found[_at(run.images.column("image_id"), images)] = stages_passed(outcomes)
    return found


def _grouped(
    unit_of: Sequence[Int64], there: Sequence[Bool], values: Sequence[Mapping[str, Int64]], categories: Categories
) -> Matched:
    """Units that are groups of the given rows: each has the value that most of its rows with one have, none where two
    tie. unit_of: by run, the number of each row's unit, ABSENT for none."""
    size = int(max(u.max(initial=ABSENT) for u in unit_of)) + 1
    present = [np.bincount(u[t & (u >= 0)], minlength=size) > 0 for u, t in zip(unit_of, there, strict=True)]
    majorities = [
        {
            name: _majority(unit[rows & (unit >= 0)], codes[rows & (unit >= 0)], size, len(categories[name]))
            for name, codes in of_run.items()
        }
        for unit, rows, of_run in zip(unit_of, there, values, strict=True)
    ]
    used = present[0] | present[1]
    kept = [{name: codes[used] for name, codes in of_run.items()} for of_run in majorities]
    return _matched(np.arange(int(used.sum())), [p[used] for p in present], kept, categories)


def _majority(unit: Int64, code: Int64, units: int, categories: int) -> Int64:
    """The most frequent code of each unit, (units,); `categories` without any and where two tie."""
    known = code < categories
    cell, votes = np.unique(unit[known] * max(1, categories) + code[known], return_counts=True)
    owner, value = np.divmod(cell, max(1, categories))
    most = np.zeros(units, np.int64)
    np.maximum.at(most, owner, votes)
    best = votes == most[owner]
    found = np.full(units, categories, np.int64)
    found[owner[best]] = value[best]
    return np.where(np.bincount(owner[best], minlength=units) > 1, categories, found)
