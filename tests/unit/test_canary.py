"""Synthetic identities: how they lie among an archive's faces, that they come back, and when they must not."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.canary import FACES, Canary, no_canary, plant, recovery
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import similarity_graph
from facelib.demo.planted_embeddings import KINDS, planted_embeddings

pytestmark = pytest.mark.unit

N = 1000


@functools.cache
def _archive(kind: str, seed: int = 3) -> np.ndarray:
    return planted_embeddings(N, KINDS[kind], seed).embeddings


@functools.cache
def _recovered(kind: str, seed: int) -> float:
    """F of the synthetic identities, clustered with the archive's faces."""
    graph = similarity_graph(_archive(kind, seed), np.arange(N), ClusterSettings())
    found = communities(graph.space, graph.edges, graph.floor.floor, Constraints(graph.image), ClusterSettings())
    recovered = recovery(found.labels, graph.canary)
    assert recovered is not None
    return recovered


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_identities_come_back(kind: str) -> None:
    assert _recovered(kind, 108) >= 0.95


@pytest.mark.parametrize(("kind", "seed"), [("dlib", 100), ("facenet", 101), ("arcface", 104), ("plain", 109)])
def test_one_false_edge_to_a_synthetic_face_does_not_refuse_the_archive(kind: str, seed: int) -> None:
    """These archives are recovered with pairwise F above 0.97."""
    assert _recovered(kind, seed) >= ClusterSettings().min_canary_f


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_faces_are_alike_within_their_identity_and_strangers_to_all_others(kind: str) -> None:
    unit = _archive(kind)
    planted = plant(unit, 1)
    assert planted.unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(planted.unit, axis=1), 1, atol=1e-6)
    cosine = planted.unit @ planted.unit.T
    mated = planted.identity[:, None] == planted.identity
    np.fill_diagonal(mated, False)
    strangers = (unit @ unit.T)[np.triu_indices(N, 1)]
    near = 1 - np.quantile(strangers.astype(np.float64), 0.995)
    radius = 0.25 * near  # squared length of the part that differs; a right angle between two such parts is usual
    assert np.median(1 - cosine[mated]) == pytest.approx(radius / (1 + radius), rel=0.1)
    assert cosine[mated].min() > 1 - 0.5 * near
    np.fill_diagonal(mated, True)
    assert cosine[~mated].max() < 1 - 0.5 * near
    assert (planted.unit @ unit.T).max() < cosine[mated & ~np.eye(len(mated), dtype=bool)].min()


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_spread_like_the_archive(kind: str) -> None:
    """From many draws: their mean and their variance along the archive's principal directions."""
    unit = _archive(kind)
    draws = [plant(unit, seed) for seed in range(20)]
    centres = np.concatenate([d.unit[d.identity == i][:1] for d in draws for i in range(d.identity.max() + 1)])
    assert (centres @ unit.T).mean() == pytest.approx((unit @ unit.T).mean(), abs=0.03)
    centred = unit - unit.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:10]
    share = (centred @ axes.T).var(axis=0).sum() / centred.var(axis=0).sum()
    found = ((centres - centres.mean(axis=0)) @ axes.T).var(axis=0).sum() / centres.var(axis=0).sum()
    assert found == pytest.approx(share, rel=0.35)


@pytest.mark.parametrize(("n", "identities"), [(50, 2), (1000, 2), (1200, 3), (4000, 10), (10_000, 25), (20_000, 25)])
def test_their_number_grows_with_the_archive_to_a_limit(n: int, identities: int) -> None:
    unit = normalise(np.random.default_rng(5).normal(size=(n, 8)))
    planted = plant(unit, 1)
    np.testing.assert_array_equal(planted.identity, np.repeat(np.arange(identities), FACES))
    assert planted.unit.shape == (FACES * identities, 8)


def test_an_archive_of_few_people_has_none() -> None:
    """150 people: too few for a cohort."""
    unit = normalise(np.random.default_rng(6).normal(size=(150, 40)))
    assert similarity_graph(unit, np.arange(150), ClusterSettings()).canary.unit.shape == (0, 40)
    assert recovery(np.zeros(150, np.int64), no_canary(40)) is None


def test_the_same_seed_plants_the_same_and_another_others() -> None:
    unit = _archive("dlib")
    np.testing.assert_array_equal(plant(unit, 4).unit, plant(unit, 4).unit)
    assert not np.array_equal(plant(unit, 4).unit, plant(unit, 5).unit)


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-7, 1e-6, 1e-4])
def test_faces_that_hardly_differ_give_finite_ones(noise: float) -> None:
    rng = np.random.default_rng(7)
    unit = normalise(1 + noise * rng.normal(size=(200, 64)) + noise)
    if noise == 0.0:
        unit[0] = normalise(rng.normal(size=(1, 64)))[0]
    assert np.isfinite(plant(unit, 1).unit).all()


TWO = Canary(np.empty((8, 2), np.float32), np.repeat([0, 1], 4))
"""Identities 0 and 1 of four faces each: 12 pairs."""


@pytest.mark.parametrize(
    ("archive", "synthetic", "expected"),
    [
        ([0, 1, 2], [3, 3, 3, 3, 4, 4, 4, 4], 1.0),
        # two are split off: 1 + 1 of 6 pairs of the first are found, all that are found are right
        ([0, 1, 2], [3, 3, 5, 5, 4, 4, 4, 4], 2 * 1 * (8 / 12) / (1 + 8 / 12)),
        # all eight together: 28 pairs, 12 of them right
        ([0, 1, 2], [3, 3, 3, 3, 3, 3, 3, 3], 2 * (12 / 28) / (1 + 12 / 28)),
        # all alone
        ([0, 1, 2], [3, 4, 5, 6, 7, 8, 9, 10], 0.0),
        # four strangers of the archive with the first do not outnumber it
        ([3, 3, 3, 3, 0], [3, 3, 3, 3, 4, 4, 4, 4], 1.0),
        # five do: 36 + 6 pairs, 12 right; the sixth stranger does not matter
        ([3, 3, 3, 3, 3, 0], [3, 3, 3, 3, 4, 4, 4, 4], 2 * (12 / 42) / (1 + 12 / 42)),
        # everything together, two of the archive
        ([0, 0], [0] * 8, 2 * (12 / 28) / (1 + 12 / 28)),
        # everything together, nine of the archive: 136 pairs
        ([0] * 9, [0] * 8, 2 * (12 / 136) / (1 + 12 / 136)),
    ],
)
def test_recovery_by_hand(archive: list[int], synthetic: list[int], expected: float) -> None:
    assert recovery(np.array(archive + synthetic), TWO) == pytest.approx(expected)


def test_one_cluster_for_all_gives_next_to_nothing() -> None:
    assert recovery(np.zeros(1008, np.int64), TWO) == pytest.approx(2 * 12 / (12 + 1008 * 1007 / 2))


def test_recovery_is_the_pairwise_f_with_outnumbering_faces_as_strangers() -> None:
    """Random labels, against the scores with every face of the archive that counts as its own person."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        labels = rng.integers(0, 6, 20)
        crowds = [c for c in set(labels[12:].tolist()) if np.sum(labels[:12] == c) > np.sum(labels[12:] == c)]
        near = np.flatnonzero(np.isin(labels[:12], crowds))
        truth = np.concatenate([2 + np.arange(len(near)), TWO.identity])
        expected = pairwise_scores(np.concatenate([labels[near], labels[12:]]), truth).f1
        assert recovery(labels, TWO) == pytest.approx(expected)
