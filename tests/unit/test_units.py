"""Units that reports count: main faces carry labels, clusters vote, ties are missing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from facelib.reports.units import cluster_units, face_units, image_units, values_by_image

pytestmark = pytest.mark.unit


def labels(*rows: tuple[str, str, str | None]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(c, pa.string()) for c in columns], names=["image_id", "attribute", "value"])


LABELS = labels(
    ("a", "gender", "F"), ("a", "age", "30"), ("b", "gender", None), ("b", "age", "40"), ("c", "gender", "M"),
    ("c", "subject", "s1"),
)  # fmt: skip


def test_values_by_attribute_and_image() -> None:
    found = values_by_image(LABELS, ["gender", "age", "race"])
    assert found == {"gender": {"a": "F", "c": "M"}, "age": {"a": "30", "b": "40"}, "race": {}}


def test_images_without_a_label_are_missing() -> None:
    found = image_units(["c", "a", "b", "z"], values_by_image(LABELS, ["gender", "age"]))
    assert found.to_pydict() == {"gender": ["M", "F", None, None], "age": [None, "30", "40", None]}
    assert found.schema.types == [pa.string(), pa.string()]


def test_only_the_main_face_carries_the_labels_of_its_image() -> None:
    values = values_by_image(LABELS, ["gender"])
    found = face_units(["a-0", "a-1", "c-0", "b-0", "a-10"], ["a", "a", "c", "b", "a"], values)
    assert found.to_pydict() == {"gender": ["F", None, "M", None, None]}


def test_clusters_take_the_majority() -> None:
    values = {"gender": {"a": "F", "b": "F", "c": "M", "d": "M", "e": "M"}}
    images = ["a", "b", "c", "d", "e", "f"]
    faces = [f"{i}-0" for i in images]
    found = cluster_units(faces, images, ["k2", "k2", "k2", "k1", "k1", "k1"], values)
    assert found.to_pydict() == {"gender": ["M", "F"]}


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        (["F", "M"], None),
        (["F", "F", "M", "M", "X"], None),
        (["F", "F", "M", "X"], "F"),
        (["M"], "M"),
        ([None, None], None),
        ([None, None, "M"], "M"),
    ],
)
def test_ties_and_silence_are_missing(votes: list[str | None], winner: str | None) -> None:
    images = [f"i{k}" for k in range(len(votes))]
    values = {"gender": {i: v for i, v in zip(images, votes, strict=True) if v is not None}}
    found = cluster_units([f"{i}-0" for i in images], images, ["k"] * len(votes), values)
    assert found.to_pydict() == {"gender": [winner]}


def test_other_faces_of_an_image_do_not_vote() -> None:
    values = {"gender": {"a": "F", "b": "M"}}
    found = cluster_units(["a-0", "b-1", "b-2"], ["a", "b", "b"], ["k", "k", "k"], values)
    assert found.to_pydict() == {"gender": ["F"]}


def test_random_votes_agree_with_counting() -> None:
    rng = np.random.default_rng(12)
    n = 600
    images = [f"i{k}" for k in range(n)]
    votes = [None if v == 3 else "xyz"[v] for v in rng.integers(0, 4, n)]
    clusters = [None if c == 0 else f"c{c:03d}" for c in rng.integers(0, 90, n)]
    values = {"a": {i: v for i, v in zip(images, votes, strict=True) if v is not None}}
    found = cluster_units([f"{i}-0" for i in images], images, clusters, values)["a"].to_pylist()
    names = sorted({c for c in clusters if c is not None})
    assert len(found) == len(names)
    for name, winner in zip(names, found, strict=True):
        counts = Counter(v for v, c in zip(votes, clusters, strict=True) if c == name and v is not None)
        best = [v for v, k in counts.items() if k == max(counts.values())]
        assert winner == (best[0] if len(best) == 1 else None)


def test_no_clusters() -> None:
    found = cluster_units(["a-0"], ["a"], [None], {"gender": {"a": "F"}})
    assert found.to_pydict() == {"gender": []}
