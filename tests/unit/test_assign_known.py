"""Copies, links of the user and faces found twice, in an assignment: what is known beside the embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facelib.clusters.assign import Assignment, assign
from facelib.clusters.links import same_face_groups
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.sorted_faces import Known
from facelib.ids import digest, face_id, image_id

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


def _membership(result: Assignment) -> dict[str, str | None]:
    return dict(zip(result.clusters["face_id"].to_pylist(), result.clusters["cluster_id"].to_pylist(), strict=True))


def test_copies_join_their_original_and_count_for_nothing() -> None:
    images, vectors, _ = _archive(71, [1] * 60 + [4] * 20 + [9] * 3)
    rng = np.random.default_rng(72)
    n = len(images)
    usable = rng.random(n) < 0.85
    original = np.concatenate([rng.permutation(n)[:40], [7] * 30])  # face 7 has thirty copies
    m = len(original)
    copied = vectors[original] * 3 + 0.01 * rng.normal(size=(m, vectors.shape[1]))
    copied[:5] = vectors[rng.permutation(n)[:5]]  # whatever their embeddings say
    faces = [*_ids(images), *(face_id(image_id(f"copies/{i}.jpg", "x"), 0) for i in range(m))]
    pictures = [*images, *(f"copy{i}" for i in range(m))]
    known = Known(copy_of=np.concatenate([np.full(n, -1), original]))
    without = assign(_ids(images), images, vectors, usable, SETTINGS)
    also = rng.random(m) < 0.8
    result = assign(faces, pictures, np.concatenate([vectors, copied]), np.r_[usable, also], SETTINGS, known)
    found, expected = _membership(result), _membership(without)
    assert {face: found[face] for face in _ids(images)} == expected
    assert [found[face] for face in faces[n:]] == [found[faces[i]] for i in original]
    assert result.edges.equals(without.edges)
    assert (result.summary.floor, result.summary.search) == (without.summary.floor, without.summary.search)
    assert (result.summary.n_copies, result.summary.n_core) == (m, without.summary.n_core)
    rows = _by_face(result)
    assert all(rows[face]["role"] == ("noise" if found[face] is None else "attached") for face in faces[n:])
    sizes = {name: list(found.values()).count(name) for name in set(found.values()) - {None}}
    assert all(rows[f]["cluster_size"] == (None if found[f] is None else sizes[found[f]]) for f in faces)


LINKED = ["f1", "f2", "f3", "g1", "g2", "u1", "u2", "c1"]
"""Cores f at 0, 4 and 8 and g at 60 and 64 degrees; u unusable at 6 and 100; c1 at 4 is a copy of f2."""


def _linked(**pairs: list[tuple[int, int]]) -> list[str | None]:
    """First face of the cluster of each of LINKED."""
    vectors, usable = _at([0, 4, 8, 60, 64, 6, 100, 4]), [True] * 5 + [False] * 2 + [True]
    copy_of = np.array([-1] * 7 + [1])
    known = Known(copy_of, **{name: np.array(value, np.int64) for name, value in pairs.items()})
    found = _membership(assign(LINKED, LINKED, vectors, usable, ClusterSettings(floor=0.98), known))
    first: dict[str | None, str | None] = {None: None}
    for face in LINKED:
        first.setdefault(found[face], face)
    return [first[found[face]] for face in LINKED]


F, G = ["f1"], ["g1"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({}, [*F * 3, *G * 2, "f1", None, "f1"]),
        # two people's cores are linked, and u1 is far from the mean of all; through a copy; a face and its copy
        ({"must": [(0, 3)]}, [*F * 5, None, None, "f1"]),
        ({"must": [(7, 4)]}, [*F * 5, None, None, "f1"]),
        ({"must": [(1, 7)]}, [*F * 3, *G * 2, "f1", None, "f1"]),
        # a face that was noise, and one that had been attached elsewhere, joins its partner; from either side
        ({"must": [(6, 3)]}, [*F * 3, *G * 2, "f1", "g1", "f1"]),
        ({"must": [(4, 6)]}, [*F * 3, *G * 2, "f1", "g1", "f1"]),
        ({"must": [(5, 4)]}, [*F * 3, *G * 2, "g1", None, "f1"]),
        # a face that is noise joins an attached one
        ({"must": [(6, 5)]}, [*F * 3, *G * 2, "f1", "f1", "f1"]),
        # two cores are apart; so is an attached face from a core, and becomes noise
        ({"cannot": [(3, 4)]}, [*F * 3, "g1", "g2", "f1", None, "f1"]),
        ({"cannot": [(5, 0)]}, [*F * 3, *G * 2, None, None, "f1"]),
        ({"cannot": [(0, 5)]}, [*F * 3, *G * 2, None, None, "f1"]),
        # two that were apart
        ({"cannot": [(1, 3)]}, [*F * 3, *G * 2, "f1", None, "f1"]),
        # both at once
        ({"must": [(6, 3)], "cannot": [(5, 1)]}, [*F * 3, *G * 2, None, "g1", "f1"]),
    ],
)
def test_pairs_of_the_user_hold_for_cores_unusable_faces_and_copies(
    pairs: dict[str, list[tuple[int, int]]], expected: list[str | None]
) -> None:
    found = _linked(**pairs)
    assert found == expected
    for a, b in pairs.get("cannot", []):
        assert found[a] is None or found[a] != found[b]
    for a, b in pairs.get("must", []):
        assert found[a] == found[b]


def test_a_copy_of_which_the_user_says_that_it_differs_is_a_face_of_its_own() -> None:
    found = _linked(cannot=[(7, 1)])
    assert found[7] is not None
    assert found[7] != found[1]
    assert found[3:5] == ["g1", "g1"]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_links_hold_through_a_chain_of_unusable_faces_in_any_order(order: list[int]) -> None:
    """u2 is u1's person, and u1 is g1's."""
    links = [(6, 5), (5, 3)]
    assert _linked(must=[links[i] for i in order])[5:7] == ["g1", "g1"]


def test_two_faces_are_apart_when_an_unusable_one_is_linked_to_the_first_and_barred_from_the_second() -> None:
    """u1 is f1's person and not f3's: so f1 and f3 are two people."""
    found = _linked(must=[(5, 0)], cannot=[(5, 2)])
    assert found[5] == found[0]
    assert found[5] != found[2]


@pytest.mark.parametrize("seed", range(5))
def test_random_links_hold(seed: int) -> None:
    """Between usable faces of an archive, copies among them."""
    images, vectors, truth = _archive(73, [1] * 40 + [4] * 20)
    rng = np.random.default_rng(seed)
    n = len(images)
    copy_of = np.full(n, -1)
    copy_of[rng.permutation(n)[:10]] = 0
    copy_of[0] = -1
    pairs = np.unique(np.sort(rng.integers(0, n, (30, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    must, cannot = pairs[:4], np.stack(np.nonzero(np.triu(truth[:, None] == truth, 1)), axis=1)[::15]
    cannot = cannot[~np.isin(cannot, must).any(axis=1)]
    settings = ClusterSettings(min_canary_f=0)
    known = Known(copy_of, must=must, cannot=cannot)
    found = _membership(assign(_ids(images), images, vectors, np.ones(n, bool), settings, known))
    label = [found[face] for face in _ids(images)]
    assert all(label[a] == label[b] for a, b in must)
    assert len(cannot) >= 5
    assert all(label[a] != label[b] for a, b in cannot)


def test_a_face_found_twice_on_one_image_is_in_one_cluster_with_itself() -> None:
    """Boxes 0 and 1 of image x overlap, box 2 does not; the embeddings are all alike."""
    faces, images = ["f1", "f2", "f3", "f4"], ["x", "x", "x", "y"]
    boxes = [(0, 0, 10, 10), (1, 0, 10, 10), (40, 0, 10, 10), (0, 0, 10, 10)]
    vectors, settings = _at([0, 2, 9, 1]), ClusterSettings(floor=0.9)
    known = Known(same_face=same_face_groups(np.array(images), boxes))
    rows = _by_face(assign(faces, images, vectors, [True] * 4, settings, known))
    assert rows["f1"]["cluster_id"] == rows["f2"]["cluster_id"] == rows["f4"]["cluster_id"]
    assert rows["f3"]["cluster_size"] == 1
    rows = _by_face(assign(faces, images, vectors, [True] * 4, settings))
    assert len({rows[face]["cluster_id"] for face in faces[:3]}) == 3


def test_the_order_of_rows_does_not_matter_for_what_is_known_either() -> None:
    images, vectors, truth = _archive(74, [1] * 60 + [4] * 20 + [9] * 4)
    rng = np.random.default_rng(75)
    n = len(images)
    images = [images[i - i % 2] for i in range(n)]
    faces = [face_id(image, i % 2) for i, image in enumerate(images)]
    usable = rng.random(n) < 0.85
    copy_of = np.full(n, -1)
    copy_of[50:60] = np.arange(10)
    same = np.arange(n) // 2 * 2
    same[60:] = np.arange(60, n)
    mates = np.stack(np.nonzero(np.triu(truth[:, None] == truth, 1)), axis=1)
    must, cannot = rng.integers(60, n, (5, 2)), mates[:: len(mates) // 8]
    cannot = cannot[~np.isin(cannot, must).any(axis=1)]

    def run(order: np.ndarray) -> Assignment:
        place = np.argsort(order)
        moved = np.where(copy_of < 0, -1, place[copy_of])[order]
        known = Known(moved, same[order], rng.permutation(place[cannot]), place[must])
        rows = order.tolist()
        names, pictures = [faces[i] for i in rows], [images[i] for i in rows]
        return assign(names, pictures, vectors[order], usable[order], ClusterSettings(min_canary_f=0), known)

    first = run(np.arange(n))
    for _ in range(2):
        again = run(rng.permutation(n))
        assert again.clusters.equals(first.clusters)
        assert again.edges.equals(first.edges)
        assert again.summary == first.summary


def test_the_same_contents_under_other_names_give_the_same_clusters() -> None:
    images, vectors, truth = _archive(76, [1] * 150 + [3] * 60 + [9] * 8)
    content = [face_id(image, 0) for image in images]
    usable = np.random.default_rng(77).random(len(images)) < 0.9

    def run(name: Callable[[str], str]) -> tuple[set[frozenset[str]], dict[frozenset[str], float], Any]:
        renamed = [name(image) for image in images]
        faces = [face_id(image, 0) for image in renamed]
        found = assign(faces, renamed, vectors, usable, ClusterSettings(), Known(content=content))
        named = dict(zip(faces, content, strict=True))
        members = defaultdict(set)
        for row in found.clusters.to_pylist():
            members[row["cluster_id"]].add(named[row["face_id"]])
        assert found.clusters.column("face_id").to_pylist() == sorted(faces)
        edges = found.edges.to_pylist()
        pairs = [(e["face_a"], e["face_b"]) for e in edges]
        assert pairs == sorted(pairs)
        assert all(a < b for a, b in pairs)
        similarity = {frozenset((named[e["face_a"]], named[e["face_b"]])): e["similarity"] for e in edges}
        return {frozenset(m) for m in members.values()}, similarity, found.summary

    first = run(lambda image: image)
    assert len(first[0]) > len(set(truth.tolist())) * 0.9
    assert run(lambda image: digest("elsewhere", image)) == first
