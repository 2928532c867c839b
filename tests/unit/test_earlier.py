"""Faces added to a finished clustering: what stays, what is made again, and how far it is from a fresh start."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from facelib.clusters.added_pairs import pairs_of
from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.cohort import Cohort, cohort_digest, weights
from facelib.clusters.earlier import Earlier, can_continue
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.sorted_faces import Known
from facelib.clusters.space import Space
from facelib.demo.planted_embeddings import KINDS, planted_embeddings

pytestmark = pytest.mark.unit

N = 1500
SETTINGS = ClusterSettings()


@functools.cache
def _archive() -> tuple[list[str], np.ndarray]:
    order = np.random.default_rng(2).permutation(N)
    return [f"{i:05d}" for i in order], planted_embeddings(N, KINDS["facenet"], 21).embeddings


def _assign(
    rows: np.ndarray, earlier: Earlier | None = None, known: Known | None = None, cohort: np.ndarray | None = None
) -> Assignment:
    names, vectors = _archive()
    ids = [names[i] for i in rows]
    usable = np.ones(len(rows), bool)
    return assign(ids, ids, vectors[rows], usable, SETTINGS, known, earlier=earlier, cohort=cohort)


def _earlier(result: Assignment) -> Earlier:
    return Earlier.of(result.clusters, result.edges, result.summary.cohort_distance, result.summary.floor)


def _clusters(result: Assignment) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    for row in result.clusters.to_pylist():
        members.setdefault(row["cluster_id"], set()).add(row["face_id"])
    return {face: frozenset(faces) for faces in members.values() for face in faces}


@functools.cache
def _first() -> Assignment:
    return _assign(np.arange(N - 30))


def test_nothing_new_changes_nothing() -> None:
    again = _assign(np.arange(N - 30), _earlier(_first()))
    assert again.summary.search.added == 0
    assert again.clusters.equals(_first().clusters)
    assert again.edges.equals(_first().edges)


def test_clusters_without_a_new_neighbour_keep_their_members() -> None:
    grown = _assign(np.arange(N), _earlier(_first()))
    assert grown.summary.search.added == 30
    assert grown.summary.floor == _first().summary.floor
    before, after, new = _clusters(_first()), _clusters(grown), {_archive()[0][i] for i in range(N - 30, N)}
    edges = {(r["face_a"], r["face_b"]) for r in grown.edges.to_pylist()}
    touched = {face for edge in edges for face in edge if new & set(edge)}
    kept = [members for face, members in before.items() if not members & touched and after[face] == members]
    assert all(after[face] == members for face, members in before.items() if not members & touched)
    assert len(kept) > 1000


def test_it_is_close_to_clustering_all_anew() -> None:
    grown, fresh = _assign(np.arange(N), _earlier(_first())), _assign(np.arange(N))
    assert fresh.summary.search.added is None
    labels = [result.clusters["cluster_id"].to_pylist() for result in (grown, fresh)]
    assert pairwise_scores(*labels).f1 > 0.98


def test_the_clusters_of_faces_that_are_gone_are_made_again() -> None:
    names = _archive()[0]
    rows = np.arange(N - 30)
    gone = rows[::60]
    left = _assign(np.setdiff1d(rows, gone), _earlier(_first()))
    assert left.summary.search.added == 0
    before, after = _clusters(_first()), _clusters(left)
    lost = {names[i] for i in gone}
    assert not lost & after.keys()
    assert all(after[face] == members for face, members in before.items() if not members & lost)


def test_pairs_of_the_user_hold_in_old_clusters() -> None:
    before = _clusters(_first())
    members = sorted(max(before.values(), key=len))
    place = {name: i for i, name in enumerate(_archive()[0])}
    pair = np.array([[place[members[0]], place[members[1]]]])
    after = _clusters(_assign(np.arange(N - 30), _earlier(_first()), Known(cannot=pair)))
    assert members[1] not in after[members[0]]
    assert all(after[face] == faces for face, faces in before.items() if face not in members)


def test_with_a_given_cohort_new_faces_are_measured_against_it() -> None:
    names, vectors = _archive()
    templates, old = vectors[::5], np.arange(N - 30)
    first = _assign(old, cohort=templates)
    again = _assign(old, _earlier(first), cohort=templates)
    assert again.clusters.equals(first.clusters)
    assert again.edges.equals(first.edges)
    grown = _assign(np.arange(N), _earlier(first), cohort=templates)
    assert (again.summary.search.added, grown.summary.search.added) == (0, 30)
    typical = first.summary.cohort_distance
    assert typical is not None
    weight = dict(zip(*(grown.clusters.column(c).to_pylist() for c in ("face_id", "weight")), strict=True))
    new = Cohort(np.empty(0, np.int64), templates, typical)
    found = np.array([weight[names[i]] for i in range(N - 30, N)])
    np.testing.assert_allclose(found, weights(vectors[N - 30 :], new), rtol=1e-6)
    for result in (first, again, grown):
        summary = result.summary
        assert (summary.search.cohort, summary.cohort_source, summary.cohort_distance) == (300, "given", typical)
        assert summary.cohort_digest == cohort_digest(templates)
        assert summary.canary_f == 1  # there are many people
        assert not result.clusters["is_cohort"].to_numpy(zero_copy_only=False).any()
    assert (_first().summary.cohort_source, _first().summary.cohort_digest) == ("archive", None)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(np.arange(N - 30), True), (np.arange(N), True), (np.arange(1300), False), (np.arange(200, N), False)],
)
def test_too_much_change_needs_a_fresh_start(rows: np.ndarray, expected: bool) -> None:
    names = sorted(_archive()[0][i] for i in rows)
    assert can_continue(_earlier(_first()), names, SETTINGS) is expected


def test_a_share_of_zero_and_a_lost_cohort_need_a_fresh_start() -> None:
    earlier = _earlier(_first())
    names = sorted(_archive()[0])
    assert not can_continue(earlier, names, ClusterSettings(incremental_share=0))
    outside = dataclasses.replace(
        earlier, face_ids=[*earlier.face_ids[:-1], "zzz"], in_cohort=np.arange(N - 30) > N - 32
    )
    assert not can_continue(outside, names, SETTINGS)


def test_pairs_of_new_faces_are_those_of_brute_force() -> None:
    unit = _archive()[1][:700]
    space, rows = Space.corrected(unit, np.linspace(0.8, 1.2, 700, dtype=np.float32)), np.arange(650, 700)
    similarity = space.left @ space.right.T
    np.fill_diagonal(similarity, -9)
    u, v = np.nonzero(similarity > 0.4)
    expected = {tuple(sorted(pair)) for pair in zip(u.tolist(), v.tolist(), strict=True) if max(pair) >= 650}
    found = pairs_of(space, rows, 0.4, ClusterSettings(neighbours=700))
    assert set(zip(found.u.tolist(), found.v.tolist(), strict=True)) == expected
    assert len(expected) > 30
    few = pairs_of(space, rows[-1:], -5, ClusterSettings(neighbours=3))
    assert set((few.u + few.v - 699).tolist()) == set(np.argsort(-similarity[699])[:3].tolist())
    assert not len(pairs_of(space, rows[:0], 0.4, SETTINGS).u)
