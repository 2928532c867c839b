"""A plan in single figures: one row per attribute set, goal and unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from facelib.audit.diversity import evenness, imbalance_ratio
from facelib.audit.settings import AuditSettings
from facelib.reports.plan_counts import CellCounts, PlannedSet
from facelib.reports.plan_goals import NONE_LABELLED, TOO_MUCH_WITHHELD, Filled, Target, Weighting, plan_trials
from schemas.arrow import arrow_schema
from schemas.plan_tables import SAMPLING_PLAN_SUMMARY

PLAN_SUMMARY_SCHEMA = arrow_schema(SAMPLING_PLAN_SUMMARY).remove_metadata().remove(0)


def summary_rows(
    goal: str,
    s: PlannedSet,
    filled: tuple[Filled, Filled],
    target: Target,
    weighted: Weighting | None,
    audit: AuditSettings,
    cap: float,
) -> Iterator[dict[str, Any]]:
    """The rows of images and of clusters, under PLAN_SUMMARY_SCHEMA."""
    for unit, counted, found in zip(("image", "cluster"), (s.images, s.identities), filled, strict=True):
        is_whole = counted.is_whole
        row = {
            "attributes": list(s.attributes),
            "goal": goal,
            "unit": unit,
            "aim": aim(goal, audit),
            "cells": len(s.groups),
            "status": _status(found),
            "reason": found.undefined or _why_short(found),
            "units": int(counted.n.sum()) if is_whole else None,
            "to_add": None if found.undefined else int(found.add.sum()),
            "is_approximate": not is_whole,
        }
        if counted.is_known:
            row |= _measures("now", counted.n, is_whole)
        if found.undefined is None and (is_whole or (counted.is_known and goal != "interval")):
            row |= _measures("collected", found.after(counted), is_whole)
        if goal == "shares" and unit == "image":
            row |= _weighted(counted, target, weighted, cap)
            row["effective_sample_size"] = (
                weighted.effective if weighted and audit.plan_target != "identities" else None
            )
        yield row


def aim(goal: str, audit: AuditSettings) -> str:
    """A goal in words."""
    if goal == "shares":
        kind = "reference" if audit.plan_target == "reference" else "equal"
        return f"every cell has at least {100 * (1 - audit.plan_tolerance):.4g} % of its {kind} share"
    if goal == "evenness":
        return f"evenness is at least {audit.plan_evenness:g}"
    return (
        f"every cell has {plan_trials(audit)} identities with two images, so that an observed false non-match rate of "
        f"{100 * audit.plan_rate:g} % has a 95 % interval {100 * audit.plan_width:g} points wide"
    )


def _status(found: Filled) -> str:
    if found.undefined:
        return "undefined"
    if found.short.any():
        return "short"
    return "collect" if found.add.any() else "enough"


def _why_short(found: Filled) -> str | None:
    return (
        f"{_cells(int(found.short.sum()), found.short.size)} short of it: {found.reason}" if found.short.any() else None
    )


def _cells(some: int, of: int) -> str:
    return f"{some} of {of} cells {'is' if some == 1 else 'are'}"


def _measures(when: str, units: npt.NDArray[Any], is_whole: bool) -> dict[str, float | None]:
    return {
        f"evenness_{when}": evenness(units, units.size),
        f"imbalance_{when}": imbalance_ratio(units) if is_whole else None,
    }


def _weighted(images: CellCounts, target: Target, weighted: Weighting | None, cap: float) -> dict[str, Any]:
    if weighted is None:
        reason = target.reason or (NONE_LABELLED if images.is_known else TOO_MUCH_WITHHELD)
        return {"weighting": "infeasible" if target.is_unfit else "undefined", "weighting_reason": reason}
    empty, capped = (weighted.state.count(state) for state in ("empty", "capped"))
    parts = [f"{_cells(empty, images.n.size)} empty, and no weight makes an image: collect there"] if empty else []
    if capped:
        parts.append(f"{_cells(capped, images.n.size)} below the target share, as no weight may exceed {cap:g}")
    return {
        "weighting": "empty" if empty else "capped" if capped else "reached",
        "weighting_reason": "; ".join(parts) or None,
        **_measures("weighted", weighted.shares, images.is_whole),
    }
