"""Prediction-powered shares against figures by hand, PPI++ and a survey estimator written out, and by coverage."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from benchmarks.partial_draws import coverage
from scipy.stats import t as student

from facelib.audit.intervals import wilson
from facelib.audit.ppi import CategoryShares, category_shares
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit
Array = np.ndarray


def _archive(images: int, labelled: int, share: float = 0.3, seed: int = 0) -> tuple[Array, Array, Array]:
    """True categories, labels of a simple random sample, and informative probabilities of two categories."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(images) < share).astype(np.int64)
    score = 1 / (1 + np.exp(-2 * (rng.normal(0, 1.5, images) + 3 * truth - 2)))
    codes = np.full(images, -1)
    rows = rng.permutation(images)[:labelled]
    codes[rows] = truth[rows]
    return truth, codes, np.stack([1 - score, score], axis=1)


def test_hand_worked() -> None:
    """Four of eight labelled, category 1: Y = 1, 1, 0, 0; f = .8, .6, .4, .2 there, .8, .8, .6, .6 elsewhere.

    Slope of Y on f: (.5 (.3 + .1 + .1 + .3)) / (.09 + .01 + .01 + .09) = 2, so λ = 1. Mean of f: .6 over all, .5 over
    labelled. Share: .6 + (.5 − .5) = .6. Residuals .2, .4, −.4, −.2: Σ² = .4 against 1 at λ = 0. π = ½:
    D(1) = ½ · .4 / 16 = .0125, D(0) = ½ · 1 / 16 = .03125; one label more: (1 − .4) · ½ / 16 = .01875.
    1 / n_eff = (.0125 + .01875) / .25 = 1/8; the source adds 1/8. Labelled alone: .03125 / .25 = 1/8, and 1/4.
    """
    codes = [1, 1, 0, 0, -1, -1, -1, -1]
    f = np.array([0.8, 0.6, 0.4, 0.2, 0.8, 0.8, 0.6, 0.6])
    for target, n in (("archive", 8), ("source", 4)):
        found = category_shares(codes, np.stack([1 - f, f], axis=1), target)
        assert (found.n_labelled, found.n_unlabelled, found.n_in_category.tolist()) == (4, 4, [2, 2])
        np.testing.assert_allclose(found.argmax_share, [0.25, 0.75])
        np.testing.assert_allclose(found.mean_probability, [0.4, 0.6])
        np.testing.assert_allclose([found.labelled_share, found.share, found.tuning], [[0.5, 0.5], [0.4, 0.6], [1, 1]])
        np.testing.assert_allclose([found.labelled_low[1], found.labelled_high[1]], wilson(0.5 * n, n))
        np.testing.assert_allclose([found.low[1], found.high[1]], wilson(0.6 * n, n))


def test_agrees_with_ppi_plus_plus() -> None:
    """Formulas of arXiv:2311.01453 for a mean, with means over the unlabelled images."""
    for seed in range(5):
        _, codes, p = _archive(20_000, 2_000, seed=seed)
        is_labelled = codes >= 0
        y, f, unlabelled = codes[is_labelled] == 1, p[is_labelled, 1], p[~is_labelled, 1]
        n, other = y.size, unlabelled.size
        found = category_shares(codes, p, "source")
        tuned = np.cov(y, f)[0, 1] / np.var(f, ddof=1) / (1 + n / other)
        assert found.tuning[1] * other / (n + other) == pytest.approx(tuned)
        assert found.share[1] == pytest.approx(tuned * unlabelled.mean() + np.mean(y - tuned * f))
        variance = tuned**2 * unlabelled.var() / other + np.var(y - tuned * f) / n
        width = found.high[1] - found.low[1]
        assert width == pytest.approx(2 * 1.959964 * math.sqrt(variance), rel=0.03)
        assert width < 0.8 * (found.labelled_high[1] - found.labelled_low[1])


