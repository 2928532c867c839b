"""The similarity graph: which edges count, and its connected components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facelib.clusters.neighbours import Edges


def accepted_edges(edges: Edges, floor: float, image_of_face: npt.NDArray[np.generic]) -> Edges:
    """Edges with similarity > floor whose faces come from two images.

    Two faces in one photograph are two people: no similarity joins them directly.
    `image_of_face` (n,) holds the image of each face, integers or strings.
    """
    keep = (edges.similarity > floor) & (image_of_face[edges.u] != image_of_face[edges.v])
    return Edges(edges.u[keep], edges.v[keep], edges.similarity[keep])
