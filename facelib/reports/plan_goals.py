"""The three goals of a collection plan, each over the cells of one attribute set, and the weights of its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facelib.audit.prescription import UnitPlan, collect_for_evenness, collect_for_shares
from facelib.audit.sampling_margins import MarginFit, fit_margins
from facelib.audit.sampling_weights import EXACT, capped_shares, ceilings, target_shares
from facelib.audit.settings import AuditSettings
from facelib.audit.trials import ROUNDING, identities_for_trials, trials_for_width
from facelib.reports.plan_counts import CellCounts, PlannedSet

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
GOALS = ("shares", "evenness", "interval")
IMAGES_PER_TRIAL = 2
"""A mated comparison takes two images of an identity."""
TOO_MUCH_WITHHELD = "more than 5 % of the units lie in withheld cells"
NONE_LABELLED = "none has a label"
UNSURE = "withheld cells may hold so much that no plan is sure"
MOST_EXCESS = 1.25
"""How many times as large as need be a plan for shares may leave the whole, because cells are withheld."""
_CLOSED = "audit.plan_closed"


@dataclass(frozen=True)
class Filled:
    """Units each cell should hold, `wanted`, and how many to add, `add`, both int64 (S,).

    wanted: of withheld cells too. add: of these at most, as if they were empty. short: cells below
    the goal even then, bool (S,), for the `reason`. undefined: why there is no plan, or None.
    """

    wanted: Int64
    add: Int64
    short: Bool
    reason: str | None = None
    undefined: str | None = None

    @classmethod
    def none(cls, counted: CellCounts, reason: str) -> Filled:
        """No plan."""
        return cls(counted.n, np.zeros_like(counted.n), np.zeros(counted.n.size, np.bool_), undefined=reason)

    def after(self, counted: CellCounts) -> Int64:
        """Units of each cell after the plan, withheld ones by their stand-ins."""
        return np.maximum(counted.n, self.wanted)

    def told(self, counted: CellCounts) -> Bool:
        """Where `wanted` says something: not in withheld cells that need nothing."""
        return (self.undefined is None) & (~counted.hidden | (self.add > 0))


@dataclass(frozen=True)
class Target:
    """Shares of the cells, float64 (S,): to collect towards, and to weight towards; None where `reason` says why.

    is_unfit: the reference shares are there, but no shares of the combinations have them.
    """

    collect: Float64 | None
    weight: Float64 | None
    reason: str | None = None
    is_unfit: bool = False


@dataclass(frozen=True)
class Weighting:
    """Weight of an image of each cell, mean 1, NaN where none is, and expected shares of draws, both float64 (S,).

    state: by cell `reached`, `empty`, `capped` or `above`. effective: Kish's sample size.
    """

    weights: Float64
    shares: Float64
    state: tuple[str, ...]
    effective: float


def target_of(s: PlannedSet, audit: AuditSettings, cap: float) -> Target:
    """Equal shares, or the reference shares; for a pair those nearest to the images that have both margins.

    "identities" has equal cells too: it evens out identities within them.
    """
    if audit.plan_target != "reference":
        equal = np.full(len(s.groups), 1 / len(s.groups))
        return Target(equal, equal)
    margins: list[Float64] = []
    for attribute, declared in zip(s.attributes, s.categories, strict=True):
        shares = reference_shares(audit, attribute, declared)
        if shares is None:
            return Target(None, None, f"audit.reference does not give the shares of {attribute}")
        margins.append(shares)
    if len(margins) == 1:
        return Target(margins[0], margins[0])
    if not s.images.is_whole:
        return Target(None, None, "cells are withheld, so shares with the reference margins are not told")
    if not s.images.n.any():
        return Target(None, None, NONE_LABELLED)
    counts = s.images.n.reshape([m.size for m in margins])
    free, capped = (_reached(fit_margins(counts, margins, limit)) for limit in (None, cap))
    hint = f"without weights above {cap:g}" if free is not None else "without images in combinations that have none"
    unfit = f"no shares of the combinations have the reference shares of both attributes {hint}"
    return Target(free, capped, None if capped is not None else unfit, is_unfit=capped is None)


def reference_shares(audit: AuditSettings, attribute: str, categories: Sequence[str]) -> Float64 | None:
    """Reference shares of the categories, (S,), adding up to 1; None where the audit does not give one for each."""
    if attribute in audit.uniform:
        return np.full(len(categories), 1 / len(categories))
    given = audit.reference.get(attribute, {})
    return target_shares([given[c] for c in categories]) if set(given) == set(categories) else None


def _reached(fit: MarginFit) -> Float64 | None:
    return fit.shares.ravel() if fit.status == "converged" else None


def fill(goal: str, s: PlannedSet, target: Target, audit: AuditSettings) -> tuple[Filled, Filled]:
    """(images, identities) for the goal.

    Identities first, each new one with one image (two for `interval`), then images on top of these.
    """
    is_open = np.array([not _is_closed(s, groups, audit) for groups in s.groups])
    if goal == "interval":
        return _fill_trials(s, is_open, plan_trials(audit))
    if goal == "evenness":
        if len(s.groups) < 2:
            reason = "there is one cell only"
            return Filled.none(s.images, reason), Filled.none(s.identities, reason)

        identities = _fill_evenly(s.identities, np.zeros_like(s.identities.n), audit.plan_evenness, is_open)
        return _fill_evenly(s.images, identities.wanted - s.identities.n, audit.plan_evenness, is_open), identities
    if target.collect is None:
        reason = target.reason or "there is no target"
        return Filled.none(s.images, reason), Filled.none(s.identities, reason)
    goal_of = (target.collect, audit.plan_tolerance, is_open)
    identities = _fill_shares(s.identities, np.zeros_like(s.identities.n), *goal_of)
    return _fill_shares(s.images, identities.add, *goal_of), identities


def plan_trials(audit: AuditSettings) -> int:
    """Identities per cell for an error rate of plan_rate with an interval plan_width wide, one comparison of each."""
    return int(identities_for_trials(trials_for_width(audit.plan_rate, audit.plan_width), "mated")[1])


def _fill_shares(counted: CellCounts, brought: Int64, share: Float64, tolerance: float, is_open: Bool) -> Filled:
    """Every cell gets (1 − tolerance) × its share, whatever withheld cells hold. brought: units that come anyway."""
    if not counted.most.any():
        return Filled.none(counted, NONE_LABELLED)

    def filled(n: Int64) -> UnitPlan:
        return collect_for_shares(n + brought, share, tolerance=tolerance, collectable=is_open).images

    plan = filled(counted.most)
    total = int(plan.after.counts.sum())
    if not counted.is_whole:
        shown = np.where(counted.hidden, 0, counted.n)
        if not (shown + brought).any() or total > MOST_EXCESS * filled(shown).after.counts.sum():
            return Filled.none(counted, UNSURE)
    least = (1 - tolerance) * target_shares(share) * is_open
    level = np.maximum(np.ceil(least * total * (1 - ROUNDING)).astype(np.int64), brought)
    wanted = np.where(counted.hidden, level, plan.after.counts)
    have = np.where(counted.hidden, 0, counted.n)
    return Filled(wanted, wanted - have, *_short(plan))


def _fill_evenly(counted: CellCounts, brought: Int64, target: float, is_open: Bool) -> Filled:
    if not counted.is_known:
        return Filled.none(counted, TOO_MUCH_WITHHELD)
    if not counted.n.any():
        return Filled.none(counted, NONE_LABELLED)
    plan = collect_for_evenness(counted.n + brought, target, collectable=is_open).images
    wanted = plan.after.counts
    have = np.where(counted.hidden, 0, counted.n)
    return Filled(wanted, np.where(wanted > counted.n, wanted - have, 0), *_short(plan))


def _short(plan: UnitPlan) -> tuple[Bool, str | None]:
    """The cells that stay short, and why."""
    reason = next((r for r in plan.reasons if r), None)
    return np.array([state == "short" for state in plan.status]), reason and f"{reason} ({_CLOSED})"


def _fill_trials(s: PlannedSet, is_open: Bool, trials: int) -> tuple[Filled, Filled]:
    have = np.where(s.identities.hidden, 0, s.identities.n)
    wanted = np.where(is_open, np.maximum(have, trials), have)
    add, short = wanted - have, wanted < trials
    reason = f"nothing can be added here ({_CLOSED})"
    images = s.images.n + IMAGES_PER_TRIAL * add
    return Filled(images, IMAGES_PER_TRIAL * add, short, reason), Filled(wanted, add, short, reason)


def _is_closed(s: PlannedSet, groups: tuple[str, ...], audit: AuditSettings) -> bool:
    return any(c in audit.plan_closed.get(a, ()) for a, c in zip(s.attributes, groups, strict=True))


def weighting(images: CellCounts, target: Float64, cap: float) -> Weighting | None:
    """Weights as `facelib.audit.sampling_weights.sampling_weights` gives each image of a cell; None without images."""
    n = images.n
    drawable = int(n[target > 0].sum())
    if not (images.is_known and drawable):
        return None
    shares = capped_shares(target, ceilings(n, drawable, cap))
    weights = np.divide(shares * drawable, n, out=np.full(n.size, np.nan), where=n > 0)
    total, squares = np.nansum(weights * n), np.nansum(weights**2 * n)
    names = np.array(["reached", "empty", "capped", "above"])
    off = np.where(shares < target, 2, 3) * (np.abs(shares - target) > EXACT)
    state = names[np.where((n == 0) & (target > 0), 1, off)]
    return Weighting(weights, shares, tuple(state.tolist()), float(total**2 / squares))
