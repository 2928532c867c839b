"""The similarity graph of an archive: corrected similarities, the floor, and the pairs above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facelib.clusters.added_pairs import pairs_of
from facelib.clusters.calibration import calibrated_floor
from facelib.clusters.canary import Canary, no_canary, plant
from facelib.clusters.cells import cell_pairs
from facelib.clusters.cohort import Cohort, draw_cohort, given_cohort, weights
from facelib.clusters.engine import LOCAL, Array, Engine, blocks
from facelib.clusters.floor import FloorEstimate, estimate_floor, fixed_floor
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import Edges, exact_neighbours, joined
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
    compared: int
    """Similarities computed between faces to find pairs."""
    cells: int = 0
    """Cells; 0: all pairs were compared."""
    probes: int = 0
    """Cells in which the neighbours of each face were looked for; 0: all pairs were compared."""
    recall: float | None = 1.0
    """Share of a face's known pairs above the floor that were compared, mean over faces; 1 where all were, null where
    none is known."""
    recall_faces: int = 0
    """Faces with known pairs above the floor; 0 where all pairs were compared."""
    recall_pairs: int = 0
    """Their known pairs."""
    added: int | None = None
    """Faces that were added to the clusters of an earlier run; null where all were clustered anew."""


@dataclass(frozen=True)
class SimilarityGraph:
    """The faces of an archive and, behind them, synthetic ones, as rows of a space, and the accepted edges."""

    space: Space
    weight: FloatArray
    """Weight of each face: see `facelib.clusters.space`."""
    image: IntArray
    """Image of each face; a synthetic one has its own."""
    canary: Canary
    """The synthetic faces."""
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
    given: FloatArray | None = None,
) -> SimilarityGraph:
    """The graph of the faces with unit rows (n, d) and the image (n,) of each, given in a fixed order.

    With the verified `subject` (n,; -1: unknown) of the faces, the floor is calibrated on them. Synthetic faces are
    added where the archive holds many people. The floor comes from the archive's own faces, and so does the cohort
    where no templates (m, d) of one are `given`.
    """
    n = len(unit)
    drawn = draw_cohort(unit, image, settings)
    canary = plant(unit, settings.seed) if drawn else no_canary(unit.shape[1])
    cohort = drawn if settings.cohort else None
    if given is not None:
        cohort = given_cohort(unit, given, settings)
    everyone, images = with_canary(unit, image, canary)
    weight = weigh(everyone, cohort, engine)
    space = Space.corrected(everyone, weight) if cohort else Space.plain(everyone)
    own = space.first(n)
    members = len(cohort.unit) if cohort else 0
    known = _known_floor(own, settings, subject)
    if n <= settings.exact_faces:
        edges, histogram = exact_neighbours(own, settings, engine)
        floor = known or estimate_floor(own, edges, histogram, image, settings)
        if len(everyone) > n:
            edges = joined(edges, pairs_of(space, np.arange(n, len(everyone)), floor.floor, settings, engine))
        search = Search(members, n * (n - 1))
    else:
        floor = known or _sampled_floor(own, image, settings, engine)
        found = cell_pairs(everyone, space, floor.floor, settings, engine)
        edges, search = found.edges, Search(members, found.compared, found.cells, *found.probes)
    accepted = accepted_edges(edges, floor.floor, images)
    return SimilarityGraph(space, weight, images, canary, cohort, accepted, floor, search)


def with_canary(unit: FloatArray, image: IntArray, canary: Canary) -> tuple[FloatArray, IntArray]:
    """Unit rows and images of an archive's faces with synthetic ones behind them."""
    own_images = int(image.max(initial=-1)) + 1 + np.arange(len(canary.unit))
    return np.concatenate([unit, canary.unit]), np.concatenate([image, own_images])


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