def _by_loops(
    codes: Array, f: Array, target: str, cluster: Array, pi: Array, stratum: Array
) -> list[tuple[float, ...]]:
    """λ, share, low, high of each category, image by image, after the docstring of `category_shares`."""
    rows = [i for i in range(len(codes)) if codes[i] >= 0]
    total = sum(1 / pi[i] for i in rows)
    drawn = [i for i in rows if pi[i] < 1]
    n = len(drawn)

    def mean(values: dict[int, float]) -> float:
        return sum(values[i] / pi[i] for i in rows) / total

    def totals(values: dict[int, float], unit: Array) -> list[tuple[int, float]]:
        centre, sums = mean(values), defaultdict(float)
        for i in drawn:
            sums[stratum[i], unit[i]] += math.sqrt(1 - pi[i]) * (values[i] - centre) / pi[i] / total
        out = []
        for (h, _), z in sums.items():
            own = [s for (g, _), s in sums.items() if g == h]
            if len(own) > 1:
                out.append((h, (z - sum(own) / len(own)) * math.sqrt(len(own) / (len(own) - 1) * (1 - 1 / n))))
            else:
                out.append((h, z * math.sqrt(1 - 1 / n)))
        return out

    def squares(values: dict[int, float], unit: Array) -> float:
        return sum(z**2 for _, z in totals(values, unit))

    images = np.arange(len(codes))
    repeated = len({(stratum[i], cluster[i]) for i in drawn}) < n
    outcome = []
    for k in range(f.shape[1]):
        y, g = {i: float(codes[i] == k) for i in rows}, {i: f[i, k] for i in rows}
        a, b = totals(y, cluster), totals(g, cluster)
        slope = min(1.0, max(0.0, sum(p[1] * q[1] for p, q in zip(a, b, strict=True)) / sum(q[1] ** 2 for q in b)))
        outcome.append((slope, y, {i: y[i] - slope * g[i] for i in rows}))
    whole = [1.0, 1.0]
    if repeated:
        for which in (0, 1):
            clustered, single = (sum(squares(o[1 + which], u) for o in outcome) for u in (cluster, images))
            whole[which] = max(1.0, clustered / single)
    ones = defaultdict(float)
    for i in drawn:
        ones[stratum[i], cluster[i]] += math.sqrt(1 - pi[i]) / pi[i] / total
    strata = [sum(1 for h, _ in ones if h == g) for g in {h for h, _ in ones}]
    freedom = len(ones) - max(1, sum(c > 1 for c in strata))
    found = []
    for k, (slope, y, error) in enumerate(outcome):
        before, after = (
            max(squares(v, cluster), w * squares(v, images)) for v, w in zip((y, error), whole, strict=True)
        )
        more = (1 - after / before) * sum(v**2 for v in ones.values()) / len(ones)
        p = mean(y)
        inverse = (after + max(more, 0)) / (p * (1 - p))
        inverse *= (student.ppf(0.975, freedom) / student.ppf(0.975, n - 1)) ** 2
        if target == "source":
            inverse += sum(np.sum(cluster == c) ** 2 for c in set(cluster.tolist())) / len(codes) ** 2
        share = slope * f[:, k].mean() + mean(error)
        low, high = wilson(share / inverse, 1 / inverse)
        found.append((slope, share, float(low), float(high)))
    return found


@pytest.mark.parametrize("target", ["archive", "source"])
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("stratified", [False, True])
def test_agrees_with_sums_written_out(target: str, clustered: bool, stratified: bool) -> None:
    rng = np.random.default_rng(5)
    truth = rng.choice(3, 300, p=[0.5, 0.3, 0.2])
    f = rng.dirichlet([1, 1, 1], 300) * 0.6 + 0.4 * np.eye(3)[truth]
    stratum = (rng.random(300) < 0.4) + 2 * (rng.random(300) < 0.01) if stratified else np.zeros(300, np.int64)
    pi = np.array([0.3, 0.6, 0.4, 0.5])[stratum] * rng.uniform(0.5, 1, 300)
    pi[rng.random(300) < 0.1] = 1
    cluster = truth * 20 + rng.integers(0, 20, 300) if clustered else np.arange(300)
    codes = np.where(rng.random(300) < pi, truth, -1)
    found = category_shares(codes, f, target, cluster, pi, stratum)
    expected = np.array(_by_loops(codes, f, target, cluster, pi, stratum)).T
    np.testing.assert_allclose([found.tuning, found.share, found.low, found.high], expected, rtol=1e-9)


