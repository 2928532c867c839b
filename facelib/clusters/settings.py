"""Settings of identity clustering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterSettings:
    """Defaults suit archives of any size; ValueError names the field that is out of range."""

    neighbours: int = 80
    """Most similar neighbours kept per face."""
    cohort: bool = True
    """Whether similarities are corrected for each face's surroundings; it needs about 200 people in the archive, or a
    given cohort."""
    exact_faces: int = 50_000
    """Up to so many faces all pairs are compared; beyond, each face with those of the nearest cells."""
    cells: int | None = None
    """Cells into which the faces are sorted; none: four times the square root of their number."""
    probes: int = 2
    """Least number of cells in which the neighbours of a face are looked for."""
    recall: float = 0.985
    """Share of a face's pairs above the floor that must be compared, on average over faces, in (0, 1]: the probes are
    raised until they are."""
    false_edges_per_face: float = 0.04
    """Expected edges per face between two people; with the archive's size it decides the floor."""
    floor: float | None = None
    """Similarity floor of an edge, from -1 to below 1; none: estimated from the archive."""
    fallback_floor: float = 0.93
    """Cosine floor where the archive cannot tell: less than 50 faces, or about one person. It belongs to the
    embedding model; with the default one FMR is about 5e-4 there on news photographs, and far higher
    between children and within some groups."""
    calibrate_on_subjects: bool = False
    """Whether the floor comes from pairs of verified subjects, where labels name them. Off by default: clusters that
    are to be judged by the labels must not be made with them."""
    seed: int = 1
    """Seed of the community search, 0 or more."""
    max_cluster_share: float = 0.5
    """Largest share of the faces that one cluster may hold in an archive of 100 faces or more, in (0, 1]."""
    graph_edges: int = 100_000_000
    """Edges of a graph that one process clusters; a larger one is clustered in parts of about so many."""
    incremental_share: float = 0.1
    """With a previous run of the same settings and model: share of faces, in [0, 1], that may have come or gone since
    all were clustered; up to it only the clusters they touch are made anew."""
    max_noise_share: float = 0.9
    """Largest share of noise in an archive of 100 faces or more, in (0, 1]."""
    max_cluster_change: float = 2.0
    """Largest factor, 1 or more, by which clusters per face may change from the previous run."""
    min_canary_f: float = 0.95
    """Least pairwise F, in [0, 1], at which synthetic identities planted among the faces must come back."""
    attach_stricter: float = 10.0
    """How many times fewer false matches than at the floor the threshold for unusable faces allows, 1 or more."""
    tile: int = 1024
    """Rows per tile of the similarity product; memory grows with its square."""

    def __post_init__(self) -> None:
        checks = {
            "neighbours": self.neighbours >= 1,
            "exact_faces": self.exact_faces >= 1,
            "cells": self.cells is None or self.cells >= 1,
            "probes": self.probes >= 1,
            "recall": 0 < self.recall <= 1,
            "false_edges_per_face": self.false_edges_per_face > 0,
            "floor": self.floor is None or -1 <= self.floor < 1,
            "graph_edges": self.graph_edges >= 1,
            "incremental_share": 0 <= self.incremental_share <= 1,
            "max_noise_share": 0 < self.max_noise_share <= 1,
            "max_cluster_change": self.max_cluster_change >= 1,
            "min_canary_f": 0 <= self.min_canary_f <= 1,
            "attach_stricter": self.attach_stricter >= 1,
            "fallback_floor": -1 < self.fallback_floor < 1,
            "seed": self.seed >= 0,
            "max_cluster_share": 0 < self.max_cluster_share <= 1,
            "tile": self.tile >= 1,
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(f"cluster.{name} is {getattr(self, name)}, which is out of range")
