"""The plan of labels: allocation against an exact optimum, chances against frequencies, and what estimates it gives."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from benchmarks.partial_draws import with_plan

from facelib.audit.label_plan import LabelPlan, label_plan
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit
Array = np.ndarray


def _archive(images: int = 600, clusters: int = 250, seed: int = 0) -> tuple[Array, Array, Array]:
    """Labels of a tenth, probabilities of three categories alike within clusters, and clusters of 1 to about 10."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, images)
    p = rng.dirichlet([0.6, 0.4, 0.2], clusters)[cluster] * 0.9 + rng.dirichlet([1, 1, 1], images) * 0.1
    return np.where(rng.random(images) < 0.1, rng.integers(0, 3, images), -1), p, cluster


def test_only_unlabelled_images_as_many_as_asked_for() -> None:
    codes, p, cluster = _archive()
    for budget in (18, 57, 200, 400):
        plan = label_plan(codes, p, cluster, budget)
        assert plan.rows.size == budget
        assert (np.diff(plan.rows) > 0).all()
        assert (codes[plan.rows] == -1).all()
        assert ((plan.inclusion > 0) & (plan.inclusion <= 1)).all()
        chosen = np.bincount(plan.stratum, minlength=len(plan.strata))
        assert chosen.tolist() == [s.chosen for s in plan.strata]
        assert sum(s.images for s in plan.strata) == np.sum(codes < 0)


def test_strata_are_predicted_categories_and_bins_of_whole_clusters() -> None:
    """By hand: clusters a and b lean to category 0 (impurity .18, .48), c and d to 1 (.32, .42), each of two images."""
    p = np.array([[0.95, 0.05], [0.85, 0.15], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.2, 0.8], [0.4, 0.6], [0.2, 0.8]])
    plan = label_plan([-1] * 8, p, list("aabbccdd"), 8, bins=2)
    assert [(s.category, s.uncertainty_bin, s.images, s.clusters) for s in plan.strata] == [
        (0, 0, 2, 1),
        (0, 1, 2, 1),
        (1, 0, 2, 1),
        (1, 1, 2, 1),
    ]
    assert plan.stratum.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    # means of 1 − Σ p²: (.095 + .255) / 2, (.18 + .42) / 2, .32, (.48 + .32) / 2
    np.testing.assert_allclose([s.spread**2 for s in plan.strata], [0.175, 0.3, 0.32, 0.4])
    np.testing.assert_array_equal(plan.inclusion, 1)


def _optimum(images: Array, spread: Array, budget: int) -> float:
    """Σ N² S² / n at its least with 2 ≤ n ≤ N: units go one by one where they save most (exact: it is convex)."""
    n = np.minimum(images, 2)
    square = (images * spread) ** 2
    heap = [(-square[h] / (n[h] * (n[h] + 1)), h) for h in range(n.size) if n[h] < images[h]]
    heapq.heapify(heap)
    for _ in range(budget - int(n.sum())):
        _, h = heapq.heappop(heap)
        n[h] += 1
        if n[h] < images[h]:
            heapq.heappush(heap, (-square[h] / (n[h] * (n[h] + 1)), h))
    return float(np.sum(square / n))


def test_allocation_is_as_good_as_the_exact_optimum() -> None:
    for seed in range(20):
        codes, p, cluster = _archive(seed=seed)
        for budget in (60, 150, 350):
            strata = label_plan(codes, p, cluster, budget).strata
            images, spread, n = (np.array([getattr(s, k) for s in strata]) for k in ("images", "spread", "chosen"))
            assert ((n >= np.minimum(images, 2)) & (n <= images)).all()
            assert np.sum((images * spread) ** 2 / n) <= 1.01 * _optimum(images, spread, budget)


def test_no_cluster_gives_a_second_image_before_all_of_its_stratum_gave_one() -> None:
    codes, p, cluster = _archive(clusters=80)
    left = np.bincount(cluster[codes < 0])
    for budget in (18, 90, 300, 500):
        plan = label_plan(codes, p, cluster, budget, seed=budget)
        taken = np.bincount(cluster[plan.rows], minlength=left.size)
        for h in range(len(plan.strata)):
            every = label_plan(codes, p, cluster, 10**6)
            own = np.unique(cluster[every.rows[every.stratum == h]])
            most = taken[own].max()
            assert (taken[own] >= np.minimum(left[own], most - 1)).all()


def _chances(plans: list[LabelPlan], images: int) -> tuple[Array, Array]:
    """How often each image is chosen, and its inclusion probability where it ever was."""
    often, chance = np.zeros(images), np.full(images, np.nan)
    for plan in plans:
        often[plan.rows] += 1
        chance[plan.rows] = plan.inclusion
    return often / len(plans), chance


