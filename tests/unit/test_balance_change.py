"""Changes of shares between overlapping runs: against exact tests, a brute-force bootstrap, and archives drawn anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from facelib.audit.balance_change import ABSENT, Change, share_changes
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

Codes = np.ndarray


def fisher(a: int, of_a: int, b: int, of_b: int) -> float:
    table = [[a, of_a - a], [b, of_b - b]]
    return min(1.0, 2 * min(stats.fisher_exact(table, alternative=side)[1] for side in ("greater", "less")))


def archive(
    rng: np.random.Generator,
    people: int,
    shares: tuple[float, ...],
    added: float,
    *,
    removed: float = 0.0,
    within: float = 0.0,
    fewer: float = 0.0,
    heavy: bool = False,
) -> tuple[Codes, Codes, Codes]:
    """Identity of each image, and its cell before and after. People have 3 images on average, or power-law numbers.

    added: share of people who are new, all their images with them, and a quarter of it of the images of others.
    removed: share of the other images that is gone. within: share of images with a cell of their own. fewer: share of
    the added images that stays out unless it is of cell 0, so that the shares of the source differ.
    """
    size = np.minimum(200, np.ceil(rng.pareto(1.3, people))).astype(int) if heavy else rng.geometric(0.33, people)
    of = np.repeat(np.arange(people), size)
    cell = rng.choice(len(shares), people, p=shares)[of]
    cell = np.where(rng.random(len(of)) < within, rng.choice(len(shares), len(of), p=shares), cell)
    is_new = (rng.random(people) < added)[of] | (rng.random(len(of)) < added / 4)
    is_gone = ~is_new & (rng.random(len(of)) < removed)
    there = ~(is_new & (cell != 0) & (rng.random(len(of)) < fewer))
    before, after = np.where(is_new, ABSENT, cell), np.where(is_gone, ABSENT, cell)
    return of[there], before[there], after[there]


def differences(before: Codes, after: Codes, cells: int) -> np.ndarray:
    counts = [np.bincount(c[c >= 0], minlength=cells) for c in (before, after)]
    return counts[1] / counts[1].sum() - counts[0] / counts[0].sum()


@pytest.mark.parametrize("seed", range(5))
def test_growth_of_one_image_each_is_fishers_test_of_the_added_against_the_earlier(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.choice(4, 900, p=[0.6, 0.36, 0.03, 0.01]), rng.choice(4, 70, p=[0.5, 0.4, 0.05, 0.05])
    old = np.concatenate([before, np.full(70, ABSENT)])
    new = np.concatenate([before, after])
    found = share_changes(np.arange(970), old, new, 4)
    for k in range(4):
        expected = fisher(int((after == k).sum()), 70, int((before == k).sum()), 900)
        assert found.p_value[k] == pytest.approx(expected, rel=2e-3)
    assert found.difference == pytest.approx(differences(old, new, 4))


def test_runs_without_a_common_image_are_fishers_test_of_both() -> None:
    old, new = np.repeat([0, 1, ABSENT], [30, 70, 50]), np.repeat([ABSENT, 0, 1], [100, 25, 25])
    found = share_changes(np.arange(150), old, new, 2)
    assert found.p_value == pytest.approx(fisher(25, 50, 30, 100), rel=2e-3)
    assert found.difference == pytest.approx([0.2, -0.2])


def test_images_in_both_cancel_when_as_many_came_as_went() -> None:
    gone, come = np.repeat([0, 1], [8, 2]), np.repeat([0, 1], [3, 7])
    p_values = []
    for kept in (0, 100, 5000):
        stay = np.arange(kept) % 2
        old = np.concatenate([stay, gone, np.full(10, ABSENT)])
        new = np.concatenate([stay, np.full(10, ABSENT), come])
        found = share_changes(np.arange(kept + 20), old, new, 2)
        p_values.append(found.p_value[0])
        assert found.difference[0] == pytest.approx(-5 / (kept + 10))
    assert p_values == pytest.approx([fisher(8, 10, 3, 10)] * 3, rel=2e-3)


def test_copies_of_all_images_of_each_identity_change_nothing() -> None:
    rng = np.random.default_rng(7)
    of, old, new = archive(rng, 150, (0.5, 0.4, 0.1), 0.3)
    one_each = np.unique(of, return_index=True)[1]
    once = share_changes(of[one_each], old[one_each], new[one_each], 3)
    times = share_changes(*(np.repeat(a[one_each], 7) for a in (of, old, new)), 3)
    assert times.p_value == pytest.approx(once.p_value, rel=0.03)
    assert times.low == pytest.approx(once.low, abs=5e-4)


@pytest.mark.parametrize(
    "options",
    [{}, {"removed": 0.2}, {"within": 0.5, "removed": 0.1}, {"fewer": 0.4}],
    ids=["grown", "both", "mixed", "less"],
)
def test_intervals_of_common_cells_are_as_wide_as_those_of_a_bootstrap_of_identities(options: dict[str, float]) -> None:
    rng = np.random.default_rng(11)
    of, old, new = archive(rng, 500, (0.55, 0.45), 0.25, **options)
    rows = [np.flatnonzero(of == c) for c in np.unique(of)]
    drawn = []
    for _ in range(400):
        at = np.concatenate([rows[c] for c in rng.integers(0, len(rows), len(rows))])
        drawn.append(differences(old[at], new[at], 2)[0])
    found = share_changes(of, old, new, 2)
    width = 2 * 1.96 * np.std(drawn)
    assert 0.9 * width < found.high[0] - found.low[0] < 1.35 * width


def coverage(
    seed: int, archives: int, shares: tuple[float, ...], people: int, **options: float
) -> tuple[np.ndarray, ...]:
    """Share of archives whose intervals hold the source's difference, and of those marked at 5 % and at 0.5 %."""
    truth = np.zeros(len(shares))
    if options.get("fewer"):
        source = archive(np.random.default_rng(1000 + seed), 60_000, shares, 0.2, **options)
        truth = differences(*source[1:], len(shares))
    rng = np.random.default_rng(seed)
    held, p = [], []
    for _ in range(archives):
        found = share_changes(*archive(rng, people, shares, 0.2, **options), len(shares))
        held.append((found.low <= truth) & (truth <= found.high))
        p.append(found.p_value)
    return np.mean(held, axis=0), np.mean(np.array(p) < 0.05, axis=0), np.mean(np.array(p) < 0.005, axis=0)


