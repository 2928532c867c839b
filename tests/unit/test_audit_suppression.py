"""Suppressed cells against an attacker who solves linear programmes over everything published (tests/oracles)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from oracles.suppression_attack import Attack, published

from facelib.audit.suppression import suppress
from facelib.audit.suppression_knowledge import Publication
from facelib.audit.suppression_system import table_system
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

Tables = dict[tuple[str, ...], npt.NDArray[np.int64]]
Masks = Mapping[tuple[str, ...], npt.NDArray[np.bool_]]
A, B, AB = ("a",), ("b",), ("a", "b")
SLACK = 1e-5


def tables_of(codes: npt.NDArray[np.int64], sizes: tuple[int, ...], triples: bool = False) -> Tables:
    """Singles, pairs and, if asked for, triples of units (rows of `codes`); the last code is the missing value."""
    names = "abcd"[: len(sizes)]
    tables = {}
    for order in (1, 2, 3)[: 2 + triples]:
        for axes in combinations(range(len(sizes)), order):
            shape = tuple(sizes[i] for i in axes)
            flat = np.ravel_multi_index(tuple(codes[:, list(axes)].T), shape)
            counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
            tables[tuple(names[i] for i in axes)] = counts.astype(np.int64)
    return tables


def random_units(rng: np.random.Generator, sizes: tuple[int, ...], n: int) -> npt.NDArray[np.int64]:
    """Skewed, dependent attributes a rare missing value, and one unit at random, often alone in its cells."""
    hidden, skew, dependence = rng.random(n), rng.uniform(0, 2.5), rng.choice([0.0, 0.5, 0.9])
    columns = []
    for size in sizes:
        share = np.arange(1, size + 1) ** -skew
        share[-1] *= 0.1
        draw = np.where(rng.random(n) < dependence, hidden, rng.random(n))
        code = np.minimum(np.searchsorted(np.cumsum(share / share.sum()), draw), size - 1)
        columns.append(rng.permutation(size)[code])
    units = np.column_stack(columns)
    units[0] = [rng.integers(size) for size in sizes]
    return units


def pair_table(cells: list[list[int]]) -> Tables:
    both = np.array(cells, np.int64)
    return {A: both.sum(axis=1), B: both.sum(axis=0), AB: both}


def attack(tables: Tables, masks: Masks, **options: bool) -> Attack:
    return Attack([(published(tables, masks), int(tables[A].sum()))], **options)


def exposed(tables: Tables, masks: Masks, min_cell: int, as_joint: bool = False) -> list[str]:
    """Primary cells that are published, or of which fewer than min_cell values remain possible to the attacker.

    What he can say with the empty cells alone published is no fault of the suppression.
    """
    found, total = [], int(tables[A].sum())
    attacker = attack(tables, masks, as_joint=as_joint)
    empty_only = attack(tables, {k: table > 0 for k, table in tables.items()}, as_joint=as_joint, no_empty=True)
    for names, table in tables.items():
        for place in zip(*np.nonzero((table > 0) & (table < min_cell)), strict=True):
            low, high = (attacker.extreme(0, names, place, sign) for sign in (-1, 1))
            start = 1.0 if low <= 1 + SLACK else max(1.0, empty_only.extreme(0, names, place, -1))
            is_wide = low <= start + SLACK and high >= min(start + min_cell - 1, total) - SLACK
            if not (masks[names][place] and is_wide):
                found.append(f"{names} {place}: {table[place]} in {low}–{high}")
    return found


def test_one_small_cell_takes_a_rectangle_with_it() -> None:
    """x₀₀ = 3 in [[3, 40], [50, 60]]: the margins leave x₀₀ + x₀₁ = 43 and x₀₀ + x₁₀ = 53, so x₀₀ is 1 … 42."""
    tables = pair_table([[3, 40, 0], [50, 60, 0], [0, 0, 0]])
    masks = suppress(tables, 5)
    assert masks[AB].tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert not masks[A].any()
    assert not masks[B].any()
    attacker = attack(tables, masks)
    assert attacker.extreme(0, AB, (0, 0), -1) == pytest.approx(1)
    assert attacker.extreme(0, AB, (0, 0), 1) == pytest.approx(42)


def test_small_complements_are_preferred_if_they_are_large_enough() -> None:
    """The rectangle of the 3 through 30 and 20 is the cheapest: it leaves 3 … 3 + 19 possible, enough for 1 … 10.

    With 12 and 6 in their place the 6, less than 10 itself, allows 3 + 5 = 8 only: more cells are needed.
    """
    tables = pair_table([[3, 200, 30], [400, 900, 800], [20, 500, 25]])
    assert np.argwhere(suppress(tables, 10)[AB]).tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]
    tables = pair_table([[3, 200, 12], [400, 900, 800], [6, 500, 25]])
    assert exposed(tables, {**suppress(tables, 0), AB: np.isin(tables[AB], (3, 12, 6, 25))}, 10) != []
    masks = suppress(tables, 10)
    assert masks[AB].sum() > 4
    assert exposed(tables, masks, 10) == []


def test_cells_of_missing_values_need_no_protection_when_told_so() -> None:
    """Alone small is the last cell of each line: nothing is withheld; with a small cell of known values some is."""
    tables = pair_table([[30, 40, 2], [50, 60, 1], [3, 0, 0]])
    assert any(mask.any() for mask in suppress(tables, 5).values())
    assert not any(mask.any() for mask in suppress(tables, 5, protect_missing=False).values())
    tables = pair_table([[3, 40, 2], [50, 60, 1], [3, 0, 0]])
    masks = suppress(tables, 5, protect_missing=False)
    attacker = attack(tables, masks)
    assert masks[AB][0, 0]
    assert attacker.extreme(0, AB, (0, 0), 1) - attacker.extreme(0, AB, (0, 0), -1) >= 4
    before = [
        publish(
            pair_table([[30, 40, 1], [50, 60, 1], [3, 0, 0]]),
            suppress(pair_table([[30, 40, 1], [50, 60, 1], [3, 0, 0]]), 0),
        )
    ]
    assert not suppress(pair_table([[30, 46, 2], [56, 60, 1], [3, 0, 0]]), 5, before, protect_missing=False)[AB].any()


@pytest.mark.parametrize("min_cell", [0, 1])
def test_nothing_is_withheld_without_a_least_count(min_cell: int) -> None:
    assert not any(mask.any() for mask in suppress(pair_table([[1, 2], [0, 3]]), min_cell).values())


def test_no_units_and_no_small_cells() -> None:
    for cells in ([[0, 0], [0, 0]], [[10, 0], [11, 12]]):
        assert not any(mask.any() for mask in suppress(pair_table(cells), 10).values())


@pytest.mark.parametrize("cells", [[[4, 0], [3, 2]], [[0, 1], [0, 0]]])
def test_fewer_units_than_the_least_count_are_withheld_altogether(cells: list[list[int]]) -> None:
    assert all(mask.all() for mask in suppress(pair_table(cells), 10).values())


def test_least_value_that_shows_from_the_empty_cells() -> None:
    """A row with 2 filled cells holds at least 2 units, a column with 1 at least 1, an empty one 0."""
    system = table_system(pair_table([[30, 50, 0], [70, 0, 0]]))
    assert system.least().tolist() == [2, 1, 2, 1, 0, 1, 1, 0, 1, 0, 0]


def test_two_hundred_random_systems_give_nothing_away() -> None:
    rng, primary, complementary, blank = np.random.default_rng(5), 0, 0, 0
    for _ in range(200):
        sizes = [(4,), (2, 3), (3, 3), (4, 2), (2, 2, 3)][rng.choice(5, p=[0.1, 0.25, 0.25, 0.25, 0.15])]
        units = random_units(rng, sizes, int(rng.choice([15, 60, 200, 1000])))
        tables, min_cell = tables_of(units, sizes, triples=bool(rng.random() < 0.5)), int(rng.choice([2, 3, 5, 10]))
        masks = suppress(tables, min_cell)
        assert exposed(tables, masks, min_cell) == []
        for names, table in tables.items():
            primary += int(((table > 0) & (table < min_cell)).sum())
            complementary += int((masks[names] & (table >= min_cell)).sum())
            blank += int(masks[names].all())
            assert masks[names].all() or not (masks[names] & (table == 0)).any()
    assert primary > 500
    assert complementary > 100
    assert blank > 5


def test_four_attributes_and_triples_against_the_joint_table() -> None:
    """An attacker who also knows that all tables count the same units finds nothing in these systems."""
    rng, sizes = np.random.default_rng(8), (3, 2, 3, 2)
    for n in (40, 150, 600):
        tables = tables_of(random_units(rng, sizes, n), sizes, triples=True)
        masks = suppress(tables, 5)
        assert exposed(tables, masks, 5) == []
        assert exposed(tables, masks, 5, as_joint=True) == []


def test_the_attacker_finds_planted_faults() -> None:
    """Primary cells alone, and suppressions of which one complementary cell was published again."""
    rng, sizes, found, tried, primary_only = np.random.default_rng(3), (4, 3), 0, 0, 0
    for _ in range(12):
        tables = tables_of(random_units(rng, sizes, 400), sizes)
        masks = suppress(tables, 10)
        assert exposed(tables, masks, 10) == []
        complements = [(k, p) for k in tables for p in zip(*np.nonzero(masks[k] & (tables[k] >= 10)), strict=True)]
        if complements and not any(mask.all() for mask in masks.values()):
            primary_only += bool(exposed(tables, {k: (t > 0) & (t < 10) for k, t in tables.items()}, 10))
            tried += 1
            names, place = complements[-1]
            again = {k: mask.copy() for k, mask in masks.items()}
            again[names][place] = False
            found += bool(exposed(tables, again, 10))
    assert tried >= 6
    assert primary_only == tried
    assert found >= 0.8 * tried


def test_a_rectangle_has_no_cell_to_spare() -> None:
    tables = pair_table([[3, 40], [50, 60]])
    masks = suppress(tables, 5)
    for place in ((0, 1), (1, 0), (1, 1)):
        again = {**masks, AB: masks[AB].copy()}
        again[AB][place] = False
        assert exposed(tables, again, 5) == ["('a', 'b') (0, 0): 3 in 3.0–3.0"]


def test_sparse_tables_without_enough_units_are_withheld_with_their_empty_cells() -> None:
    """Twelve units in ten cells: with the empty cell known, no cell could hold more than 3."""
    tables = {A: np.array([2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0])}
    masks = suppress(tables, 10)
    assert masks[A].all()
    assert exposed(tables, masks, 10) == []


def publish(tables: Tables, masks: Masks) -> Publication:
    return Publication({k: np.where(masks[k], -7, t) for k, t in tables.items()}, masks, int(tables[A].sum()))


def broken_by_both(old: Tables, old_masks: Masks, new: Tables, masks: Masks, min_cell: int, sign: int) -> list[str]:
    """Faults that an attacker finds who knows both runs and that units were only added (sign 1) or removed (−1)."""
    before = (published(old, old_masks), int(old[A].sum()))
    total = int(new[A].sum())
    attacker = Attack([before, (published(new, masks), total)], [sign])
    empty_only = Attack([before, (published(new, {k: t > 0 for k, t in new.items()}), total)], [sign], no_empty=True)
    nothing = Attack([before, (published(new, {k: np.ones(t.shape, bool) for k, t in new.items()}), total)], [sign])
    found = []

    def check(run: int, names: tuple[str, ...], place: tuple[int, ...], way: int, start: int) -> None:
        near, far = (attacker.extreme(run, names, place, s) for s in (-way, way))
        first = way * max(way * start, way * empty_only.extreme(run, names, place, -way))
        last = max(1, first + way * (min_cell - 1))
        last = way * min(way * last, way * nothing.extreme(run, names, place, way))
        if way * near > way * first + 10 * SLACK or way * far < way * last - 10 * SLACK:
            found.append(f"run {run} {names} {place}: {near}–{far}, not {first}–{last}")

    for names, table in new.items():
        for place in np.ndindex(table.shape):
            n_old, n_new = int(old[names][place]), int(table[place])
            if 0 < n_old < min_cell:
                check(0, names, place, 1, 1)
            if 0 < n_new < min_cell:
                check(1, names, place, 1, 1)
            if not old_masks[names][place] and 0 < abs(n_new - n_old) < min_cell and n_new:
                check(1, names, place, n_new - n_old > 0 or -1, n_old + (n_new - n_old > 0 or -1))
            if not masks[names][place] and 0 < n_new < min_cell:
                found.append(f"{names} {place} is published")
    return found


@pytest.mark.parametrize("sign", [1, -1])
def test_two_runs_together_give_nothing_away(sign: int) -> None:
    rng, exposed_alone = np.random.default_rng(21 + sign), 0
    for change in (15, 40, 40, 40, 300):
        sizes = (3, 3) if change < 300 else (3, 2, 2)
        units = random_units(rng, sizes, 400 + change)
        few, many = tables_of(units[change:], sizes), tables_of(units, sizes)
        old, new = (few, many) if sign > 0 else (many, few)
        old_masks = suppress(old, 8)
        masks = suppress(new, 8, [publish(old, old_masks)])
        assert broken_by_both(old, old_masks, new, masks, 8, sign) == []
        exposed_alone += bool(broken_by_both(old, old_masks, new, suppress(new, 8), 8, sign))
    assert exposed_alone >= 4


def test_same_tables_keep_their_pattern() -> None:
    rng, sizes = np.random.default_rng(2), (4, 3, 3)
    tables = tables_of(random_units(rng, sizes, 300), sizes)
    masks = suppress(tables, 6)
    assert any(mask.any() for mask in masks.values())
    again = suppress(tables, 6, [publish(tables, masks)])
    assert all((again[names] == masks[names]).all() for names in tables)


def test_what_an_earlier_run_gave_away_is_no_reason_to_withhold_all() -> None:
    """The 3 stands alone as withheld, so that the margins of its run give it away; later runs cannot help it."""
    old, new = pair_table([[3, 40, 60], [50, 60, 70]]), pair_table([[3, 80, 60], [50, 60, 70]])
    exposed_before = publish(old, {A: old[A] == 0, B: old[B] == 0, AB: old[AB] == 3})
    masks = suppress(new, 5, [exposed_before])
    assert masks[AB][0, 0]
    assert not masks[A].any()
    assert not masks[AB].all()


def test_few_added_units_and_small_changes() -> None:
    """Of 4 units added nothing is shown. Of 20 added, 3 and 17 to the cells of a row, the row's total is."""
    old = pair_table([[100, 100], [100, 100]])
    before = [publish(old, suppress(old, 5))]
    assert all(mask.all() for mask in suppress(pair_table([[104, 100], [100, 100]]), 5, before).values())
    new = pair_table([[103, 117], [100, 100]])
    masks = suppress(new, 5, before)
    assert masks[AB][0].all()
    assert masks[B].all()
    assert not masks[A].any()
    assert not any(mask.any() for mask in suppress(new, 5, before, min_change=0).values())


