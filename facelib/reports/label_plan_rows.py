"""The plan of images to label next, as rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.label_plan import LabelPlan, label_plan
from facelib.errors import ConfigError
from facelib.reports.partial_labels import PartialLabels
from schemas.arrow import arrow_schema
from schemas.label_tables import LABEL_PLAN

PLAN_SCHEMA = arrow_schema(LABEL_PLAN).remove_metadata().remove(0)
_BINS = (3, 2, 1)
Float64 = npt.NDArray[np.float64]


def plan_rows(
    labels: PartialLabels,
    probabilities: Float64 | None,
    image_ids: Sequence[str],
    sampled: float,
    budget: int,
    seed: int,
) -> pa.Table:
    """Rows of `label_plan` for one attribute, under PLAN_SCHEMA, in the order of `image_ids`.

    probabilities: (M, K) of `partial_labels.predicted`; None: nothing is predicted, and all faces are one stratum.
    image_ids: of the M faces. sampled: the probability with which each of them came to be among the M, by which
    inclusion probabilities are multiplied. budget: images; as many as there are when there are fewer. Where the budget
    is too small for three bins of uncertainty, there are two, one, or one stratum of all faces.

    Raises ConfigError for a budget below two, and where no label is missing.
    """
    if not (labels.codes < 0).any():
        raise ConfigError(f"every main face has a label of {labels.attribute}: there is nothing to plan")
    is_predicted = probabilities is not None
    plan = None if probabilities is None else _affordable(labels, probabilities, budget, seed)
    if plan is None:
        is_predicted, alike = False, np.ones((labels.codes.size, 1))
        plan = label_plan(np.where(labels.codes < 0, -1, 0), alike, labels.unit, budget, seed, 1)
    stratum = [plan.strata[h] for h in plan.stratum.tolist()]
    inclusion = np.minimum(plan.inclusion * sampled, 1.0)
    return pa.table(
        {
            "image_id": [image_ids[row] for row in plan.rows.tolist()],
            "attribute": [labels.attribute] * plan.rows.size,
            "stratum": plan.stratum,
            "category": pa.array(
                [labels.categories[s.category] if is_predicted else None for s in stratum], pa.string()
            ),
            "uncertainty_bin": [s.uncertainty_bin for s in stratum],
            "inclusion": inclusion,
            "weight": 1 / inclusion,
        },
        schema=PLAN_SCHEMA,
    )


def _affordable(labels: PartialLabels, probabilities: Float64, budget: int, seed: int) -> LabelPlan | None:
    """The plan with the most bins that the budget allows; None when it allows no bin of each category."""
    for bins in _BINS:
        try:
            return label_plan(labels.codes, probabilities, labels.unit, budget, seed, bins)
        except ConfigError:
            continue
    return None
