"""Must-link and cannot-link pairs of faces: what users know, and that two faces of one image are two people."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.clusters.components import components, first_seen
from facelib.clusters.cuts import contracted, divide
from facelib.clusters.neighbours import Edges
from facelib.clusters.space import IntArray

SAME_FACE_OVERLAP = 0.5
"""Intersection over union from which two boxes of one image are taken for one face, found twice."""


def must_link_groups(n: int, pairs: IntArray) -> IntArray:
    """Group of each of n faces, (n,) int64, numbered from 0 by the smallest face: what `pairs` (m, 2) link is one."""
    return components(n, pairs[:, 0], pairs[:, 1])


def conflicts(labels: IntArray, cannot: IntArray) -> IntArray:
    """Those of the pairs `cannot` (m, 2) whose faces share a label, (k, 2), in their order."""
    together: IntArray = cannot[labels[cannot[:, 0]] == labels[cannot[:, 1]]]
    return together


def same_face_groups(
    image_of_face: npt.NDArray[np.generic], boxes: npt.ArrayLike, min_overlap: float = SAME_FACE_OVERLAP
) -> IntArray:
    """Group of each face, (n,) int64, numbered from 0 by the smallest face: boxes that are one face of one image.

    `boxes` (n, 4): left, top, width, height in pixels of the image. Two boxes of one image whose intersection is at
    least `min_overlap` of their union are one face, and so are those that a chain of such pairs connects.
    """
    pairs = pairs_within(np.unique(image_of_face, return_inverse=True)[1].astype(np.int64))
    box = np.asarray(boxes, np.float64).reshape(-1, 4)
    low, high = box[:, :2], box[:, :2] + box[:, 2:]
    a, b = pairs.T
    sides = np.maximum(np.minimum(high[a], high[b]) - np.maximum(low[a], low[b]), 0)
    common, area = sides.prod(axis=1), box[:, 2:].prod(axis=1)
    return must_link_groups(len(box), pairs[common >= min_overlap * np.maximum(area[a] + area[b] - common, 1e-12)])


def separate(
    labels: IntArray,
    edges: Edges,
    image_of_face: npt.NDArray[np.generic],
    cannot: IntArray | None = None,
    groups: IntArray | None = None,
    same_face: IntArray | None = None,
) -> IntArray:
    """Labels under which no two faces that must be apart are together, and every must-link group is.

    `labels` (n,) int64, 0 or more. Apart are the pairs `cannot` (m, 2), and two faces of one image, unless they are
    in one group of `same_face` (n,) (see `same_face_groups`; default: no two are) or in one of `groups` (n,)
    (`must_link_groups`): what a user says outweighs that rule.

    Clusters that share a must-link group become one, under the smallest of their labels. Then every cluster
    with faces that must be apart is divided as `cuts.divide` says, the faces of a must-link group as one node, edges
    weighing their similarity; its parts get labels from the largest one on. All other clusters keep their label.
    Edges of a similarity of 0 or less count for nothing. Time and memory grow with the pairs of faces of one image in
    one cluster. Raises ValueError when a cannot-link pair is within a must-link group.
    """
    n = len(labels)
    unit = np.arange(n, dtype=np.int64) if groups is None else first_seen(groups)
    pairs = np.zeros((0, 2), np.int64) if cannot is None else np.asarray(cannot, np.int64).reshape(-1, 2)
    if len(conflicts(unit, pairs)):
        raise ValueError("a cannot-link pair is within a must-link group: check the links first")
    result = _joined(labels, unit)
    found = np.concatenate((conflicts(result, pairs), _within_images(result, unit, image_of_face, same_face)))
    divided = np.unique(result[found[:, 0]])
    free = int(labels.max()) + 1 if n else 0
    kept = (edges.similarity > 0) & (result[edges.u] == result[edges.v]) & np.isin(result[edges.u], divided)
    edge_groups = _by_label(result[edges.u[kept]], np.flatnonzero(kept), divided)
    pair_groups = _by_label(result[found[:, 0]], np.arange(len(found)), divided)
    face_groups = _by_label(result, np.arange(n), divided)
    for faces, inside, together in zip(face_groups, edge_groups, pair_groups, strict=True):
        nodes, node = np.unique(unit[faces], return_inverse=True)
        u, v = (np.searchsorted(nodes, unit[ends[inside]]) for ends in (edges.u, edges.v))
        local = contracted(Edges(u, v, edges.similarity[inside]), np.arange(len(nodes)))
        apart = np.searchsorted(nodes, unit[found[together]])
        part = divide(np.bincount(node), local, apart)
        result[faces] = free + part[node]
        free += len(nodes)
    return result


def _joined(labels: IntArray, unit: IntArray) -> IntArray:
    """Labels after joining clusters that share a unit: the smallest of each."""
    names, dense = np.unique(labels, return_inverse=True)
    first = np.unique(unit, return_index=True)[1]
    joined = components(len(names), dense, dense[first[unit]])
    smallest = np.unique(joined, return_index=True)[1]
    return np.asarray(names[smallest[joined[dense]]], np.int64)


def _within_images(
    labels: IntArray, unit: IntArray, image_of_face: npt.NDArray[np.generic], same_face: IntArray | None
) -> IntArray:
    """Pairs of faces of one image and one label that must be apart, (k, 2)."""
    image = np.unique(image_of_face, return_inverse=True)[1].astype(np.int64)
    cell = np.unique(np.stack([labels, image], axis=1), axis=0, return_inverse=True)[1].ravel()
    pairs = pairs_within(cell.astype(np.int64))
    a, b = pairs.T
    keep = unit[a] != unit[b]
    if same_face is not None:
        keep &= same_face[a] != same_face[b]
    kept: IntArray = pairs[keep]
    return kept


def pairs_within(cell: IntArray) -> IntArray:
    """All pairs of positions with equal values, (k, 2), the smaller position first, by the first, then the second."""
    order = np.argsort(cell, kind="stable")
    value, found, step = cell[order], [np.zeros((0, 2), np.int64)], 1
    at = np.arange(len(cell))
    while len(at := at[at + step < len(cell)]):
        at = at[value[at] == value[at + step]]
        found.append(np.stack([order[at], order[at + step]], axis=1))
        step += 1
    pairs = np.concatenate(found)
    ordered: IntArray = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return ordered


def _by_label(labels: IntArray, rows: IntArray, wanted: IntArray) -> list[IntArray]:
    """For each wanted label, ascending, the `rows` that have it, in their order."""
    order = np.argsort(labels, kind="stable")
    starts, stops = (np.searchsorted(labels[order], wanted, side=side) for side in ("left", "right"))
    return [rows[order[a:b]] for a, b in zip(starts, stops, strict=True)]
