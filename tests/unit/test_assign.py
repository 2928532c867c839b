"""Roles, ids and counts of an assignment, on planted archives and small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.clusters.agreement import bcubed_scores, cluster_ratio, pairwise_scores
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.errors import DegenerateResultError
from facelib.ids import cluster_id, face_id, image_id
from schemas import tables
from schemas.arrow import arrow_schema

pytestmark = pytest.mark.unit

SETTINGS = ClusterSettings()


def _archive(
    seed: int, sizes: list[int], spread: float = 0.35, d: int = 32
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Image ids (one face each), embeddings that are not of unit length, and the subject."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    vectors = (4 / np.sqrt(d) + rng.normal(size=(len(sizes), d)))[truth] + spread * rng.normal(size=(len(truth), d))
    images = [image_id(f"a/{i}.jpg", "x") for i in range(len(truth))]
    return images, vectors * rng.uniform(1.2, 1.5, (len(truth), 1)), truth


def _ids(images: list[str]) -> list[str]:
    return [face_id(image, 0) for image in images]


def _at(degrees: list[float]) -> np.ndarray:
    """Directions in a plane: the cosine of two is the cosine of the angle between them."""
    return np.stack((np.cos(np.radians(degrees)), np.sin(np.radians(degrees))), axis=1)


def _by_face(result: Assignment) -> dict[str, dict[str, object]]:
    return {row["face_id"]: row for row in result.clusters.to_pylist()}


def test_planted_archive_is_recovered_with_default_settings() -> None:
    images, vectors, truth = _archive(61, [1] * 300 + [2] * 80 + [5] * 40 + [30] * 5)
    result = assign(_ids(images), images, vectors, np.ones(len(images), bool), SETTINGS)
    rows = _by_face(result)
    found = [str(rows[f]["cluster_id"]) for f in _ids(images)]
    assert pairwise_scores(found, truth).f1 > 0.95
    assert bcubed_scores(found, truth).f1 > 0.95
    assert 0.9 < cluster_ratio(found, truth) < 1.1


def test_tables_have_the_contract_columns_and_types() -> None:
    images, vectors, _ = _archive(62, [3] * 5)
    result = assign(_ids(images), images, vectors, np.ones(15, bool), SETTINGS)
    for table, contract in ((result.clusters, tables.CLUSTERS), (result.edges, tables.EDGES)):
        expected = arrow_schema(contract)
        assert set(table.schema.names) == set(expected.names) - {"run_id"}
        assert all(table.schema.field(name).type == expected.field(name).type for name in table.schema.names)


def test_ids_sizes_and_centroids_by_hand() -> None:
    faces, images = ["f1", "f2", "f3", "f4"], ["i1", "i2", "i3", "i4"]
    result = assign(faces, images, 3 * _at([0, 10, 20, 90]), [True] * 4, ClusterSettings(floor=0.9))
    rows = _by_face(result)
    assert rows["f1"]["cluster_id"] == cluster_id(["f3", "f1", "f2"])
    assert rows["f4"]["cluster_id"] == cluster_id(["f4"])
    assert [rows[f]["cluster_size"] for f in faces] == [3, 3, 3, 1]
    assert [rows[f]["role"] for f in faces] == ["core"] * 4
    expected = [np.cos(np.radians(a)) for a in (10, 0, 10, 0)]
    np.testing.assert_allclose([rows[f]["similarity_to_centroid"] for f in faces], expected, atol=1e-6)
    edges = {(r["face_a"], r["face_b"]): r["similarity"] for r in result.edges.to_pylist()}
    assert set(edges) == {("f1", "f2"), ("f1", "f3"), ("f2", "f3")}
    assert edges["f1", "f3"] == pytest.approx(np.cos(np.radians(20)))
    summary = result.summary
    assert (summary.n_faces, summary.n_core, summary.n_clusters, summary.n_singletons) == (4, 4, 2, 1)
    assert (summary.largest_cluster, summary.n_edges, summary.floor.method) == (3, 3, "fixed")


def test_unusable_faces_attach_to_the_nearest_centroid_or_are_noise() -> None:
    faces = ["f1", "f2", "f3", "u1", "u2", "u3", "u4", "u5"]
    images = ["i1", "i2", "i3", "i4", "i1", "i5", "i5", "i6"]
    #         core at 0, 10 and 90; u1 near; u2 in the image of f1; u3, u4 in one image; u5 far
    vectors = _at([0, 10, 90, 12, 5, 15, 8, 50])
    usable = [True] * 3 + [False] * 5
    result = assign(faces, images, vectors, usable, ClusterSettings(floor=0.9))
    rows = _by_face(result)
    pair = cluster_id(["f1", "f2"])
    assert {f: (rows[f]["role"], rows[f]["cluster_id"]) for f in faces} == {
        "f1": ("core", pair),
        "f2": ("core", pair),
        "f3": ("core", cluster_id(["f3"])),
        "u1": ("attached", pair),
        "u2": ("noise", None),
        "u3": ("noise", None),
        "u4": ("attached", pair),
        "u5": ("noise", None),
    }
    assert rows["f1"]["cluster_size"] == rows["u4"]["cluster_size"] == 4
    assert rows["u5"]["similarity_to_centroid"] is rows["u5"]["cluster_size"] is None
    assert rows["u4"]["similarity_to_centroid"] == pytest.approx(np.cos(np.radians(3)), abs=1e-6)
    summary = result.summary
    assert (summary.n_core, summary.n_attached, summary.n_noise) == (3, 2, 3)
    assert summary.n_core + summary.n_attached + summary.n_noise == summary.n_faces


@pytest.mark.parametrize(("stricter", "farthest"), [(1, 25.8), (10, 23.5), (1000, 19.5)])
def test_unusable_faces_need_a_stricter_threshold_than_the_floor(stricter: float, farthest: float) -> None:
    """By the tail of dimension 25: 1 - cosine is at most 0.1 · stricter^(-2/25) at floor 0.9."""
    settings = ClusterSettings(floor=0.9, attach_stricter=stricter)
    for degrees, role in ((farthest - 0.2, "attached"), (farthest + 0.2, "noise")):
        rows = _by_face(assign(["f", "u"], ["i", "j"], _at([0, degrees]), [True, False], settings))
        assert rows["u"]["role"] == role


def test_unusable_faces_do_not_change_the_clusters() -> None:
    images, vectors, _ = _archive(63, [1] * 60 + [4] * 20)
    usable = np.random.default_rng(64).random(len(images)) < 0.7
    with_others = _by_face(assign(_ids(images), images, vectors, usable, SETTINGS))
    kept = [i for i in range(len(images)) if usable[i]]
    alone = assign([_ids(images)[i] for i in kept], [images[i] for i in kept], vectors[kept], usable[kept], SETTINGS)
    for row in alone.clusters.to_pylist():
        assert with_others[row["face_id"]]["cluster_id"] == row["cluster_id"]
        assert with_others[row["face_id"]]["role"] == "core"


def test_the_order_of_rows_does_not_matter() -> None:
    images, vectors, _ = _archive(65, [1] * 80 + [3] * 30 + [20] * 3, spread=0.6)
    images = [images[i // 2] for i in range(len(images))]
    faces = [face_id(image, i % 2) for i, image in enumerate(images)]
    rng = np.random.default_rng(66)
    usable = rng.random(len(faces)) < 0.8
    first = assign(faces, images, vectors, usable, SETTINGS)
    order = rng.permutation(len(faces))
    again = assign([faces[i] for i in order], [images[i] for i in order], vectors[order], usable[order], SETTINGS)
    assert again.clusters.equals(first.clusters)
    assert again.edges.equals(first.edges)
    assert again.summary == first.summary


@pytest.mark.parametrize(
    ("vectors", "usable", "message"),
    [
        (np.empty((0, 4)), [], "none of 0 faces is usable"),
        (np.eye(4), [False] * 4, "none of 4 faces is usable"),
        (np.zeros((4, 4)), [True] * 4, "of all 4 usable faces are zero"),
        (np.ones((4, 4)), [True] * 4, "of all 4 usable faces are equal"),
        (np.full((4, 4), np.nan), [True] * 4, "4 of 4 faces is not finite"),
    ],
)
def test_refuses_when_nothing_can_be_clustered(vectors: np.ndarray, usable: list[bool], message: str) -> None:
    names = [f"f{i}" for i in range(len(vectors))]
    with pytest.raises(DegenerateResultError, match=message):
        assign(names, names, vectors, usable, SETTINGS)


def test_refuses_one_giant_cluster_and_says_what_to_do() -> None:
    images, vectors, _ = _archive(68, [80] + [1] * 40)
    with pytest.raises(DegenerateResultError, match=r"one cluster holds \d+ of 120 faces .*cluster.max_cluster_share"):
        assign(_ids(images), images, vectors, np.ones(120, bool), ClusterSettings(floor=0.7))
    allowed = ClusterSettings(floor=0.7, max_cluster_share=1.0, min_canary_f=0)
    assert assign(_ids(images), images, vectors, np.ones(120, bool), allowed).summary.largest_cluster >= 80


def test_a_small_album_of_one_person_is_accepted() -> None:
    images, vectors, _ = _archive(69, [30], spread=0.1)
    assert assign(_ids(images), images, vectors, np.ones(30, bool), SETTINGS).summary.largest_cluster == 30


@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_faces(n: int) -> None:
    names = [f"f{i}" for i in range(n)]
    result = assign(names, names, np.ones((n, 4)), np.ones(n, bool), SETTINGS)
    assert result.clusters["cluster_size"].to_pylist() == [n] * n


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="1, 2, 2, 2 rows"):
        assign(["f1"], ["a", "b"], np.eye(2), [True, True], SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_planted_embeddings_of_every_kind_are_recovered(kind: str) -> None:
    """Sizes from 1 to 20, one face in twenty junk, which must stay alone."""
    planted = planted_embeddings(2000, KINDS[kind], 5)
    names = [f"{i:05d}" for i in range(2000)]
    result = assign(names, names, planted.embeddings, np.ones(2000, bool), SETTINGS)
    found = result.clusters["cluster_id"].to_pylist()
    assert pairwise_scores(found, planted.identities).f1 >= 0.97
    assert bcubed_scores(found, planted.identities).f1 >= 0.97
    assert 0.9 <= cluster_ratio(found, planted.identities) <= 1.1
    assert result.summary.search.cohort >= 200
    assert result.clusters["is_cohort"].to_numpy(zero_copy_only=False).sum() <= result.summary.search.cohort
    assert result.clusters["weight"].null_count == 0


def _few_people(sizes: list[int]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """A family's album: embeddings like the default model's, apart by far."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(len(sizes)), sizes)

    def directions(n: int) -> np.ndarray:
        return normalise(rng.normal(size=(n, 40)))

    own = normalise(directions(len(sizes))[truth] + 0.45 * directions(len(truth)))
    return [f"{i:05d}" for i in range(len(truth))], 0.8**0.5 * np.eye(40)[0] + 0.2**0.5 * own, truth


@pytest.mark.parametrize("sizes", [[30], [20, 15], [12, 12, 12, 12]])
def test_an_album_of_a_few_people_with_few_faces_is_recovered(sizes: list[int]) -> None:
    names, vectors, truth = _few_people(sizes)
    result = assign(names, names, vectors, np.ones(len(names), bool), SETTINGS)
    assert pairwise_scores(result.clusters["cluster_id"].to_pylist(), truth).f1 > 0.95


@pytest.mark.parametrize("sizes", [[60], [110, 110], [20] * 6, [15] * 8, [40, 30, 20, 10]])
def test_an_album_of_a_few_people_with_many_faces_is_recovered(sizes: list[int]) -> None:
    """Synthetic identities drawn from the spread of a few people would lie between them: there are none."""
    names, vectors, truth = _few_people(sizes)
    settings = ClusterSettings(max_cluster_share=1)
    result = assign(names, names, vectors, np.ones(len(names), bool), settings)
    assert pairwise_scores(result.clusters["cluster_id"].to_pylist(), truth).f1 > 0.95
