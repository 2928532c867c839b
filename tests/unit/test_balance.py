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
from scipy.stats import entropy
from statsmodels.stats.proportion import proportion_confint

from facelib.errors import ConfigError
from facelib.reports.balance import BALANCE_SCHEMA, SUMMARY_SCHEMA, balance_cells, balance_summary
from schemas.contract import Table
from schemas.tables import BALANCE, BALANCE_SUMMARY

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


def by_groups(table: pa.Table) -> dict[tuple[str | None, ...], dict[str, Any]]:
    return {tuple(r["groups"]): r for r in table.to_pylist()}


def test_hand_worked_cells_with_reference() -> None:
    """8 images: 1 F, 5 M, 2 missing. Known shares 1/6 and 5/6 against ½ each: ratios 1/3 and 5/3."""
    units = single(["F", *["M"] * 5, None, None])
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, reference={"g": {"M": 0.5, "F": 0.5}}))
    assert list(rows) == [("M",), ("F",), (None,)]
    assert [r["n"] for r in rows.values()] == [5, 1, 2]
    assert [r["share"] for r in rows.values()] == [5 / 8, 1 / 8, 2 / 8]
    assert [r["ratio"] for r in rows.values()] == [pytest.approx(5 / 3), pytest.approx(1 / 3), None]
    assert [r["reference_share"] for r in rows.values()] == [0.5, 0.5, None]
    assert [r["is_flagged"] for r in rows.values()] == [True, True, None]
    assert {r["estimator"] for r in rows.values()} == {"count"}


def test_flag_limits_belong_to_the_unflagged_range() -> None:
    """Shares of ½ against 0.625 and 0.375: ratios 0.8 (exactly, in floating point) and 4/3."""
    units = single(["M"] * 5 + ["F"] * 5)
    reference = {"g": {"M": 0.625, "F": 0.375}}
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, reference=reference))
    assert [r["is_flagged"] for r in rows.values()] == [False, True, None]
    rows = by_groups(balance_cells(units, ["g"], CATEGORIES, reference=reference, flag_below=0.9, flag_above=1.4))
    assert [r["is_flagged"] for r in rows.values()] == [True, False, None]


def test_random_units_agree_with_a_loop() -> None:
    for seed in range(4):
        units = {"image": random_units(300, seed), "face": random_units(40, seed + 100)}
        rows = balance_cells(units, ATTRIBUTES, CATEGORIES, confidence=0.9).to_pylist()
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
    units = single(["M"] * 10 + ["F"] * 4 + [None])
    reference = {"g": {"M": 0.5, "F": 0.5, "X": 0.0}}
    categories = {"g": ("M", "F", "X")}
    rows = by_groups(balance_cells(units, ["g"], categories, min_cell=5, reference=reference))
    assert [r["is_suppressed"] for r in rows.values()] == [False, True, False, True]
    for group in [("F",), (None,)]:
        withheld = [rows[group][c] for c in ("n", "share", "ci_low", "ci_high", "ratio", "is_flagged")]
        assert withheld == [None] * 6
    assert rows[("F",)]["reference_share"] == 0.5
    assert (rows[("X",)]["n"], rows[("X",)]["share"]) == (0, 0.0)
    assert (rows[("X",)]["ratio"], rows[("X",)]["is_flagged"]) == (None, None)
    assert rows[("M",)]["ratio"] == pytest.approx((10 / 14) / 0.5)


def test_cell_of_exactly_min_cell_is_shown() -> None:
    rows = by_groups(balance_cells(single(["M"] * 5), ["g"], CATEGORIES, min_cell=5))
    assert not rows[("M",)]["is_suppressed"]


def test_summary_does_not_reveal_a_withheld_cell() -> None:
    units = single(["M"] * 10 + ["F"] * 4)
    assert balance_summary(units, ["g"], CATEGORIES).column("imbalance_ratio").to_pylist() == [2.5]
    assert balance_summary(units, ["g"], CATEGORIES, min_cell=5).column("imbalance_ratio").to_pylist() == [None]


def test_absent_category_is_imbalance_not_balance() -> None:
    reference = {"k": {"x": 0.5, "absent": 0.5}}
    units = {"image": pa.table({"k": ["x", "x"]})}
    rows = by_groups(balance_cells(units, ["k"], CATEGORIES, reference=reference))
    assert (rows[("absent",)]["n"], rows[("absent",)]["ratio"], rows[("absent",)]["is_flagged"]) == (0, 0.0, True)
    (summary,) = balance_summary(units, ["k"], CATEGORIES).to_pylist()
    assert (summary["evenness"], summary["imbalance_ratio"], summary["categories_present"]) == (0.0, None, 1)


@pytest.mark.parametrize("values", [[], [None, None, None]], ids=["empty", "all missing"])
def test_no_known_units(values: list[str | None]) -> None:
    reference = {"g": {"M": 0.5, "F": 0.5}}
    rows = by_groups(balance_cells(single(values), ["g"], CATEGORIES, reference=reference))
    assert [r["n"] for r in rows.values()] == [0, 0, len(values)]
    assert [r["share"] for r in rows.values()] == ([0.0, 0.0, 1.0] if values else [None] * 3)
    assert all(r["ratio"] is None and r["is_flagged"] is None for r in rows.values())
    (summary,) = balance_summary(single(values), ["g"], CATEGORIES).to_pylist()
    assert (summary["n"], summary["n_missing"], summary["categories"]) == (len(values), len(values), 2)
    figures = ("shannon_nats", "evenness", "effective_categories", "imbalance_ratio")
    assert all(summary[c] is None for c in figures)


def test_one_declared_category_has_no_evenness() -> None:
    (summary,) = balance_summary(single(["M", "M"]), ["g"], {"g": ("M",)}).to_pylist()
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
        (balance_cells({"face": random_units(200, 8)}, ATTRIBUTES, CATEGORIES, 20, reference=EVEN), BALANCE),
        (balance_summary({"face": random_units(200, 8)}, ATTRIBUTES, CATEGORIES), BALANCE_SUMMARY),
    ],
    ids=["balance", "balance_summary"],
)
def test_columns_and_ranges_are_those_of_the_contract(table: pa.Table, contract: Table) -> None:
    assert ["run_id", *table.column_names] == contract.names
    for field in table.schema:
        column = contract.column(field.name)
        arrow = {"double": "float64", "list<item: string>": "list<string>"}.get(str(field.type), str(field.type))
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
        balance_cells(single(["M"]), ["g"], CATEGORIES, reference=reference)


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="attribute h has no column"):
        balance_cells(single(["M"]), ["g", "h"], CATEGORIES)
    with pytest.raises(ConfigError, match="g has 2 rows whose value"):
        balance_summary(single(["M", "Q", "R"]), ["g"], CATEGORIES)
