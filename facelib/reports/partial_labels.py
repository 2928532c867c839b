"""Shares of an attribute that only some main faces are labelled with: bounds, labels alone, predicted, corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from facelib.audit.missing_labels import worst_case_bounds
from facelib.audit.ppi import CategoryShares, category_shares
from facelib.audit.probe import cross_fitted
from facelib.audit.suppression import suppress
from facelib.audit.whole_units import drawn_units
from facelib.reports.label_plan_file import Design
from schemas.arrow import arrow_schema
from schemas.label_tables import PREDICTED_SHARES

MOST_FACES = 200_000
"""Main faces that are looked at; of more, a random sample of whole identities."""
MOST_TRAINED = 20_000
"""Labelled faces that the probe is trained on; of more, those of a random sample of identities."""
FEWEST_IDENTITIES = 10
"""Labelled identities of a category, and of the others, that a corrected share takes: two for each of five folds."""
SHARES_SCHEMA = arrow_schema(PREDICTED_SHARES).remove_metadata().remove(0)
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PartialLabels:
    """Labels of one attribute on the main faces of an archive, or of a random sample of its identities.

    counts: int64 (K,) labelled main faces of each category, and `missing` those without a label, in the whole archive.
    codes: int64 (M,) category of each sampled face, −1 without a label. unit: int64 (M,) its identity
    (`facelib.audit.whole_units.linked_units`). design: how the labelled faces were chosen; None: all at random.
    unlabelled_planned: faces that the plan chose and that have no label, so that the plan tells nothing yet.
    """

    attribute: str
    categories: tuple[str, ...]
    counts: Int64
    missing: int
    codes: Int64
    unit: Int64
    design: Design | None = None
    unlabelled_planned: int = 0

    @property
    def can_correct(self) -> Bool:
        """Categories (K,) with labels of enough identities, and enough of others, to measure errors of predictions."""
        known = self.codes >= 0
        pairs = np.unique(np.stack([self.unit[known], self.codes[known]]), axis=1)[1]
        own = np.bincount(pairs, minlength=len(self.categories))
        others = [
            np.unique(self.unit[known & (self.codes != k)]).size if n >= FEWEST_IDENTITIES else 0
            for k, n in enumerate(own.tolist())
        ]
        return (own >= FEWEST_IDENTITIES) & (np.array(others) >= FEWEST_IDENTITIES)


def has_probe() -> bool:
    """Whether the library that predictions need is installed."""
    return find_spec("sklearn") is not None


def predicted(labels: PartialLabels, embeddings: npt.ArrayLike, seed: int) -> Float64:
    """Probabilities (M, K) of every category for every sampled face, each by models that know nothing of its identity.

    Trained on up to MOST_TRAINED labels, of whole identities; those of the others are predicted as faces without a
    label are.
    """
    known = np.flatnonzero(labels.codes >= 0)
    unit = np.unique(labels.unit[known], return_inverse=True)[1]
    kept, _ = drawn_units(unit, MOST_TRAINED, seed)
    codes = np.full_like(labels.codes, -1)
    codes[known[kept]] = labels.codes[known[kept]]
    return cross_fitted(embeddings, codes, labels.unit, len(labels.categories), seed=seed).probabilities


def withheld_categories(labels: PartialLabels, elsewhere: Sequence[str | None], min_cell: int) -> Bool:
    """Categories (K,) whose figures must not be shown, so that no number 0 < n < `min_cell` follows.

    elsewhere: categories that a table of the same faces withholds, None for the missing value. With the number of
    missing labels all are withheld, because bounds and shares would tell it.
    """
    counts = np.append(labels.counts, labels.missing)
    hidden = suppress({(labels.attribute,): counts}, min_cell, protect_missing=False)[labels.attribute,].copy()
    hidden |= [name in elsewhere for name in (*labels.categories, None)]
    return np.asarray(hidden[:-1] | hidden[-1], np.bool_)


def predicted_shares(labels: PartialLabels, probabilities: Float64 | None, hidden: Bool) -> pa.Table:
    """Rows of `predicted_shares` for one attribute, under SHARES_SCHEMA, in the order of its categories.

    probabilities: (M, K) of `predicted`, or None where there are none. hidden: of `withheld_categories`.

    Intervals are of target "source" (`facelib.audit.ppi.category_shares`): the share where the archive came from, as
    everywhere else in the audit; a sample of identities is then covered too.
    """
    k = len(labels.categories)
    can_correct = labels.can_correct
    guess = np.full((labels.codes.size, k), 1 / k) if probabilities is None else probabilities
    chosen = (labels.design.inclusion, labels.design.stratum) if labels.design else (None, None)
    shares = category_shares(labels.codes, guess, "source", labels.unit, *chosen)
    bounds = worst_case_bounds(labels.counts, labels.missing)
    rows = []
    for position, category in enumerate(labels.categories):
        row: dict[str, Any] = {"attribute": labels.attribute, "category": category}
        row |= {"is_suppressed": bool(hidden[position]), "labels_drawn": "by_plan" if labels.design else "at_random"}
        if not hidden.all():
            row |= {"n_unlabelled": labels.missing, "n_used": labels.codes.size}
        if not hidden[position]:
            row["n_labelled"] = int(labels.counts[position])
            row |= {"bound_low": float(bounds[0][position]), "bound_high": float(bounds[1][position])}
            if labels.unlabelled_planned:
                row["reason"] = "plan_unfinished"
                rows.append(row)
                continue
            row |= _alone(shares, position)
            if not can_correct[position]:
                row["reason"] = "few_labels"
            elif probabilities is None:
                row["reason"] = "no_probe"
            else:
                row |= _corrected(shares, position)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SHARES_SCHEMA)


def _alone(shares: CategoryShares, k: int) -> dict[str, float | None]:
    figures = {
        "labelled_share": shares.labelled_share,
        "labelled_low": shares.labelled_low,
        "labelled_high": shares.labelled_high,
    }
    return {name: _or_none(values[k]) for name, values in figures.items()}


def _corrected(shares: CategoryShares, k: int) -> dict[str, float | None]:
    figures = {
        "naive_share": shares.argmax_share,
        "corrected_share": shares.share,
        "corrected_low": shares.low,
        "corrected_high": shares.high,
        "tuning": shares.tuning,
    }
    return {name: _or_none(values[k]) for name, values in figures.items()}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
