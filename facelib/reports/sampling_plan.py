"""What to collect, and how to weight, before a model is trained again: a plan for every cell of an attribute set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.settings import AuditSettings
from facelib.errors import ConfigError
from facelib.reports.plan_counts import CellCounts, PlannedSet
from facelib.reports.plan_goals import GOALS, Filled, Target, Weighting, fill, target_of, weighting
from facelib.reports.plan_summary import PLAN_SUMMARY_SCHEMA, summary_rows
from schemas.arrow import arrow_schema
from schemas.plan_tables import SAMPLING_PLAN

MOST_CELLS = 10_000
"""Attribute sets of more cells are not planned: nobody collects for so many."""
PLAN_SCHEMA = arrow_schema(SAMPLING_PLAN).remove_metadata().remove(0)
_WITHHELD = "its counts are withheld"


def sampling_plan(sets: Sequence[PlannedSet], audit: AuditSettings, weight_cap: float) -> tuple[pa.Table, pa.Table]:
    """The plan of every cell and goal under PLAN_SCHEMA, and its summary under PLAN_SUMMARY_SCHEMA.

    sets: from `planned_sets`; those of more than MOST_CELLS cells are left out. weight_cap: largest weight over the
    mean weight, ≥ 1. Everything follows from published counts. ConfigError when audit.plan_closed does not fit the
    categories.
    """
    check_closed(audit, {s.attributes[0]: s.categories[0] for s in sets if len(s.attributes) == 1})
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for s in sets:
        if len(s.groups) > MOST_CELLS:
            continue
        target = target_of(s, audit, weight_cap)
        weighted = None if target.weight is None else weighting(s.images, target.weight, weight_cap)
        for goal in GOALS:
            filled = fill(goal, s, target, audit)
            rows += _rows(goal, s, filled, target, weighted, weight_cap)
            summary += summary_rows(goal, s, filled, target, weighted, audit, weight_cap)
    return pa.Table.from_pylist(rows, PLAN_SCHEMA), pa.Table.from_pylist(summary, PLAN_SUMMARY_SCHEMA)


def check_closed(audit: AuditSettings, categories: Mapping[str, Sequence[str]]) -> None:
    """ConfigError when audit.plan_closed names a category that an attribute of the run does not have."""
    for attribute, closed in audit.plan_closed.items():
        unknown = set(closed) - set(categories[attribute]) if attribute in categories else set()
        if unknown:
            raise ConfigError(
                f"audit.plan_closed names {sorted(unknown)[0]}, which is no category of {attribute}: "
                f"its categories are {', '.join(categories[attribute])}"
            )


def _rows(
    goal: str,
    s: PlannedSet,
    filled: tuple[Filled, Filled],
    target: Target,
    weighted: Weighting | None,
    cap: float,
) -> Iterator[dict[str, Any]]:
    images, people = filled
    shown_images, shown_people = ~s.images.hidden, ~s.identities.hidden
    shown = shown_images & shown_people
    is_shares, is_trials = goal == "shares", goal == "interval"
    weights = weighted if is_shares else None
    is_planned, is_staffed = images.undefined is None, people.undefined is None
    has_shares = is_planned and (s.images.is_whole or (s.images.is_known and not is_trials))
    columns: dict[str, list[Any]] = {
        "images": _where(s.images.n, shown_images),
        "identities": _where(s.identities.n, shown_people),
        "target_share": _where(target.collect if is_shares else None, np.ones_like(shown)),
        "images_wanted": _where(images.wanted, images.told(s.images) & (not is_trials)),
        "identities_wanted": _where(people.wanted, people.told(s.identities)),
        "images_to_add": _where(images.add, shown_images & is_planned),
        "identities_to_add": _where(people.add, shown_people & is_staffed),
        "share_now": _where(_shares(s.images.n), shown_images & s.images.is_known),
        "share_collected": _where(_shares(images.after(s.images)), images.told(s.images) & has_shares),
        "weight": _where(weights.weights if weights else None, shown_images),
        "share_weighted": _where(weights.shares if weights else None, shown_images),
    }
    for c, groups in enumerate(s.groups):
        status = _status(c, bool(shown[c]), images, people)
        row = {name: values[c] for name, values in columns.items()}
        state = weights.state[c] if weights else None
        row |= {"status": status, "reason": _reason(c, status, images, people, s.images, state, cap)}
        yield {"attributes": list(s.attributes), "groups": list(groups), "goal": goal, **row}


def _where(values: npt.NDArray[Any] | None, told: npt.NDArray[np.bool_]) -> list[Any]:
    """The values that are told, None for others and for NaN."""
    if values is None:
        return [None] * told.size
    return [v if t and v == v else None for v, t in zip(values.tolist(), told.tolist(), strict=True)]


def _status(c: int, is_shown: bool, images: Filled, people: Filled) -> str:
    if not is_shown:
        return "withheld"
    if images.undefined:
        return "undefined"
    if images.short[c] or people.short[c]:
        return "short"
    return "collect" if images.add[c] or people.add[c] else "enough"


def _reason(
    c: int, status: str, images: Filled, people: Filled, counted: CellCounts, state: str | None, cap: float
) -> str | None:
    if status == "withheld":
        return f"{_WITHHELD}: bring it to what is wanted" if images.add[c] or people.add[c] else _WITHHELD
    if status == "undefined":
        return images.undefined
    if status == "short":
        return images.reason if images.short[c] else people.reason
    if state == "empty":
        return "no image is there, and no weight makes one"
    if state == "capped":
        return f"weights above {cap:g} would be needed to bring it to its target without collecting"
    return None


def _shares(n: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    total = int(n.sum())
    return n / total if total else np.full(n.size, np.nan)