def test_constant_predictions_leave_the_classical_estimate() -> None:
    _, codes, _ = _archive(500, 60)
    count = int(np.sum(codes == 1))
    for target, n in (("source", 60.0), ("archive", 60 / (1 - 60 / 500))):
        found = category_shares(codes, np.full((500, 2), 0.5), target)
        np.testing.assert_array_equal(found.tuning, 0)
        np.testing.assert_allclose(found.share, [1 - count / 60, count / 60])
        np.testing.assert_allclose([found.low[1], found.high[1]], wilson(count / 60 * n, n))
        np.testing.assert_allclose([found.labelled_low, found.labelled_high], [found.low, found.high])


def test_predictions_against_the_truth_get_no_weight() -> None:
    _, codes, p = _archive(2000, 300)
    found = category_shares(codes, p[:, ::-1], "archive")
    np.testing.assert_array_equal(found.tuning, 0)
    np.testing.assert_array_equal(found.share, found.labelled_share)


def test_perfect_predictions_count_like_labels() -> None:
    truth, codes, _ = _archive(5000, 2000)
    p = np.eye(2)[truth]
    source, archive = (category_shares(codes, p, t) for t in ("source", "archive"))
    np.testing.assert_allclose(source.share, np.bincount(truth) / 5000)
    low, high = wilson(np.bincount(truth), 5000)
    np.testing.assert_allclose([source.low, source.high], [low, high], atol=2e-4)
    assert (archive.high - archive.low < 0.003).all()


def test_all_labelled_is_a_complete_count() -> None:
    truth, _, p = _archive(400, 400)
    source, archive = (category_shares(truth, p, t) for t in ("source", "archive"))
    np.testing.assert_allclose([source.low, source.high], wilson(np.bincount(truth), 400))
    for end in (archive.low, archive.high, archive.labelled_low, archive.share):
        np.testing.assert_allclose(end, np.bincount(truth) / 400)


def test_copies_of_every_image_in_its_cluster_add_nothing() -> None:
    """D is the same, but for (1 − 1/n) and the quantile of n − 1 degrees of freedom."""
    _, codes, p = _archive(900, 90)
    once = category_shares(codes, p, "source", np.arange(900))
    many = category_shares(*(np.repeat(v, 5, axis=0) for v in (codes, p)), "source", np.repeat(np.arange(900), 5))
    alone = category_shares(*(np.repeat(v, 5, axis=0) for v in (codes, p)), "source")
    np.testing.assert_allclose(many.share, once.share)
    np.testing.assert_allclose([many.low, many.high], [once.low, once.high], atol=0.003)
    assert (alone.high - alone.low < 0.5 * (once.high - once.low)).all()


