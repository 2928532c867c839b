"""Which images the pipeline loses, stage by stage and group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import fisher_exact, norm

from facelib.audit.association import holm
from facelib.audit.intervals import wilson
from facelib.audit.loss_counts import LossCounts, count_losses
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
    hidden: Mapping[str, Bool] | None = None,
) -> pa.Table:
    """Images that enter and pass every stage: overall, and per category of every attribute.

    images: one row per listed image, an identity of its own, with `status`, `reason`, `n_faces`, `n_usable`,
    `n_clustered` (null counts as 0) and one nullable string column per attribute; or images that are counted already.
    categories: the declared categories of every attribute, in order. hidden: by attribute, of its groups and the
    missing cell last, those withheld at each level: bool (groups + 1, stages + 1), from `withheld_losses`.

    Returns the columns of the contract `losses` but run_id: per stage the overall row (attribute and group null), then
    for every attribute its categories, empty ones too, and the missing cell (group null). `n_out` of a stage is `n_in`
    of the next in the same group. Intervals and the test are over identities: METRICS.md. Raises ConfigError for a
    missing column.
    """
    counted = images if isinstance(images, LossCounts) else loss_counts(images, attributes, categories)
    overall = counted.moments[None]
    effect_of_all = np.maximum(1.0, np.nan_to_num(overall.design_effect, nan=1.0))
    names: list[str | None] = [None]
    groups: list[str | None] = [None]
    parts, p_values = [overall], [np.full(overall.units.shape, np.nan)]
    masks = [np.zeros((1, len(STAGES) + 1), np.bool_)]
    for attribute in dict.fromkeys(attributes):
        found, declared = counted.moments[attribute], categories[attribute]
        parts.append(found)
        p_values.append(against_the_rest(found, overall))
        masks.append((hidden or {}).get(attribute, np.zeros((len(declared) + 1, len(STAGES) + 1), np.bool_)))
        names += [attribute] * (len(declared) + 1)
        groups += [*declared, None]
    events, units = (np.concatenate([getattr(p, f) for p in parts]).T.ravel() for f in ("events", "units"))
    own = np.concatenate([p.design_effect for p in parts])
    effect = np.maximum(np.nan_to_num(own, nan=1.0), effect_of_all).T.ravel()
    low, high = wilson(events / effect, units / effect, confidence)
    mask = np.concatenate(masks)
    no_in, no_out = mask[:, :-1].T.ravel(), mask[:, 1:].T.ravel()
    no_rate = no_in | no_out | (units == 0)
    chance = np.concatenate(p_values).T.ravel()
    chance[no_rate] = np.nan
    no_test = np.isnan(chance)
    rate = events / np.maximum(units, 1)
    return pa.table(
        [
            pa.array(np.repeat(STAGES, len(names)), pa.string()),
            pa.array(names * len(STAGES), pa.string()),
            pa.array(groups * len(STAGES), pa.string()),
            pa.array(units, mask=no_in),
            pa.array(units - events, mask=no_out),
            *(pa.array(values, mask=no_rate) for values in (rate, low, high, effect)),
            *(pa.array(values, mask=no_test) for values in (chance, holm(chance))),
            pa.array(no_in | no_out),
        ],
        schema=LOSSES_SCHEMA,
    )


def against_the_rest(found: RateMoments, overall: RateMoments) -> Float64:
    """Two-sided p-value that a group is lost as often as all other images, (groups, stages); NaN where it has none.

    Counts are divided by their design effects, those of the group and of all images, at least 1 (Rao and Scott 1981,
    as in `balance_summary`). Score test of two shares; Fisher's exact test of the rounded counts when fewer than 5
    effective images are expected in a cell. That an identity may have images in several groups
    is ignored.
    """
    of_all = np.maximum(1.0, np.nan_to_num(overall.design_effect, nan=1.0))
    own = np.maximum(np.nan_to_num(found.design_effect, nan=1.0), of_all)
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


def withheld_losses(counted: LossCounts, listed: Masks, min_cell: int) -> dict[str, Bool]:
    """Groups to withhold at each level, by attribute, bool (groups + 1, stages + 1): listed, and after each stage.

    listed: masks of the single attributes of the unit image. The images that passed a stage are a part of those that
    reached it, and are protected like faces beside images (DISCLOSURE.md). How many a group lost is not protected.
    """
    attributes = [a for a in counted.moments if a is not None]
    total = _levels(counted.moments[None])[0]
    levels = {(a,): _levels(counted.moments[a]) for a in attributes}
    masks: Masks = {names: listed[names] for names in levels}
    columns = {names: [mask] for names, mask in masks.items()}
    for level in range(1, len(STAGES) + 1) if attributes else ():
        before: dict[Names, Int64] = {names: n[:, level - 1] for names, n in levels.items()}
        now: dict[Names, Int64] = {names: n[:, level] for names, n in levels.items()}
        reached = Publication(before, masks, int(total[level - 1]))
        masks = suppress(now, min_cell, whole=reached, protect_missing=False)
        for names, mask in masks.items():
            columns[names].append(mask)
    return {names[0]: np.stack(c, axis=1) for names, c in columns.items()}


def _levels(moments: RateMoments) -> Int64:
    """Images that reached each stage, and those that passed the last, (groups, stages + 1)."""
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
    return count_losses(
        declared, codes(images, names, categories), stages_passed(images), np.arange(images.num_rows), len(STAGES)
    )


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
