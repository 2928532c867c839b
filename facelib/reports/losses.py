"""Which images the pipeline loses, stage by stage and group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import fisher_exact, norm

from facelib.audit.association import holm
from facelib.audit.intervals import wilson
from facelib.audit.joint_counts import attribute_sets
from facelib.audit.loss_counts import MOST_ATTRIBUTES, LossCounts, count_losses
from facelib.audit.moments import RateMoments
from facelib.audit.suppression import suppress
from facelib.audit.suppression_knowledge import Publication
from facelib.audit.unit_counts import Names
from facelib.errors import ConfigError
from facelib.reasons import ImageReason
from facelib.reports.units_counted import Categories, codes
from facelib.reports.withheld import Masks
from schemas.arrow import arrow_schema
from schemas.audit_tables import LOSSES

STAGES = ("decode", "detect", "quality", "cluster")
"""decode: listed to decoded; detect: to at least one face; quality: to at least one usable face;
cluster: to at least one face in a cluster (role other than noise)."""
LOSSES_SCHEMA = arrow_schema(LOSSES).remove_metadata().remove(0)
JOIN = " × "
"""Between the attributes of a pair, and between their categories."""
SMALL_EXPECTED = 5.0
"""With fewer effective images expected in a cell of the 2 × 2 table, the test is exact."""

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]
_NEEDED = ("status", "reason", "n_faces", "n_usable", "n_clustered")


def losses(
    images: pa.Table | LossCounts,
    attributes: Sequence[str],
    categories: Categories,
    confidence: float = 0.95,
    hidden: Masks | None = None,
) -> pa.Table:
    """Images that enter and pass every stage: overall, and by category of every attribute and pair of attributes.

    images: one row per listed image, an identity of its own, with `status`, `reason`, `n_faces`, `n_usable`,
    `n_clustered` (null counts as 0) and one nullable string column per attribute; or images that are counted already.
    categories: the declared categories of every attribute, in order. hidden: by attribute set, of its cells as in
    `JointCounts.table` those withheld at each level: bool (…, stages + 1), from `withheld_losses`.

    Returns the columns of the contract `losses` but run_id: per stage the overall row (attribute and group null), then
    for every attribute its categories, empty ones too, and the missing cell (group null), then for every pair the cells
    of its categories. `n_out` of a stage is `n_in` of the next in the same group. Intervals and the test are over
    identities: METRICS.md. Raises ConfigError for a missing column.
    """
    counted = images if isinstance(images, LossCounts) else loss_counts(images, attributes, categories)
    parts = [_part(names, counted, categories, (hidden or {}).get(names)) for names in counted.moments]
    kind = np.concatenate([np.full(len(part.groups), len(part.names)) for part in parts])
    events, units, effect, chance = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("events", "units", "effect", "p_value")
    )
    low, high = wilson(events / effect, units / effect, confidence)
    mask = np.concatenate([part.hidden for part in parts])
    no_in, no_out = mask[:, :-1], mask[:, 1:]
    no_rate = no_in | no_out | (units == 0)
    chance[no_rate] = np.nan
    adjusted = np.full(chance.shape, np.nan)
    for size in range(1, MOST_ATTRIBUTES + 1):
        adjusted[kind == size] = holm(chance[kind == size].ravel()).reshape(-1, len(STAGES))
    rows = [(part.names, groups) for part in parts for groups in part.groups]
    texts: dict[str, list[Any]] = {
        "attribute": [JOIN.join(names) or None for names, _ in rows],
        "group": [_joined(groups) for _, groups in rows],
        "attributes": [list(names) for names, _ in rows],
        "groups": [list(groups) for _, groups in rows],
    }
    figures = {
        "n_in": (units, no_in),
        "n_out": (units - events, no_out),
        "rate": (events / np.maximum(units, 1), no_rate),
        "ci_low": (low, no_rate),
        "ci_high": (high, no_rate),
        "design_effect": (effect, no_rate),
        "p_value": (chance, np.isnan(chance)),
        "p_adjusted": (adjusted, np.isnan(adjusted)),
    }
    return pa.table(
        {
            "stage": np.repeat(STAGES, len(rows)),
            **{name: values * len(STAGES) for name, values in texts.items()},
            **{name: pa.array(values.T.ravel(), mask=off.T.ravel()) for name, (values, off) in figures.items()},
            "is_suppressed": (no_in | no_out).T.ravel(),
        },
        schema=LOSSES_SCHEMA,
    )


def _joined(groups: Sequence[str | None]) -> str | None:
    known = [group for group in groups if group is not None]
    return JOIN.join(known) if known else None


@dataclass(frozen=True)
class _Part:
    """The groups (g,) of an attribute set, and by group and stage, (g, stages), what is known of them; hidden has one
    more level."""

    names: Names
    groups: list[tuple[str | None, ...]]
    events: Int64
    units: Int64
    effect: Float64
    p_value: Float64
    hidden: Bool


def _part(names: Names, counted: LossCounts, categories: Categories, hidden: Bool | None) -> _Part:
    """Of a pair the cells with both values, of a single attribute the missing cell too."""
    found, overall = counted.moments[names], counted.moments[()]
    cells = list(product(*((*categories[a], None) for a in names)))
    kept = [i for i, groups in enumerate(cells) if len(names) < 2 or None not in groups]
    off = np.zeros((len(cells), len(STAGES) + 1), np.bool_) if hidden is None else hidden.reshape(len(cells), -1)
    return _Part(
        names,
        [cells[i] for i in kept],
        found.events[kept],
        found.units[kept],
        _design_effect(found, overall)[kept],
        against_the_rest(found, overall)[kept] if names else np.full(found.units.shape, np.nan),
        off[kept],
    )


def _design_effect(found: RateMoments, overall: RateMoments) -> Float64:
    """Of the groups, or of all images where that is larger, and at least 1."""
    own, of_all = (np.nan_to_num(moments.design_effect, nan=1.0) for moments in (found, overall))
    return np.maximum(own, np.maximum(1.0, of_all))


def attributes_of(row: Mapping[str, Any]) -> list[str]:
    """The attributes of a row of `losses`, of its earlier versions too; none for all images."""
    alone = [] if row["attribute"] is None else [row["attribute"]]
    return list(row.get("attributes", alone))


def groups_of(row: Mapping[str, Any]) -> list[str]:
    """The categories of a row of a group, the missing cell aside."""
    return list(row.get("groups", [row["group"]]))


def against_the_rest(found: RateMoments, overall: RateMoments) -> Float64:
    """Two-sided p-value that a group is lost as often as all other images, (groups, stages); NaN where it has none.

    Counts are divided by their design effects, those of the group and of all images, at least 1 (Rao and Scott 1981,
    as in `balance_summary`). Score test of two shares; Fisher's exact test of the rounded counts when fewer than 5
    effective images are expected in a cell. That an identity may have images in several groups
    is ignored.
    """
    own, of_all = _design_effect(found, overall), _design_effect(overall, overall)
    lost, there = found.events / own, found.units / own
    rest_lost, rest = (overall.events - found.events) / of_all, (overall.units - found.units) / of_all
    p = np.full(lost.shape, np.nan)
    pooled = (overall.events / np.maximum(overall.units, 1)) + np.zeros(lost.shape)
    for at in np.argwhere((found.units > 0) & (rest > 0) & (pooled > 0) & (pooled < 1)):
        i = tuple(at)
        expected = min(there[i], rest[i]) * min(pooled[i], 1 - pooled[i])
        if expected < SMALL_EXPECTED:
            table = np.rint([[lost[i], there[i] - lost[i]], [rest_lost[i], rest[i] - rest_lost[i]]]).astype(np.int64)
            p[i] = min(1.0, float(fisher_exact(table).pvalue))
            continue
        variance = pooled[i] * (1 - pooled[i]) * (1 / there[i] + 1 / rest[i])
        p[i] = 2 * float(norm.sf(abs(lost[i] / there[i] - rest_lost[i] / rest[i]) / np.sqrt(variance)))
    return p


def withheld_losses(counted: LossCounts, listed: Masks, min_cell: int) -> dict[Names, Bool]:
    """Cells to withhold at each level, by attribute set, bool (…, stages + 1): listed, and after each stage.

    listed: masks of the unit image. The images that passed a stage are a part of those that reached it, and are
    protected like faces beside images (DISCLOSURE.md). How many a group lost is not protected.
    """
    total = _levels(counted.moments[()])[0]
    levels = {
        names: _levels(found).reshape(*listed[names].shape, -1) for names, found in counted.moments.items() if names
    }
    masks: Masks = {names: listed[names] for names in levels}
    columns = {names: [mask] for names, mask in masks.items()}
    for level in range(1, len(STAGES) + 1) if levels else ():
        before: dict[Names, Int64] = {names: n[..., level - 1] for names, n in levels.items()}
        now: dict[Names, Int64] = {names: n[..., level] for names, n in levels.items()}
        reached = Publication(before, masks, int(total[level - 1]))
        masks = suppress(now, min_cell, whole=reached, protect_missing=False)
        for names, mask in masks.items():
            columns[names].append(mask)
    return {names: np.stack(c, axis=-1) for names, c in columns.items()}


def _levels(moments: RateMoments) -> Int64:
    """Images that reached each stage, and those that passed the last, (cells, stages + 1)."""
    return np.column_stack([moments.units, (moments.units - moments.events)[:, -1]])


def loss_counts(images: pa.Table, attributes: Sequence[str], categories: Categories) -> LossCounts:
    """Images, as for `losses`, counted."""
    for column in (*_NEEDED, *attributes):
        if column not in images.column_names:
            raise ConfigError(f"the images table has no column {column}: join it before counting losses")
    for attribute in attributes:
        if attribute not in categories:
            raise ConfigError(f"attribute {attribute} has no categories: declare them, or leave it out")
    names = list(dict.fromkeys(attributes))
    declared = {a: categories[a] for a in names}
    of, passed = np.arange(images.num_rows), stages_passed(images)
    return count_losses(declared, codes(images, names, categories), passed, of, len(STAGES), attribute_sets(names))


def stages_passed(images: pa.Table) -> npt.NDArray[np.int64]:
    """How many stages each image passed, 0–4; a stage counts only after all before it."""
    still_in = is_decoded(images)
    passed = still_in.astype(np.int64)
    for column in ("n_faces", "n_usable", "n_clustered"):
        still_in &= _flags(pc.greater(images.column(column), 0))
        passed += still_in
    return passed


def is_decoded(images: pa.Table) -> Bool:
    """Whether the pixels of each image, with status and reason, were read: bool, one per row."""
    is_ok = pc.equal(images.column("status"), "ok")
    return _flags(is_ok) | _flags(pc.equal(images.column("reason"), str(ImageReason.NO_FACE)))


def _flags(condition: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.array(condition.fill_null(False).to_numpy(), np.bool_)
