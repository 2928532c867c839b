"""The declarations of the tables that say who is confused with whom."""

from __future__ import annotations

from schemas.columns import light_table
from schemas.contract import Column, Type

_S, _I, _D, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL
_SHARE = ("0–1", True, 0, 1)
_SIMILARITY = Column(
    "similarity",
    _S,
    "what was compared with the threshold. cosine: of the two embeddings, as a verification system would; corrected: "
    "for the surroundings of both faces (see clusters.weight)",
    values=("cosine", "corrected"),
)
DIFFERENTIALS = (
    "fmr_max_min_ratio",
    "fmr_max_geometric_mean_ratio",
    "fmr_gini",
    "fnmr_max_min_ratio",
    "fnmr_max_geometric_mean_ratio",
    "fnmr_gini",
    "fairness_discrepancy_rate",
    "inequity_rate",
    "garbe",
)
CLUSTER_FIGURES = ("clusters_per_subject", "whole_share", "majority_share", "bcubed_precision")

ERROR_RATES = light_table(
    "error_rates",
    "ordered pair of groups × global false match rate (a group with itself: within it), all faces, and all pairs of "
    "two faces of one group of an attribute",
    ("attribute", "group", "other_group", "target_fmr", "estimator"),
    Column("attribute", _S, "null for all compared faces together, with a group or without", nullable=True),
    Column(
        "group",
        _S,
        "category of the one face; null when attribute is, and, with an attribute, for all pairs of one group",
        nullable=True,
    ),
    Column(
        "other_group",
        _S,
        "category of the other face; null like group. Similarity does not depend on the order of two faces, so the "
        "rows of both orders have the same FMR",
        nullable=True,
    ),
    Column(
        "target_fmr",
        _D,
        "global false match rate that fixes the threshold for all groups (audit.error_fmr); null for tail, whose "
        "threshold is the floor of the clusters",
        *_SHARE,
    ),
    Column(
        "estimator",
        _S,
        "subjects: comparisons of main faces of verified subjects, counted; tail: estimated from clusters without "
        "subjects, as in threshold_curve at the floor",
        values=("subjects", "tail"),
    ),
    _SIMILARITY,
    Column(
        "threshold",
        _D,
        "two faces match when more similar; null when fewer than 10 false matches are expected at target_fmr, so "
        "that the data do not support it, and then all figures but n_faces and n_subjects are null",
        nullable=True,
        minimum=-7.001,
        maximum=1.001,
    ),
    Column(
        "n_faces",
        _I,
        "compared faces of `group`: main faces, exact copies once; tail: core faces; null when suppressed, for pairs "
        "of one group, and where it would tell a small number beside it",
        nullable=True,
        minimum=0,
    ),
    Column("n_subjects", _I, "subjects of these; null like n_faces, and for tail", nullable=True, minimum=0),
    Column(
        "n_non_mated",
        _I,
        "comparisons of two subjects, one face in each group; null for tail, when suppressed, and where n_faces of a "
        "group is withheld",
        nullable=True,
        minimum=0,
    ),
    Column("n_false_matches", _I, "those above the threshold; null like n_non_mated", nullable=True, minimum=0),
    Column(
        "fmr",
        _D,
        "n_false_matches over n_non_mated; null without non-mated comparisons. Where n_non_mated is withheld, rates "
        "have two significant digits, and ends of intervals are rounded outwards",
        *_SHARE,
    ),
    Column(
        "fmr_ci_low",
        _D,
        "lower end of the 95 % interval of fmr, over subjects (tail: over clusters); null like fmr, and with too "
        "few subjects to tell, and for pairs of one group",
        *_SHARE,
    ),
    Column("fmr_ci_high", _D, "upper end", *_SHARE),
    Column(
        "n_mated",
        _I,
        "comparisons of two faces of one subject, both in the group; null between groups, for pairs of one group and "
        "for tail, when suppressed, and where n_faces is withheld",
        nullable=True,
        minimum=0,
    ),
    Column("n_false_non_matches", _I, "those not above the threshold; null like n_mated", nullable=True, minimum=0),
    Column("fnmr", _D, "n_false_non_matches over n_mated; null without mated comparisons", *_SHARE),
    Column(
        "fnmr_ci_low",
        _D,
        "lower end of the 95 % interval of fnmr, over subjects; null like fnmr, and for a single subject",
        *_SHARE,
    ),
    Column("fnmr_ci_high", _D, "upper end", *_SHARE),
    Column(
        "is_suppressed",
        _B,
        "a group of the row has fewer than audit.min_cell faces or subjects, but not none: all figures are withheld",
    ),
)
ERROR_SUMMARY = light_table(
    "error_summary",
    "figure: differential between the groups of an attribute at a global false match rate, or how well the clusters "
    "of a group, or of all, keep to subjects; none without verified subjects",
    ("attribute", "group", "target_fmr", "measure"),
    Column("attribute", _S, "null for all faces together", nullable=True),
    Column("group", _S, "category that a figure of clusters is of; null for a differential and for all", "", True),
    Column("target_fmr", _D, "global false match rate that fixes the threshold; null for figures of clusters", *_SHARE),
    Column(
        "measure",
        _S,
        "what the figure is. Differentials, of the FMR within groups and of the FNMR: formulas in "
        "facelib/audit/ERROR_RATES.md. clusters_per_subject: mean number of clusters that hold a subject with two "
        "faces or more; whole_share: share of these subjects that lie in one cluster; majority_share: share of the "
        "faces whose cluster holds more faces of their subject than of any other; bcubed_precision: mean over the "
        "faces of the share of their cluster that is of their subject",
        values=DIFFERENTIALS + CLUSTER_FIGURES,
    ),
    _SIMILARITY,
    Column(
        "value",
        _D,
        "the figure; null where it is undefined (a smallest rate of 0, fewer than two groups, no subject with two "
        "faces), not supported by the data, or suppressed",
        nullable=True,
        minimum=0,
    ),
    Column(
        "ci_low",
        _D,
        "lower end of its 95 % interval over subjects (whole_share: Wilson); null like value, and for "
        "clusters_per_subject, majority_share and bcubed_precision",
        nullable=True,
        minimum=0,
    ),
    Column("ci_high", _D, "upper end; null like ci_low, and where the interval has none", nullable=True, minimum=0),
    Column(
        "by_chance",
        _D,
        "value that groups with equal rates exceed in one of twenty draws of subjects (fairness_discrepancy_rate: "
        "fall short of): up to it no difference is shown; null when a group has no error, and for figures of "
        "clusters",
        nullable=True,
        minimum=0,
    ),
    Column(
        "n",
        _I,
        "what a figure of clusters is a mean of: subjects with two faces or more, or faces; null for differentials, "
        "when suppressed, and where it would tell a small number beside it",
        nullable=True,
        minimum=0,
    ),
    Column("n_groups", _I, "groups that a differential is of; null for figures of clusters", nullable=True, minimum=0),
    Column(
        "groups_left_out",
        Type.LIST_STRING,
        "groups that it is not of: without a comparison, or suppressed; all of them where the data do not support "
        "target_fmr; empty for figures of clusters",
    ),
    Column("is_suppressed", _B, "the figure of a group is withheld for its size, as in error_rates"),
)
