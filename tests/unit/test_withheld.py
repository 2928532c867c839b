"""What `balance` publishes, attacked row by row, and read back as what was published before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from oracles.suppression_attack import WITHHELD, Attack

from facelib.audit.joint_counts import attribute_sets
from facelib.audit.unit_counts import Names, UnitCounts
from facelib.reports.balance import BalanceRules, balance_cells
from facelib.reports.balance_summary import balance_summary
from facelib.reports.units_counted import unit_counts
from facelib.reports.withheld import Withholding, published, withhold

pytestmark = pytest.mark.unit

CATEGORIES = {"g": ("m", "f"), "h": ("a", "b", "c")}
ATTRIBUTES = list(CATEGORIES)
SETS = attribute_sets(ATTRIBUTES)
MIN_CELL = 5


def counted(rng: np.random.Generator, n: int) -> UnitCounts:
    columns = {}
    for name, categories in CATEGORIES.items():
        chances = rng.dirichlet(np.full(len(categories) + 1, 0.7))
        drawn = rng.choice(len(categories) + 1, n, p=chances)
        columns[name] = pa.array([[*categories, None][i] for i in drawn.tolist()], pa.string())
    return unit_counts(pa.table(columns), ATTRIBUTES, CATEGORIES)


def seen(rows: list[dict[str, Any]], units: UnitCounts) -> dict[Names, np.ndarray]:
    """Counts as a reader has them: from n, or worked out of any other figure of the row."""
    found = {names: np.full(units.table(names).shape, WITHHELD) for names in SETS}
    for row in rows:
        names = tuple(row["attributes"])
        place = tuple(
            len(CATEGORIES[a]) if g is None else CATEGORIES[a].index(g)
            for a, g in zip(names, row["groups"], strict=True)
        )
        for name in ("n", "share", "ci_low", "ci_high", "ratio", "ratio_ci_low", "ratio_ci_high", "is_flagged"):
            if row[name] is not None:
                found[names][place] = units.table(names)[place]
    return found


def test_no_small_count_follows_from_the_rows_of_balance() -> None:
    rng, small = np.random.default_rng(3), 0
    for _ in range(40):
        units = counted(rng, int(rng.choice([40, 150, 600])))
        withheld = withhold({"image": units}, SETS, MIN_CELL)
        rules = BalanceRules({"g": {"m": 0.5, "f": 0.5}})
        rows = balance_cells({"image": units}, ATTRIBUTES, CATEGORIES, rules, withheld=withheld).to_pylist()
        attack = Attack([(seen(rows, units), units.joint.units)])
        for names in SETS:
            table = units.table(names)
            known = table[(slice(None, -1),) * table.ndim]
            for place in zip(*np.nonzero((known > 0) & (known < MIN_CELL)), strict=True):
                low, high = (attack.extreme(0, names, place, sign) for sign in (-1, 1))
                assert high - low >= MIN_CELL - 1 - 1e-6, (names, place, table[place], low, high)
                small += 1
    assert small > 60


def test_ratios_do_not_tell_how_many_have_no_label() -> None:
    units = unit_counts(pa.table({"g": ["m"] * 60 + ["f"] * 40 + [None] * 2}), ["g"], CATEGORIES)
    withheld = Withholding({"image": {("g",): np.array([False, True, True])}})
    rules = BalanceRules({"g": {"m": 0.5, "f": 0.5}})
    rows = balance_cells({"image": units}, ["g"], CATEGORIES, rules, withheld=withheld).to_pylist()
    assert [r["n"] for r in rows].count(None) == 2
    assert all(r["ratio"] is r["is_flagged"] is None for r in rows)
    (summary,) = balance_summary({"image": units}, ["g"], CATEGORIES, rules, withheld=withheld).to_pylist()[1:]
    assert summary["n_missing"] is None


def test_how_many_have_no_label_is_published() -> None:
    units = unit_counts(pa.table({"g": ["m"] * 60 + ["f"] * 40 + [None] * 2}), ["g"], CATEGORIES)
    assert not withhold({"image": units}, [("g",)], MIN_CELL).masks["image"]["g",].any()


def test_faces_are_protected_as_a_part_of_images() -> None:
    images = unit_counts(pa.table({"g": ["m"] * 200 + ["f"] * 3 + [None] * 99}), ["g"], CATEGORIES)
    withheld = withhold({"image": images, "face": images}, [("g",)], MIN_CELL)
    assert withheld.masks["image"]["g",][1]
    assert withheld.masks["face"]["g",].tolist() == withheld.masks["image"]["g",].tolist()


def test_what_was_published_is_read_back_and_protects_small_changes() -> None:
    before = unit_counts(pa.table({"g": ["m"] * 200 + ["f"] * 100}), ["g"], CATEGORIES)
    after = unit_counts(pa.table({"g": ["m"] * 203 + ["f"] * 160}), ["g"], CATEGORIES)
    first = withhold({"image": before}, [("g",)], MIN_CELL)
    rows = balance_cells({"image": before}, ["g"], CATEGORIES, withheld=first).to_pylist()
    found = published(rows, {"image": 300}, {"g": CATEGORIES["g"]})
    np.testing.assert_array_equal(found["image"].tables["g",], [200, 100, 0])
    assert not found["image"].suppressed["g",].any()
    earlier = {"image": [found["image"]]}
    assert withhold({"image": after}, [("g",)], MIN_CELL, earlier).masks["image"]["g",][:2].all()
    assert not withhold({"image": after}, [("g",)], MIN_CELL, earlier, 0).masks["image"]["g",].any()
    assert not withhold({"image": before}, [("g",)], MIN_CELL, earlier).masks["image"]["g",].any()
    assert published(rows, {"image": 300}, {"g": ("m", "f", "x")}) == {}


def test_other_categories_than_before_are_said_to_be_incomparable() -> None:
    before = unit_counts(pa.table({"g": ["m"] * 20}), ["g"], CATEGORIES)
    rows = balance_cells({"image": before}, ["g"], CATEGORIES).to_pylist()
    earlier = {"image": [published(rows, {"image": 20}, CATEGORIES)["image"]]}
    wider = {"g": ("m", "f", "x")}
    now = unit_counts(pa.table({"g": ["m"] * 20}), ["g"], wider)
    assert withhold({"image": now}, [("g",)], MIN_CELL, earlier).incomparable == ("image",)
