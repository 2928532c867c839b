"""How pose, sharpness, light and resolution are spread in every group: what makes faces hard besides who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binom

from facelib.audit.intervals import wilson
from facelib.errors import ConfigError
from facelib.reports.declared import category_codes

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
HARD_SHARE = 0.1
"""How much of all units counts as hard: those beyond this quantile of the measure."""


@dataclass(frozen=True)
class Measure:
    """What a measure is called, its unit, and which end of it makes a face hard: `low` or `high`."""

    title: str
    unit: str
    hard: str


FACE_MEASURES = {
    "eye_distance_px": Measure("distance between the eyes", "px", "low"),
    "shorter_side_px": Measure("shorter side of the image", "px", "low"),
    "sharpness": Measure("sharpness of the face", "", "low"),
    "brightness": Measure("brightness of the face", "", "low"),
    "turn_deg": Measure("turn of the head to either side", "deg", "high"),
    "nod_deg": Measure("nod of the head, up or down", "deg", "high"),
    "quality_score": Measure("quality score", "", "low"),
}
"""Measures of faces and their images, by column of `face_measures`."""
CLUSTER_MEASURES = {"images": Measure("images of the identity", "", "low")}
FACE_COLUMNS = ("image_id", "eye_distance_px", "sharpness", "brightness", "yaw_deg", "pitch_deg", "quality_score")
IMAGE_COLUMNS = ("image_id", "width_px", "height_px")
MEASURES_SCHEMA = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("attribute", pa.string()),
        pa.field("group", pa.string()),
        pa.field("n", pa.int64(), nullable=False),
        *(pa.field(f"q{round(100 * q)}", pa.float64()) for q in QUANTILES),
        pa.field("median_low", pa.float64()),
        pa.field("median_high", pa.float64()),
        pa.field("hard_limit", pa.float64()),
        pa.field("n_hard", pa.int64(), nullable=False),
        pa.field("hard_share", pa.float64()),
        pa.field("ci_low", pa.float64()),
        pa.field("ci_high", pa.float64()),
    ]
)
Float64 = npt.NDArray[np.float64]


def chosen_measures(nuisances: Sequence[str]) -> dict[str, Measure]:
    """FACE_MEASURES among `audit.nuisances`."""
    return {name: measure for name, measure in FACE_MEASURES.items() if name in nuisances}


def face_measures(faces: pa.Table, images: pa.Table) -> pa.Table:
    """A float64 column per name in FACE_MEASURES, a row per row of `faces`; null where unknown.

    faces, images: rows of those tables, with FACE_COLUMNS and IMAGE_COLUMNS at least. Turn and nod are absolute angles.
    """
    position = pc.index_in(faces.column("image_id"), value_set=images.column("image_id").combine_chunks())
    sides = images.take(position)
    columns = {
        "eye_distance_px": faces.column("eye_distance_px"),
        "shorter_side_px": pc.min_element_wise(sides.column("width_px"), sides.column("height_px"), skip_nulls=False),
        "sharpness": faces.column("sharpness"),
        "brightness": faces.column("brightness"),
        "turn_deg": pc.abs(faces.column("yaw_deg")),
        "nod_deg": pc.abs(faces.column("pitch_deg")),
        "quality_score": faces.column("quality_score"),
    }
    return pa.table({name: columns[name].cast(pa.float64()) for name in FACE_MEASURES})


def measures_by_group(
    unit: str,
    rows: pa.Table,
    measures: Mapping[str, Measure],
    attributes: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    confidence: float = 0.95,
) -> pa.Table:
    """Quantiles of every measure, of all units and by group, under MEASURES_SCHEMA.

    rows: one row per unit (`face`, `cluster`) with a numeric column per measure, null where it has none, and one
    nullable string column per attribute. measures: by column. categories: declared categories per attribute, in order.

    Per measure the row of all units (attribute and group null), then each attribute's categories and its missing cell
    (group null). `n` counts units with a value. Quantiles are linear between order statistics. `median_low` and
    `median_high` are order statistics that hold the median with at least `confidence`; null below six units.
    `hard_limit` is the quantile HARD_SHARE (or 1 − HARD_SHARE) of all units; `n_hard` units lie at it or beyond, the
    share `hard_share` of n with its Wilson interval. Everything but counts is null where n is 0. A value outside
    the categories counts as missing.

    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1 (interval of a quantile).
    """
    members: list[tuple[str | None, str | None, npt.NDArray[np.bool_]]] = [
        (None, None, np.ones(rows.num_rows, np.bool_))
    ]
    for attribute in attributes:
        if attribute not in categories:
            raise ConfigError(f"attribute {attribute} has no categories: declare them, or leave it out")
        declared = categories[attribute]
        codes = category_codes(rows.column(attribute), declared)
        members += [(attribute, group, codes == code) for code, group in enumerate((*declared, None))]
    found: list[dict[str, Any]] = []
    for name, measure in measures.items():
        values = rows.column(name).cast(pa.float64()).to_numpy()
        known = np.isfinite(values)
        sign = 1.0 if measure.hard == "high" else -1.0
        limit = float(np.quantile(values[known], 1 - HARD_SHARE if sign > 0 else HARD_SHARE)) if known.any() else None
        for of, group, is_member in members:
            row = _row(np.sort(values[known & is_member]), sign, limit, confidence)
            found.append({"measure": name, "unit": unit, "attribute": of, "group": group, **row})
    return pa.Table.from_pylist(found, schema=MEASURES_SCHEMA)


def _row(values: Float64, sign: float, limit: float | None, confidence: float) -> dict[str, Any]:
    """The figures of one group from its sorted values."""
    n = len(values)
    if n == 0 or limit is None:
        return {"n": 0, "n_hard": 0}
    n_hard = int((sign * values >= sign * limit).sum())
    low, high = wilson(n_hard, n, confidence)
    rank = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    ends = {"median_low": float(values[rank - 1]), "median_high": float(values[n - rank])} if rank else {}
    quantiles = {f"q{round(100 * q)}": float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}
    share = {"n_hard": n_hard, "hard_share": n_hard / n, "ci_low": float(low), "ci_high": float(high)}
    return {"n": n, **quantiles, **ends, "hard_limit": limit, **share}
