"""Balance tables against loops over random units, and against cells worked by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import entropy, power_divergence
from statsmodels.stats.proportion import proportion_confint

from facelib.audit.joint_counts import attribute_sets
from facelib.audit.unit_counts import count_units
from facelib.errors import ConfigError
from facelib.reports.balance import BALANCE_SCHEMA, BalanceRules, balance_cells, undeclared_rows
from facelib.reports.balance_summary import SUMMARY_SCHEMA, balance_summary
from facelib.reports.units_counted import unit_counts
from facelib.reports.withheld import Withholding, withhold
from schemas.audit_tables import BALANCE, BALANCE_SUMMARY
from schemas.contract import Table

pytestmark = pytest.mark.unit

CATEGORIES = {"g": ("M", "F"), "h": ("a", "b", "c"), "k": ("x", "absent")}
ATTRIBUTES = list(CATEGORIES)
EVEN = {a: dict.fromkeys(categories, 1 / len(categories)) for a, categories in CATEGORIES.items()}


def random_units(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    pools: dict[str, list[str | None]] = {"g": ["M", "F", None], "h": ["a", "b", "c", None], "k": ["x", None]}
    drawn = {a: [pool[i] for i in rng.integers(0, len(pool), n)] for a, pool in pools.items()}
    return pa.table({a: pa.array(values, pa.string()) for a, values in drawn.items()})


def single(values: Sequence[str | None]) -> dict[str, pa.Table]:
    return {"image": pa.table({"g": pa.array(values, pa.string())})}


def withholding(
    units: dict[str, pa.Table], attributes: Sequence[str], categories: dict[str, tuple[str, ...]], min_cell: int
) -> Withholding:
    counted = {unit: unit_counts(table, attributes, categories) for unit, table in units.items()}
    return withhold(counted, attribute_sets(attributes), min_cell)


def single_rows(*arguments: Any) -> list[dict[str, Any]]:
    return balance_summary(*arguments).to_pylist()[1:]


def by_groups(table: pa.Table) -> dict[tuple[str | None, ...], dict[str, Any]]:
    return {tuple(r["groups"]): r for r in table.to_pylist()}


def test_hand_worked_cells_with_reference() -> None:
    """80 images: 10 F, 50 M, 20 missing. Known shares 1/6 and 5/6 against ½ each: ratios 1/3 and 5/3."""
    units = single(["F", *["M"] * 5, None, None] * 10)
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, BalanceRules({"g": {"M": 0.5, "F": 0.5}})))
    assert list(rows) == [("M",), ("F",), (None,)]
    assert [r["n"] for r in rows.values()] == [50, 10, 20]
    assert [r["share"] for r in rows.values()] == [5 / 8, 1 / 8, 2 / 8]
    assert [r["ratio"] for r in rows.values()] == [pytest.approx(5 / 3), pytest.approx(1 / 3), None]
    assert [r["reference_share"] for r in rows.values()] == [0.5, 0.5, None]
    assert [r["is_flagged"] for r in rows.values()] == [True, True, None]
    assert {r["estimator"] for r in rows.values()} == {"count"}


def test_flag_limits_belong_to_the_unflagged_range() -> None:
    """Shares of ½ against 0.625 and 0.375: ratios 0.8 (exactly, in floating point) and 4/3."""
    units = single(["M"] * 500 + ["F"] * 500)
    reference = {"g": {"M": 0.625, "F": 0.375}}
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, BalanceRules(reference)))
    assert [r["is_flagged"] for r in rows.values()] == [False, True, None]
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, BalanceRules(reference, 0.9, 1.4)))
    assert [r["is_flagged"] for r in rows.values()] == [True, False, None]


def test_random_units_agree_with_a_loop() -> None:
    for seed in range(4):
        units = {"image": random_units(300, seed), "face": random_units(40, seed + 100)}
        rows = balance_cells(units, ATTRIBUTES, CATEGORIES, BalanceRules({}, confidence=0.9)).to_pylist()
        expected = []
        for unit, table in units.items():
            records = table.to_pylist()
            for names in [*((a,) for a in ATTRIBUTES), *combinations(ATTRIBUTES, 2)]:
                counts = Counter(tuple(r[a] for a in names) for r in records)
                for groups in product(*((*CATEGORIES[a], None) for a in names)):
                    expected.append((unit, list(names), list(groups), counts[groups], counts[groups] / len(records)))
        found = [(r["unit"], r["attributes"], r["groups"], r["n"], r["share"]) for r in rows]
        assert found == expected
        for r in rows:
            interval = proportion_confint(r["n"], units[r["unit"]].num_rows, alpha=0.1, method="wilson")
            assert (r["ci_low"], r["ci_high"]) == pytest.approx(interval, abs=1e-12)
            assert r["reference_share"] is r["ratio"] is r["is_flagged"] is None


def test_random_summaries_agree_with_a_loop() -> None:
    for seed in range(4):
        units = {"image": random_units(300, seed), "cluster": random_units(9, seed + 50)}
        for r in balance_summary(units, ATTRIBUTES, CATEGORIES).to_pylist():
            if not r["attributes"]:
                assert r["n"] == units[r["unit"]].num_rows
                continue
            records = [tuple(u[a] for a in r["attributes"]) for u in units[r["unit"]].to_pylist()]
            counts = Counter(u for u in records if None not in u)
            cells = [counts[c] for c in product(*(CATEGORIES[a] for a in r["attributes"]))]
            known = sum(cells)
            assert (r["n"], r["n_missing"]) == (len(records), len(records) - known)
            assert (r["categories"], r["categories_present"]) == (len(cells), sum(c > 0 for c in cells))
            assert r["shannon_nats"] == pytest.approx(entropy(cells), abs=1e-12)
            assert r["evenness"] == pytest.approx(entropy(cells) / math.log(len(cells)), abs=1e-12)
            assert r["effective_categories"] == pytest.approx(known**2 / sum(c * c for c in cells))
            assert r["imbalance_ratio"] == (max(cells) / min(cells) if min(cells) else None)


def test_small_cells_are_withheld_and_absent_ones_are_shown() -> None:
    units = single(["M"] * 30 + ["F"] * 4 + [None])
    reference = {"g": {"M": 0.5, "F": 0.5, "X": 0.0}}
    categories = {"g": ("M", "F", "X")}
    withheld = withholding(units, ["g"], categories, 5)
    rows = by_groups(balance_cells(units, ["g"], categories, BalanceRules(reference), withheld=withheld))
    hidden = [groups for groups, r in rows.items() if r["is_suppressed"]]
    assert {("F",), (None,)} <= set(hidden)
    for group in hidden:
        names = ("n", "share", "ci_low", "ci_high", "design_effect", "ratio", "is_flagged")
        assert [rows[group][c] for c in names] == [None] * 7
    assert rows[("F",)]["reference_share"] == 0.5
    assert all(r["ratio"] is None for r in rows.values())  # it would tell how many have no label


def test_cell_of_exactly_min_cell_is_shown() -> None:
    units = single(["M"] * 5)
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, withheld=withholding(units, ["g"], CATEGORIES, 5)))
    assert not rows[("M",)]["is_suppressed"]


def test_summary_follows_from_what_is_published() -> None:
    """Two archives that differ only in withheld cells have the same summary, and a rough one none at all."""
    categories = {"g": ("M", "F", "X")}
    found = []
    for f, x in ((4, 6), (7, 3)):
        units = single(["M"] * 400 + ["F"] * f + ["X"] * x)
        withheld = withholding(units, ["g"], categories, 8)
        assert withheld.masks["image"]["g",].tolist() == [False, True, True, False]
        found.append(balance_summary(units, ["g"], categories, withheld=withheld))
    assert found[0].equals(found[1])
    (row,) = found[0].to_pylist()[1:]
    assert row["is_approximate"]
    assert row["evenness"] == pytest.approx(entropy([400, 5, 5]) / math.log(3))
    assert row["imbalance_ratio"] is None
    units = single(["M"] * 40 + ["F"] * 4 + ["X"] * 6)
    (row,) = balance_summary(units, ["g"], categories, withheld=withholding(units, ["g"], categories, 8)).to_pylist()[
        1:
    ]
    assert row["evenness"] is row["effective_categories"] is row["shannon_nats"] is None


def test_intervals_are_over_identities() -> None:
    """30 people with 10 copies of one photograph each are worth 30 images, not 300."""
    group = np.repeat(["M"] * 20 + ["F"] * 10, 10)
    codes = (group == "F").astype(np.int64)[:, None]
    counted = count_units({"g": ("M", "F")}, codes, np.repeat(np.arange(30), 10), [("g",)])
    reference = {"g": {"M": 0.5, "F": 0.5}}
    rows = by_groups(balance_cells({"image": counted}, ["g"], CATEGORIES, BalanceRules(reference)))
    low, high = proportion_confint(10, 30, method="wilson")
    row = rows[("F",)]
    assert (row["n"], row["design_effect"], row["identities"]) == (100, pytest.approx(10), 10)
    assert (row["effective_identities"], row["identity_gini"]) == (pytest.approx(10), 0.0)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
    assert (row["ratio_ci_low"], row["ratio_ci_high"]) == pytest.approx((2 * low, 2 * high))
    assert row["ratio"] == pytest.approx(2 / 3)
    assert row["is_flagged"] is False  # off by a third, which 30 people may be by chance
    independent = by_groups(balance_cells(single(list(group)), ["g"], CATEGORIES, BalanceRules(reference)))
    assert independent[("F",)]["is_flagged"] is True


def test_test_against_the_reference_counts_identities() -> None:
    group = np.repeat(["M"] * 20 + ["F"] * 10, 10)
    codes = (group == "F").astype(np.int64)[:, None]
    counted = count_units({"g": ("M", "F")}, codes, np.repeat(np.arange(30), 10), [("g",)])
    rules = BalanceRules({"g": {"M": 0.5, "F": 0.5}})
    everyone, row = balance_summary({"image": counted}, ["g"], CATEGORIES, rules).to_pylist()
    assert (everyone["attributes"], everyone["identities"], everyone["identity_gini"]) == ([], 30, 0.0)
    assert everyone["effective_identities"] == pytest.approx(30)
    assert row["p_value"] == pytest.approx(power_divergence([20, 10], lambda_="log-likelihood").pvalue)
    assert row["total_variation"] == pytest.approx(1 / 6)
    assert (row["smallest_ratio"], row["largest_ratio"]) == pytest.approx((2 / 3, 4 / 3))


def test_triples_follow_the_pairs() -> None:
    units = {"image": random_units(200, 3)}
    triple = ("g", "h", "k")
    rows = [
        r for r in balance_cells(units, ATTRIBUTES, CATEGORIES, triples=[triple]).to_pylist() if len(r["groups"]) == 3
    ]
    records = Counter(tuple(u[a] for a in triple) for u in units["image"].to_pylist())
    assert [r["n"] for r in rows] == [records[g] for g in product(*((*CATEGORIES[a], None) for a in triple))]


def test_undeclared_values_are_rows_that_name_them() -> None:
    found = undeclared_rows({"g": {"Q": 30, "R": 20}}, 1000, 10).to_pylist()
    assert [(r["groups"], r["n"], r["share"], r["estimator"]) for r in found] == [
        (["Q"], 30, 0.03, "undeclared"),
        (["R"], 20, 0.02, "undeclared"),
    ]
    hidden = undeclared_rows({"g": {"Q": 30, "R": 2}}, 1000, 10).to_pylist()
    assert [(r["n"], r["is_suppressed"]) for r in hidden] == [(None, True)] * 2


def test_absent_category_is_imbalance_not_balance() -> None:
    reference = {"k": {"x": 0.5, "absent": 0.5}}
    units = {"image": pa.table({"k": ["x"] * 40})}
    rows = by_groups(balance_cells(units, ["k"], CATEGORIES, BalanceRules(reference)))
    assert (rows[("absent",)]["n"], rows[("absent",)]["ratio"], rows[("absent",)]["is_flagged"]) == (0, 0.0, True)
    (summary,) = single_rows(units, ["k"], CATEGORIES)
    assert (summary["evenness"], summary["imbalance_ratio"], summary["categories_present"]) == (0.0, None, 1)


@pytest.mark.parametrize("values", [[], [None, None, None]], ids=["empty", "all missing"])
def test_no_known_units(values: list[str | None]) -> None:
    reference = {"g": {"M": 0.5, "F": 0.5}}
    rows = by_groups(balance_cells(single(values), ["g"], CATEGORIES, BalanceRules(reference)))
    assert [r["n"] for r in rows.values()] == [0, 0, len(values)]
    assert [r["share"] for r in rows.values()] == ([0.0, 0.0, 1.0] if values else [None] * 3)
    assert all(r["ratio"] is None and r["is_flagged"] is None for r in rows.values())
    (summary,) = single_rows(single(values), ["g"], CATEGORIES)
    assert (summary["n"], summary["n_missing"], summary["categories"]) == (len(values), len(values), 2)
    figures = ("shannon_nats", "evenness", "effective_categories", "imbalance_ratio")
    assert all(summary[c] is None for c in figures)


def test_one_declared_category_has_no_evenness() -> None:
    (summary,) = single_rows(single(["M", "M"]), ["g"], {"g": ("M",)})
    assert (summary["shannon_nats"], summary["evenness"], summary["imbalance_ratio"]) == (0.0, None, 1.0)


def test_attribute_without_any_category() -> None:
    units = {"image": pa.table({"g": ["M", "F"], "e": pa.nulls(2, pa.string())})}
    categories = {"g": ("M", "F"), "e": ()}
    rows = by_groups(balance_cells(units, ["g", "e"], categories))
    assert {groups: r["n"] for groups, r in rows.items() if len(groups) == 2} == {
        ("M", None): 1,
        ("F", None): 1,
        (None, None): 0,
    }
    pair = balance_summary(units, ["g", "e"], categories).to_pylist()[-1]
    assert (pair["categories"], pair["n_missing"], pair["evenness"]) == (0, 2, None)


def test_no_attributes_give_empty_tables() -> None:
    assert balance_cells(single(["M"]), [], {}).equals(BALANCE_SCHEMA.empty_table())
    assert balance_summary(single(["M"]), [], {}).equals(SUMMARY_SCHEMA.empty_table())


@pytest.mark.parametrize(
    ("table", "contract"),
    [
        (balance_cells({"face": random_units(200, 8)}, ATTRIBUTES, CATEGORIES, BalanceRules(EVEN)), BALANCE),
        (balance_summary({"face": random_units(200, 8)}, ATTRIBUTES, CATEGORIES), BALANCE_SUMMARY),
    ],
    ids=["balance", "balance_summary"],
)
def test_columns_and_ranges_are_those_of_the_contract(table: pa.Table, contract: Table) -> None:
    assert ["run_id", *table.column_names] == contract.names
    for field in table.schema:
        column = contract.column(field.name)
        arrow = {"double": "float64", "list<element: string>": "list<string>"}.get(str(field.type), str(field.type))
        assert (arrow, field.nullable) == (column.type.value, column.nullable), field.name
        values = [v for v in table.column(field.name).to_pylist() if v is not None]
        assert column.nullable or len(values) == table.num_rows
        assert all(column.minimum is None or v >= column.minimum for v in values)
        assert all(column.maximum is None or v <= column.maximum for v in values)
        assert all(not column.values or v in column.values for v in values)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"z": {"M": 1.0}}, "given for z"),
        ({"g": {"M": 1.0}}, "each of its categories"),
        ({"g": {"M": 0.5, "F": 0.4, "X": 0.1}}, "and no other"),
        ({"g": {"M": 0.5, "F": 0.4}}, "add up to 1"),
        ({"g": {"M": 1.5, "F": -0.5}}, "lie in 0–1"),
        ({"g": {"M": math.nan, "F": 0.5}}, "lie in 0–1"),
    ],
)
def test_bad_references(reference: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        balance_cells(single(["M"]), ["g"], CATEGORIES, BalanceRules(reference))


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="attribute h has no column"):
        balance_cells(single(["M"]), ["g", "h"], CATEGORIES)


def test_a_value_outside_the_categories_counts_as_missing() -> None:
    rows = by_groups(balance_cells(single(["M", "Q", "R"]), ["g"], CATEGORIES))
    assert [r["n"] for r in rows.values()] == [1, 0, 2]
