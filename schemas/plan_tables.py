"""What to collect and how to weight: one row per cell and goal, and one per attribute set and goal."""

from __future__ import annotations

from schemas.columns import light_table
from schemas.contract import Column, Type

_S, _I, _D, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL
_SHARE = ("0–1", True, 0.0, 1.0)
_ATTRIBUTES = Column("attributes", Type.LIST_STRING, "one attribute, or a pair")
_GOAL = Column(
    "goal",
    _S,
    "shares: every cell reaches (1 − audit.plan_tolerance) × its target share; evenness: the cells reach the evenness "
    "audit.plan_evenness; interval: every cell has the identities for an error rate of audit.plan_rate with a 95 % "
    "interval audit.plan_width wide",
    values=("shares", "evenness", "interval"),
)
STATUSES = ("enough", "collect", "short", "undefined", "withheld")
WEIGHTINGS = ("reached", "capped", "empty", "infeasible", "undefined")

SAMPLING_PLAN = light_table(
    "sampling_plan",
    "declared cell of an attribute or a pair of attributes × goal",
    ("attributes", "groups", "goal"),
    _ATTRIBUTES,
    Column("groups", Type.LIST_STRING, "the category of each attribute; images without a label lie in no cell"),
    _GOAL,
    Column("images", _I, "images in the cell now; null when withheld", "", True, 0),
    Column("identities", _I, "clusters in the cell now; null when withheld", "", True, 0),
    Column(
        "target_share",
        _D,
        "share of the images, and of the identities, that the cell should have (audit.plan_target); null when it "
        "has none, and for other goals than shares",
        *_SHARE,
    ),
    Column(
        "status",
        _S,
        "enough: nothing to add; collect: add; short: below the goal even after the plan; undefined: no plan, see "
        "reason; withheld: its images or identities are, so what to add is too",
        values=STATUSES,
    ),
    Column(
        "reason",
        _S,
        "why it is short, undefined or withheld, or why no weight brings it to its target; null when there is "
        "nothing to say",
        nullable=True,
    ),
    Column(
        "images_wanted",
        _I,
        "images the cell should hold when all cells are filled, told for withheld cells too; null without a plan, "
        "and for interval",
        "",
        True,
        0,
    ),
    Column("identities_wanted", _I, "identities the cell should hold then; null without a plan", "", True, 0),
    Column("images_to_add", _I, "images to add, those of new identities included; null when not told", "", True, 0),
    Column(
        "identities_to_add",
        _I,
        "new identities to add: people who are not in the archive yet; null when not told",
        "",
        True,
        0,
    ),
    Column("share_now", _D, "share of the images of all declared cells; null when withheld", *_SHARE),
    Column("share_collected", _D, "the same after the plan; null when not told", *_SHARE),
    Column(
        "weight",
        _D,
        "weight of an image of the cell in training towards target_share without collecting: mean weight 1, at "
        "most export.weight_cap; on average where identities weigh the same; null where no image is, where "
        "withheld, and for other goals than shares",
        "",
        True,
        0.0,
    ),
    Column("share_weighted", _D, "expected share of draws with these weights; null like weight, 0 if empty", *_SHARE),
)
SAMPLING_PLAN_SUMMARY = light_table(
    "sampling_plan_summary",
    "attribute or pair of attributes × goal × unit",
    ("attributes", "goal", "unit"),
    _ATTRIBUTES,
    _GOAL,
    Column("unit", _S, "what is counted", values=("image", "cluster")),
    Column("aim", _S, "the goal in words, with its figures"),
    Column("cells", _I, "declared cells", minimum=1),
    Column("status", _S, "enough, collect: the goal can be reached; short, undefined: it cannot", values=STATUSES[:4]),
    Column("reason", _S, "why the goal cannot be reached; null when it can", nullable=True),
    Column("units", _I, "units in declared cells; null when cells are withheld", "", True, 0),
    Column(
        "to_add",
        _I,
        "units to add in all cells; at most, when cells are withheld, which count as empty; null without a plan",
        "",
        True,
        0,
    ),
    Column("evenness_now", _D, "Pielou's evenness of the declared cells", *_SHARE),
    Column("evenness_collected", _D, "after the plan", *_SHARE),
    Column("evenness_weighted", _D, "of the expected draws; images and goal shares only", *_SHARE),
    Column("imbalance_now", _D, "largest over smallest cell; null when one is empty or withheld", "", True, 1.0),
    Column("imbalance_collected", _D, "after the plan", "", True, 1.0),
    Column("imbalance_weighted", _D, "of the expected draws; null like evenness_weighted", "", True, 1.0),
    Column(
        "weighting",
        _S,
        "images and goal shares only. reached: weights give every cell its target share; capped: the cap keeps "
        "cells below it; empty: cells hold no image, so no weight can; infeasible: no weights have the reference "
        "shares of both attributes; undefined: there is no target, or too much is withheld",
        nullable=True,
        values=WEIGHTINGS,
    ),
    Column("weighting_reason", _S, "why weights do not reach the target; null when they do", nullable=True),
    Column(
        "effective_sample_size",
        _D,
        "Kish's, of the labelled images with these weights; null without weights, and where identities weigh the "
        "same (facelib export tells it)",
        "",
        True,
        1.0,
    ),
    Column(
        "is_approximate",
        _B,
        "cells are withheld, and their units, whose number is public, taken as spread evenly over them",
    ),
)
