"""Which images the pipeline loses, stage by stage and group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from facelib.audit.intervals import wilson
from facelib.audit.joint_counts import JointCounts
from facelib.errors import ConfigError
from facelib.reasons import ImageReason
from facelib.reports.balance import joint_counts

STAGES = ("decode", "detect", "quality", "cluster")
"""decode: listed to decoded; detect: to at least one face; quality: to at least one usable face;
cluster: to at least one face in a cluster (role other than noise)."""

PASSED = "stages passed"
PASSED_STAGES = tuple(str(i) for i in range(len(STAGES) + 1))
"""An image passes a stage only after all before it."""

LOSSES_SCHEMA = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("attribute", pa.string()),
        pa.field("group", pa.string()),
        pa.field("n_in", pa.int64(), nullable=False),
        pa.field("n_out", pa.int64(), nullable=False),
        pa.field("rate", pa.float64()),
        pa.field("ci_low", pa.float64()),
        pa.field("ci_high", pa.float64()),
    ]
)

_NEEDED = ("status", "reason", "n_faces", "n_usable", "n_clustered")


def losses(
    images: pa.Table | JointCounts,
    attributes: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    confidence: float = 0.95,
) -> pa.Table:
    """Images that enter and pass every stage: overall, and per category of every attribute.

    images: one row per listed image with `status`, `reason`, `n_faces`, `n_usable`, `n_clustered`
    (null counts as 0) and one nullable string column per attribute; or the images counted by the attributes and by
    `PASSED`, the number of stages they passed. categories: the declared categories of every attribute, in order.

    Returns a table under LOSSES_SCHEMA: per stage the overall row (attribute and group null), then
    for every attribute its categories, empty ones too, and the missing cell (group null). `n_out`
    of a stage is `n_in` of the next in the same group. `rate` is the share lost at the stage,
    (n_in − n_out) / n_in, with its Wilson interval at `confidence`; all three are null where n_in
    is 0. Raises ConfigError for a missing column or a value outside the categories.
    """
    counted = images if isinstance(images, JointCounts) else joint_losses(images, attributes, categories)
    names: list[str | None] = [None]
    groups: list[str | None] = [None]
    reached = [_reached(counted.table(PASSED)[None])]
    for attribute in dict.fromkeys(attributes):
        declared = categories[attribute]
        reached.append(_reached(counted.table(attribute, PASSED)))
        names += [attribute] * (len(declared) + 1)
        groups += [*declared, None]
    return _rows(names, groups, np.concatenate(reached), confidence)


def joint_losses(images: pa.Table, attributes: Sequence[str], categories: Mapping[str, Sequence[str]]) -> JointCounts:
    """Images, as for `losses`, counted by the attributes and by the stages they passed."""
    for column in (*_NEEDED, *attributes):
        if column not in images.column_names:
            raise ConfigError(f"the images table has no column {column}: join it before counting losses")
    for attribute in attributes:
        if attribute not in categories:
            raise ConfigError(f"attribute {attribute} has no categories: declare them, or leave it out")
    by_attribute = joint_counts(images, list(dict.fromkeys(attributes)), categories)
    codes = np.column_stack([by_attribute.codes, _stages_passed(images)])
    return JointCounts({**by_attribute.categories, PASSED: PASSED_STAGES}, codes, by_attribute.n)


def _stages_passed(images: pa.Table) -> npt.NDArray[np.int64]:
    """How many stages each image passed, 0–4; a stage counts only after all before it."""
    is_ok = pc.equal(images.column("status"), "ok")
    has_no_face = pc.equal(images.column("reason"), str(ImageReason.NO_FACE))
    still_in = _flags(is_ok) | _flags(has_no_face)
    passed = still_in.astype(np.int64)
    for column in ("n_faces", "n_usable", "n_clustered"):
        still_in &= _flags(pc.greater(images.column(column), 0))
        passed += still_in
    return passed


def _flags(condition: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.array(condition.fill_null(False).to_numpy(), np.bool_)


def _reached(ended: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Images of each group that passed at least 0 … 4 stages, (groups, 5), of those that passed so many and no more;
    the last column of `ended` (groups, 6) is that of a missing value, which does not occur."""
    return ended[:, -2::-1].cumsum(axis=1)[:, ::-1]


def _rows(
    names: list[str | None], groups: list[str | None], reached: npt.NDArray[np.int64], confidence: float
) -> pa.Table:
    n_in, n_out = reached[:, :-1].T.ravel(), reached[:, 1:].T.ravel()
    low, high = wilson(n_in - n_out, n_in, confidence)
    rate = (n_in - n_out) / np.maximum(n_in, 1)
    empty = n_in == 0
    return pa.table(
        [
            pa.array(np.repeat(STAGES, len(names)), pa.string()),
            pa.array(names * len(STAGES), pa.string()),
            pa.array(groups * len(STAGES), pa.string()),
            n_in,
            n_out,
            *(pa.array(values, mask=empty) for values in (rate, low, high)),
        ],
        schema=LOSSES_SCHEMA,
    )
