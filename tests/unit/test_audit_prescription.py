"""Collection plans against integer programmes, exhaustive search, and numbers worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.stats import entropy

from facelib.audit.prescription import collect_for_evenness, collect_for_shares, collect_for_trials
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def additions(units: int, cells: int) -> Iterator[tuple[int, ...]]:
    """All ways to add `units` to `cells`."""
    if cells == 1:
        yield (units,)
        return
    for first in range(units + 1):
        for rest in additions(units - first, cells - 1):
            yield (first, *rest)


def fewest(counts: np.ndarray, least: np.ndarray, collectable: np.ndarray) -> int | None:
    """Fewest whole additions with counts + a ≥ least × total, by integer programming; None when infeasible."""
    size = counts.size
    matrix = np.eye(size) - np.outer(least, np.ones(size))
    done = milp(
        np.ones(size),
        constraints=LinearConstraint(matrix, lb=least * counts.sum() - counts - 1e-9),
        integrality=np.ones(size),
        bounds=Bounds(0, np.where(collectable, np.inf, 0)),
    )
    return round(done.fun) if done.status == 0 else None


def test_shares_by_hand() -> None:
    """θ = 0.8 / 3 each, so T = 100 / (1 − 1.6 / 3) = 214.3 and both small cells need 57.1; in whole units 58 of 216."""
    plan = collect_for_shares([100, 50, 10], [1 / 3] * 3).images
    np.testing.assert_array_equal(plan.add, [0, 8, 48])
    assert plan.status == ("enough", "collect", "collect")
    assert plan.reasons == (None, None, None)
    assert plan.before.imbalance_ratio == pytest.approx(10)
    assert plan.after.imbalance_ratio == pytest.approx(100 / 58)
    np.testing.assert_allclose(plan.after.shares, [100 / 216, 58 / 216, 58 / 216])
    assert plan.after.evenness == pytest.approx(entropy([100, 58, 58]) / np.log(3))


def test_adding_to_a_cell_raises_what_the_others_need() -> None:
    """Cell 2 alone would need 0.8 × 0.25 × 100 = 20 of 100, but filling it makes the total 125 and cell 3 short."""
    plan = collect_for_shares([50, 25, 0, 25], [0.25, 0.25, 0.25, 0.25]).images
    np.testing.assert_array_equal(plan.add, [0, 0, 25, 0])
    np.testing.assert_array_equal(plan.after.counts, [50, 25, 25, 25])


@pytest.mark.parametrize("seed", range(40))
def test_shares_need_no_more_than_an_integer_programme(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 6)
    counts = rng.integers(0, 200, size) * (rng.random(size) < 0.8)
    counts[0] += 1
    target = rng.dirichlet(np.ones(size)) if seed % 2 else np.full(size, 1 / size)
    tolerance = rng.choice([0.05, 0.2, 0.5])
    collectable = rng.random(size) < 0.8
    plan = collect_for_shares(counts, target, tolerance=tolerance, collectable=collectable).images
    least = (1 - tolerance) * target
    best = fewest(counts, least, collectable)
    if best is None:
        assert "short" in plan.status
        assert not collectable[np.array(plan.status) == "short"].any()
        least = np.where(collectable, least, 0)
        best = fewest(counts, least, collectable)
    else:
        assert "short" not in plan.status
    assert plan.add.sum() == best
    assert (plan.after.counts >= least * plan.after.counts.sum() - 1e-6).all()
    assert (plan.add[~collectable] == 0).all()


def test_tight_tolerance_ends_in_whole_units() -> None:
    plan = collect_for_shares([997, 3, 0], [0.61, 0.29, 0.1], tolerance=0.001).images
    assert (plan.after.shares >= 0.999 * np.array([0.61, 0.29, 0.1]) - 1e-12).all()
    assert plan.after.counts.sum() == pytest.approx(997 / (1 - 0.999 * 0.39), abs=10)


def test_huge_counts() -> None:
    plan = collect_for_shares([10**12, 5, 0], [1 / 3] * 3).images
    assert plan.after.counts.sum() == pytest.approx(10**12 / (1 - 1.6 / 3), rel=1e-11)
    plan = collect_for_evenness([10**12, 5, 0], 1.0).images
    np.testing.assert_array_equal(plan.after.counts, [10**12] * 3)


def test_a_cell_where_nothing_can_be_added_is_told() -> None:
    plan = collect_for_shares([100, 50, 0], [1 / 3] * 3, collectable=[True, True, False]).images
    assert plan.status == ("enough", "enough", "short")
    assert plan.reasons[2] is not None
    assert plan.reasons[:2] == (None, None)
    enough = collect_for_shares([100, 50, 40], [0.5, 0.3, 0.2], collectable=[True, True, False]).images
    assert "short" not in enough.status


def test_cells_without_a_target_get_nothing() -> None:
    plan = collect_for_shares([10, 0, 90], [1, 0, 0], tolerance=0.5).images
    np.testing.assert_array_equal(plan.add, [80, 0, 0])


def test_without_units_shares_are_undefined() -> None:
    plan = collect_for_shares([0, 0], [0.5, 0.5]).images
    assert plan.status == ("undefined", "undefined")
    assert np.isnan(plan.after.shares).all()
    assert plan.after.evenness is None


def test_identities_come_first_and_bring_their_images() -> None:
    """Identities: T = 30 / (1 − 0.4) = 50, so 20 of 50. They bring 3 × 15 images; then 100 / 0.6 = 166.7, 67 of 167.

    With 10 images each they bring 150, so that the first cell has 100 of 255 and needs 104 of 259.
    """
    plan = collect_for_shares([100, 5], [0.5, 0.5], [30, 5], images_per_identity=3)
    assert plan.identities is not None
    np.testing.assert_array_equal(plan.identities.add, [0, 15])
    np.testing.assert_array_equal(plan.images.add, [0, 62])
    many = collect_for_shares([100, 5], [0.5, 0.5], [30, 5], images_per_identity=10)
    np.testing.assert_array_equal(many.images.add, [4, 150])


def exhaustive(counts: np.ndarray, target: float, collectable: np.ndarray, most: int) -> int | None:
    """Fewest additions, up to `most`, with evenness ≥ target, by trying all ways to add."""
    places = np.flatnonzero(collectable)
    for units in range(most + 1):
        for add in additions(units, places.size) if places.size else [()]:
            after = counts.copy()
            after[places] += np.array(add, int)
            if after.any() and entropy(after) / np.log(counts.size) >= target - 1e-12:
                return units
    return None


@pytest.mark.parametrize("seed", range(40))
def test_evenness_needs_no_more_than_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 5))
    counts = rng.integers(0, 8 if size < 4 else 6, size)
    collectable = rng.random(size) < (1 if seed % 2 else 0.7)
    target = float(rng.choice([0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0]))
    plan = collect_for_evenness(counts, target, collectable=collectable).images
    best = exhaustive(counts, target, collectable, most=int(size * counts.max()) or size)
    if best is None:
        assert "short" in plan.status
        assert not collectable[np.array(plan.status) == "short"].any()
    else:
        assert "short" not in plan.status
        assert plan.add.sum() == best


@pytest.mark.parametrize("seed", range(8))
def test_an_unreachable_evenness_gets_the_largest_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = np.append(rng.integers(1, 9, 3), 0)
    collectable = np.array([True, True, False, False])
    plan = collect_for_evenness(counts, 1.0, collectable=collectable).images
    largest = max(entropy(counts + np.array([*add, 0, 0])) for u in range(18) for add in additions(u, 2)) / np.log(4)
    assert plan.after.evenness == pytest.approx(largest, abs=1e-12)
    assert plan.status[3] == "short"
    assert f"{largest:.4f}"[:-1] in str(plan.reasons[3])


def test_evenness_is_one_only_when_all_cells_are_equal() -> None:
    plan = collect_for_evenness([1_000_000, 999_999, 1_000_000], 1.0).images
    np.testing.assert_array_equal(plan.add, [0, 1, 0])


def test_more_evenness_never_needs_fewer_images() -> None:
    counts = np.random.default_rng(3).integers(0, 10_000, 30)
    needed = [collect_for_evenness(counts, j).images.add.sum() for j in (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)]
    assert all(a <= b for a, b in pairwise(needed))
    assert needed[0] == 0
    assert needed[-1] == 30 * counts.max() - counts.sum()


def test_evenness_of_empty_cells_and_of_one_cell() -> None:
    np.testing.assert_array_equal(collect_for_evenness([0, 0, 0], 1.0).images.add, [1, 1, 1])
    nothing = collect_for_evenness([0, 0], 0.5, collectable=[False, False]).images
    assert nothing.after.evenness is None
    assert nothing.status == ("undefined", "undefined")
    assert collect_for_evenness([7], 0.5).images.status == ("undefined",)
    assert collect_for_evenness([5, 5], 1.0).images.status == ("enough", "enough")


def test_trials_by_hand() -> None:
    plan = collect_for_trials([100, 50, 10], [50, 20, 5], 30, "mated", [True, True, False])
    assert plan.identities is not None
    np.testing.assert_array_equal(plan.identities.add, [0, 10, 0])
    np.testing.assert_array_equal(plan.images.add, [0, 20, 0])
    assert plan.images.status == plan.identities.status == ("enough", "collect", "short")
    plan = collect_for_trials([100, 50, 10], [50, 20, 5], [30, 30, 4], "non-mated")
    np.testing.assert_array_equal(plan.images.add, [10, 40, 3])


@pytest.mark.parametrize("counts", [[], [-1, 2], [0.5, 1.5], [[1, 2]]])
def test_counts_are_whole_numbers(counts: list[float]) -> None:
    with pytest.raises(ConfigError, match="whole numbers"):
        collect_for_evenness(counts, 0.5)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        collect_for_shares([1, 2], [0.5, 0.5], tolerance=0)
    with pytest.raises(ConfigError, match="evenness"):
        collect_for_evenness([1, 2], 1.1)
    with pytest.raises(ConfigError, match="same cells"):
        collect_for_shares([1, 2, 3], [0.5, 0.5])
    with pytest.raises(ConfigError, match="each of the 2 cells"):
        collect_for_evenness([1, 2], 0.5, collectable=[True])
    with pytest.raises(ConfigError, match="each of the 2 cells"):
        collect_for_trials([1, 2], [1, 1], [5, 5, 5], "mated")
    with pytest.raises(ConfigError, match="at least one image"):
        collect_for_shares([1, 2], [0.5, 0.5], identities=[2, 2])
    with pytest.raises(ConfigError, match="images_per_identity"):
        collect_for_shares([1, 2], [0.5, 0.5], identities=[1, 1], images_per_identity=0)
