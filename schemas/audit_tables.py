"""The declarations of the tables that say who is in the archive, and who was lost."""

from __future__ import annotations

from schemas.columns import light_table
from schemas.contract import Column, Type

_S, _I, _D, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL
_SHARE = ("0–1", True, 0, 1)
UNITS = ("image", "face", "cluster", "subject")

BALANCE = light_table(
    "balance",
    "unit × group cell, or undeclared value",
    ("unit", "attributes", "groups", "estimator"),
    Column("unit", _S, "what is counted; subject: verified people, when the labels name them", values=UNITS),
    Column("attributes", Type.LIST_STRING, "one attribute, a pair, or a triple of audit.triples"),
    Column("groups", Type.LIST_STRING, "the category of each attribute; a null element is the missing cell"),
    Column("n", _I, "units in the cell; null when suppressed", nullable=True, minimum=0),
    Column("share", _D, "n over all units, missing ones included", *_SHARE),
    Column("ci_low", _D, "lower end of the 95 % interval of share, over identities", *_SHARE),
    Column("ci_high", _D, "upper end", *_SHARE),
    Column(
        "design_effect",
        _D,
        "as many units are as informative as one independent unit; 1 for clusters and subjects",
        "",
        True,
        1,
    ),
    Column(
        "identities",
        _I,
        "identities (subject, else cluster, else the unit itself) in the cell; null for clusters and subjects, when "
        "suppressed, and when the cell is suppressed for clusters",
        "",
        True,
        0,
    ),
    Column("effective_identities", _D, "(Σ n)² / Σ n² of their units n; null like identities, or n = 0", "", True, 1),
    Column("identity_gini", _D, "Gini coefficient of their units; null like effective_identities", *_SHARE),
    Column("reference_share", _D, "share to compare with; null when none was given", *_SHARE),
    Column(
        "ratio",
        _D,
        "share among known units over reference_share; null without reference and when the missing cell is suppressed",
        "",
        True,
        0,
    ),
    Column("ratio_ci_low", _D, "lower end of the 95 % interval of ratio, over identities; null like it", "", True, 0),
    Column("ratio_ci_high", _D, "upper end", "", True, 0),
    Column(
        "is_flagged",
        _B,
        "ratio outside audit.flag_below … audit.flag_above and its interval excludes 1; null like ratio",
        nullable=True,
    ),
    Column("is_suppressed", _B, "n is below audit.min_cell, or would tell one that is: the figures are withheld"),
    Column(
        "estimator",
        _S,
        "count; undeclared: an error, images with a value that is none of the declared categories (they count as "
        "missing)",
        values=("count", "undeclared"),
    ),
    version=2,
)
BALANCE_SUMMARY = light_table(
    "balance_summary",
    "unit × attribute set",
    ("unit", "attributes"),
    Column("unit", _S, "what is counted", values=UNITS),
    Column("attributes", Type.LIST_STRING, "one attribute, a pair, or a triple; empty: all units together"),
    Column("n", _I, "units", minimum=0),
    Column("n_missing", _I, "units without a value for an attribute of the set; null when it would tell", "", True, 0),
    Column("categories", _I, "declared cells; null for all units together", "", True, 0),
    Column("categories_present", _I, "declared cells with n > 0; null when all are suppressed", "", True, 0),
    Column("shannon_nats", _D, "Shannon entropy of the known shares", "nat", True, 0),
    Column("evenness", _D, "shannon_nats over the logarithm of the number of declared cells", *_SHARE),
    Column("simpson", _D, "1 − Σp² of the known shares: chance that two units differ", *_SHARE),
    Column("effective_categories", _D, "1/Σp² of the known shares", "", True, 1),
    Column(
        "imbalance_ratio",
        _D,
        "largest over smallest declared cell; null when the smallest is empty or a cell is withheld",
        "",
        True,
        1,
    ),
    Column("identities", _I, "identities of all units; null for sets, clusters and subjects", "", True, 0),
    Column(
        "effective_identities",
        _D,
        "(Σ n)² / Σ n² of the known units n of the identities; null when a cell is withheld, for clusters and subjects",
        "",
        True,
        1,
    ),
    Column("identity_gini", _D, "Gini coefficient of units per identity; null like identities", *_SHARE),
    Column(
        "agreement",
        _D,
        "of the labelled main faces in clusters with two or more: share with the value of their cluster; null else",
        *_SHARE,
    ),
    Column("total_variation", _D, "½ Σ|p − q| of known and reference shares; null without reference", *_SHARE),
    Column("kl_nats", _D, "Kullback–Leibler divergence of p from q; null where q = 0 but n > 0", "nat", True, 0),
    Column("js_nats", _D, "Jensen–Shannon divergence of p and q", "nat", True, 0),
    Column("smallest_ratio", _D, "smallest ratio of share to reference share", "", True, 0),
    Column("largest_ratio", _D, "largest ratio of share to reference share", "", True, 0),
    Column("chi2", _D, "Pearson's χ² of the counts against the reference", "", True, 0),
    Column("g", _D, "likelihood ratio G of the counts against the reference", "", True, 0),
    Column("df", _I, "degrees of freedom of both", "", True, 0),
    Column(
        "mean_design_effect", _D, "both are divided by it for the test: units of one identity are alike", "", True, 1
    ),
    Column("p_value", _D, "of G, corrected so; null without reference or one category", *_SHARE),
    Column("cohen_w", _D, "√(χ²/n), an effect size that does not grow with n", "", True, 0),
    Column("is_approximate", _B, "cells are withheld, and their units spread evenly over them in the figures"),
    version=2,
)
LOSSES = light_table(
    "losses",
    "stage × group",
    ("stage", "attribute", "group"),
    Column("stage", _S, "where images are lost", values=("decode", "detect", "quality", "cluster")),
    Column("attribute", _S, "an attribute, or a pair, as `a × b`; null for all images together", nullable=True),
    Column(
        "group",
        _S,
        "category, or those of a pair, as `x × y`; null is the missing cell of an attribute, or all images when "
        "attribute is null",
        nullable=True,
    ),
    Column("attributes", Type.LIST_STRING, "the attributes by themselves; empty for all images"),
    Column("groups", Type.LIST_STRING, "the category of each; a null element is the missing cell"),
    Column("n_in", _I, "images that reached the stage; null when suppressed", "", True, 0),
    Column("n_out", _I, "images that passed it; null when suppressed", "", True, 0),
    Column("rate", _D, "(n_in − n_out) / n_in; null when n_in is 0 or one of them suppressed", *_SHARE),
    Column("ci_low", _D, "lower end of the 95 % interval of rate, over identities", *_SHARE),
    Column("ci_high", _D, "upper end", *_SHARE),
    Column("design_effect", _D, "of the rate; null like it", "", True, 1),
    Column(
        "p_value",
        _D,
        "that the group is lost as often as all other images; null like rate, for all images and "
        "where none or all are lost",
        *_SHARE,
    ),
    Column(
        "p_adjusted",
        _D,
        "p_value corrected for the number of groups and stages of all attributes, or of all pairs (Holm)",
        *_SHARE,
    ),
    Column("is_suppressed", _B, "n_in or n_out is withheld because a small count would follow"),
    version=3,
)
ASSOCIATIONS = light_table(
    "associations",
    "pair of attributes, or attribute and measure",
    ("attribute", "other"),
    Column("attribute", _S, "an attribute"),
    Column(
        "other",
        _S,
        "another attribute, or one of audit.nuisances: a measure of the main face or its image, in quintiles, the "
        "first folder (source), or the camera that EXIF names",
    ),
    Column("kind", _S, "what the other is", values=("attribute", "measure")),
    Column("n", _I, "images with both; null when a figure is withheld", "", True, 0),
    Column(
        "cramers_v",
        _D,
        "bias-corrected Cramér's V over images: 0 independent, 1 one follows from the other; null when one of them "
        "does not vary or more than 5 % of the images are in suppressed cells",
        *_SHARE,
    ),
    Column("identities", _I, "identities with both, each once; null when a figure is withheld", "", True, 0),
    Column("identity_v", _D, "bias-corrected V over these identities", *_SHARE),
    Column("p_value", _D, "that both are independent, over these identities (G test)", *_SHARE),
    Column("p_adjusted", _D, "p_value corrected for the number of pairs (Holm)", *_SHARE),
)
