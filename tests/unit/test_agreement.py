"""Pairwise and BCubed scores, against published examples, direct counting and scikit-learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics.cluster import pair_confusion_matrix

from facelib.clusters.agreement import bcubed_scores, cluster_ratio, pairwise_scores
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


@pytest.mark.parametrize("function", [pairwise_scores, bcubed_scores, cluster_ratio])
def test_refuses_labels_that_do_not_pair_up(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="2 predicted labels for 3"):
        function([1, 2], [1, 2, 3])
    with pytest.raises(ConfigError, match="no labels"):
        function([], [])
