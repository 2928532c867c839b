"""Copies of faces: by equal bytes, by near duplicates, and not by looks alone."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.clusters.copies import copies, near_distance
from facelib.clusters.neighbours import normalise

pytestmark = pytest.mark.unit

CROWD = normalise(np.random.default_rng(1).normal(size=(200, 32)))
"""Strangers, so that it is known what is near."""


def _copies(faces: list[tuple[str, int, str | None, str | None, float, np.ndarray]]) -> list[int]:
    """Of (image, index, duplicate of, near group, quality, embedding), with strangers behind them."""
    images = [f[0] for f in faces] + [f"x{i}" for i in range(len(CROWD))]
    index = np.array([f[1] for f in faces] + [0] * len(CROWD), np.int64)
    nobody: list[str | None] = [None] * len(CROWD)
    unit = normalise(np.concatenate([np.stack([f[5] for f in faces]), CROWD]))
    quality = np.array([f[4] for f in faces] + [0.5] * len(CROWD), np.float32)
    found = copies(images, index, [f[2] for f in faces] + nobody, [f[3] for f in faces] + nobody, quality, unit, 1)
    assert (found[len(faces) :] == -1).all()
    return found[: len(faces)].tolist()


def _near(row: int, seed: int) -> np.ndarray:
    return CROWD[row] + 0.01 * np.random.default_rng(seed).normal(size=32)


def test_faces_of_equal_bytes_are_copies_by_their_index() -> None:
    a, b = _near(0, 1), _near(1, 2)
    faces = [("i1", 0, None, None, 0.9, a), ("i1", 1, None, None, 0.9, b)]
    faces += [("i2", 0, "i1", None, 0.9, a), ("i2", 1, "i1", None, 0.9, b), ("i2", 2, "i1", None, 0.9, b)]
    assert _copies(faces) == [-1, -1, 0, 1, -1]


def test_near_duplicates_are_copies_of_the_image_with_the_best_face() -> None:
    faces = [("i1", 0, None, "g", 0.4, _near(0, 1)), ("i2", 0, None, "g", 0.8, _near(0, 2))]
    faces += [("i3", 0, None, "g", 0.6, _near(0, 3)), ("i4", 0, None, "h", 0.6, _near(0, 4))]
    assert _copies(faces) == [1, -1, 1, -1]


def test_a_near_duplicate_with_another_person_is_no_copy() -> None:
    assert _copies([("i1", 0, None, "g", 0.9, _near(0, 1)), ("i2", 0, None, "g", 0.8, _near(7, 2))]) == [-1, -1]


def test_people_of_one_photograph_go_to_their_own_copies() -> None:
    faces = [("i1", 0, None, "g", 0.9, _near(0, 1)), ("i1", 1, None, "g", 0.5, _near(1, 2))]
    faces += [("i2", 0, None, "g", 0.8, _near(1, 3)), ("i2", 1, None, "g", 0.7, _near(0, 4))]
    assert _copies(faces) == [-1, -1, 1, 0]


def test_a_copy_of_a_copy_points_to_the_original() -> None:
    faces = [("i1", 0, None, "g", 0.9, _near(0, 1)), ("i2", 0, None, "g", 0.8, _near(0, 2))]
    faces += [("i3", 0, "i2", "g", 0.8, _near(0, 2))]
    assert _copies(faces) == [-1, 0, 0]


def test_near_distance_is_the_quantile_of_all_pairs() -> None:
    cosine = (CROWD.astype(np.float64) @ CROWD.T)[np.triu_indices(200, 1)]
    assert near_distance(CROWD, 1) == pytest.approx(np.quantile(1 - cosine, 0.005), abs=1e-6)
