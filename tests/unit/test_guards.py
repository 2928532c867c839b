"""Each guard at its limit, and that `assign` refuses what a broken embedding or floor makes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from facelib.clusters import guards
from facelib.clusters.assign import Known, assign
from facelib.clusters.canary import Canary
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.errors import DegenerateResultError

pytestmark = pytest.mark.unit

SETTINGS = ClusterSettings()


def test_usable_embeddings_pass() -> None:
    guards.check_embeddings(5, np.eye(3, dtype=np.float32))
    guards.check_embeddings(5, np.ones((1, 3), np.float32))
    guards.check_embeddings(5, np.ones((2, 3), np.float32))  # two equal faces may be one file's copy
    almost = normalise(np.ones((4, 3)) + 0.001 * np.eye(4, 3))
    guards.check_embeddings(5, almost)


@pytest.mark.parametrize(
    ("core", "message"),
    [
        (np.empty((0, 3)), "none of 5 faces is usable, so there is nothing to cluster"),
        (np.zeros((4, 3)), "the embeddings of all 4 usable faces are zero"),
        (np.full((3, 3), 0.5), "the embeddings of all 3 usable faces are equal"),
        (np.full((3, 3), 0.5) + 1e-7 * np.arange(9).reshape(3, 3), "the embeddings of all 3 usable faces are equal"),
    ],
)
def test_unusable_embeddings_are_refused(core: np.ndarray, message: str) -> None:
    with pytest.raises(DegenerateResultError, match=message):
        guards.check_embeddings(5, core.astype(np.float32))


def _largest(largest: int, n: int) -> np.ndarray:
    return np.concatenate([np.zeros(largest, np.int64), 1 + np.arange(n - largest)])


def test_the_largest_cluster_at_its_limit() -> None:
    guards.check_largest(_largest(50, 100), 0.9, SETTINGS)
    guards.check_largest(_largest(99, 99), 0.9, SETTINGS)  # too few to judge
    guards.check_largest(_largest(100, 100), 0.9, ClusterSettings(max_cluster_share=1.0))
    guards.check_largest(_largest(1, 100), 0.9, ClusterSettings(max_cluster_share=0.01))
    with pytest.raises(DegenerateResultError, match=r"one cluster holds 51 of 100 faces \(51%\) .*max_cluster_share"):
        guards.check_largest(_largest(51, 100), 0.9, SETTINGS)
    with pytest.raises(DegenerateResultError, match="holds 2 of 100 faces"):
        guards.check_largest(_largest(2, 100), 0.9, ClusterSettings(max_cluster_share=0.01))


def test_the_canary_at_its_limit() -> None:
    canary = Canary(np.empty((8, 2), np.float32), np.repeat([0, 1], 4))
    for recovered in (1.0, 0.95, None):
        guards.check_canary(recovered, canary, 0.9, SETTINGS)
    guards.check_canary(0.0, canary, 0.9, ClusterSettings(min_canary_f=0))
    with pytest.raises(DegenerateResultError, match=r"2 synthetic identities .* F 0.949, below cluster.min_canary_f"):
        guards.check_canary(0.949, canary, 0.9, SETTINGS)


def _crowds(*groups: tuple[int, int]) -> tuple[Space, np.ndarray]:
    """Clusters, each of `n` faces in `parts` equal parts that have nothing in common: 1/parts of pairs are alike."""
    rows, labels = [], []
    for label, (n, parts) in enumerate(groups):
        rows.append(np.arange(n) % parts)
        labels.append(np.full(n, label))
    return Space.plain(np.eye(40, dtype=np.float32)[np.concatenate(rows)]), np.concatenate(labels)


def test_coherence_at_its_limit() -> None:
    """Half of the faces in clusters that do not hang together are too many, from 100 faces on."""
    guards.check_coherence(*_crowds((50, 1), (50, 5)), 0.5)
    guards.check_coherence(*_crowds((99, 5)), 0.5)
    guards.check_coherence(*_crowds((200, 3)), 0.5)  # one pair in three is alike, more than 0.3
    with pytest.raises(DegenerateResultError, match=r"51 of 100 faces in clusters of three or more .*--must-link"):
        guards.check_coherence(*_crowds((49, 1), (51, 5)), 0.5)


def test_clusters_of_one_and_two_have_no_coherence_to_judge() -> None:
    space = Space.plain(np.eye(200, dtype=np.float32))
    guards.check_coherence(space, np.arange(200), 0.5)
    guards.check_coherence(space, np.arange(200) // 2, 0.5)


def test_noise_at_its_limit() -> None:
    guards.check_noise(100, 90, SETTINGS)
    guards.check_noise(99, 99, SETTINGS)
    guards.check_noise(100, 100, ClusterSettings(max_noise_share=1.0))
    with pytest.raises(DegenerateResultError, match=r"91 of 100 faces \(91%\) are noise, more than .*max_noise_share"):
        guards.check_noise(100, 91, SETTINGS)


def test_the_change_from_the_previous_run_at_its_limit() -> None:
    """100 clusters of 1,000 faces are one per ten faces."""
    for n_faces, n_clusters in ((1000, 200), (1000, 50), (10_000, 1000), (99, 1)):
        guards.check_against_previous(n_faces, n_clusters, 1000, 100, SETTINGS)
    guards.check_against_previous(1000, 900, 99, 5, SETTINGS)
    guards.check_against_previous(1000, 900, 1000, 0, SETTINGS)
    guards.check_against_previous(1000, 900, 1000, 100, ClusterSettings(max_cluster_change=9))
    for n_clusters, change in ((201, "2.01"), (49, "0.49")):
        with pytest.raises(DegenerateResultError, match=f"per face a change by {change}, beyond .*--previous none"):
            guards.check_against_previous(1000, n_clusters, 1000, 100, SETTINGS)


def _assign(vectors: np.ndarray, settings: ClusterSettings = SETTINGS, usable: bool = True) -> None:
    names = [f"{i:05d}" for i in range(len(vectors))]
    assign(names, names, vectors, np.full(len(vectors), usable), settings)


@functools.cache
def _planted(kind: str) -> np.ndarray:
    return planted_embeddings(1000, KINDS[kind], 3).embeddings


@pytest.mark.parametrize("n", [3, 60, 1000])
@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-7, 1e-6])
def test_one_vector_for_all_faces_is_refused(n: int, noise: float) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(1, 128)) / 128**0.5 + noise * rng.normal(size=(n, 128))
    with pytest.raises(DegenerateResultError, match=f"all {n} usable faces are equal"):
        _assign(vectors.astype(np.float32))


@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_nearly_one_vector_for_all_faces_is_refused(noise: float) -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(DegenerateResultError, match="one cluster holds 1000 of 1000 faces"):
        _assign(rng.normal(size=(1, 128)) / 128**0.5 + noise / 128**0.5 * rng.normal(size=(1000, 128)))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_embeddings_without_a_direction_are_refused(value: float) -> None:
    with pytest.raises(DegenerateResultError, match="are zero" if value == 0 else "is not finite"):
        _assign(np.full((1000, 128), value))


def test_no_face_and_no_usable_face_are_refused() -> None:
    with pytest.raises(DegenerateResultError, match="none of 0 faces is usable"):
        _assign(np.empty((0, 128)))
    with pytest.raises(DegenerateResultError, match="none of 1000 faces is usable"):
        _assign(_planted("dlib"), usable=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_cluster_share", [0.5, 1.0])
def test_a_floor_that_joins_everything_is_refused(kind: str, max_cluster_share: float) -> None:
    """Where a giant cluster is allowed, the synthetic identities tell."""
    message = "one cluster holds 1000 of 1000 faces" if max_cluster_share < 1 else "synthetic identities .* F 0.000"
    settings = ClusterSettings(floor=-1, cohort=False, max_cluster_share=max_cluster_share)
    with pytest.raises(DegenerateResultError, match=message):
        _assign(_planted(kind), settings)


def test_a_floor_that_joins_everything_is_refused_with_corrected_similarities_too() -> None:
    with pytest.raises(DegenerateResultError, match="one cluster holds 1000 of 1000 faces"):
        _assign(_planted("dlib"), ClusterSettings(floor=-1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_floor_that_joins_nothing_is_refused(kind: str) -> None:
    with pytest.raises(DegenerateResultError, match=r"synthetic identities .* F 0.000"):
        _assign(_planted(kind), ClusterSettings(floor=0.9999, cohort=False))


def test_links_that_join_what_is_not_alike_are_refused() -> None:
    """A file of wrong must-link pairs: twenty chains through forty random faces each."""
    names = [f"{i:05d}" for i in range(1000)]
    chain = np.random.default_rng(4).permutation(1000)[:800].reshape(-1, 40)
    must = np.stack([chain[:, :-1].ravel(), chain[:, 1:].ravel()], axis=1)
    settings = ClusterSettings(min_canary_f=0, max_cluster_share=1)
    with pytest.raises(DegenerateResultError, match="check the pairs of --must-link"):
        assign(names, names, _planted("plain"), np.ones(1000, bool), settings, Known(must=must))


def test_an_archive_in_two_halves_far_apart_is_refused() -> None:
    """A thousand people, one face each, as from two kinds of camera: each half looks like one person."""
    rng = np.random.default_rng(1)
    base, halves, own = (normalise(rng.normal(size=(n, 64))) for n in (1, 2, 1000))
    unit = normalise(base + np.repeat(halves, 500, axis=0) + own)
    names = [f"{i:04d}" for i in range(1000)]
    with pytest.raises(DegenerateResultError, match=r"holds 500 of 1000 faces of median cosine 0\.\d+, far below"):
        assign(names, names, unit, np.ones(1000, bool), ClusterSettings())


def test_a_person_on_a_third_of_all_photographs_is_no_population() -> None:
    rng = np.random.default_rng(2)
    base, own = normalise(rng.normal(size=(1, 64))), normalise(rng.normal(size=(300, 64)))
    truth = np.concatenate([np.zeros(150, np.int64), 1 + np.arange(150)])
    unit = normalise(base + own[truth] + 0.3 * normalise(rng.normal(size=(300, 64))))
    guards.check_dominant(unit, truth, ClusterSettings())
    with pytest.raises(DegenerateResultError, match="holds 300 of 300 faces"):
        guards.check_dominant(unit, np.zeros(300, np.int64), ClusterSettings())


@pytest.mark.parametrize("floor", [-1.0, 0.0])
def test_a_floor_below_most_pairs_is_refused_where_no_cluster_is_large(floor: float) -> None:
    """3,000 faces of 150 people: too few people for synthetic ones, and the neighbours kept are too few for a giant."""
    rng = np.random.default_rng(9)
    people = normalise(rng.normal(size=(150, 64)))
    unit = normalise(3 * people.mean(axis=0) + people[np.arange(3000) % 150] + 0.3 * rng.normal(size=(3000, 64)) / 8)
    names = [f"{i:04d}" for i in range(3000)]
    with pytest.raises(DegenerateResultError, match=r"of all pairs of faces exceed similarity floor|one cluster holds"):
        assign(names, names, unit, np.ones(3000, bool), ClusterSettings(floor=floor))


def test_pairs_of_one_person_may_all_exceed_the_floor_where_that_is_allowed() -> None:
    unit = normalise(1 + 0.1 * np.random.default_rng(10).normal(size=(200, 16)))
    guards.check_pairs(Space.plain(unit), 0.9, ClusterSettings(max_cluster_share=1))
    with pytest.raises(DegenerateResultError, match="100% of all pairs"):
        guards.check_pairs(Space.plain(unit), 0.9, ClusterSettings())
