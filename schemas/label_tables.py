"""Tables about labels that are missing: estimated shares, where labels are missing, and which to get next."""

from __future__ import annotations

from schemas.columns import IMAGE_ID, light_table
from schemas.contract import Column, Type

_S, _I, _D, _B = Type.STRING, Type.INT64, Type.FLOAT64, Type.BOOL
_SHARE = ("0–1", True, 0, 1)
_ATTRIBUTE = Column("attribute", _S, "name of the attribute")
MEASURES = (
    "eye_distance_px",
    "shorter_side_px",
    "sharpness",
    "brightness",
    "turn_deg",
    "nod_deg",
    "quality_score",
)
"""What is measured of a main face or its image and may make it hard."""

PREDICTED_SHARES = light_table(
    "predicted_shares",
    "category of an attribute that some main faces of ok images have a label for and some have not",
    ("attribute", "category"),
    _ATTRIBUTE,
    Column("category", _S, "declared category, or one that occurs"),
    Column(
        "labels_drawn",
        _S,
        "how labelled faces are taken to have been chosen, on which all shares depend. at_random: by nothing that has "
        "to do with the category, which label_missingness may disprove; by_plan: as audit.label_plan_path says",
        values=("at_random", "by_plan"),
    ),
    Column("n_labelled", _I, "main faces of ok images labelled with the category; null when suppressed", "", True, 0),
    Column(
        "n_unlabelled",
        _I,
        "main faces of ok images without a label of the attribute; null when the attribute is suppressed",
        "",
        True,
        0,
    ),
    Column(
        "n_used",
        _I,
        "main faces from which all shares below are estimated: all, or those of a random sample of identities; "
        "null when the attribute is suppressed",
        "",
        True,
        0,
    ),
    Column(
        "bound_low",
        _D,
        "least share among all main faces, whatever the missing labels are; null when suppressed",
        *_SHARE,
    ),
    Column("bound_high", _D, "greatest such share", *_SHARE),
    Column(
        "labelled_share",
        _D,
        "share among the labelled faces, weighted by 1 / inclusion where they are of a plan; null when suppressed, or "
        "while a planned label lacks. Holds for the others too only as labels_drawn says",
        *_SHARE,
    ),
    Column(
        "labelled_low",
        _D,
        "lower end of its 95 % interval over identities, as the share where the archive came from; null with fewer "
        "than two labelled identities",
        *_SHARE,
    ),
    Column("labelled_high", _D, "upper end", *_SHARE),
    Column(
        "naive_share",
        _D,
        "share of faces for which a classifier finds the category most probable: NEVER TO BE USED AS A CENSUS, its "
        "errors are in it; given to be compared. Null when suppressed or where `reason` says why",
        *_SHARE,
    ),
    Column(
        "corrected_share",
        _D,
        "prediction-powered estimate (PPI++): predictions corrected by their errors on labelled faces; null like "
        "naive_share. Holds as labels_drawn says. Need not add up to 1 over categories",
        *_SHARE,
    ),
    Column("corrected_low", _D, "lower end of its 95 % interval, of the kind of labelled_low", *_SHARE),
    Column("corrected_high", _D, "upper end", *_SHARE),
    Column(
        "tuning",
        _D,
        "λ, the weight of the predictions: at 0 corrected_share is labelled_share; null like corrected_share",
        *_SHARE,
    ),
    Column(
        "reason",
        _S,
        "why there is no corrected share. few_labels: fewer than 10 identities used have a label of the category, "
        "or fewer than 10 one of another category; no_probe: scikit-learn is not installed; plan_unfinished: a face "
        "that the plan chose has no label yet; null otherwise",
        nullable=True,
        values=("few_labels", "no_probe", "plan_unfinished"),
    ),
    Column(
        "is_suppressed",
        _B,
        "0 < n_labelled < audit.min_cell, or such a number would follow from this one: figures are withheld",
    ),
)
LABEL_MISSINGNESS = light_table(
    "label_missingness",
    "attribute of predicted_shares × measure × bin of the measure, and all bins together",
    ("attribute", "measure", "bin"),
    _ATTRIBUTE,
    Column(
        "measure",
        _S,
        "what was measured on the face or its image",
        values=MEASURES,
    ),
    Column(
        "bin",
        _I,
        "1 (lowest) … 5: fifths of the measured values, equal values together; 0: not measured; null: all",
        "",
        True,
        0,
        5,
    ),
    Column("value_above", _D, "the bin holds values above this, in the unit of the measure; null: no limit", "", True),
    Column("value_up_to", _D, "and up to this; null: no limit", "", True),
    Column(
        "n",
        _I,
        "main faces of ok images in the bin, among those of n_used of predicted_shares; null when suppressed",
        "",
        True,
        0,
    ),
    Column("n_unlabelled", _I, "those without a label of the attribute; null when suppressed", "", True, 0),
    Column("share", _D, "n_unlabelled over n; null when suppressed", *_SHARE),
    Column("ci_low", _D, "lower end of its 95 % interval over identities; null when suppressed", *_SHARE),
    Column("ci_high", _D, "upper end", *_SHARE),
    Column(
        "cramers_v",
        _D,
        "in rows of all bins: bias-corrected Cramér's V of bin and missing label, over bins that are not suppressed; "
        "null elsewhere, and with fewer than two",
        *_SHARE,
    ),
    Column(
        "p_value",
        _D,
        "in rows of all bins: of a label that is missing independently of the measure, identities taken as wholes, "
        "over the same bins; null elsewhere, and where fewer than 10 identities have a label or lack one",
        *_SHARE,
    ),
    Column("p_holm", _D, "p_value corrected for all tests of this table (Holm)", *_SHARE),
    Column(
        "is_suppressed",
        _B,
        "fewer than audit.min_cell faces of the bin, but one, have or lack a label, or that would follow from it",
    ),
)
LABEL_PLAN = light_table(
    "label_plan",
    "image to label next, whose main face has no label of the attribute; none unless facelib balance was given a "
    "--label-budget",
    ("image_id", "attribute"),
    IMAGE_ID,
    Column("attribute", _S, "what to label"),
    Column("stratum", _I, "number of its stratum, from 0", minimum=0),
    Column(
        "category",
        _S,
        "category that a classifier finds most probable in the stratum, NOT A LABEL; null where nothing is predicted",
        nullable=True,
    ),
    Column("uncertainty_bin", _I, "how unsure it is within the category, 0 the surest", minimum=0),
    Column("inclusion", _D, "probability with which the plan chose the image, above 0", "0–1", False, 0, 1),
    Column("weight", _D, "1 / inclusion: unlabelled images that it stands for", minimum=1),
)
