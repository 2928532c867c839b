"""The similarity graph of an archive: corrected similarities, the floor, and the pairs above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facelib.clusters.calibration import calibrated_floor
from facelib.clusters.cells import cell_pairs
from facelib.clusters.cohort import Cohort, draw_cohort, weights
from facelib.clusters.engine import LOCAL, Array, Engine, blocks
from facelib.clusters.floor import FloorEstimate, estimate_floor, fixed_floor
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import Edges, exact_neighbours
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import FloatArray, IntArray, Space

FLOOR_SAMPLE = 20_000
"""Faces from which the floor is estimated where not all pairs are compared; the share of non-mated pairs above a
similarity does not depend on how many faces there are, the wanted share does."""
_WEIGHED = 16384


@dataclass(frozen=True)
class Search:
    """How the pairs were found."""

    cohort: int
    """Faces in the cohort; 0: similarities are plain cosines."""
    cells: int
    """Cells; 0: all pairs were compared."""
    overlap: int
    """Cells each face is in; 0: all pairs were compared."""
    recall: float | None
    """Share of known pairs above the floor that were compared; 1 where all were, null where none is known."""
    recall_pairs: int
    """Known pairs above the floor; 0 where all pairs were compared."""
    compared: int
    """Pairs compared."""
    added: int | None = None
    """Faces that were added to the clusters of an earlier run; null where all were clustered anew."""


@dataclass(frozen=True)
class SimilarityGraph:
    """Faces as rows of a space, and the accepted edges between them."""

    space: Space
    weight: FloatArray
    """Weight of each face, (n,): see `facelib.clusters.space`."""
    cohort: Cohort | None
    edges: Edges
    """Pairs above the floor, of two images."""
    floor: FloorEstimate
    search: Search


def similarity_graph(
    unit: FloatArray,
    image: IntArray,
    settings: ClusterSettings,
    engine: Engine = LOCAL,
    subject: IntArray | None = None,
) -> SimilarityGraph:
    """The graph of the faces with unit rows (n, d) and the image (n,) of each, given sorted by face id.

    With the verified `subject` (n,; -1: unknown) of the faces, the floor is calibrated on them.
    """
    cohort = draw_cohort(unit, image, settings) if settings.cohort else None
    weight = weigh(unit, cohort, engine)
    space = Space.corrected(unit, weight) if cohort else Space.plain(unit)
    members = len(cohort.rows) if cohort else 0
    if space.faces <= settings.exact_faces:
        edges, histogram = exact_neighbours(space, settings, engine)
        floor = _known_floor(space, settings, subject) or estimate_floor(space, edges, histogram, image, settings)
        search = Search(members, 0, 0, 1.0, 0, space.faces * (space.faces - 1) // 2)
    else:
        floor = _known_floor(space, settings, subject) or _sampled_floor(space, image, settings, engine)
        found = cell_pairs(unit, space, floor.floor, settings, engine)
        edges, overlap = found.edges, found.overlap
        search = Search(members, found.cells, overlap.cells, overlap.recall, overlap.pairs, found.compared)
    return SimilarityGraph(space, weight, cohort, accepted_edges(edges, floor.floor, image), floor, search)


def weigh(unit: FloatArray, cohort: Cohort | None, engine: Engine = LOCAL) -> FloatArray:
    """Weights of faces with unit rows (n, d), (n,); 1 without a cohort."""
    if cohort is None or not len(unit):
        return np.ones(len(unit), np.float32)
    arrays: dict[str, Array] = {
        "unit": unit,
        "rows": cohort.rows,
        "cohort": cohort.unit,
        "typical": np.array(cohort.typical),
    }
    found = engine.run(f"surroundings of {len(unit)} faces", _weights, blocks(len(unit), _WEIGHED), arrays)
    return np.concatenate([part[0] for part in found])


def _weights(arrays: Mapping[str, Array], rows: tuple[int, int]) -> list[Array]:
    cohort = Cohort(arrays["rows"], arrays["cohort"], float(arrays["typical"]))
    return [weights(arrays["unit"][rows[0] : rows[1]], cohort)]


def _known_floor(space: Space, settings: ClusterSettings, subject: IntArray | None) -> FloorEstimate | None:
    """The floor that is given, or that subjects tell; null when it must be estimated without either."""
    if settings.floor is not None:
        return fixed_floor(settings.floor, space.faces)
    return None if subject is None else calibrated_floor(space, subject, settings, space.faces)


def _sampled_floor(space: Space, image: IntArray, settings: ClusterSettings, engine: Engine) -> FloorEstimate:
    chosen = np.sort(np.random.default_rng(settings.seed).permutation(space.faces)[:FLOOR_SAMPLE])
    sample = space.only(chosen)
    edges, histogram = exact_neighbours(sample, settings, engine)
    return estimate_floor(sample, edges, histogram, image[chosen], settings, archive_faces=space.faces)
