"""The threshold curve: what is estimated and what is known at similarities around the floor.

It has rows for the whole archive and, where labels were joined before faces were clustered, for every group. Labels
decide which faces a group's rates are estimated from and nothing else: no cluster and no floor depends on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from facelib.audit.group_tails import GroupRates
from facelib.audit.intervals import Float64, wilson
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.space import IntArray
from facelib.reports.declared import category_codes

MOST_CELLS = 64
"""Of a pair of attributes, missing values aside; pairs with more cells have no rows."""
_FACTORS = tuple(10.0**power for power in np.arange(4, -4.5, -0.5).tolist())
"""False edges relative to those at the floor, by point of the curve."""
_Columns = dict[str, Any]


class FaceGroup(NamedTuple):
    """A category of an attribute, or of each of two, and the rows of its faces, ascending."""

    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    rows: IntArray


class GroupCurve(NamedTuple):
    """A group's part of the curve; `rates`, at `similarities(floor)`, are null where the group is too small."""

    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    n_faces: int
    rates: GroupRates | None


def similarities(floor: FloorEstimate) -> Float64:
    """Similarities of the curve's points, rising, (17,): from 10,000 times as many false edges as at the floor, by the
    law of the tail (`facelib.clusters.floor`), to a ten thousandth."""
    return np.array([floor.looser(factor) for factor in _FACTORS])


def face_groups(faces: pa.Table, categories: Mapping[str, Sequence[str]]) -> Iterator[FaceGroup]:
    """Every category of every attribute, then the cells of every pair of attributes that has at most `MOST_CELLS`.

    `faces` holds one row per face and a nullable string column per attribute; a face without a value is in no group of
    that attribute. Empty groups are included. A value outside
    the categories counts as missing.
    """
    members = {
        a: [np.flatnonzero(codes == i) for i in range(len(categories[a]))]
        for a in faces.column_names
        for codes in (category_codes(faces.column(a), categories[a]),)
    }
    for a, rows in members.items():
        yield from (FaceGroup((a,), (name,), of) for name, of in zip(categories[a], rows, strict=True))
    for a, b in combinations(members, 2):
        if len(members[a]) * len(members[b]) > MOST_CELLS:
            continue
        pairs = (zip(categories[x], members[x], strict=True) for x in (a, b))
        for (first, one), (second, other) in product(*pairs):
            yield FaceGroup((a, b), (first, second), np.intersect1d(one, other, assume_unique=True))


def threshold_curve(
    floor: FloorEstimate, evidence: Evidence, groups: Iterable[GroupCurve] = (), min_cell: int = 0
) -> pa.Table:
    """The contract `threshold_curve` without run_id: the whole archive, then each group, by rising similarity.

    Beside the archive's estimate stand the false match rate of pairs on one photograph and the true match rate of
    copies, each with a Wilson 95 % interval; null where there are no such pairs. A group of fewer than `min_cell`
    faces, but not of none, is suppressed: its number of faces and its rates are null. The numbers of faces would tell
    it by subtraction, so they are null for all groups of its attributes, and of pairs with one of its attributes.
    """
    points, nothing = similarities(floor), np.zeros(0, np.float32)
    everyone = list(groups)
    small = {group.attributes for group in everyone if 0 < group.n_faces < min_cell}
    parts = [_archive(floor, points) | _evidence(evidence, points)]
    for group in everyone:
        columns = _group(group, points, min_cell) | _evidence(Evidence(nothing, nothing), points)
        if group.attributes in small or any((a,) in small for a in group.attributes):
            columns |= {"n_faces": pa.nulls(len(points), pa.int64())}
            columns |= {"false_edges_per_face": pa.nulls(len(points), pa.float64())}
        parts.append(columns)
    return pa.concat_tables([pa.table(part) for part in parts])


def _archive(floor: FloorEstimate, points: Float64) -> _Columns:
    fmr = np.full(len(points), np.nan) if floor.fmr is None else np.minimum(1, floor.fmr * np.array(_FACTORS))
    no_ends = np.full(len(points), np.nan)
    whole = GroupCurve((), (), floor.n_faces, GroupRates(fmr, no_ends, no_ends, np.zeros(len(points), bool)))
    return _estimate(whole, points, floor.method)


def _group(group: GroupCurve, points: Float64, min_cell: int) -> _Columns:
    if not 0 < group.n_faces < min_cell:
        return _estimate(group, points, "tail")
    return _estimate(group._replace(rates=None), points, "tail") | {"is_suppressed": [True] * len(points)}


def _estimate(group: GroupCurve, points: Float64, tail: str) -> _Columns:
    """`tail` names the estimator where rates are not counted."""
    unknown = np.full(len(points), np.nan)
    rates = group.rates or GroupRates(unknown, unknown, unknown, np.zeros(len(points), bool))
    estimator = pa.array(np.where(rates.is_counted, "counted", tail), mask=np.isnan(rates.fmr))
    columns: _Columns = {
        name: pa.array([list(names)] * len(points), pa.list_(pa.string()))
        for name, names in (("attributes", group.attributes), ("groups", group.groups))
    }
    columns |= {
        "similarity": points,
        "is_floor": [factor == 1 for factor in _FACTORS],
        "n_faces": pa.array([group.n_faces] * len(points), pa.int64()),
        "is_suppressed": [False] * len(points),
        "estimator": estimator.cast(pa.string()),
    }
    figures = {
        "fmr_estimated": rates.fmr,
        "fmr_ci_low": rates.low,
        "fmr_ci_high": rates.high,
        "false_edges_per_face": rates.fmr * group.n_faces,
    }
    return columns | {name: _nullable(values) for name, values in figures.items()}


def _evidence(evidence: Evidence, points: Float64) -> _Columns:
    columns: _Columns = {}
    for name, known in (("same_photograph", evidence.non_mated), ("copies", evidence.mated)):
        n = np.full(len(points), len(known))
        above = (known[None, :] > points[:, None]).sum(axis=1)
        low, high = wilson(above, n)
        rate = np.divide(above, n, out=np.full(len(n), np.nan), where=n > 0)
        columns[f"n_{name}"] = n
        for part, values in (("rate", rate), ("ci_low", low), ("ci_high", high)):
            columns[f"{name}_{part}"] = _nullable(values)
    return columns


def _nullable(values: Float64) -> pa.Array:
    """NaN becomes null."""
    return pa.array(values, pa.float64(), from_pandas=True)
