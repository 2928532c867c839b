"""What must not be shown: no small count follows from what is, and no page holds one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from report_specimen import Specimen, report_input, with_group_curves
from scipy.optimize import Bounds, LinearConstraint, milp

from facelib.reports.html.chapter import ReportInput
from facelib.reports.html.page import report_page
from facelib.reports.html.withholding import Line, protected, protected_grid

pytestmark = pytest.mark.unit


def line_of(n: list[int], min_cell: int) -> Line:
    return Line.of([None if 0 < k < min_cell else k for k in n], sum(n), min_cell)


def possible(n: list[int], hidden: np.ndarray, min_cell: int) -> Iterator[list[int]]:
    """All lines that agree with what is shown of one: its total, the cells not hidden, which of them are small."""
    ranges = [
        [k] if not hide else range(1, min_cell) if 0 < k < min_cell else range(sum(n) + 1)
        for k, hide in zip(n, hidden, strict=True)
    ]
    return (list(found) for found in product(*ranges) if sum(found) == sum(n))


def test_no_small_count_of_a_line_follows_from_its_total() -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        min_cell = int(rng.integers(3, 6))
        n = rng.integers(0, 9, rng.integers(2, 5)).tolist()
        hidden = protected([line_of(n, min_cell)], list(range(len(n))), min_cell)
        small = [0 < k < min_cell for k in n]
        assert not (np.array(small) & ~hidden).any()
        if hidden.all() or not any(small):
            continue
        seen = np.array(list(possible(n, hidden, min_cell)))
        assert (seen.max(axis=0) > seen.min(axis=0))[small].all(), (n, hidden)


def test_of_a_line_the_smallest_group_that_can_stand_in_is_given_up() -> None:
    hidden = protected([line_of([30, 3, 8, 5, 12], 5)], [1, 3, 2, 4, 0], 5)
    assert hidden.tolist() == [False, True, True, False, False]  # 8 = 2 × 5 − 2 can hide any of 1 … 4, 5 can not
    assert protected([line_of([30, 3, 2, 12], 5)], [2, 1, 3, 0], 5).tolist() == [False, True, True, False]
    assert protected([line_of([30, 1, 1, 12], 5)], [2, 1, 3, 0], 5).tolist() == [False, True, True, True]
    assert protected([line_of([4, 0, 0], 5)], [1, 2, 0], 5).all()
    assert not protected([line_of([30, 8, 12], 5)], [1, 2, 0], 5).any()


def ends(n: np.ndarray, small: np.ndarray, hidden: np.ndarray, totals: list[np.ndarray], min_cell: int) -> np.ndarray:
    """Least and greatest value of every small cell, (cells, 2), in whole numbers."""
    rows = [(np.arange(n.shape[0]) == i)[:, None] * np.ones_like(n) for i in range(n.shape[0])]
    columns = [(np.arange(n.shape[1]) == j)[None, :] * np.ones_like(n) for j in range(n.shape[1])]
    known = [(mask.ravel(), t) for mask, t in zip(rows + columns, np.concatenate(totals), strict=True) if t == t]
    known.append((np.ones(n.size), n.sum()))
    sums = [t for _, t in known]
    low = np.where(hidden, small, n).ravel()
    high = np.where(hidden, np.where(small, min_cell - 1, n.sum()), n).ravel()
    constraint = LinearConstraint(np.array([mask for mask, _ in known]), sums, sums)
    found = []
    for cell in np.flatnonzero(small):
        aim = np.eye(1, n.size, cell)[0]
        both = [
            milp(sign * aim, constraints=constraint, bounds=Bounds(low, high), integrality=np.ones(n.size)).x[cell]
            for sign in (1, -1)
        ]
        found.append(np.round(both))
    return np.array(found)


def test_no_small_count_of_a_grid_follows_from_its_margins() -> None:
    """Held against integer programmes that know which cells are small, and all that is shown."""
    rng = np.random.default_rng(2)
    withheld, checked = 0.0, 0
    for _ in range(80):
        min_cell = int(rng.integers(3, 7))
        n = (rng.poisson(rng.choice([3, 8, 20]), rng.integers(2, 5, 2)) * (rng.random() < 0.9)).astype(float)
        small = (n > 0) & (n < min_cell)
        totals = []
        for axis in (1, 0):
            line = line_of(n.sum(axis=axis).astype(int).tolist(), min_cell)
            hidden = protected([line], np.argsort(n.sum(axis=axis)).tolist(), min_cell)
            totals.append(np.where(hidden, np.nan, n.sum(axis=axis)))
        shown = np.where(small, np.nan, n)
        hidden = protected_grid(shown, small, (totals[0], totals[1]), n.sum(), min_cell)
        assert not (small & ~hidden).any()
        if small.any() and not hidden.all():
            found = ends(n, small, hidden, totals, min_cell)
            assert (found[:, 1] > found[:, 0]).all(), (n, hidden)
            withheld, checked = withheld + (hidden & ~small).mean(), checked + 1
    assert checked > 10
    assert withheld / checked < 0.4


SECRET = 1213
CROWD = Specimen(
    people=9000,
    images=1,
    groups={"gender": ("F", "M"), "race": ("Black", "East Asian", "Indian", "White")},
    exact={("race", "Indian"): SECRET},
    loss=0.0,
    min_cell=1500,
)


def crowd(min_cell: int) -> ReportInput:
    data = report_input(replace(CROWD, min_cell=min_cell))
    return with_group_curves(data, {("race", group): 2.0 for group in CROWD.groups["race"]})


def test_a_page_never_holds_a_withheld_count() -> None:
    """The group's count is the same in every table, so a single leak shows; without suppression it is everywhere."""
    assert report_page(crowd(0)).count(f"{SECRET:,}") > 20
    page = report_page(crowd(CROWD.min_cell))
    assert f"{SECRET:,}" not in page
    assert str(SECRET) not in page
    share = SECRET / CROWD.people
    assert f"{100 * share:.1f}\N{NO-BREAK SPACE}%" not in page
    assert "withheld" in page