@pytest.mark.parametrize(("clusters", "budget"), [(60, 12), (15, 12), (15, 40), (6, 40)])
def test_inclusion_probabilities_are_frequencies(clusters: int, budget: int) -> None:
    """Also where large clusters are certain, and where clusters give two images or more."""
    codes, p, cluster = _archive(60, clusters, seed=1)
    unlabelled = codes < 0
    plans = [label_plan(codes, p, cluster, budget, seed=s, bins=1) for s in range(600)]
    often, chance = _chances(plans, 60)
    assert not np.isnan(chance[unlabelled]).any()
    error = np.sqrt(chance * (1 - chance) / 600)[unlabelled]
    assert (np.abs(often - chance)[unlabelled] <= 4.5 * error + 1e-9).all()
    for plan in plans[:5]:
        np.testing.assert_allclose(plan.inclusion, chance[plan.rows])
    assert chance[unlabelled].sum() == pytest.approx(budget)


def test_inverse_chances_restore_totals() -> None:
    codes, p, cluster = _archive(200, 40, seed=2)
    value = np.random.default_rng(0).normal(size=200) + cluster
    sums = []
    for seed in range(300):
        plan = label_plan(codes, p, cluster, 40, seed=seed)
        sums.append(np.sum(value[plan.rows] / plan.inclusion))
    assert np.mean(sums) == pytest.approx(value[codes < 0].sum(), abs=4 * np.std(sums) / np.sqrt(300))


def test_single_images_of_a_stratum_are_equally_likely() -> None:
    codes, p, _ = _archive()
    plan = label_plan(codes, p, np.arange(600), 90)
    for h, stratum in enumerate(plan.strata):
        np.testing.assert_allclose(plan.inclusion[plan.stratum == h], stratum.chosen / stratum.images)


def test_a_sure_stratum_is_not_starved() -> None:
    """1,000 images predicted with certainty, 100 at even odds: spreads 0.1 and √½."""
    p = np.repeat([[1.0, 0.0], [0.5, 0.5]], [1000, 100], axis=0)
    sure, even = label_plan([-1] * 1100, p, np.arange(1100), 100, bins=2).strata
    assert (sure.images, sure.spread) == (1000, 0.1)
    assert (even.images, even.spread) == (100, pytest.approx(0.5**0.5))
    assert (sure.chosen, even.chosen) == (59, 41)


def test_equal_predictions_make_one_stratum() -> None:
    plan = label_plan([-1] * 50, np.full((50, 4), 0.25), np.arange(50) // 2, 10)
    assert [(s.images, s.clusters, s.chosen) for s in plan.strata] == [(50, 25, 10)]
    np.testing.assert_allclose(plan.inclusion, 0.2)
    assert np.unique(plan.rows // 2).size == 10


def test_a_budget_for_all_takes_all() -> None:
    codes, p, cluster = _archive()
    for budget in (int(np.sum(codes < 0)), 10_000):
        plan = label_plan(codes, p, cluster, budget)
        np.testing.assert_array_equal(plan.rows, np.flatnonzero(codes < 0))
        np.testing.assert_array_equal(plan.inclusion, 1)


def test_equal_seeds_give_equal_plans() -> None:
    codes, p, cluster = _archive()
    first, again, other = (label_plan(codes, p, cluster, 60, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.inclusion, again.inclusion)
    assert first.strata == other.strata
    assert (first.rows != other.rows).any()


def test_a_plan_mends_labels_that_favour_categories() -> None:
    rng = np.random.default_rng(15)
    codes = rng.choice(2, 2000, p=[0.7, 0.3])
    points = rng.normal(0, 0.5, (2000, 6)) + np.eye(2, 6)[codes]
    found = with_plan(points, codes, 25)
    covered = {how: intervals.covers[:, 0].mean() for how, intervals in found.items()}
    assert covered["first"] < 0.75
    # 25 archives: 0.95 − 3.4 standard errors
    assert covered["plan"] >= 0.8
    assert covered["random"] >= 0.8
    assert found["plan"].width.mean() < found["random"].width.mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 5}, "a budget of 5 labels is below 6, two a stratum"),
        ({"codes": [0] * 12}, "nothing to plan"),
        ({"codes": [2] * 12}, "outside -1 … 1"),
        ({"bins": 0}, "0 bins"),
        ({"clusters": [1]}, "1 clusters meet 12 images"),
        ({"probabilities": [[2.0, 0.0]] * 12}, "outside 0 … 1"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, object], message: str) -> None:
    p = np.linspace(0.6, 0.9, 12)
    given = {"codes": [-1] * 12, "probabilities": np.stack([p, 1 - p], axis=1), "clusters": np.arange(12), "budget": 6}
    with pytest.raises(ConfigError, match=message):
        label_plan(**(given | change))
