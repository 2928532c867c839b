"""Clusters with and without the cohort, and the choices of the similarity graph, on labelled faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.archives import evenly
from benchmarks.clusters import AGREEMENT, FLOORS, agreement_cells, assigned, best_floor, floor_of, scored, unguarded
from benchmarks.face_set import Faces, image_numbers, together, usable_by_id
from benchmarks.labelled import Photographs
from benchmarks.results_file import Result
from facelib.clusters.agreement import bcubed_scores, cluster_ratio, pairwise_scores
from facelib.clusters.coherence import split_incoherent
from facelib.clusters.components import first_seen
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
_PLANTED_SEED = 7
_SEEDS = (1, 2, 3, 4, 5)
"""Of the community search; the default is 1."""
_EXCESS = "similarity − floor"
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
    return [_before_and_after(archives, evenly(FLOORS, 3 if quick else 41)), _choices(labelled, quick)]


def _before_and_after(archives: dict[str, Faces], floors: Sequence[float]) -> Result:
    rows = []
    for name, faces in archives.items():
        for cohort in (False, True):
            way = "**corrected**" if cohort else "cosine"
            rows.append((name, way, *_clustered(faces, ClusterSettings(cohort=cohort))))
            if len(np.unique(faces.identities)) < len(np.unique(faces.image_ids)):
                best = best_floor(faces, floors, cohort)
                kind, *cells = _clustered(faces, unguarded(best, cohort))
                rows.append((name, f"{way} (oracle)", f"{kind.partition(',')[0]}, the best by labels", *cells))
    notes = (
        "Every face is given, the main face of each image scored (noise: a cluster of one), as in the benchmark "
        "`clusters`. `cosine`: `cluster.cohort = false`; `corrected`: the default, its cohort drawn from the archive.",
        f"Oracle: the floor with the best pairwise F of {len(floors)} from {floors[0]} to {floors[-1]}, so that the "
        "similarity is judged apart from the estimate of the floor.",
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
    rows = usable_by_id(faces)
    unit = normalise(faces.embeddings)[rows]
    return Labelled(name, unit, image_numbers(faces)[rows], faces.identities[rows], faces.is_main[rows])


def _planted(n: int) -> Labelled:
    planted = planted_embeddings(n, KINDS["arcface"], _PLANTED_SEED)
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
        "Means over five seeds of the community search, F with its smallest and largest value (the default's seed is "
        "the first). One subject of lfw_dev has 44 % of the mated pairs: a few of that person's faces apart cost "
        "0.01 of F.",
        "Usable faces, with the synthetic ones that the graph holds. Scored: main faces; of the planted ones all "
        "(5 % junk, each its own identity).",
        "The defaults were chosen with the help of such figures, so no row is held out; differences of a few "
        "thousandths are noise.",
    )
    return Result("Choices of the graph", columns, tuple(rows), notes, text_columns=2)


def _variants(archive: Labelled, quick: bool) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    settings = ClusterSettings()
    graph = similarity_graph(archive.unit, archive.image, settings)
    default = _cells(graph, archive)
    yield (_DEFAULT, ""), default
    for weight in ("1", "similarity"):
        yield ("edge weight", weight), _cells(graph, archive, weight)
    yield ("incoherent clusters", "left whole"), _cells(graph, archive, split=False)
    for name, field, values in (
        ("neighbours", "neighbours", _NEIGHBOURS),
        ("false edges per face", "false_edges_per_face", _FALSE_EDGES),
    ):
        for value in values[:2] if quick else values:
            changed = replace(settings, **{field: value})
            if changed == settings:
                yield (name, f"{value} (default)"), default
                continue
            found = similarity_graph(archive.unit, archive.image, changed)
            yield (name, f"{value}"), _cells(found, archive)


def _cells(graph: SimilarityGraph, archive: Labelled, weight: str = _EXCESS, split: bool = True) -> tuple[str, ...]:
    """F, BCubed F, and predicted / true: means over the seeds; F with its smallest and largest value."""
    truth = archive.truth[archive.is_scored]
    found = []
    for seed in _SEEDS:
        labels = _labels(graph, seed, weight, split)[: len(archive.truth)][archive.is_scored]
        scores = pairwise_scores(labels, truth).f1, bcubed_scores(labels, truth).f1
        found.append((*scores, cluster_ratio(labels, truth)))
    f1 = [values[0] for values in found]
    mean = [f"{value:.3f}" for value in np.mean(found, axis=0)]
    return f"{mean[0]} ({min(f1):.3f}–{max(f1):.3f})", *mean[1:]


def _labels(graph: SimilarityGraph, seed: int, weight: str, split: bool) -> IntArray:
    """As `communities` does it, with another weight, or without the split."""
    floor, edges = graph.floor.floor, graph.edges
    given = edges._replace(similarity=np.ones_like(edges.similarity)) if weight == "1" else edges
    labels = modules(graph.space.faces, given, floor if weight == _EXCESS else 0.0, seed)
    if split:
        labels = split_incoherent(labels, edges, graph.space, floor, seed)
    weighed = edges._replace(similarity=edges.similarity - np.float32(floor))
    return first_seen(separate(labels, weighed, graph.image))
