"""Shares of attributes that are labelled in part, where labels are missing, and the plan of labels, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import linprog
from scipy.stats import chi2_contingency

from facelib.audit.association import cramers_v
from facelib.audit.ppi import category_shares
from facelib.audit.probe import cross_fitted
from facelib.errors import ConfigError
from facelib.reports import partial_labels
from facelib.reports.label_missingness import label_missingness
from facelib.reports.label_plan_rows import plan_rows
from facelib.reports.measures_by_group import FACE_MEASURES
from facelib.reports.partial_labels import PartialLabels, predicted, predicted_shares, withheld_categories
from schemas.arrow import conform
from schemas.label_tables import LABEL_MISSINGNESS, LABEL_PLAN, PREDICTED_SHARES

pytest.importorskip("sklearn")
pytestmark = pytest.mark.unit
GROUPS = ("a", "b", "c")
NONE = np.zeros(3, np.bool_)


def partly(images: int = 600, labelled: float = 0.3, seed: int = 0) -> tuple[PartialLabels, np.ndarray, np.ndarray]:
    """Labels, embeddings that tell the categories mostly, and the truth: three images of a person."""
    rng = np.random.default_rng(seed)
    unit = np.arange(images) // 3
    truth = rng.choice(3, unit.max() + 1, p=[0.6, 0.3, 0.1])[unit]
    points = np.eye(3, 6)[truth] + rng.normal(0, 0.35, (images, 6))
    codes = np.where(rng.random(images) < labelled, truth, -1)
    return of(codes, unit), points, truth


def of(codes: np.ndarray, unit: np.ndarray | None = None) -> PartialLabels:
    counts = np.bincount(codes[codes >= 0], minlength=3)
    unit = np.arange(codes.size) if unit is None else unit
    return PartialLabels("group", GROUPS, counts, int((codes < 0).sum()), codes, unit)


def rows_of(table: pa.Table, contract: Any) -> list[dict[str, Any]]:
    conform(table.append_column("run_id", pa.array(["r"] * len(table), pa.string())), contract)
    return table.to_pylist()


def test_shares_are_those_of_the_audit_functions_and_bounds_hold_the_truth() -> None:
    labels, points, truth = partly()
    guess = predicted(labels, points, 0)
    np.testing.assert_array_equal(guess, cross_fitted(points, labels.codes, labels.unit, 3).probabilities)
    expected = category_shares(labels.codes, guess, "source", labels.unit)
    rows = rows_of(predicted_shares(labels, guess, NONE), PREDICTED_SHARES)
    assert [(row["attribute"], row["category"]) for row in rows] == [("group", g) for g in GROUPS]
    for k, row in enumerate(rows):
        n, missing = int((labels.codes == k).sum()), int((labels.codes < 0).sum())
        assert (row["n_labelled"], row["n_unlabelled"], row["n_used"]) == (n, missing, 600)
        assert (row["bound_low"], row["bound_high"]) == (n / 600, (n + missing) / 600)
        assert row["bound_low"] <= np.mean(truth == k) <= row["bound_high"]
        assert row["labelled_share"] == pytest.approx(n / (600 - missing))
        assert (row["labelled_low"], row["labelled_high"]) == (expected.labelled_low[k], expected.labelled_high[k])
        assert row["naive_share"] == np.mean(guess.argmax(axis=1) == k)
        assert row["corrected_share"] == expected.share[k]
        assert (row["corrected_low"], row["corrected_high"]) == (expected.low[k], expected.high[k])
        assert 0 < row["tuning"] == expected.tuning[k] <= 1
        assert row["corrected_high"] - row["corrected_low"] < row["labelled_high"] - row["labelled_low"]
        assert row["reason"] is None


def test_without_the_library_there_are_bounds_and_labels_alone() -> None:
    labels, points, _ = partly()
    given = ("n_labelled", "bound_low", "bound_high", "labelled_share", "labelled_low", "labelled_high")
    with_probe = predicted_shares(labels, predicted(labels, points, 0), NONE).to_pylist()
    for row, other in zip(rows_of(predicted_shares(labels, None, NONE), PREDICTED_SHARES), with_probe, strict=True):
        assert row["reason"] == "no_probe"
        assert {row[name] for name in ("naive_share", "corrected_share", "corrected_low", "tuning")} == {None}
        assert {name: row[name] for name in given} == {name: other[name] for name in given}


@pytest.mark.parametrize(
    ("identities", "images_each", "reason"), [(10, 1, None), (9, 1, "few_labels"), (9, 3, "few_labels")]
)
def test_a_category_needs_labels_of_ten_identities(identities: int, images_each: int, reason: str | None) -> None:
    rare = np.full(identities * images_each, 2)
    codes = np.concatenate([np.arange(120) % 2, rare, np.full(200, -1)])
    unit = np.concatenate([np.arange(120), 120 + np.arange(rare.size) // images_each, 400 + np.arange(200)])
    labels = of(codes, np.unique(unit, return_inverse=True)[1])
    points = np.random.default_rng(0).normal(size=(codes.size, 4))
    rows = rows_of(predicted_shares(labels, predicted(labels, points, 0), NONE), PREDICTED_SHARES)
    assert [row["reason"] for row in rows] == [None, None, reason]
    assert (rows[2]["corrected_share"] is None) == (reason is not None)
    assert rows[2]["labelled_share"] == pytest.approx(rare.size / (120 + rare.size))


def test_nearly_all_in_one_category_needs_ten_identities_of_others() -> None:
    labels = of(np.concatenate([np.zeros(50, int), np.ones(9, int), np.full(50, -1)]))
    assert labels.can_correct.tolist() == [False, False, False]
    assert of(np.append(labels.codes, 2)).can_correct.tolist() == [True, False, False]


def test_labels_beyond_the_limit_train_nothing_but_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, points, _ = partly()
    everything = predicted(labels, points, 0)
    monkeypatch.setattr(partial_labels, "MOST_TRAINED", 60)
    some = predicted(labels, points, 0)
    assert (some != everything).any()
    np.testing.assert_allclose(some.sum(axis=1), 1)
    known = labels.codes >= 0
    assert np.mean(some[known].argmax(axis=1) == labels.codes[known]) > 0.8


@pytest.mark.parametrize("seed", range(30))
def test_a_small_category_does_not_follow_from_the_rest(seed: int) -> None:
    """Whoever knows the rows, the total and the limit finds an interval of min_cell values for each small count."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, 4)
    counts[rng.integers(4)] = rng.integers(1, 10)
    labels = PartialLabels("group", tuple("abcd"), counts, 300, np.full(1, -1), np.zeros(1, np.int64))
    hidden = withheld_categories(labels, [], 10)
    assert hidden[(counts > 0) & (counts < 10)].all()
    if hidden.all():
        return
    bounds = [(1, None) if h else (n, n) for n, h in zip(counts.tolist(), hidden.tolist(), strict=True)]
    for k in np.flatnonzero((counts > 0) & (counts < 10)):
        ends = []
        for sign in (1, -1):
            goal = np.zeros(4)
            goal[k] = sign
            found = linprog(goal, A_eq=np.ones((1, 4)), b_eq=[counts.sum()], bounds=bounds)
            ends.append(sign * found.fun)
        assert ends[1] - ends[0] >= 9