def test_runs_before_the_last_count_too() -> None:
    """100 published, 103 withheld, 104 now, others removed: next to the last run alone 104 could be published."""
    first, second = pair_table([[100, 100], [100, 100]]), pair_table([[103, 117], [100, 100]])
    third = pair_table([[104, 117], [100, 90]])
    history = [publish(first, suppress(first, 5))]
    history.append(publish(second, suppress(second, 5, history)))
    assert history[1].suppressed[AB][0, 0]
    assert not suppress(third, 5, history[1:])[AB][0, 0]
    assert suppress(third, 5, history)[AB][0, 0]


def test_mixed_changes_are_protected_cell_by_cell() -> None:
    """Some were added, some removed: the small changes are withheld, and each could have been 1 … 5."""
    old = pair_table([[100, 150], [120, 130]])
    masks = suppress(pair_table([[103, 130], [118, 160]]), 5, [publish(old, suppress(old, 5))])
    assert masks[AB].all()
    assert not masks[A].any()


def test_faces_give_away_nothing_of_the_images_they_are_on() -> None:
    """One image in a hundred has no face: protected apart, the two sets of tables lay each other open."""
    rng, sizes, apart = np.random.default_rng(11), (4, 3), 0
    for _ in range(10):
        units = random_units(rng, sizes, 600)
        without_labels = np.repeat([[s - 1 for s in sizes]], 150, axis=0)
        images = tables_of(units, sizes)
        faces = tables_of(np.vstack([units[rng.random(600) > 0.01], without_labels]), sizes)
        of_images = suppress(images, 10)
        apart += bool(small_in_both(images, of_images, faces, suppress(faces, 10)))
        assert small_in_both(images, of_images, faces, suppress(faces, 10, whole=publish(images, of_images))) == []
    assert apart >= 1