@pytest.mark.parametrize(
    "options",
    [{}, {"within": 0.5}, {"heavy": True}, {"removed": 0.2, "fewer": 0.5}, {"heavy": True, "fewer": 0.5}],
    ids=["same source", "mixed", "heavy", "other source", "heavy, other source"],
)
def test_intervals_hold_the_difference_of_the_source(options: dict[str, float]) -> None:
    """100 archives: of intervals that hold it in 95 % of all archives, 88 or fewer hold it in 1 of 250 trials."""
    held, _, _ = coverage(5, 100, (0.6, 0.37, 0.03), 250, **options)
    assert held.min() > 0.885


def test_rare_groups_and_small_additions_are_not_marked_by_chance() -> None:
    _, five, half = coverage(9, 100, (0.5, 0.489, 0.008, 0.003), 60)
    assert five[2:].max() <= 0.03
    assert half[2:].max() <= 0.01
    before, after = np.repeat([0, 1], [9990, 10]), np.repeat([0, 1], [19, 1])
    old, new = np.concatenate([before, np.full(20, ABSENT)]), np.concatenate([before, after])
    assert share_changes(np.arange(10_020), old, new, 2).p_value[1] > 0.03


def test_many_images_of_one_added_person_are_one_person() -> None:
    before = np.repeat([0, 1], [500, 500])
    old, new = np.concatenate([before, np.full(400, ABSENT)]), np.concatenate([before, np.zeros(400, int)])
    person = np.concatenate([np.arange(1000), np.full(400, 1000)])
    assert share_changes(person, old, new, 2).p_value[0] == pytest.approx(1.0)
    assert share_changes(np.arange(1400), old, new, 2).p_value[0] < 1e-50


