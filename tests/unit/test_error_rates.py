"""Rows of `error_rates` and `error_summary`: what they hold, what they withhold, and where they are null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facelib.audit.group_errors import ErrorTable, error_tables
from facelib.clusters.agreement import group_agreement
from facelib.clusters.space import Space
from facelib.reports.error_rates import GroupedErrors, error_rates, error_summary, tail_rates
from facelib.reports.error_withholding import Withheld, withheld_groups, without_counts, without_counts_falling
from schemas.arrow import conform
from schemas.error_tables import DIFFERENTIALS, ERROR_RATES, ERROR_SUMMARY

pytestmark = pytest.mark.unit

NAMES = ("a", "b", "c")
TARGETS = (0.1, 1e-9)
FIGURES = [
    c.name for c in ERROR_RATES if c.nullable and c.name not in ("attribute", "group", "other_group", "target_fmr")
]


def tables(categories: Sequence[str], group: np.ndarray) -> list[ErrorTable | None]:
    """60 faces of 20 subjects, three each, scattered far enough for some errors."""
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(20), 3)
    unit = rng.normal(size=(20, 6))[subject] + 0.6 * rng.normal(size=(60, 6))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    return error_tables(Space.plain(unit), subject, np.arange(60), group, categories, TARGETS, resamples=50)


def grouped(withheld: Sequence[str] = (), counts: Sequence[str] = ()) -> GroupedErrors:
    """Subjects 0–7 in a, 8–15 in b, 16–19 in none; c has nobody."""
    shown = [n for n in NAMES if n not in withheld]
    of_subject = ["a"] * 8 + ["b"] * 8 + ["-"] * 4
    group = np.repeat([shown.index(g) if g in shown else -1 for g in of_subject], 3)
    sizes: dict[str | None, tuple[int, int]] = {"a": (24, 8), "b": (24, 8), "c": (0, 0)}
    return GroupedErrors("g", NAMES, Withheld(frozenset(withheld), frozenset(counts)), sizes, tables(shown, group))


def everyone() -> GroupedErrors:
    return GroupedErrors(None, (), Withheld(), {None: (60, 20)}, grouped().tables)


def rows_of(table: pa.Table, contract: Any) -> list[dict[str, Any]]:
    """Under the contract, with every key once."""
    whole = conform(table.append_column("run_id", pa.array(["r"] * len(table))), contract)
    rows: list[dict[str, Any]] = whole.to_pylist()
    assert len({tuple(r[k] for k in contract.key) for r in rows}) == len(rows)
    return rows


def test_every_ordered_pair_of_groups_has_a_row_with_the_counts_of_the_comparisons() -> None:
    errors = grouped()
    rows = rows_of(error_rates([everyone(), errors], TARGETS, 0), ERROR_RATES)
    found = {(r["attribute"], r["group"], r["other_group"], r["target_fmr"]): r for r in rows}
    assert len(found) == 2 * (1 + 1 + 9)
    table = errors.tables[0]
    assert table is not None
    whole = found[None, None, None, 0.1]
    assert (whole["n_faces"], whole["n_subjects"], whole["threshold"]) == (60, 20, table.threshold)
    assert (whole["n_non_mated"], whole["n_mated"]) == (60 * 59 // 2 - 60, 60)
    assert whole["fmr"] == whole["n_false_matches"] / whole["n_non_mated"]
    assert whole["n_false_matches"] == int(0.1 * (60 * 59 // 2 - 60))
    within, between = found["g", "a", "a", 0.1], found["g", "a", "b", 0.1]
    assert (within["n_non_mated"], within["n_mated"]) == (24 * 23 // 2 - 24, 24)
    assert (between["n_non_mated"], between["n_mated"], between["fnmr"]) == (24 * 24, None, None)
    assert within["fmr"] == table.fmr.value[0, 0]
    assert (within["fmr_ci_low"], within["fmr_ci_high"]) == (table.fmr.low[0, 0], table.fmr.high[0, 0])
    assert (within["fnmr"], within["n_false_non_matches"]) == (table.fnmr.value[0], table.fnmr.errors[0])
    other_order = found["g", "b", "a", 0.1]
    for name in ("n_non_mated", "n_false_matches", "fmr", "fmr_ci_low", "fmr_ci_high"):
        assert between[name] == other_order[name]
    same = found["g", None, None, 0.1]
    own = [found["g", n, n, 0.1] for n in NAMES]
    for name in ("n_non_mated", "n_false_matches"):
        assert same[name] == sum(r[name] for r in own)
    assert same["fmr"] == same["n_false_matches"] / same["n_non_mated"]
    assert (same["fmr_ci_low"], same["fnmr"], same["n_faces"]) == (None, None, None)
    nobody = found["g", "c", "c", 0.1]
    assert (nobody["n_faces"], nobody["n_non_mated"], nobody["fmr"], nobody["fnmr"]) == (0, 0, None, None)
    assert {(r["estimator"], r["similarity"], r["is_suppressed"]) for r in rows} == {("subjects", "cosine", False)}


def test_where_the_data_do_not_support_a_rate_a_row_says_so() -> None:
    rows = [
        r for r in rows_of(error_rates([everyone(), grouped()], TARGETS, 0), ERROR_RATES) if r["target_fmr"] == 1e-9
    ]
    assert [(r["n_faces"], r["n_subjects"]) for r in rows[:3]] == [(60, 20), (None, None), (24, 8)]
    assert {r[name] for r in rows for name in FIGURES if name not in ("n_faces", "n_subjects")} == {None}


def test_a_withheld_group_leaves_no_figure_and_no_part_in_a_differential() -> None:
    errors = grouped(withheld=["b"])
    rows = rows_of(error_rates([errors], TARGETS, 5), ERROR_RATES)
    for row in rows:
        is_hidden = "b" in (row["group"], row["other_group"])
        assert row["is_suppressed"] == is_hidden
        if is_hidden:
            assert {row[n] for n in FIGURES if n != "threshold"} == {None}
    assert next(r for r in rows if r["group"] == r["other_group"] == "a")["fmr"] is not None
    summary = rows_of(error_summary([errors], TARGETS, {}, "corrected", 5), ERROR_SUMMARY)
    of_figures = [r for r in summary if r["measure"] in DIFFERENTIALS and r["target_fmr"] == 0.1]
    assert {(r["value"], r["n_groups"], tuple(r["groups_left_out"])) for r in of_figures} == {(None, 1, ("b", "c"))}


def test_differentials_are_those_of_the_table_and_name_who_is_left_out() -> None:
    errors = grouped()
    rows = rows_of(error_summary([everyone(), errors], TARGETS, {}, "corrected", 0), ERROR_SUMMARY)
    table = errors.tables[0]
    assert table is not None
    own = {r["measure"]: r for r in rows if r["target_fmr"] == 0.1}
    assert list(own) == list(DIFFERENTIALS) == list(table.differentials)
    for measure, row in own.items():
        figure = table.differentials[measure]
        assert (row["value"], row["ci_low"], row["by_chance"]) == (figure.value, figure.low, figure.by_chance)
        assert (row["n_groups"], row["groups_left_out"], row["attribute"]) == (2, ["c"], "g")
    within = [table.fmr.value[0, 0], table.fmr.value[1, 1]]
    assert own["fmr_max_min_ratio"]["value"] == pytest.approx(max(within) / min(within))
    assert {(r["value"], r["n_groups"]) for r in rows if r["target_fmr"] == 1e-9} == {(None, 0)}


def test_clusters_are_held_against_subjects_by_group() -> None:
    """Subjects of three faces: in a all whole but one that is split in two, in b all of two subjects in one cluster."""
    subject = np.repeat(np.arange(20), 3)
    cluster = [f"c{s if s < 8 else s // 2 + 100}" for s in subject.tolist()]
    cluster[0] = "alone"
    groups = [g for g in ["a"] * 8 + ["b"] * 8 + [None] * 4 for _ in range(3)]
    agreement = {
        None: group_agreement(cluster, subject, [None] * 60),
        "g": group_agreement(cluster, subject, groups),
    }
    summary = error_summary([everyone(), grouped()], TARGETS, agreement, "corrected", 0)
    rows = {(r["group"], r["measure"]): r for r in rows_of(summary, ERROR_SUMMARY) if r["target_fmr"] is None}
    assert len(rows) == 4 * 4
    assert {r["similarity"] for r in rows.values()} == {"corrected"}
    assert rows["a", "clusters_per_subject"]["value"] == pytest.approx(9 / 8)
    whole = rows["a", "whole_share"]
    assert (whole["value"], whole["n"]) == (7 / 8, 8)
    assert whole["ci_low"] == pytest.approx(0.5291, abs=1e-4)  # Wilson, 7 of 8
    assert whole["ci_high"] == pytest.approx(0.9776, abs=1e-4)
    assert (rows["b", "whole_share"]["value"], rows["b", "bcubed_precision"]["value"]) == (1.0, 0.5)
    assert (rows["c", "whole_share"]["value"], rows["c", "whole_share"]["n"]) == (None, 0)
    assert rows[None, "clusters_per_subject"]["value"] == pytest.approx(21 / 20)
    assert rows[None, "majority_share"]["n"] == 60
    hidden = error_summary([everyone(), grouped(["a"])], TARGETS, agreement, "corrected", 4)
    rows = {(r["group"], r["measure"]): r for r in rows_of(hidden, ERROR_SUMMARY) if r["target_fmr"] is None}
    assert {(r["value"], r["n"], r["is_suppressed"]) for (g, _), r in rows.items() if g == "a"} == {(None, None, True)}


def test_a_small_number_of_repeated_subjects_is_withheld_by_itself() -> None:
    """Of b, 2 of 8 subjects have two faces: that count, and what is made of it, is not given; nor is the count of a."""
    subject = np.concatenate([np.repeat(np.arange(8), 3), np.repeat([8, 9], 2), np.arange(10, 16)])
    groups = ["a"] * 24 + ["b"] * 10
    agreement = {"g": group_agreement([f"c{s}" for s in subject.tolist()], subject, groups)}
    sizes: dict[str | None, tuple[int, int]] = {"a": (24, 8), "b": (10, 8), "c": (0, 0)}
    errors = GroupedErrors("g", NAMES, Withheld(), sizes, [None, None])
    rows = rows_of(error_summary([errors], TARGETS, agreement, "cosine", 5), ERROR_SUMMARY)
    hidden = {(r["group"], r["measure"]) for r in rows if r["is_suppressed"]}
    assert hidden == {("b", m) for m in ("clusters_per_subject", "whole_share")}
    beside = next(r for r in rows if r["group"] == "a" and r["measure"] == "whole_share")
    assert (beside["value"], beside["n"]) == (1.0, None)
    assert next(r for r in rows if r["group"] == "b" and r["measure"] == "majority_share")["n"] == 10


def test_too_small_an_archive_is_withheld_as_a_whole() -> None:
    rows = rows_of(error_rates([everyone()], TARGETS, 30), ERROR_RATES)
    assert {(r["n_faces"], r["fmr"], r["is_suppressed"]) for r in rows} == {(None, None, True)}


@pytest.mark.parametrize(
    ("faces", "subjects", "elsewhere", "min_cell", "groups", "counts"),
    [
        ((50, 30, 40, 0), (9, 9, 9, 0), "", 0, "", ""),
        ((50, 30, 40, 0), (9, 9, 9, 0), "", 5, "", ""),
        ((50, 3, 40, 0), (9, 3, 9, 0), "", 5, "b", "c"),  # alone, b would follow from the sum
        ((50, 30, 40, 0), (9, 9, 4, 0), "", 5, "c", "b"),  # enough faces, too few subjects
        ((50, 0, 40, 0), (9, 0, 9, 0), "", 5, "", ""),  # nobody is no small count
        ((50, 30, 40, 0), (9, 9, 9, 0), "a", 5, "", "ab"),
        ((50, 3, 4, 0), (9, 2, 2, 0), "", 5, "bc", ""),
        ((50, 1, 1, 0), (9, 1, 1, 0), "", 5, "bc", "a"),  # two that sum to 2 are 1 each
        ((50, 30, 40, 0), (9, 9, 9, 0), "a", 0, "", "a"),
        ((50, 30, 40, 2), (9, 9, 9, 2), "", 5, "", ""),  # that two faces have no group tells nobody's
        ((50, 30, 40, 20), (9, 9, 9, 8), "", 5, "", ""),
        ((None, 30, 40, 20), (None, 9, 9, 8), "", 5, "a", "b"),
    ],
)
def test_what_is_withheld(
    faces: tuple[int, ...], subjects: tuple[int, ...], elsewhere: str, min_cell: int, groups: str, counts: str
) -> None:
    found = withheld_groups(NAMES, [faces, subjects], elsewhere, min_cell)
    assert found == Withheld(frozenset(groups), frozenset(counts))


def test_where_counts_are_withheld_rates_have_two_digits_and_ends_lie_outwards() -> None:
    figures = {"n_faces": 12, "n": 7, "fmr": 0.0043461, "fmr_ci_low": 0.00327, "fmr_ci_high": 0.005512, "fnmr": 0.0}
    assert without_counts(figures) == {
        "n_faces": None, "n": None, "fmr": 0.0043, "fmr_ci_low": 0.0032, "fmr_ci_high": 0.0056, "fnmr": 0.0,
    }  # fmt: skip
    assert without_counts({"ci_low": 0.12, "ci_high": 0.996, "value": None}) == {
        "ci_low": 0.12,
        "ci_high": 1.0,
        "value": None,
    }
    falling = without_counts_falling({"value": 0.99646, "ci_low": 0.95155, "ci_high": 1.0, "by_chance": None})
    assert falling == {
        "value": pytest.approx(0.9965), "ci_low": pytest.approx(0.951), "ci_high": 1.0, "by_chance": None,
    }  # fmt: skip


def test_a_group_beside_a_small_one_keeps_its_rates_but_not_its_counts() -> None:
    errors, plain = grouped(withheld=["c"], counts=["b"]), grouped()
    found = {(r["group"], r["other_group"]): r for r in rows_of(error_rates([errors], TARGETS, 5), ERROR_RATES)[:10]}
    table = plain.tables[0]
    assert table is not None
    for groups, at in ((("b", "b"), (1, 1)), (("a", "b"), (0, 1)), (("b", "a"), (1, 0))):
        row = found[groups]
        assert row["fmr"] == pytest.approx(table.fmr.value[at], rel=0.05)
        assert row["fmr_ci_low"] <= table.fmr.low[at] <= table.fmr.high[at] <= row["fmr_ci_high"]
        assert (row["n_non_mated"], row["n_false_matches"], row["n_mated"]) == (None, None, None)
        assert not row["is_suppressed"]
    assert found["b", "b"]["fnmr"] == pytest.approx(table.fnmr.value[1], rel=0.05)
    assert (found["a", "b"]["n_faces"], found["b", "a"]["n_faces"], found["b", "b"]["n_faces"]) == (24, None, None)
    assert (found[None, None]["n_non_mated"], found[None, None]["fmr"] is None) == (None, False)
    assert found["a", "a"]["n_mated"] == 24
    summary = rows_of(error_summary([errors], TARGETS, {}, "corrected", 5), ERROR_SUMMARY)
    ratio = next(r for r in summary if r["measure"] == "fmr_max_min_ratio")
    assert ratio["groups_left_out"] == ["c"]
    assert ratio["value"] == pytest.approx(table.differentials["fmr_max_min_ratio"].value, rel=0.05)
    assert float(f"{ratio['value']:.1e}") == ratio["value"]


def test_without_subjects_the_rates_are_those_of_the_curve_at_the_floor() -> None:
    def point(
        attributes: list[str], groups: list[str], n: int | None, fmr: float | None, at: float = 0.9
    ) -> dict[str, Any]:
        ends = {
            "fmr_ci_low": fmr and fmr / 2 if attributes else None,
            "fmr_ci_high": fmr and fmr * 2 if attributes else None,
        }
        return {"attributes": attributes, "groups": groups, "similarity": at, "is_floor": at == 0.9, "n_faces": n,
                "is_suppressed": n is None, "fmr_estimated": fmr, **ends}  # fmt: skip

    curve = pa.Table.from_pylist(
        [
            point([], [], 900, 1e-5),
            point([], [], 900, 1e-4, 0.8),
            point(["g"], ["a"], 500, 2e-5),
            point(["g"], ["b"], 300, None),
            point(["g"], ["c"], None, None),
            point(["g"], ["d"], None, 3e-5) | {"is_suppressed": False},  # its number would tell c
            point(["g", "h"], ["a", "x"], 100, 4e-5),
        ]
    )
    rows = rows_of(tail_rates(curve, {}, "corrected"), ERROR_RATES)
    assert [(r["group"], r["n_faces"], r["fmr"], r["is_suppressed"]) for r in rows] == [
        (None, 900, 1e-5, False),
        ("a", 500, 2e-5, False),
        ("b", 300, None, False),
        ("c", None, None, True),
        ("d", None, 3e-5, False),
    ]
    assert {(r["estimator"], r["similarity"], r["threshold"], r["target_fmr"]) for r in rows} == {
        ("tail", "corrected", 0.9, None)
    }
    assert all(r["group"] == r["other_group"] and r["fnmr"] is None and r["n_mated"] is None for r in rows)
    assert (rows[1]["fmr_ci_low"], rows[1]["fmr_ci_high"]) == (1e-5, 4e-5)