def test_of_each_group_line_on_a_page_nothing_or_two_are_withheld() -> None:
    data = crowd(CROWD.min_cell)
    for (attribute, level), groups in data.withheld.groups.items():
        assert len(groups) == (2 if attribute == "race" else 0), (attribute, level)
    assert data.withheld.hides("race", "image", "Indian")


def test_the_number_without_a_label_does_not_follow_from_ratios() -> None:
    """Ratios are shares among units of known group, so where the missing cell is withheld they are not shown."""
    reference = {"gender": {"F": 0.7, "M": 0.3}}
    specimen = Specimen(groups={"gender": ("F", "M")}, reference=reference, missing={"gender": 0.01}, min_cell=30)
    data = report_input(specimen)
    assert data.withheld.hides("gender", "image", None)
    page = report_page(data)
    missing = next(r["n_missing"] for r in data.rows("balance_summary") if r["unit"] == "image")
    n = next(r["n"] for r in data.rows("balance_summary") if r["unit"] == "image")
    assert 0 < missing < 30
    assert f"{n - missing:,}" not in page
    shown = next(g for g in ("F", "M") if not data.withheld.hides("gender", "image", g))
    row = data.cells.single["gender", "image"][shown]
    assert f"{row['ratio']:.3f}" not in page
    assert f"{row['ratio']:.2f} ×" not in page
    assert "off its reference share" in page


def test_a_loss_that_leaves_a_small_group_is_told_as_a_bound() -> None:
    """Of 480 images of women 3 are left in clusters: the rate is withheld, but that at least 0.98 are lost is not."""
    groups = {"gender": ("F", "M")}
    data = report_input(Specimen(groups=groups, losses={("cluster", "gender", "F"): 0.99}, min_cell=10))
    row = next(r for r in data.rows("losses") if r["stage"] == "cluster" and r["group"] == "F")
    assert 0 < row["n_out"] < 10
    page = report_page(data)
    bound = (row["n_in"] - 9) / row["n_in"]
    assert f"at least {100 * bound:.1f}" in page
    assert f"{100 * row['rate']:.1f}" not in page
    assert "fewer than 10 passed" in page


def test_losses_that_are_withheld_already_stay_so() -> None:
    """Where the table of losses has nulls, its groups are withheld and tested no more."""
    data = report_input(
        Specimen(groups={"gender": ("F", "M", "X")}, losses={("quality", "gender", "F"): 0.4}, min_cell=3)
    )
    assert "have no usable face, against" in report_page(data)
    rows = data.rows("losses")
    for row in rows:
        if row["group"] == "F":
            row.update(dict.fromkeys(("n_in", "n_out", "rate", "ci_low", "ci_high")))
    schema = pa.schema([field.with_nullable(True) for field in data.tables["losses"].schema])
    page = report_page(ReportInput({**data.tables, "losses": pa.Table.from_pylist(rows, schema)}, data.run))
    assert "have no usable face, against" not in page
    assert page.count("withheld") > 10
