"""Settings of identity clustering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterSettings:
    """Defaults suit archives of any size; ValueError names the field that is out of range."""

    neighbours: int = 80
    """Nearest neighbours kept per face."""
    false_edges_per_face: float = 0.10
    """Expected edges per face between two people; with the archive's size it decides the floor."""
    floor: float | None = None
    """Cosine floor of an edge, in (-1, 1); none: estimated from the archive."""
    fallback_floor: float = 0.93
    """Cosine floor where the archive cannot tell: less than 50 faces, or about one person. It belongs to the
    embedding model; with the default one FMR is about 5e-4 there on news photographs, and far higher
    between children and within some groups."""
    seed: int = 1
    """Seed of the community search, 0 or more."""
    max_cluster_share: float = 0.5
    """Largest share of the faces that one cluster may hold in an archive of 100 faces or more, in (0, 1]."""
    tile: int = 1024
    """Rows per tile of the similarity product; memory grows with its square."""

    def __post_init__(self) -> None:
        checks = {
            "neighbours": self.neighbours >= 1,
            "false_edges_per_face": self.false_edges_per_face > 0,
            "floor": self.floor is None or -1 < self.floor < 1,
            "fallback_floor": -1 < self.fallback_floor < 1,
            "seed": self.seed >= 0,
            "max_cluster_share": 0 < self.max_cluster_share <= 1,
            "tile": self.tile >= 1,
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(f"cluster.{name} is {getattr(self, name)}, which is out of range")