@pytest.mark.parametrize(("gained", "lost"), [(60, 30), (40, 35), (300, 200)])
def test_changed_labels_are_tested_about_as_mcnemar_tests_them(gained: int, lost: int) -> None:
    old = np.repeat([0, 1, 0, 1], [gained, lost, 400, 400])
    new = np.repeat([1, 0, 0, 1], [gained, lost, 400, 400])
    found = share_changes(np.arange(old.size), old, new, 2)
    expected = mcnemar([[0, gained], [lost, 0]], exact=False, correction=False).pvalue
    z = stats.norm.isf(np.array([found.p_value[1], expected]) / 2)
    assert z[0] == pytest.approx(z[1], abs=0.35)
    assert found.difference[1] == pytest.approx((gained - lost) / old.size)


def test_people_with_images_on_both_sides_cancel() -> None:
    people = np.repeat(np.arange(200), 2)
    gender = (np.arange(200) % 3 == 0).astype(int)[people]
    old, new = np.where(np.arange(400) % 2, ABSENT, gender), gender
    same = share_changes(people, old, new, 2)
    assert np.array_equal(same.p_value, [1.0, 1.0])
    assert (same.high - same.low).max() < 0.01
    apart = share_changes(np.arange(400), old, new, 2)
    assert (apart.high - apart.low).min() > 0.05


def test_nothing_changed() -> None:
    cells = np.arange(30) % 3
    found = share_changes(np.arange(30), cells, cells, 4)
    assert np.array_equal(found.p_value, np.ones(4))
    assert not found.difference.any()
    assert not found.low.any()
    assert not found.high.any()


def test_a_run_without_units_has_no_shares() -> None:
    found = share_changes([0, 1], [ABSENT, ABSENT], [0, 1], 2)
    assert np.isnan(found.share_before).all()
    assert np.isnan(found.p_value).all()
    assert found.share_after == pytest.approx([0.5, 0.5])
    assert np.isnan(share_changes([], [], [], 2).difference).all()


def test_the_order_of_units_and_the_names_of_identities_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    of, old, new = archive(rng, 80, (0.5, 0.5), 0.3, removed=0.2)
    order = rng.permutation(len(of))
    there, shuffled = share_changes(of, old, new, 2), share_changes(7 * of[order] - 300, old[order], new[order], 2)
    for name in ("difference", "low", "high", "p_value"):
        assert getattr(there, name) == pytest.approx(getattr(shuffled, name), rel=1e-9)


def test_exchanging_the_runs_exchanges_the_signs() -> None:
    of, old, new = archive(np.random.default_rng(3), 90, (0.5, 0.4, 0.1), 0.3, removed=0.1)
    there, back = share_changes(of, old, new, 3), share_changes(of, new, old, 3)
    assert there.difference == pytest.approx(-back.difference)
    assert there.low == pytest.approx(-back.high, abs=1e-5)
    assert there.p_value == pytest.approx(back.p_value, rel=2e-3)


def test_more_of_the_same_is_more_certain() -> None:
    def change(times: int) -> Change:
        before, after = np.repeat([0, 1], [50 * times, 50 * times]), np.repeat([0, 1], [30 * times, 10 * times])
        old = np.concatenate([before, np.full(len(after), ABSENT)])
        return share_changes(np.arange(old.size), old, np.concatenate([before, after]), 2)

    p = [change(times).p_value[0] for times in (1, 2, 4, 50)]
    assert p == sorted(p, reverse=True)
    assert p[-1] < 1e-30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [0, 1], [0, 1]), "1 identities meet"),
        (([0], [2], [0]), "out of range"),
        (([0], [-2], [0]), "out of range"),
    ],
)
def test_wrong_codes_are_refused(arguments: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        share_changes(*arguments, 2)