def small_in_both(images: Tables, of_images: Masks, faces: Tables, of_faces: Masks) -> list[str]:
    """Primary cells of which an attacker who knows both sets of tables can tell that they are below 10."""
    runs = [(published(t, masks), int(t[A].sum())) for t, masks in ((images, of_images), (faces, of_faces))]
    attacker = Attack(runs, [-1], labelled_only=True)
    return [
        f"{('image', 'face')[run]} {names} {place}"
        for run, tables in enumerate((images, faces))
        for names, table in tables.items()
        for place in zip(*np.nonzero((table > 0) & (table < 10)), strict=True)
        if attacker.extreme(run, names, place, 1) < 10 - SLACK
    ]


def test_huge_counts() -> None:
    tables = pair_table([[3, 4 * 10**11, 0], [5 * 10**11, 10**12, 7]])
    masks = suppress(tables, 10)
    assert exposed(tables, masks, 10) == []
    assert not masks[A].any()


BAD: list[tuple[Tables, str]] = [
    ({}, "no tables"),
    ({A: np.array([1, 2]), B: np.array([1, 3]), AB: np.array([[1, 0], [0, 2]])}, "add up"),
    ({A: np.array([1, 2]), B: np.array([1, 3])}, "add up"),
    ({A: np.array([3, -1]), B: np.array([2])}, "negative"),
    ({A: np.array([1, 2]), AB: np.array([[1, 0], [0, 2]])}, "without its margin b"),
    ({A: np.array([1, 2]), B: np.array([3]), AB: np.array([[1, 0], [0, 2]])}, "differ in their categories"),
    ({A: np.array([1.0, 2.0])}, "must hold integers"),  # type: ignore[dict-item]
    ({A: np.array([[1, 2]])}, "one axis"),
    ({("a", "a"): np.array([[1, 2]])}, "different attributes"),
]


@pytest.mark.parametrize(("tables", "words"), BAD)
def test_tables_that_cannot_be_right_are_refused(tables: Tables, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        suppress(tables, 5)


def test_refused_arguments() -> None:
    tables, other = pair_table([[20, 30], [40, 50]]), {A: np.array([20, 30])}
    with pytest.raises(ConfigError, match="min_cell"):
        suppress(tables, -1)
    with pytest.raises(ConfigError, match="min_change"):
        suppress(tables, 5, min_change=-1)
    with pytest.raises(ConfigError, match="another publication"):
        suppress(tables, 5, [publish(other, suppress(other, 5))])
    with pytest.raises(ConfigError, match="more units than the whole"):
        suppress(pair_table([[20, 31], [40, 50]]), 5, whole=publish(tables, suppress(tables, 5)))
