"""Adding a few faces to a finished clustering, beside clustering all of them again."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.archives import archive
from benchmarks.clusters import embedded_faces, identities
from benchmarks.results_file import Result
from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.earlier import Earlier
from facelib.clusters.settings import ClusterSettings
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.embeddings.embed import vectors_of

PACKAGES = ("numpy", "scipy", "networkit")
_SIZES = (10_000, 100_000)
_SHARES = (0.01, 0.05)
_SEED = 1


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """One table."""
    rows = []
    if data is not None and not quick:
        by_path = archive(data).by_path()
        faces = embedded_faces(list(by_path.values()))
        path_of, identity_of = {m.image_id: p for p, m in by_path.items()}, identities(data / "labels.csv")
        main = (faces.column("face_index").to_numpy() == 0) & faces.column("is_usable").to_numpy()
        truth = np.array([identity_of[path_of[i]] for i in faces.column("image_id").to_pylist()])
        rows += [_row(data.name, vectors_of(faces.column("embedding"))[main], truth[main], s) for s in _SHARES]
    for n in (1500,) if quick else _SIZES:
        planted = planted_embeddings(n, KINDS["plain"], _SEED)
        rows += [_row(f"planted, {n:,}", planted.embeddings, planted.identities, share) for share in _SHARES]
    notes = (
        "A random share of the faces is left out and all others are clustered; then all are given, with that "
        "clustering to go on from and without. CPU seconds of one process. Agreement: pairwise F of the two results "
        "with each other, and of each with the identities.",
        "Kept: clusters without an edge to a new face.",
    )
    columns = (
        "faces", "added", "anew: CPU s", "added: CPU s", "ratio", "agreement", "F anew", "F added", "kept clusters",
        "of them unchanged",
    )  # fmt: skip
    return [Result("Adding faces", columns, tuple(rows), notes)]


def _row(
    name: str, embeddings: npt.NDArray[np.float32], truth: npt.NDArray[np.generic], share: float
) -> tuple[str, ...]:
    n = len(embeddings)
    new = np.random.default_rng(_SEED).permutation(n)[: round(n * share)]
    old = np.setdiff1d(np.arange(n), new)
    before, _ = _timed(embeddings, old, None)
    anew, anew_seconds = _timed(embeddings, np.arange(n), None)
    earlier = Earlier.of(before.clusters, before.edges, before.summary.cohort_distance, before.summary.floor)
    added, added_seconds = _timed(embeddings, np.arange(n), earlier)
    labels = [result.clusters.column("cluster_id").to_pylist() for result in (anew, added)]
    kept, unchanged = _kept(before, added, {_name(i) for i in new.tolist()})
    return (
        name,
        f"{len(new):,} ({share:.0%})",
        f"{anew_seconds:.1f}",
        f"{added_seconds:.2f}",
        f"{added_seconds / anew_seconds:.3f}",
        f"{pairwise_scores(*labels).f1:.4f}",
        *(f"{pairwise_scores(found, truth).f1:.4f}" for found in labels),
        f"{kept:,}",
        f"{unchanged:,}",
    )


def _timed(
    embeddings: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], earlier: Earlier | None
) -> tuple[Assignment, float]:
    names = [_name(i) for i in rows.tolist()]
    begun = time.process_time()
    usable = np.ones(len(rows), bool)
    found = assign(names, names, embeddings[rows], usable, ClusterSettings(), earlier=earlier)
    return found, time.process_time() - begun


def _name(row: int) -> str:
    return f"{row:08d}"


def _kept(before: Assignment, after: Assignment, new: set[str]) -> tuple[int, int]:
    """Earlier clusters without an edge to a new face, and how many of them have the same members now."""
    edges = zip(*(after.edges.column(c).to_pylist() for c in ("face_a", "face_b")), strict=True)
    near = {face for pair in edges if not new.isdisjoint(pair) for face in pair}
    now = set(_members(after))
    kept = [members for members in _members(before) if near.isdisjoint(members)]
    return len(kept), sum(members in now for members in kept)


def _members(result: Assignment) -> list[frozenset[str]]:
    found: dict[str, list[str]] = {}
    for face, name in zip(*(result.clusters.column(c).to_pylist() for c in ("face_id", "cluster_id")), strict=True):
        found.setdefault(name, []).append(face)
    return [frozenset(members) for members in found.values()]
