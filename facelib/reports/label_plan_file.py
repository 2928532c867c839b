"""A plan of labels that was carried out: how the images of a file of `facelib balance --label-budget` were chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from facelib.errors import ConfigError

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
_SETTING = "audit.label_plan_path"
_TYPES = {"image_id": pa.string(), "attribute": pa.string(), "stratum": pa.int64(), "inclusion": pa.float64()}


@dataclass(frozen=True)
class Design:
    """How the label of each of M faces came to be. inclusion: float64 (M,), 1 for labels that were there before the
    plan; stratum: int64 (M,), −1 for them. Both are read only where a label is."""

    inclusion: Float64
    stratum: Int64


def read_plan(data: bytes, name: str) -> pa.Table:
    """image_id, attribute, stratum and inclusion of a plan, CSV or Parquet; other columns are left out.

    ConfigError for another suffix, a file that is not readable, a missing column, a value that is none or of another
    type, an inclusion outside (0, 1], and an image that is planned twice for one attribute.
    """
    suffix = name.rpartition(".")[2].lower()
    if suffix not in ("csv", "parquet"):
        raise ConfigError(f"{_SETTING} {name} is neither .csv nor .parquet: give the file that facelib balance wrote")
    try:
        source = pa.BufferReader(data)
        if suffix == "csv":
            rows = pacsv.read_csv(source, convert_options=pacsv.ConvertOptions(column_types=_TYPES))
        else:
            rows = pq.read_table(source)
        lacking = [column for column in _TYPES if column not in rows.column_names]
        if lacking:
            raise ConfigError(f"{_SETTING} {name} has no column {lacking[0]}: give the file that facelib balance wrote")
        rows = rows.select(list(_TYPES)).cast(pa.schema(list(_TYPES.items())))
    except (pa.ArrowException, OSError):
        raise ConfigError(f"{_SETTING} {name} is no plan of labels: give the file that facelib balance wrote") from None
    inclusion = rows.column("inclusion").to_numpy()
    if any(column.null_count for column in rows.columns) or not np.all((inclusion > 0) & (inclusion <= 1)):
        raise ConfigError(f"{_SETTING} {name} has an empty cell or an inclusion outside 0–1: give it as it was written")
    if len(rows.group_by(["image_id", "attribute"]).aggregate([])) < len(rows):
        raise ConfigError(f"{_SETTING} {name} names an image twice for one attribute: give it as it was written")
    return rows


def design_of(plan: pa.Table, attribute: str, image_ids: pa.Array, codes: Int64) -> tuple[Design | None, int]:
    """How the labels of an attribute were chosen, None where the plan is of others; and how many of its images that
    are among these lack their label.

    image_ids: (M,) of the faces; codes: int64 (M,), −1 without a label. Inclusion probabilities of planned images are
    scaled so that their inverses add up to the M faces less those labelled before: a plan, or these faces, may be of a
    sample of the archive.
    """
    own = plan.filter(pc.equal(plan.column("attribute"), attribute)).combine_chunks()
    if not len(own):
        return None, 0
    row = pc.index_in(image_ids, value_set=own.column("image_id").combine_chunks())
    at = row.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    is_planned, is_labelled = at >= 0, codes >= 0
    inclusion, stratum = np.ones(codes.size), np.full(codes.size, -1, np.int64)
    inclusion[is_planned] = own.column("inclusion").to_numpy()[at[is_planned]]
    stratum[is_planned] = own.column("stratum").to_numpy()[at[is_planned]]
    drawn = is_planned & is_labelled
    rest = int((is_planned | ~is_labelled).sum())
    if drawn.any():
        inclusion[drawn] = np.minimum(1.0, inclusion[drawn] * np.sum(1 / inclusion[drawn]) / rest)
    return Design(inclusion, stratum), int((is_planned & ~is_labelled).sum())