def test_clusters_in_which_categories_cancel_do_not_narrow_intervals() -> None:
    """One image of each category in every cluster: sums over clusters do not vary at all, images do."""
    codes = np.where(np.arange(400) < 80, np.arange(400) % 2, -1)
    p = np.random.default_rng(0).uniform(size=(400, 2))
    clustered, single = (category_shares(codes, p, "archive", c) for c in (np.arange(400) // 2, None))
    assert (clustered.labelled_high - clustered.labelled_low >= single.labelled_high - single.labelled_low).all()


def test_weights_undo_unequal_chances() -> None:
    """Category 1 is four times as likely to be labelled: the unweighted share is far off, the weighted one is not."""
    rng = np.random.default_rng(8)
    truth, _, p = _archive(40_000, 1)
    pi = np.where(truth == 1, 0.2, 0.05)
    codes = np.where(rng.random(40_000) < pi, truth, -1)
    weighted, plain = (category_shares(codes, p, "archive", inclusion=q) for q in (pi, None))
    assert weighted.low[1] < truth.mean() < weighted.high[1]
    assert plain.low[1] > truth.mean() + 0.1


def test_unequal_chances_are_estimated_without_bias_over_all_samples() -> None:
    """Mean of the share over all 2⁹ samples by their chance: the Hájek ratio is off by less than a tenth of σ."""
    truth, _, p = _archive(9, 1, 0.4, seed=3)
    pi = np.linspace(0.4, 0.9, 9)
    shares, chances = [], []
    for sample in range(1, 1 << 9):
        is_in = (sample >> np.arange(9) & 1).astype(np.bool_)
        shares.append(category_shares(np.where(is_in, truth, -1), p, "archive", inclusion=pi).labelled_share[1])
        chances.append(np.prod(np.where(is_in, pi, 1 - pi)))
    expected = np.average(shares, weights=chances)
    spread = math.sqrt(np.average((np.array(shares) - expected) ** 2, weights=chances))
    assert expected == pytest.approx(truth.mean(), abs=0.1 * spread)


def test_order_of_images_and_categories_does_not_matter() -> None:
    _, codes, p = _archive(300, 80)
    cluster = np.arange(300) // 3
    first = category_shares(codes, p, "source", cluster)
    order = np.random.default_rng(1).permutation(300)
    moved = category_shares(codes[order], p[order], "source", cluster[order])
    swapped = category_shares(np.where(codes < 0, -1, 1 - codes), p[:, ::-1], "source", cluster)
    for name in ("share", "low", "high", "labelled_low", "tuning"):
        np.testing.assert_allclose(getattr(moved, name), getattr(first, name))
        np.testing.assert_allclose(getattr(swapped, name)[::-1], getattr(first, name))


def test_an_unseen_category_has_the_interval_of_no_hits() -> None:
    codes = np.full(1000, -1)
    codes[:50] = 0
    p = np.tile([0.7, 0.2, 0.1], (1000, 1))
    p[50:500] = [0.1, 0.8, 0.1]
    found = category_shares(codes, p, "source")
    np.testing.assert_array_equal(found.share, [1, 0, 0])
    np.testing.assert_allclose([found.low, found.high], wilson([50, 0, 0], 50))
    chance = np.linspace(0.01, 0.1, 1000)
    weighted = category_shares(codes, np.roll(p, 20, axis=0), "archive", inclusion=chance)
    np.testing.assert_allclose([weighted.tuning, weighted.share], [[0, 0, 0], [1, 0, 0]], atol=1e-12)
    w = 1 / chance[:50]
    n = w.sum() ** 2 / np.sum((1 - chance[:50]) * w**2)
    np.testing.assert_allclose([weighted.low, weighted.high], wilson([n, 0, 0], n))
    codes[900:910], chance[900:910] = 1, 1
    assert category_shares(codes, np.roll(p, 20, axis=0), "archive", inclusion=chance).tuning.tolist() == [0, 0, 0]


def test_labels_of_any_origin_count_for_their_own_images() -> None:
    """All women are labelled, and a fifth of the rest at random: of 400 certain images and 600, a share 0.4 + 0.6 p."""
    rng = np.random.default_rng(2)
    truth = np.concatenate([np.zeros(400, np.int64), (rng.random(600) < 0.5).astype(np.int64)])
    codes = np.where(np.arange(1000) < 400, truth, -1)
    rows = 400 + rng.permutation(600)[:120]
    codes[rows] = truth[rows]
    inclusion = np.where(np.arange(1000) < 400, 1, 0.2)
    found = category_shares(codes, np.full((1000, 2), 0.5), "archive", inclusion=inclusion)
    share = np.mean(truth[rows])
    assert found.share[1] == pytest.approx(0.6 * share)
    # the variance of 0.6 times a share of 120 of 600, in Wilson's place of p (1 − p) / n
    n = 0.6 * share * (1 - 0.6 * share) / (0.36 * share * (1 - share) * 0.8 / 120)
    np.testing.assert_allclose([found.low[1], found.high[1]], wilson(0.6 * share * n, n))


def _undefined(found: CategoryShares) -> bool:
    return bool(np.isnan([found.low, found.high, found.labelled_low, found.labelled_high]).all())


def test_too_few_labels_have_no_interval() -> None:
    p = np.full((6, 2), 0.5)
    none = category_shares([-1] * 6, p, "source")
    assert _undefined(none)
    assert np.isnan([none.share, none.labelled_share, none.tuning]).all()
    np.testing.assert_array_equal(none.mean_probability, 0.5)
    one = category_shares([0] + [-1] * 5, p, "source")
    assert one.share.tolist() == [1, 0]
    assert _undefined(one)
    assert _undefined(category_shares([0, 1, 0, -1, -1, -1], p, "archive", clusters=[1, 1, 1, 2, 3, 4]))
    assert _undefined(category_shares([0, 1, 0, -1, -1, -1], p, "archive", inclusion=np.ones(6)))
    assert _undefined(category_shares([0, 1, -1, -1, -1, -1], p, "archive", strata=[0, 1, 0, 0, 1, 1])) is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "world"}, "give archive or source"),
        ({"codes": [0, 2, -1]}, "outside -1 … 1"),
        ({"codes": [0, -2, -1]}, "outside -1 … 1"),
        ({"codes": [0, -1]}, "2 labels meet 3 images"),
        ({"probabilities": [[0.5, 1.5]] * 3}, "outside 0 … 1"),
        ({"probabilities": [[0.5, np.nan]] * 3}, "outside 0 … 1"),
        ({"probabilities": [0.5] * 3}, "two axes"),
        ({"clusters": [1]}, "1 clusters meet 3 images"),
        ({"strata": [1]}, "1 strata meet 3 images"),
        ({"inclusion": [0.0, 1, 1]}, r"not in \(0, 1\]"),
        ({"inclusion": [0.5, 2, 1]}, r"not in \(0, 1\]"),
        ({"inclusion": 0.5}, r"not in \(0, 1\]"),
        ({"confidence": 95.0}, "between 0 and 1"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, object], message: str) -> None:
    given = {"codes": [0, 1, -1], "probabilities": [[0.5, 0.5]] * 3, "target": "archive"}
    with pytest.raises(ConfigError, match=message):
        category_shares(**(given | change))


