"""Refusal of results that must not be published. Every check raises DegenerateResultError with what to do."""

from __future__ import annotations

import numpy as np

from facelib.clusters.canary import Canary
from facelib.clusters.coherence import COHERENT, clusters_of, coherence, judged
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space
from facelib.errors import DegenerateResultError

LARGE_ENOUGH_TO_JUDGE = 100
"""Faces from which shares are judged."""
_DOMINANT = 0.2
_LOOSEST = 3.0
_EQUAL = 1e-5
"""Values of unit embeddings that differ by less are equal but for rounding."""


def check_embeddings(n_faces: int, core: FloatArray) -> None:
    """There are usable faces, and their unit embeddings (n, d) are not all zero and not all equal."""
    if not len(core):
        raise DegenerateResultError(
            f"none of {n_faces} faces is usable, so there is nothing to cluster: "
            "check the images, or lower the limits that decide faces.is_usable"
        )
    if not core.any():
        raise DegenerateResultError(
            f"the embeddings of all {len(core)} usable faces are zero: check the embedding model and embed again"
        )
    if len(core) > 2 and np.abs(core - core[0]).max() < _EQUAL:
        raise DegenerateResultError(
            f"the embeddings of all {len(core)} usable faces are equal: check the embedding model and embed again"
        )


def check_pairs(space: Space, floor: float, settings: ClusterSettings) -> None:
    """Not most of all pairs exceed the floor, unless one person may hold most of the faces."""
    if space.faces < LARGE_ENOUGH_TO_JUDGE:
        return
    share = coherence(space, np.arange(space.faces), floor)
    if share > max(0.5, settings.max_cluster_share**2):
        raise DegenerateResultError(
            f"{share:.0%} of all pairs of faces exceed similarity floor {floor:.3f}, so it tells nobody apart: raise "
            "cluster.floor, or cluster.max_cluster_share if the archive is mostly of one person"
        )


def check_largest(labels: IntArray, floor: float, settings: ClusterSettings) -> None:
    """No cluster holds more than `settings.max_cluster_share` of the core faces with these labels (n,)."""
    n, largest = len(labels), int(np.bincount(labels).max())
    if n >= LARGE_ENOUGH_TO_JUDGE and largest > settings.max_cluster_share * n:
        raise DegenerateResultError(
            f"one cluster holds {largest} of {n} faces ({largest / n:.0%}) at similarity floor {floor:.3f}, "
            f"more than cluster.max_cluster_share = {settings.max_cluster_share:g}: raise cluster.floor, or raise "
            "cluster.max_cluster_share if the archive is mostly of one person"
        )


def check_dominant(unit: FloatArray, labels: IntArray, settings: ClusterSettings) -> None:
    """No cluster of more than a fifth of the faces, with unit rows (n, d), is far looser than the model's people are.

    Half of its pairs must be closer than three times the distance of `settings.fallback_floor`: a whole population can
    look like one person beside another one, as pictures of two kinds of camera do.
    """
    least = 1 - _LOOSEST * (1 - settings.fallback_floor)
    for members in clusters_of(labels, max(LARGE_ENOUGH_TO_JUDGE, int(_DOMINANT * len(labels)))):
        median = float(np.median(Space.plain(unit).within(judged(members))))
        if median < least:
            raise DegenerateResultError(
                f"a cluster holds {len(members)} of {len(labels)} faces of median cosine {median:.2f}, far below "
                f"cluster.fallback_floor = {settings.fallback_floor:g}, so it is a population rather than a person: "
                "cluster the kinds of pictures of this archive by themselves, or set cluster.fallback_floor to the "
                "threshold of your embedding model"
            )


def check_canary(recovered: float | None, canary: Canary, floor: float, settings: ClusterSettings) -> None:
    """The synthetic identities came back with pairwise F of at least `settings.min_canary_f`."""
    if recovered is not None and recovered < settings.min_canary_f:
        raise DegenerateResultError(
            f"{len(np.unique(canary.identity))} synthetic identities planted among the faces came back with pairwise "
            f"F {recovered:.3f}, below cluster.min_canary_f = {settings.min_canary_f:g}, at similarity floor "
            f"{floor:.3f}: the similarities of this archive cannot be trusted; check the embedding model, and "
            "cluster.floor if it is set"
        )


def check_coherence(space: Space, labels: IntArray, floor: float) -> None:
    """Of the faces in clusters of three or more, at least half are in clusters that hang together."""
    together = apart = 0
    for members in clusters_of(labels, 3):
        if coherence(space, members, floor) < COHERENT:
            apart += len(members)
        else:
            together += len(members)
    if together + apart >= LARGE_ENOUGH_TO_JUDGE and apart > together:
        raise DegenerateResultError(
            f"{apart} of {together + apart} faces in clusters of three or more are in clusters of which most pairs are "
            f"below similarity floor {floor:.3f}: check the pairs of --must-link, or the embedding model"
        )


def check_noise(n_faces: int, n_noise: int, settings: ClusterSettings) -> None:
    """Not more than `settings.max_noise_share` of the faces are noise."""
    if n_faces >= LARGE_ENOUGH_TO_JUDGE and n_noise > settings.max_noise_share * n_faces:
        raise DegenerateResultError(
            f"{n_noise} of {n_faces} faces ({n_noise / n_faces:.0%}) are noise, more than cluster.max_noise_share = "
            f"{settings.max_noise_share:g}: lower the limits that decide faces.is_usable, or raise that share"
        )


def check_against_previous(
    n_faces: int, n_clusters: int, faces_before: int, clusters_before: int, settings: ClusterSettings
) -> None:
    """Clusters per face have changed by no more than a factor of `settings.max_cluster_change` since the last run."""
    if min(n_faces, faces_before) < LARGE_ENOUGH_TO_JUDGE or not clusters_before:
        return
    change = (n_clusters / n_faces) / (clusters_before / faces_before)
    if not 1 / settings.max_cluster_change <= change <= settings.max_cluster_change:
        raise DegenerateResultError(
            f"{n_faces} faces are in {n_clusters} clusters, {faces_before} were in {clusters_before} in the previous "
            f"run: per face a change by {change:.2f}, beyond cluster.max_cluster_change = "
            f"{settings.max_cluster_change:g}; raise it, or give --previous none, if the archive is another one"
        )
