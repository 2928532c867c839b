"""False match rates of groups from clusters: brute force over true identities, resampled faces, known laws."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest

from facelib.audit.group_tails import MOST_FACES, GroupRates, group_rates, sampled
from facelib.clusters.assign import assign
from facelib.clusters.floor import FloorEstimate, fixed_floor
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space

pytestmark = pytest.mark.unit

Array = np.ndarray


class Clustered(NamedTuple):
    """Faces in a finished clustering, with what is true of them."""

    space: Space
    cluster: Array
    subject: Array
    floor: FloorEstimate

    def rates(self, rows: Array, points: Array) -> GroupRates:
        found = group_rates(self.space.only(rows), self.cluster[rows], self.floor, points, 1)
        assert found is not None
        return found

    def similarities(self, rows: Array, number: Array) -> Array:
        """Of all pairs of rows that differ in `number`."""
        some = self.space.only(rows)
        apart = np.triu(number[rows][:, None] != number[rows], 1)
        return (some.left @ some.right.T)[apart]


def clustered(unit: Array, subject: Array, settings: ClusterSettings) -> Clustered:
    ids = [f"{i:06d}-0" for i in range(len(unit))]
    found = assign(ids, ids, unit, np.ones(len(unit), bool), settings)
    cluster = np.unique(np.array(found.clusters.column("cluster_id").to_pylist()), return_inverse=True)[1]
    space = Space.corrected(normalise(unit), found.clusters.column("weight").to_numpy())
    return Clustered(space, cluster, subject, found.summary.floor)


@functools.cache
def two_groups(seed: int, cohort: bool, people: int = 300) -> Clustered:
    """Two faces of each of 300 people per group; people of the first half differ by 0.6 of what the others do."""
    rng = np.random.default_rng(seed)

    def directions(n: int) -> Array:
        return normalise(rng.normal(size=(n, 24)))

    base, faces = directions(1), []
    for spread in (0.6, 1.0):
        subjects = base + 0.5 * directions(1) + spread * directions(people)
        faces.append(np.repeat(subjects, 2, axis=0) + 0.3 * directions(people * 2))
    unit = normalise(np.concatenate(faces))
    return clustered(unit, np.repeat(np.arange(2 * people), 2), ClusterSettings(cohort=cohort))


@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("seed", [1, 2])
def test_rates_of_groups_are_those_of_their_true_identities(seed: int, group: int) -> None:
    faces = two_groups(seed, cohort=True)
    rows = np.arange(600) + 600 * group
    points = np.array([faces.floor.looser(factor) for factor in (1000, 100, 10, 3)])
    found = faces.rates(rows, points)
    strangers = faces.similarities(rows, faces.subject)
    truth = np.array([np.mean(strangers > s) for s in points])
    assert found.is_counted.tolist() == [True, True, False, False]
    np.testing.assert_allclose(found.fmr / truth, 1, atol=0.35)
    np.testing.assert_allclose(found.fmr[:2] / truth[:2], 1, atol=0.05)
    assert np.all((found.low <= truth) & (truth <= found.high))


def test_a_crowded_group_stands_out_where_similarities_are_plain() -> None:
    faces = two_groups(1, cohort=False)
    crowded, sparse = np.arange(600), np.arange(600, 1200)
    point = np.array([faces.floor.looser(10)])
    truth = np.mean(faces.similarities(crowded, faces.subject) > point)
    found = faces.rates(crowded, point)
    assert found.fmr[0] == pytest.approx(truth, rel=0.4)
    assert found.low[0] > 10 * faces.rates(sparse, point).high[0]


def test_the_tail_gives_back_what_clusters_took() -> None:
    """Strangers above the floor are merged, so that counting pairs of two clusters finds next to none there."""
    faces, rows = two_groups(1, cohort=True), np.arange(600)
    floor = faces.floor.floor
    truth = np.mean(faces.similarities(rows, faces.subject) > floor)
    assert np.mean(faces.similarities(rows, faces.cluster) > floor) < truth / 5
    found = faces.rates(rows, np.array([floor]))
    assert found.fmr[0] == pytest.approx(truth, rel=0.4)
    assert not found.is_counted[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_whole_archive_as_a_group_has_the_rate_that_its_floor_was_made_for(seed: int) -> None:
    faces = two_groups(seed, cohort=True)
    found = faces.rates(np.arange(1200), np.array([faces.floor.floor]))
    assert found.fmr[0] == pytest.approx(faces.floor.fmr, rel=0.5)
    assert found.low[0] < faces.floor.fmr < found.high[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_tail_follows_the_law_of_the_sphere(seed: int) -> None:
    """Of random points on the sphere in three dimensions the share (1 - s) / 2 of all pairs has a cosine above s."""
    unit = normalise(np.random.default_rng(seed).normal(size=(1500, 3)))
    points = 1 - np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8])
    found = group_rates(Space.plain(unit), np.arange(1500), fixed_floor(1 - 1e-4, 1500), points, 1)
    assert found is not None
    # floor 1 - 1e-4 of dimension 25: thirty times as many false edges at 1 - 1.31e-4
    assert found.is_counted.tolist() == [True, True, True, False, False, False, False]
    np.testing.assert_allclose(found.fmr[:3], (1 - points[:3]) / 2, rtol=0.1)
    np.testing.assert_allclose(found.fmr[3:5], (1 - points[3:5]) / 2, rtol=0.6)
    assert np.isnan([found.fmr[6], found.low[6], found.high[6]]).all()  # less than a thousandth of 50 pairs' share


def test_intervals_are_those_of_faces_drawn_by_cluster() -> None:
    rng = np.random.default_rng(5)
    unit, cluster = normalise(rng.normal(size=(90, 4))), rng.integers(30, size=90)
    space, points = Space.plain(unit), np.array([-0.5, 0.0, 0.4])
    found = group_rates(space, cluster, fixed_floor(0.99, 90), points, 7)
    assert found is not None
    names = np.unique(cluster)
    members = [np.flatnonzero(cluster == name) for name in names]
    drawn = []
    for times in np.random.default_rng(7).multinomial(len(names), np.full(len(names), 1 / len(names)), 200):
        faces = np.concatenate([m for m, n in zip(members, times, strict=True) for _ in range(n)])
        apart = np.triu(cluster[faces][:, None] != cluster[faces], 1)
        similarity = (unit[faces] @ unit[faces].T)[apart]
        drawn.append([np.mean(similarity > s) for s in points])
    apart = np.triu(cluster[:, None] != cluster, 1)
    np.testing.assert_allclose(found.fmr, [np.mean((unit @ unit.T)[apart] > s) for s in points], rtol=1e-12)
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5], axis=0), rtol=1e-12)


def test_a_tail_s_interval_is_wider_the_farther_it_is_continued() -> None:
    unit = normalise(np.random.default_rng(3).normal(size=(200, 3)))
    points = 1 - np.array([1e-1, 1e-3, 1e-4])
    found = group_rates(Space.plain(unit), np.arange(200), fixed_floor(1 - 1e-4, 200), points, 7)
    assert found is not None
    assert found.is_counted.tolist() == [True, False, False]
    assert np.all(np.diff(found.high / found.low) > 0)
    assert np.all((found.low < (1 - points) / 2) & ((1 - points) / 2 < found.high))


def test_clusters_count_not_faces() -> None:
    """Every face twice in its cluster: as little is known as from one face each."""
    unit = normalise(np.random.default_rng(6).normal(size=(80, 4)))
    once, twice = (
        group_rates(Space.plain(unit.repeat(n, axis=0)), np.arange(80).repeat(n), fixed_floor(0.99, 80), POINT, 1)
        for n in (1, 2)
    )
    assert once is not None
    assert twice is not None
    np.testing.assert_allclose(twice.fmr, once.fmr, rtol=1e-6)
    np.testing.assert_allclose([twice.low, twice.high], [once.low, once.high], rtol=1e-6)


def test_a_person_in_two_clusters_is_one_where_one_of_them_is_large() -> None:
    """Of six faces of each of 100 people, the last is in a cluster of its own, or in another's cluster."""
    rng = np.random.default_rng(8)
    person = np.repeat(np.arange(100), 6)
    unit = normalise(np.repeat(rng.normal(size=(100, 24)), 6, axis=0) + 0.3 * rng.normal(size=(600, 24)))
    space, floor, points = Space.plain(unit), fixed_floor(0.85, 600), np.array([0.3, 0.6, 0.75])
    is_last = np.arange(600) % 6 == 5
    known = group_rates(space, person, floor, points, 1)
    split = group_rates(space, np.where(is_last, 100 + person, person), floor, points, 1)
    assert known is not None
    assert split is not None
    np.testing.assert_array_equal(split.fmr, known.fmr)
    np.testing.assert_array_equal([split.low, split.high], [known.low, known.high])
    pairs = group_rates(space, np.arange(600) // 2, floor, points, 1)
    assert pairs is not None
    assert pairs.fmr[2] > 10 * known.fmr[2]


POINT = np.array([0.5])


@pytest.mark.parametrize(
    ("faces", "clusters"), [(49, 49), (200, 1), (60, 2)], ids=["few faces", "one cluster", "few pairs of two clusters"]
)
def test_small_groups_have_no_rates(faces: int, clusters: int) -> None:
    unit = normalise(np.random.default_rng(4).normal(size=(faces, 8)))
    cluster = np.minimum(np.arange(faces), clusters - 1)
    assert group_rates(Space.plain(unit), cluster, fixed_floor(0.9, 1000), POINT, 1) is None


def test_equal_faces_have_no_tail() -> None:
    unit = np.eye(1, 4, dtype=np.float32).repeat(100, axis=0)
    assert group_rates(Space.plain(unit), np.arange(100), fixed_floor(0.9, 1000), POINT, 1) is None


def test_a_floor_below_most_similarities_is_no_error() -> None:
    unit = normalise(np.random.default_rng(4).normal(size=(100, 8)))
    floor = fixed_floor(-0.999, 100)
    found = group_rates(Space.plain(unit), np.arange(100), floor, np.array([floor.looser(1000), 0.0]), 1)
    assert found is not None
    assert found.fmr[0] == found.low[0] == found.high[0] == 1
    assert found.fmr[1] == pytest.approx(0.5, abs=0.1)


def test_of_a_large_group_a_sample_is_compared() -> None:
    rows = np.arange(0, 8000, 2)
    chosen = sampled(rows, 1)
    assert len(chosen) == len(set(chosen.tolist()) & set(rows.tolist())) == MOST_FACES
    assert np.all(np.diff(chosen) > 0)
    np.testing.assert_array_equal(chosen, sampled(rows, 1))
    np.testing.assert_array_equal(sampled(rows[:100], 1), rows[:100])
