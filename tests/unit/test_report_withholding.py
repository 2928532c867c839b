"""What must not be shown: no small count follows from what is, and no page holds one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from report_specimen import Specimen, report_input, with_group_curves

from facelib.reports.html.chapter import ReportInput
from facelib.reports.html.page import report_page
from facelib.reports.html.withholding import Line, protected

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
    for (attribute, unit), groups in data.cells.single.items():
        hidden = [g for g in groups if data.withheld.hides(attribute, unit, g)]
        assert len(hidden) == (2 if attribute == "race" else 0), (attribute, unit)
    assert data.withheld.hides("race", "image", "Indian")


def test_a_loss_that_leaves_a_small_group_is_withheld() -> None:
    """Of 480 images of women 3 are left in clusters: how many there are is not shown, nor the rate."""
    specimen = Specimen(groups={"gender": ("F", "M")}, losses={("cluster", "gender", "F"): 0.99}, min_cell=10)
    data = report_input(specimen)
    row = next(r for r in data.rows("losses") if r["stage"] == "cluster" and r["group"] == "F")
    assert (row["n_out"], row["rate"], row["is_suppressed"]) == (None, None, True)
    assert row["n_in"] is not None
    whole = next(
        r
        for r in report_input(specimen.with_(min_cell=0)).rows("losses")
        if r["stage"] == "cluster" and r["group"] == "F"
    )
    assert 0 < whole["n_out"] < 10
    assert f"{100 * whole['rate']:.1f}" not in report_page(data)
