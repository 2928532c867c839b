"""Pairs of the user that name faces outside the graph."""

from __future__ import annotations

import numpy as np
import pytest

from facelib.clusters.outside_links import links_between, obey_links

pytestmark = pytest.mark.unit

CORE = np.array([True, True, True, False, False, False])
NONE = np.zeros((0, 2), np.int64)


def _pairs(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.int64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("must", "cannot", "must_core", "cannot_core"),
    [
        (_pairs((0, 1)), NONE, {(0, 1)}, set()),
        (_pairs((0, 3), (3, 4), (4, 2)), NONE, {(0, 2)}, set()),
        (_pairs((3, 4)), _pairs((3, 0)), set(), set()),
        (_pairs((0, 3)), _pairs((3, 2)), set(), {(0, 2)}),
        (_pairs((0, 3), (1, 4)), _pairs((4, 3)), set(), {(1, 0)}),
        (NONE, _pairs((0, 1), (2, 5)), set(), {(0, 1)}),
    ],
)
def test_what_follows_for_core_faces(
    must: np.ndarray, cannot: np.ndarray, must_core: set[tuple[int, int]], cannot_core: set[tuple[int, int]]
) -> None:
    found_must, found_cannot = links_between(CORE, must, cannot)
    assert {tuple(sorted(p)) for p in found_must.tolist()} == must_core
    assert {tuple(p) for p in found_cannot.tolist()} == cannot_core


@pytest.mark.parametrize(
    ("cluster", "must", "cannot", "expected"),
    [
        ([0, 1, 2, 1, -1, -1], _pairs((3, 0)), NONE, [0, 1, 2, 0, -1, -1]),
        ([0, 1, 2, -1, 1, -1], _pairs((3, 4), (5, 3)), NONE, [0, 1, 2, 1, 1, 1]),
        ([0, 1, 2, -1, 1, -1], _pairs((3, 4), (3, 2)), NONE, [0, 1, 2, 2, 2, -1]),
        ([0, 1, 2, -1, -1, -1], _pairs((3, 4)), NONE, [0, 1, 2, -1, -1, -1]),
        ([0, 1, 2, 0, -1, -1], NONE, _pairs((0, 3)), [0, 1, 2, -1, -1, -1]),
        ([0, 1, 2, 0, 0, -1], NONE, _pairs((3, 4)), [0, 1, 2, 0, -1, -1]),
        ([0, 1, 2, 0, 0, -1], _pairs((3, 4)), _pairs((3, 0)), [0, 1, 2, -1, -1, -1]),
        ([0, 1, 2, 0, -1, -1], NONE, _pairs((4, 5)), [0, 1, 2, 0, -1, -1]),
    ],
)
def test_faces_outside_the_graph_are_moved(
    cluster: list[int], must: np.ndarray, cannot: np.ndarray, expected: list[int]
) -> None:
    found = np.array(cluster)
    obey_links(found, CORE, must, cannot)
    assert found.tolist() == expected
