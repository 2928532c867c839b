"""The label-free floor, against the floor that the labels of planted archives give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.floor import FEWEST_FACES, FloorEstimate, continued_tail, estimate_floor, fixed_floor
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import BINS, empty_histogram, knn_block, normalise, symmetric_union
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space

pytestmark = pytest.mark.unit

SETTINGS = ClusterSettings(false_edges_per_face=0.1)


def _archive(seed: int, sizes: list[int], spread: float, d: int = 32, groups: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings of subjects from several groups, off the origin as real embeddings are."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    group_centre = 0.5 * rng.normal(size=(groups, d))
    subject = 4.0 / np.sqrt(d) + group_centre[rng.integers(groups, size=len(sizes))] + rng.normal(size=(len(sizes), d))
    return normalise(subject[truth] + spread * rng.normal(size=(len(truth), d))), truth


def _estimate(unit: np.ndarray, settings: ClusterSettings = SETTINGS) -> FloorEstimate:
    histogram = empty_histogram()
    edges = symmetric_union(*knn_block(unit, unit, settings.neighbours, 0, histogram=histogram))
    return estimate_floor(Space.plain(unit), edges, histogram, np.arange(len(unit)), settings)


def _false_edges_per_face(unit: np.ndarray, truth: np.ndarray, floor: float) -> float:
    """FMR(floor) × n by counting non-mated pairs with the labels."""
    cosine = unit @ unit.T
    non_mated = truth[:, None] != truth
    return float((cosine[non_mated] > floor).mean() * len(unit))


ARCHIVES = {
    "every face another person": [1] * 1500,
    "many singletons": [1] * 900 + [2] * 150 + [12] * 25,
    "one person dominates": [1] * 700 + [2] * 100 + [150],
    "mostly large": [20] * 50,
    "small": [1] * 120 + [3] * 40,
    "half of one person": [1] * 150 + [150],
}


@pytest.mark.parametrize("sizes", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_expected_false_edges_come_true_without_labels(sizes: list[int]) -> None:
    """Within a factor of 2.5 of the 0.1 asked for: between 0.04 and 0.25 false edges per face."""
    unit, truth = _archive(51, sizes, spread=0.45)
    estimate = _estimate(unit)
    assert estimate.method == "tail"
    assert 0.04 <= _false_edges_per_face(unit, truth, estimate.floor) <= 0.25
    assert estimate.fmr == pytest.approx(0.1 / len(unit))
    assert estimate.expected_false_edges_per_face == 0.1


def test_the_share_of_mated_pairs_is_about_the_true_one() -> None:
    unit, truth = _archive(52, [1] * 500 + [15] * 30, spread=0.35)
    sizes = np.bincount(truth)
    true_share = float((sizes * (sizes - 1)).sum() / (len(truth) * (len(truth) - 1)))
    assert _estimate(unit).mated_share == pytest.approx(true_share, rel=0.3)


def test_fewer_false_edges_need_a_higher_floor() -> None:
    unit, _ = _archive(53, [1] * 600 + [4] * 100, spread=0.45)
    floors = [_estimate(unit, ClusterSettings(false_edges_per_face=x)).floor for x in (1.0, 0.1, 0.01)]
    assert floors == sorted(floors)
    assert len(set(floors)) == 3


def test_a_larger_archive_of_the_same_people_needs_a_higher_floor() -> None:
    unit, _ = _archive(54, [1] * 3000, spread=0.45)
    assert _estimate(unit[:400]).floor < _estimate(unit).floor


@pytest.mark.parametrize("dimension", [6, 12, 24])
def test_tail_of_uniform_directions_is_continued_to_the_exact_quantile(dimension: int) -> None:
    """On the unit sphere in d dimensions (1 + cosine)/2 ~ Beta((d-1)/2, (d-1)/2), and D = d - 1."""
    law = beta((dimension - 1) / 2, (dimension - 1) / 2)
    edges = np.linspace(0, 1, BINS + 1)
    histogram = 1e9 * np.diff(law.cdf(edges))
    found = continued_tail(histogram, wanted=1e-6, anchor=1e-4)
    assert found is not None
    floor, anchor, estimated = found
    assert anchor == 1e-4
    assert law.sf((1 + floor) / 2) == pytest.approx(1e-6, rel=0.5)
    assert estimated == pytest.approx(dimension - 1, rel=0.2)


def test_tail_is_read_directly_where_the_anchor_is_the_wanted_share() -> None:
    histogram = empty_histogram()
    histogram[:1990] = 1000.0
    found = continued_tail(histogram, wanted=0.01, anchor=0.01)
    assert found is not None
    assert found[0] == pytest.approx(-1 + 1990 * 0.99 * 0.001, abs=0.001)


def test_no_tail_from_too_few_pairs_or_equal_ones() -> None:
    histogram = empty_histogram()
    histogram[1500] = 60
    assert continued_tail(histogram, 0.001, 0.01) is None
    histogram[1999] = 1e6
    assert continued_tail(histogram, 0.001, 0.01) is None


def test_tiny_archives_use_the_fallback() -> None:
    unit, _ = _archive(55, [1] * (FEWEST_FACES - 1), spread=0.45)
    estimate = _estimate(unit)
    assert (estimate.method, estimate.floor, estimate.fmr) == ("fallback", SETTINGS.fallback_floor, None)


def test_an_archive_of_one_person_uses_the_fallback() -> None:
    """Its pairs are all mated: a tail fitted to them would cut the person to pieces."""
    unit, _ = _archive(56, [120], spread=0.2)
    settings = ClusterSettings(false_edges_per_face=0.1, fallback_floor=0.6)
    assert np.median(unit @ unit.T) > 0.6
    assert _estimate(unit, settings).method == "fallback"


@pytest.mark.parametrize("people", [2, 3, 6])
def test_few_people_with_more_images_than_neighbours_stay_whole(people: int) -> None:
    unit, truth = _archive(57, [110] * people, spread=0.4)
    settings = ClusterSettings(false_edges_per_face=0.1, fallback_floor=0.8)
    histogram = empty_histogram()
    edges = symmetric_union(*knn_block(unit, unit, settings.neighbours, 0, histogram=histogram))
    image = np.arange(len(unit))
    space = Space.plain(unit)
    floor = estimate_floor(space, edges, histogram, image, settings).floor
    labels = communities(space, accepted_edges(edges, floor, image), floor, Constraints(image), settings).labels
    assert pairwise_scores(labels, truth).f1 > 0.97


def test_a_fixed_floor_claims_no_error_rate() -> None:
    estimate = fixed_floor(0.5, 1000)
    assert (estimate.method, estimate.floor) == ("fixed", 0.5)
    assert estimate.fmr is estimate.expected_false_edges_per_face is None
