"""Pairwise and BCubed scores and figures by group, against published examples, direct counting and scikit-learn."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics.cluster import contingency_matrix, pair_confusion_matrix

from facelib.clusters.agreement import (
    bcubed_scores,
    cluster_ratio,
    group_agreement,
    largest_purity,
    pairwise_scores,
)
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

RNG_SEEDS = (11, 12, 13)


def _random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 12, 80)
    predicted = np.where(rng.random(80) < 0.7, truth, rng.integers(0, 20, 80))
    return predicted, truth


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_pairwise_equals_counting_pairs(seed: int) -> None:
    predicted, truth = _random(seed)
    pairs = list(combinations(range(80), 2))
    both = sum(predicted[i] == predicted[j] and truth[i] == truth[j] for i, j in pairs)
    scores = pairwise_scores(predicted, truth)
    assert scores.precision == both / sum(predicted[i] == predicted[j] for i, j in pairs)
    assert scores.recall == both / sum(truth[i] == truth[j] for i, j in pairs)


def test_pairwise_equals_scikit_learn() -> None:
    predicted, truth = _random(14)
    (_, false_positive), (false_negative, true_positive) = pair_confusion_matrix(truth, predicted)
    scores = pairwise_scores(predicted, truth)
    assert scores.precision == pytest.approx(true_positive / (true_positive + false_positive))
    assert scores.recall == pytest.approx(true_positive / (true_positive + false_negative))
    assert scores.f1 == pytest.approx(2 * true_positive / (2 * true_positive + false_positive + false_negative))


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_bcubed_equals_its_definition_face_by_face(seed: int) -> None:
    predicted, truth = _random(seed)
    correct = (predicted[:, None] == predicted) & (truth[:, None] == truth)
    scores = bcubed_scores(predicted, truth)
    assert scores.precision == pytest.approx((correct.sum(1) / (predicted[:, None] == predicted).sum(1)).mean())
    assert scores.recall == pytest.approx((correct.sum(1) / (truth[:, None] == truth).sum(1)).mean())


def test_bcubed_of_the_example_of_bagga_and_baldwin() -> None:
    """Two systems of 1998: the truth is {1..5}, {6,7}, {8..C}; joining the large ones costs more."""
    truth = [0] * 5 + [1] * 2 + [2] * 5
    joins_small = [0] * 5 + [1] * 7
    joins_large = [0] * 5 + [1] * 2 + [0] * 5
    assert bcubed_scores(joins_small, truth).precision == pytest.approx(16 / 21, abs=1e-9)
    assert bcubed_scores(joins_large, truth).precision == pytest.approx(7 / 12, abs=1e-9)
    assert bcubed_scores(joins_small, truth).recall == bcubed_scores(joins_large, truth).recall == 1


def test_labels_may_be_strings_and_their_names_do_not_matter() -> None:
    predicted, truth = _random(15)
    named = np.array([f"c{i * 37 % 101}" for i in predicted])
    assert pairwise_scores(named, truth.astype(str)) == pairwise_scores(predicted, truth)
    assert bcubed_scores(named, truth.astype(str)) == bcubed_scores(predicted, truth)


def test_all_alone_and_all_together() -> None:
    alone, together, truth = np.arange(6), np.zeros(6), [0, 0, 0, 1, 1, 2]
    assert pairwise_scores(alone, truth) == (1.0, 0.0, 0.0)
    assert bcubed_scores(alone, truth)[:2] == (1.0, 0.5)
    assert pairwise_scores(together, truth)[:2] == (4 / 15, 1.0)
    assert pairwise_scores(alone, alone) == (1.0, 1.0, 1.0)
    assert cluster_ratio(alone, truth) == 2.0
    assert cluster_ratio(together, truth) == pytest.approx(1 / 3)


def test_counts_stay_exact_where_they_exceed_32_bits() -> None:
    labels = np.zeros(200_000, np.int64)
    truth = labels.copy()
    truth[0] = 1
    n = 200_000
    assert pairwise_scores(labels, truth).precision == ((n - 1) * (n - 2) // 2) / (n * (n - 1) // 2)


@pytest.mark.parametrize("function", [pairwise_scores, bcubed_scores, cluster_ratio, largest_purity])
def test_refuses_labels_that_do_not_pair_up(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="2 predicted labels for 3"):
        function([1, 2], [1, 2, 3])
    with pytest.raises(ConfigError, match="no labels"):
        function([], [])


def test_largest_cluster_and_its_purity() -> None:
    predicted = ["a"] * 4 + ["b"] * 3 + ["c"]
    assert largest_purity(predicted, [0, 0, 0, 1, 2, 2, 2, 2]) == (4, 0.75)
    assert largest_purity([*predicted[:-1], "b"], [0, 0, 0, 1, 2, 2, 3, 4]) == (4, 0.5)  # of two, the less pure
    assert largest_purity([7], ["x"]) == (1, 1.0)


def test_group_figures_of_a_case_worked_by_hand() -> None:
    """Subject 0 is split into p and q; 1 lies in q; 2 and 3 share r evenly; 4 is alone and without a group."""
    predicted = ["p", "p", "q", "q", "q", "r", "r", "s"]
    truth = [0, 0, 0, 1, 1, 2, 3, 4]
    groups = ["f", "f", "f", "m", "m", "m", "f", None]
    found = group_agreement(predicted, truth, groups)
    assert list(found) == ["f", "m", None]
    f, m, none = found.values()
    assert (f.n_faces, f.n_subjects, f.n_repeated, f.n_clusters, f.n_whole) == (4, 2, 1, 2, 0)
    assert (f.clusters_per_subject, f.whole_share) == (2.0, 0.0)
    assert f.majority_share == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert f.bcubed_precision == pytest.approx((1 + 1 + 1 / 3 + 1 / 2) / 4)
    assert (m.n_faces, m.n_subjects, m.n_repeated, m.n_clusters, m.n_whole) == (3, 2, 1, 1, 1)
    assert m.majority_share == pytest.approx((1 + 1 + 0.5) / 3)
    assert m.bcubed_precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    assert (none.n_faces, none.clusters_per_subject, none.whole_share, none.majority_share) == (1, None, None, 1.0)


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_group_figures_equal_counting_face_by_face(seed: int) -> None:
    predicted, truth = _random(seed)
    groups = np.random.default_rng(seed).choice(np.array(["a", "b", None], object), 80)
    for name, found in group_agreement(predicted, truth, list(groups)).items():
        mine = [i for i in range(80) if groups[i] == name]
        clusters_of = {s: [predicted[i] for i in mine if truth[i] == s] for s in {truth[i] for i in mine}}
        repeated = [set(c) for c in clusters_of.values() if len(c) > 1]
        assert (found.n_faces, found.n_subjects, found.n_repeated) == (len(mine), len(clusters_of), len(repeated))
        assert (found.n_clusters, found.n_whole) == (sum(map(len, repeated)), sum(len(c) == 1 for c in repeated))
        members = [Counter(truth[predicted == predicted[i]].tolist()) for i in mine]
        majorities = [[s for s, n in c.items() if n == max(c.values())] for c in members]
        shares = [(truth[i] in m) / len(m) for i, m in zip(mine, majorities, strict=True)]
        assert found.majority_share == pytest.approx(np.mean(shares))
        precisions = [c[truth[i]] / c.total() for i, c in zip(mine, members, strict=True)]
        assert found.bcubed_precision == pytest.approx(np.mean(precisions))


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_shares_of_all_groups_together_are_purity_and_bcubed_of_the_whole(seed: int) -> None:
    predicted, truth = _random(seed)
    (whole,) = group_agreement(predicted, truth, [None] * 80).values()
    assert whole.majority_share == pytest.approx(contingency_matrix(truth, predicted).max(axis=0).sum() / 80)
    parts = group_agreement(predicted, truth, [str(i % 3) for i in range(80)]).values()
    assert sum(p.majority_share * p.n_faces for p in parts) / 80 == pytest.approx(whole.majority_share)
    assert whole.bcubed_precision == pytest.approx(bcubed_scores(predicted, truth).precision)


def test_refuses_groups_that_do_not_pair_up() -> None:
    with pytest.raises(ConfigError, match="1 groups for 2 faces"):
        group_agreement([1, 1], [1, 2], ["a"])