@pytest.mark.parametrize("target", ["archive", "source"])
@pytest.mark.parametrize(
    ("share", "labelled", "wrong"), [(0.5, 400, 0.1), (0.1, 400, 0.05), (0.1, 50, 0.02), (0.03, 150, 0.2)]
)
def test_intervals_cover_as_often_as_they_say_or_more(target: str, share: float, labelled: int, wrong: float) -> None:
    """Also where next to no labelled image is predicted badly (50 labels, 2 % wrong)."""
    rng = np.random.default_rng(12)
    hits = []
    for _ in range(150):
        truth = (rng.random(1500) < share).astype(np.int64)
        sure = rng.beta(8, 1, 1500) / 2 + 0.5
        f = np.where((truth == 1) ^ (rng.random(1500) < wrong), sure, 1 - sure)
        codes = np.full(1500, -1)
        rows = rng.permutation(1500)[:labelled]
        codes[rows] = truth[rows]
        found = category_shares(codes, np.stack([1 - f, f], axis=1), target)
        hits.append(found.low[1] <= (truth.mean() if target == "archive" else share) <= found.high[1])
    # 0.95 − 3.4 standard errors of 150 draws
    assert np.mean(hits) >= 0.89


def test_clusters_drawn_as_wholes_are_covered() -> None:
    rng = np.random.default_rng(13)
    hits = {"clusters": [], "images": []}
    for _ in range(100):
        size = rng.integers(1, 12, 400)
        category = (rng.random(400) < 0.3).astype(np.int64)
        cluster = np.repeat(np.arange(400), size)
        f = np.clip(0.2 + 0.5 * category + rng.normal(0, 0.2, 400), 0, 1)[cluster]
        drawn = np.isin(cluster, rng.permutation(400)[:60])
        codes = np.where(drawn, category[cluster], -1)
        truth = category[cluster].mean()
        for how, given in (("clusters", cluster), ("images", None)):
            found = category_shares(codes, np.stack([1 - f, f], axis=1), "archive", given)
            hits[how].append(found.low[1] <= truth <= found.high[1])
    assert np.mean(hits["clusters"]) >= 0.88
    assert np.mean(hits["images"]) < 0.75


def test_shares_by_the_probe_cover_and_are_narrower_than_labels_alone() -> None:
    rng = np.random.default_rng(14)
    codes = rng.choice(3, 1500, p=[0.5, 0.3, 0.2])
    points = rng.normal(0, 0.7, (1500, 10)) + np.eye(3, 10)[codes]
    for found in coverage(points, codes, 30).values():
        # 30 archives × 3 categories, of which two are free: 0.95 − 3 standard errors
        assert found.corrected.covers.mean() >= 0.86
        assert found.corrected.width.mean() < 0.95 * found.labelled.width.mean()
        assert found.labelled.covers.mean() >= 0.86
