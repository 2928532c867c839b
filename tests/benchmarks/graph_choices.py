"""Clusters with and without the cohort, and the choices of the similarity graph, on labelled faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.clusters import AGREEMENT, Faces, agreement_cells, assigned, floor_of, scored
from benchmarks.labelled import Photographs, together
from benchmarks.results_file import Result
from facelib.clusters.agreement import bcubed_scores, cluster_ratio, pairwise_scores
from facelib.clusters.coherence import split_incoherent
from facelib.clusters.graph import first_seen
from facelib.clusters.links import separate
from facelib.clusters.map_equation import modules
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import SimilarityGraph, similarity_graph
from facelib.clusters.space import FloatArray, IntArray
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.errors import DegenerateResultError

_NEIGHBOURS = (20, 50, 80, 200)
_FALSE_EDGES = (0.02, 0.04, 0.06, 0.1)
_PLANTED = 6000
_SEED = 7
_DEFAULT = "**default**"


@dataclass(frozen=True)
class Labelled:
    """Usable faces sorted by id: unit rows (n, d), image (n,), true label (n,), and which of them are scored."""

    name: str
    unit: FloatArray
    image: IntArray
    truth: npt.NDArray[np.generic]
    is_scored: npt.NDArray[np.bool_]


def tables(found: Photographs, quick: bool) -> list[Result]:
    """Clusters of the archives with and without the cohort, and the table of choices."""
    archives = {
        "lfw_dev": found.lfw,
        "lfw_dev and fairface_dev": together(found.lfw, found.fairface),
        "fairface_dev": found.fairface,
    }
    names = ("lfw_dev", "lfw_dev and fairface_dev")
    labelled = [*(_labelled(name, archives[name]) for name in names), _planted(600 if quick else _PLANTED)]
    return [_before_and_after(archives), _choices(labelled, quick)]


def _before_and_after(archives: dict[str, Faces]) -> Result:
    ways = {"cosine": ClusterSettings(cohort=False), "**corrected**": ClusterSettings()}
    rows = [(name, way, *_clustered(faces, ways[way])) for name, faces in archives.items() for way in ways]
    notes = (
        "Every face is given, the main face of each image scored (noise: a cluster of one), as in the benchmark "
        "`clusters`. `cosine`: `cluster.cohort = false`; `corrected`: the default, its cohort drawn from the archive.",
        "False merges: pairs of scored faces of two people in one cluster. In fairface_dev every image is taken for "
        "another person: there are no mated pairs, and a person with two images would count as a false merge.",
        "Refused: a guard of `facelib.clusters.guards` stopped the run, and no cluster was written.",
    )
    columns = ("archive", "similarity", "floor", *AGREEMENT, "false merges")
    return Result("Clusters with and without the cohort", columns, tuple(rows), notes, text_columns=3)


def _clustered(faces: Faces, settings: ClusterSettings) -> tuple[str, ...]:
    try:
        found = assigned(faces, settings)
    except DegenerateResultError as error:
        return f"refused: {str(error).partition(':')[0]}", *("–" for _ in AGREEMENT), "–"
    predicted, truth = scored(found, faces)
    cells = agreement_cells(predicted, truth)
    if len(np.unique(truth)) == len(truth):
        cells = ("–", "–", "–", *cells[3:])
    return floor_of(found), *cells, f"{false_merges(predicted, truth):,}"


def false_merges(predicted: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> int:
    """Pairs together in `predicted` that are not in `truth`."""
    dense = np.stack([np.unique(v, return_inverse=True)[1] for v in (predicted, truth)])
    _, counts = np.unique(dense, axis=1, return_counts=True)
    clusters = np.bincount(np.unique(predicted, return_inverse=True)[1])
    return int((clusters * (clusters - 1)).sum() - (counts * (counts - 1)).sum()) // 2


def _labelled(name: str, faces: Faces) -> Labelled:
    rows = np.array(sorted(np.flatnonzero(faces.is_usable), key=lambda i: faces.face_ids[i]))
    image = np.unique(np.array(faces.image_ids)[rows], return_inverse=True)[1]
    return Labelled(name, normalise(faces.embeddings)[rows], image, faces.identities[rows], faces.is_main[rows])


def _planted(n: int) -> Labelled:
    planted = planted_embeddings(n, KINDS["arcface"], _SEED)
    name = f"planted arcface, {n:,}"
    return Labelled(name, planted.embeddings, np.arange(n), planted.identities, np.ones(n, bool))


def _choices(archives: list[Labelled], quick: bool) -> Result:
    columns_of = [dict(_variants(archive, quick)) for archive in archives]
    rows = [(*name, *(cell for column in columns_of for cell in column[name])) for name in columns_of[0]]
    names = [archive.name for archive in archives]
    columns = ("choice", "value", *(f"{name}: {c}" for name in names for c in ("F", "BCubed F", "predicted / true")))
    notes = (
        "One choice is changed at a time; the default: weight similarity − floor, incoherent clusters split, "
        f"{ClusterSettings().neighbours} neighbours, {ClusterSettings().false_edges_per_face} expected false edges per "
        "face. The floor is estimated without labels. The weight is that of the map equation alone.",
        "Usable faces only, without synthetic identities, so figures differ slightly from the table above. Scored: "
        "main faces; of the planted ones all (5 % junk, each its own identity).",
        "The defaults were chosen with the help of such figures, so no row is held out; differences of a few "
        "thousandths are noise.",
    )
    return Result("Choices of the graph", columns, tuple(rows), notes, text_columns=2)


def _variants(archive: Labelled, quick: bool) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    settings = ClusterSettings()
    graph = similarity_graph(archive.unit, archive.image, settings)
    default = _labels(graph, archive, settings)
    yield (_DEFAULT, ""), _cells(default, archive)
    for weight in ("1", "similarity"):
        yield ("edge weight", weight), _cells(_labels(graph, archive, settings, weight), archive)
    yield ("incoherent clusters", "left whole"), _cells(_labels(graph, archive, settings, split=False), archive)
    for name, field, values in (
        ("neighbours", "neighbours", _NEIGHBOURS),
        ("false edges per face", "false_edges_per_face", _FALSE_EDGES),
    ):
        for value in values[:2] if quick else values:
            changed = replace(settings, **{field: value})
            if changed == settings:
                yield (name, f"{value} (default)"), _cells(default, archive)
                continue
            found = similarity_graph(archive.unit, archive.image, changed)
            yield (name, f"{value}"), _cells(_labels(found, archive, changed), archive)


def _labels(
    graph: SimilarityGraph,
    archive: Labelled,
    settings: ClusterSettings,
    weight: str = "similarity − floor",
    split: bool = True,
) -> IntArray:
    """As `communities` does it, with another weight, or without the split."""
    floor, edges = graph.floor.floor, graph.edges
    given, subtracted = edges, floor
    if weight == "1":
        given, subtracted = edges._replace(similarity=np.ones_like(edges.similarity)), 0.0
    elif weight == "similarity":
        subtracted = 0.0
    labels = modules(graph.space.faces, given, subtracted, settings.seed)
    if split:
        labels = split_incoherent(labels, edges, graph.space, floor, settings.seed)
    weighed = edges._replace(similarity=edges.similarity - np.float32(floor))
    return first_seen(separate(labels, weighed, archive.image))


def _cells(labels: IntArray, archive: Labelled) -> tuple[str, ...]:
    predicted, truth = labels[archive.is_scored], archive.truth[archive.is_scored]
    found = (pairwise_scores(predicted, truth).f1, bcubed_scores(predicted, truth).f1, cluster_ratio(predicted, truth))
    return tuple(f"{value:.3f}" for value in found)
