"""Associations against tables counted by hand and by SciPy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chi2_contingency

from facelib.audit.association import cramers_v
from facelib.audit.joint_counts import attribute_sets
from facelib.reports.associations import association_rows, attribute_pairs, measure_pairs
from facelib.reports.units_counted import unit_counts
from facelib.reports.withheld import withhold

pytestmark = pytest.mark.unit

CATEGORIES = {"g": ("m", "f"), "h": ("a", "b", "c")}


def test_pairs_of_attributes_leave_missing_labels_out() -> None:
    rng = np.random.default_rng(0)
    g = rng.integers(0, 3, 900)
    h = np.where(rng.random(900) < 0.5, g, rng.integers(0, 4, 900))
    table = pa.table(
        {
            "g": pa.array([["m", "f", None][i] for i in g.tolist()]),
            "h": pa.array([["a", "b", "c", None][i] for i in h.tolist()]),
        }
    )
    counted = unit_counts(table, ["g", "h"], CATEGORIES)
    units = {"image": counted, "cluster": counted}
    masks = withhold(units, attribute_sets(["g", "h"]), 0).masks
    (row,) = association_rows(list(attribute_pairs(units, masks))).to_pylist()
    known = [(i, j) for i, j in zip(g.tolist(), h.tolist(), strict=True) if i < 2 and j < 3]
    counts = np.zeros((2, 3), int)
    for place in known:
        counts[place] += 1
    expected = chi2_contingency(counts, lambda_="log-likelihood", correction=False)
    assert (row["n"], row["identities"]) == (len(known), len(known))
    assert row["cramers_v"] == row["identity_v"] == pytest.approx(cramers_v(counts))
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["p_adjusted"] == row["p_value"]


def test_withheld_cells_hide_the_counts_and_rough_figures() -> None:
    table = pa.table({"g": ["m"] * 30 + ["f"] * 30, "h": ["a"] * 28 + ["b"] * 2 + ["a"] * 3 + ["b"] * 27})
    counted = unit_counts(table, ["g", "h"], CATEGORIES)
    units = {"image": counted, "cluster": counted}
    masks = withhold(units, attribute_sets(["g", "h"]), 10).masks
    (row,) = association_rows(list(attribute_pairs(units, masks))).to_pylist()
    assert {row[name] for name in ("n", "identities", "cramers_v", "identity_v", "p_value")} == {None}


def test_an_identity_counts_once_with_its_majority_and_mean() -> None:
    """Of 200 people men are sharp: with 5 images each the V over identities, and its p-value, are those of 200."""
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 200)
    sharpness = rng.normal(group * 1.0, 1.0)
    identity = np.repeat(np.arange(200), 5)
    codes = np.repeat(group, 5)[:, None]
    codes[::5] = rng.integers(0, 2, 200)[:, None]  # one wrong label of five is outvoted
    values = np.repeat(sharpness, 5) + np.tile([-0.1, 0.1, 0, 0.2, -0.2], 200)
    hidden = {"g": np.zeros(3, bool)}
    (row,) = measure_pairs({"sharpness": values}, {}, codes, {"g": ("m", "f")}, identity, hidden)
    fifth = np.searchsorted(np.quantile(sharpness, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf"), sharpness)
    counts = np.zeros((2, 5), int)
    np.add.at(counts, (group, fifth), 1)
    assert row["identities"] == 200
    assert row["identity_v"] == pytest.approx(cramers_v(counts))
    expected = chi2_contingency(counts, lambda_="log-likelihood", correction=False).pvalue
    assert row["p_value"] == pytest.approx(expected)
    assert row["n"] == 1000


def test_unknown_measures_and_withheld_groups_are_left_out() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan])
    codes = np.array([[0], [1], [0], [1], [2], [0]])
    hidden = {"h": np.array([False, False, True, False])}
    (row,) = measure_pairs({"m": values}, {}, codes, {"h": ("a", "b", "c")}, np.arange(6), hidden)
    assert row["n"] is None
    (whole,) = measure_pairs({"m": values}, {}, codes, {"h": ("a", "b", "c")}, np.arange(6), {"h": np.zeros(4, bool)})
    assert whole["n"] == 5


def test_source_that_settles_the_group() -> None:
    source = np.repeat([0, 1], 100)
    (row,) = measure_pairs(
        {}, {"source": source}, source[:, None], {"g": ("m", "f")}, np.arange(200), {"g": np.zeros(3, bool)}
    )
    assert (row["other"], row["kind"]) == ("source", "measure")
    assert row["cramers_v"] == pytest.approx(1.0)


def test_no_pairs_give_an_empty_table() -> None:
    assert association_rows([]).num_rows == 0
