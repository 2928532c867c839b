"""From edges to clusters: the map equation, then what does not hang together and what must be apart is divided."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from facelib.clusters.coherence import split_incoherent
from facelib.clusters.components import first_seen
from facelib.clusters.engine import LOCAL, Engine
from facelib.clusters.graph_parts import Modules, modules_in_parts
from facelib.clusters.links import must_link_groups, separate
from facelib.clusters.neighbours import Edges
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import IntArray, Space

NO_PAIRS = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class Constraints:
    """What is known beside the embeddings. Two faces of one image are two people, unless their boxes are one face's."""

    image: IntArray
    """Image of each face, (n,)."""
    same_face: IntArray | None = None
    """Group of each face, (n,): the boxes of a group are one face (see `links.same_face_groups`)."""
    cannot: IntArray = field(default_factory=lambda: NO_PAIRS)
    """Pairs given by the user that are two people, (m, 2)."""
    must: IntArray = field(default_factory=lambda: NO_PAIRS)
    """Pairs given by the user that are one person, (m, 2)."""

    def beside(self, image: IntArray) -> Constraints:
        """The same with further faces behind these, of which nothing is known; `image` of all."""
        more = len(image) - len(self.image)
        if self.same_face is None:
            return replace(self, image=image)
        own_group = self.same_face.max(initial=-1) + 1 + np.arange(more)
        return replace(self, image=image, same_face=np.concatenate([self.same_face, own_group]))


def communities(
    space: Space,
    edges: Edges,
    floor: float,
    constraints: Constraints,
    settings: ClusterSettings,
    engine: Engine = LOCAL,
) -> Modules:
    """Cluster of each of n faces, numbered from 0 by the smallest face; isolated faces are alone.

    `edges` are the accepted ones; each weighs its similarity - floor.
    Give the faces in a fixed order, so that the result does not depend on that of their arrival.
    """
    found = modules_in_parts(space.faces, edges, floor, settings, engine)
    labels = split_incoherent(found.labels, edges, space, floor, settings.seed)
    groups = must_link_groups(space.faces, constraints.must) if len(constraints.must) else None
    weighed = edges._replace(similarity=edges.similarity - np.float32(floor))
    apart = separate(labels, weighed, constraints.image, constraints.cannot, groups, constraints.same_face)
    return found._replace(labels=first_seen(apart))