def test_what_another_table_withholds_is_withheld_and_a_withheld_missing_cell_takes_all() -> None:
    labels = of(np.concatenate([np.arange(90) % 3, np.full(50, -1)]))
    assert withheld_categories(labels, ["b"], 10).tolist() == [False, True, False]
    assert withheld_categories(labels, [None], 10).all()
    assert not withheld_categories(labels, [], 10).any()
    assert not withheld_categories(replace(labels, missing=4), [], 10).any()  # four without a label tell nobody's


def test_suppressed_rows_hold_no_figure() -> None:
    labels, points, _ = partly()
    hidden = np.array([False, True, True])
    rows = rows_of(predicted_shares(labels, predicted(labels, points, 0), hidden), PREDICTED_SHARES)
    assert [row["is_suppressed"] for row in rows] == hidden.tolist()
    kept = {"attribute", "category", "labels_drawn", "is_suppressed", "n_unlabelled", "n_used"}
    assert {name for row in rows[1:] for name, value in row.items() if value is not None} == kept
    assert rows[0]["corrected_share"] is not None
    everything = predicted_shares(labels, None, ~NONE).to_pylist()
    assert {n for row in everything for n, v in row.items() if v is not None} == kept - {"n_unlabelled", "n_used"}


def measures(labels: PartialLabels, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({name: rng.normal(size=labels.codes.size) for name in FACE_MEASURES})


def test_missingness_is_counted_by_fifths() -> None:
    rng = np.random.default_rng(0)
    values = rng.permutation(500) / 500
    codes = np.where(rng.random(500) < values, -1, rng.integers(0, 3, 500))
    values[:50] = np.nan
    labels = of(codes)
    table = measures(labels).set_column(0, "eye_distance_px", pa.array(values, from_pandas=True))
    rows = rows_of(label_missingness([(labels, False)], table, 0), LABEL_MISSINGNESS)
    own = [row for row in rows if row["measure"] == "eye_distance_px"]
    assert [row["bin"] for row in own] == [None, 1, 2, 3, 4, 5, 0]
    whole, *fifths, unknown = own
    assert (whole["n"], whole["n_unlabelled"]) == (500, (codes < 0).sum())
    assert [row["n"] for row in fifths] == [90] * 5
    assert [fifths[0]["value_above"], fifths[4]["value_up_to"]] == [None, None]
    assert fifths[1]["value_above"] == fifths[0]["value_up_to"]
    for row in fifths:
        low, high = (row[c] if row[c] is not None else d for c, d in (("value_above", -1), ("value_up_to", 2)))
        inside = (values > low) & (values <= high)
        assert row["n_unlabelled"] == (inside & (codes < 0)).sum()
        assert row["ci_low"] < row["share"] == row["n_unlabelled"] / 90 < row["ci_high"]
    assert (unknown["n"], unknown["n_unlabelled"]) == (50, (codes[:50] < 0).sum())
    counts = [[row["n"] - row["n_unlabelled"], row["n_unlabelled"]] for row in (*fifths, unknown)]
    assert whole["cramers_v"] == cramers_v(counts) > 0.3
    assert whole["p_holm"] < 1e-6
    others = [row for row in rows if row["bin"] is None and row["measure"] != "eye_distance_px"]
    assert len(others) == 6
    assert min(row["p_holm"] for row in others) > 0.05
    assert all(row["p_holm"] >= row["p_value"] for row in others)


def test_missingness_withholds_small_cells_and_what_would_tell_them() -> None:
    codes = np.where(np.arange(500) % 2 == 0, -1, 0)
    values = np.sort(np.random.default_rng(0).normal(size=500))
    codes[:100] = 0
    codes[:4] = -1
    labels = of(codes)
    table = measures(labels).set_column(2, "sharpness", pa.array(values))
    rows = rows_of(label_missingness([(labels, False)], table, 10), LABEL_MISSINGNESS)
    whole, first, *others = [row for row in rows if row["measure"] == "sharpness"]
    assert first["is_suppressed"]
    assert {first[name] for name in ("n_unlabelled", "share", "ci_low")} == {None}
    assert sum(row["is_suppressed"] for row in others) >= 1
    shown = [[row["n"] - row["n_unlabelled"], row["n_unlabelled"]] for row in others if not row["is_suppressed"]]
    assert 0 < len(shown) < 5
    assert whole["cramers_v"] == cramers_v(shown)
    expected = chi2_contingency(shown, correction=False).pvalue if len(shown) > 1 else None
    assert whole["p_value"] == pytest.approx(expected)
    hidden = rows_of(label_missingness([(labels, True)], table, 10), LABEL_MISSINGNESS)
    assert all(row["is_suppressed"] for row in hidden)
    assert {row[n] for row in hidden for n in ("n", "n_unlabelled", "share", "cramers_v", "p_value")} == {None}


def test_a_plan_names_unlabelled_images_with_their_weights() -> None:
    labels, points, truth = partly()
    ids = [f"i{k:03d}" for k in range(600)]
    plan = rows_of(plan_rows(labels, predicted(labels, points, 0), ids, 1.0, 90, 5), LABEL_PLAN)
    assert len({row["image_id"] for row in plan}) == len(plan) == 90
    assert all(labels.codes[ids.index(row["image_id"])] < 0 for row in plan)
    assert all(row["weight"] == pytest.approx(1 / row["inclusion"]) for row in plan)
    assert sum(row["weight"] for row in plan) == pytest.approx(labels.missing, rel=0.1)
    assert {row["category"] for row in plan} == set(GROUPS)
    right = [truth[ids.index(row["image_id"])] == GROUPS.index(row["category"]) for row in plan]
    assert np.mean(right) > 0.6
    again = plan_rows(labels, predicted(labels, points, 0), ids, 1.0, 90, 5).to_pylist()
    assert again == plan
    other = plan_rows(labels, predicted(labels, points, 0), ids, 1.0, 90, 6).to_pylist()
    assert other != plan


def test_a_plan_of_a_sample_counts_the_sampling() -> None:
    labels, points, _ = partly()
    ids = [str(k) for k in range(600)]
    guess = predicted(labels, points, 0)
    whole, part = (plan_rows(labels, guess, ids, share, 60, 0).column("inclusion") for share in (1.0, 0.25))
    np.testing.assert_allclose(part.to_numpy(), 0.25 * whole.to_numpy())


@pytest.mark.parametrize(("budget", "strata"), [(60, 9), (13, 6), (7, 3), (4, 1), (2, 1)])
def test_a_small_budget_has_fewer_strata(budget: int, strata: int) -> None:
    labels, points, _ = partly()
    plan = plan_rows(labels, predicted(labels, points, 0), [str(k) for k in range(600)], 1.0, budget, 0)
    assert plan.num_rows == budget
    assert len(plan.column("stratum").unique()) == strata
    assert (plan.column("category").null_count == budget) == (strata == 1)


def test_a_plan_before_any_label_is_a_random_sample() -> None:
    labels = PartialLabels("age", (), np.zeros(0, np.int64), 50, np.full(50, -1), np.arange(50))
    plan = rows_of(plan_rows(labels, None, [str(k) for k in range(50)], 1.0, 20, 0), LABEL_PLAN)
    assert [row["inclusion"] for row in plan] == pytest.approx([0.4] * 20)
    assert {(row["stratum"], row["category"], row["attribute"]) for row in plan} == {(0, None, "age")}
    assert plan_rows(labels, None, [str(k) for k in range(50)], 1.0, 500, 0).num_rows == 50


def test_a_plan_without_a_missing_label_or_a_budget_is_refused() -> None:
    full = of(np.arange(30) % 3)
    with pytest.raises(ConfigError, match="every main face has a label of group"):
        plan_rows(full, None, [str(k) for k in range(30)], 1.0, 5, 0)
    labels = of(np.full(30, -1))
    with pytest.raises(ConfigError, match="a budget of 1 labels is below 2"):
        plan_rows(labels, None, [str(k) for k in range(30)], 1.0, 1, 0)
