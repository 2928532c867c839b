"""Identity clusters and verification on labelled photographs, against peers on the same embeddings."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import peers, plain_pool
from benchmarks.archives import BUILD, archive, evenly
from benchmarks.face_set import Faces, image_numbers, usable_by_id
from benchmarks.harness import needs_photographs
from benchmarks.results_file import Result
from facelib.clusters.agreement import bcubed_scores, cluster_ratio, largest_purity, pairwise_scores
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.communities import Constraints, communities
from facelib.clusters.graph import accepted_edges
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.similarity_graph import similarity_graph
from facelib.embeddings.embed import vectors_of
from facelib.embeddings.model import model_id
from facelib.errors import ConfigError
from facelib.faces.extract import extract_id
from facelib.faces.face_rows import FACE_STORE_COLUMNS, face_rows
from facelib.faces.quality import QualitySettings
from facelib.ids import digest
from facelib.images.shards import ListedImage
from facelib.reports.verification import balanced_folds, cross_validated, read_pairs, true_match_rate
from facelib.spark.pipeline_config import EmbedSettings

PACKAGES = ("numpy", "scipy", "networkit", "scikit-learn", "dlib-bin", "torch")
_DISTANCE = 0.6
_DISTANCES = [round(0.30 + 0.01 * i, 2) for i in range(36)]
FLOORS = [round(0.900 + 0.001 * i, 3) for i in range(81)]
_FALSE_MATCH_RATES = (1e-3, 1e-4)
_CHUNK = 64
_SEED = 1
_ORDERS = 20
_SPREAD = ("pairwise F", "BCubed F", "predicted / true")
_PEERS: dict[str, Callable[[peers.Points, float], peers.Labels]] = {
    "connected components (scipy)": peers.components,
    "DBSCAN, min_samples 2 (scikit-learn)": peers.dbscan,
    "Chinese Whispers (dlib)": peers.chinese_whispers,
}


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Two tables: agreement of clusters with identities, and verification. ConfigError without photographs."""
    if data is None:
        raise ConfigError(needs_photographs("clusters"))
    by_path = archive(data).by_path()
    if quick:
        by_path = dict(list(by_path.items())[:240])
    faces = labelled_faces(by_path, identities(data / "labels.csv"))
    return [_clustering(faces, data.name, quick), _verification(faces, by_path, data)]


def identities(labels: Path) -> dict[str, str]:
    with labels.open(newline="", encoding="utf-8") as f:
        return {row["file"]: row["identity"] for row in csv.DictReader(f)}


def labelled_faces(by_path: dict[str, ListedImage], identity_of: dict[str, str]) -> Faces:
    """All faces of the images, by path below the folder, with the identity that belongs to each path; their names begin
    with the digest of the image's bytes, as a run orders them, so that it does not matter where the images lie."""
    rows = embedded_faces(list(by_path.values()))
    path_of = {member.image_id: path for path, member in by_path.items()}
    images, content, index = (rows.column(c).to_pylist() for c in ("image_id", "content", "face_index"))
    return Faces(
        [f"{name}-{number:06d}-{image}" for name, number, image in zip(content, index, images, strict=True)],
        images,
        vectors_of(rows.column("embedding")),
        rows.column("is_usable").to_numpy(),
        rows.column("face_index").to_numpy() == 0,
        np.array([identity_of[path_of[i]] for i in images]),
    )


def embedded_faces(members: Sequence[ListedImage]) -> pa.Table:
    """Face rows of all members with their embeddings; computed once, then kept below build/bench."""
    made_by = extract_id(plain_pool.SETTINGS), model_id(EmbedSettings().model, EmbedSettings().mirror)
    kept = BUILD / f"faces-{digest(*made_by, *(m.image_id for m in members))}.parquet"
    if not kept.is_file():
        chunks = [members[i : i + _CHUNK] for i in range(0, len(members), _CHUNK)]
        with plain_pool.start() as pool:
            rows = pa.concat_tables(pool.map(plain_pool.embedded_faces, chunks))
        BUILD.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".part")
        faces = rows.select([*FACE_STORE_COLUMNS, "embedding"])
        pq.write_table(faces.append_column("content", rows.column("content_sha256")), partial)
        partial.replace(kept)
    return face_rows(pq.read_table(kept), "benchmark", QualitySettings())


def _clustering(faces: Faces, name: str, quick: bool) -> Result:
    main = faces.only(faces.is_main)
    points, truth = peers.Points(main.embeddings), main.identities
    rows = [_ours(faces, "all faces"), _ours(main, "main faces only")]
    rows += [_row(peer, f"L2 {_DISTANCE}", find(points, _DISTANCE), truth) for peer, find in _PEERS.items()]
    floors, distances = (evenly(v, 3) if quick else v for v in (FLOORS, _DISTANCES))
    rows.append(_best_floor(faces, floors))
    rows += [_best_distance(peer, find, points, truth, distances) for peer, find in _PEERS.items()]
    usable = int(main.is_usable.sum())
    notes = (
        f"{name}: {len(faces.face_ids)} faces on {len(main.face_ids)} images of {len(set(truth))} identities. Scored: "
        f"the main face (index 0) of each image ({usable} usable); noise counts as clusters of one.",
        "Rows without “oracle” use no label: facelib estimates its floor from the archive (see "
        "`facelib/clusters/floor.py`), the peers use the distance that dlib documents.",
        f"Oracle: the setting with the best pairwise F of {len(floors)} floors from {floors[0]} to {floors[-1]}, or "
        f"{len(distances)} distances from {distances[0]} to {distances[-1]}, chosen by the labels it is scored on.",
        "DBSCAN of at least two samples is connected components by definition; both are run as a check.",
        _spread(faces, 2 if quick else _ORDERS),
    )
    columns = ("method", "setting", *AGREEMENT)
    return Result("Identity clusters against labels", columns, tuple(rows), notes, text_columns=2)


def _ours(faces: Faces, given: str) -> tuple[str, ...]:
    found = assigned(faces, ClusterSettings())
    return _row(f"**facelib**, {given}", floor_of(found), *scored(found, faces))


def _spread(faces: Faces, orders: int) -> str:
    """What the order of the faces matters."""
    scores, random = [], np.random.default_rng(_SEED)
    for _ in range(orders):
        names = [f"{number:06d}" for number in random.permutation(len(faces.face_ids)).tolist()]
        shuffled = replace(faces, face_ids=names)
        found = scored(assigned(shuffled, ClusterSettings()), shuffled)
        scores.append((pairwise_scores(*found).f1, bcubed_scores(*found).f1, cluster_ratio(*found)))
    low, middle, high = (q.round(3) for q in np.quantile(scores, (0, 0.5, 1), axis=0))
    ranges = (
        f"{a} {lo:.3f} to {hi:.3f}, median {m:.3f}" for a, lo, m, hi in zip(_SPREAD, low, middle, high, strict=True)
    )
    return (
        "The order of the faces follows from the bytes of their images, and is as good as any other: over "
        f"{orders} random orders {'; '.join(ranges)}."
    )


def floor_of(found: Assignment) -> str:
    """The floor, and where it came from."""
    floor = found.summary.floor
    return f"{_kind(found)} {floor.floor:.4f}, chosen without labels ({floor.method})"


def _kind(found: Assignment) -> str:
    return "corrected similarity" if found.summary.search.cohort else "cosine"


def assigned(faces: Faces, settings: ClusterSettings) -> Assignment:
    """The clusters of all faces."""
    return assign(faces.face_ids, faces.image_ids, faces.embeddings, faces.is_usable, settings)


def scored(found: Assignment, faces: Faces) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Cluster (noise: the face itself) and identity of every image's main face (index 0)."""
    ids, clusters = (found.clusters.column(c).to_pylist() for c in ("face_id", "cluster_id"))
    cluster_of = dict(zip(ids, clusters, strict=True))
    predicted = np.array([cluster_of[i] or i for i in faces.face_ids])
    return predicted[faces.is_main], faces.identities[faces.is_main]


def _best_floor(faces: Faces, floors: Sequence[float]) -> tuple[str, ...]:
    best = best_floor(faces, floors)
    found = assigned(faces, unguarded(best))
    return _row("facelib, all faces (oracle)", f"{_kind(found)} {best:.3f}", *scored(found, faces))


def unguarded(floor: float, cohort: bool = True) -> ClusterSettings:
    """Settings with a given floor, under which poor clusters are scored, not refused."""
    return ClusterSettings(floor=floor, cohort=cohort, max_cluster_share=1.0, min_canary_f=0)


def best_floor(faces: Faces, floors: Sequence[float], cohort: bool = True) -> float:
    """The floor with the best pairwise F, judged by the labels on the graph that `assign` makes of the usable faces."""
    order = usable_by_id(faces)
    settings = unguarded(min(floors), cohort)
    graph = similarity_graph(normalise(faces.embeddings)[order], image_numbers(faces)[order], settings)
    is_main, truth = faces.is_main[order], faces.identities[order]

    def f1(floor: float) -> float:
        edges = accepted_edges(graph.edges, floor, graph.image)
        found = communities(graph.space, edges, floor, Constraints(graph.image), settings)
        return pairwise_scores(found.labels[: len(order)][is_main], truth[is_main]).f1

    return max(floors, key=f1)


def _best_distance(
    peer: str,
    find: Callable[[peers.Points, float], peers.Labels],
    points: peers.Points,
    truth: npt.NDArray[np.str_],
    distances: Sequence[float],
) -> tuple[str, ...]:
    best = max(distances, key=lambda d: pairwise_scores(find(points, d), truth).f1)
    return _row(f"{peer} (oracle)", f"L2 {best:.2f}", find(points, best), truth)


def _row(method: str, setting: str, predicted: npt.NDArray[np.generic], truth: npt.NDArray[np.str_]) -> tuple[str, ...]:
    return method, setting, *agreement_cells(predicted, truth)


AGREEMENT = ("pairwise P", "R", "F", "BCubed F", "predicted / true", "largest", "its purity")


def agreement_cells(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[str, ...]:
    """A cell for each of the columns `AGREEMENT`."""
    largest = largest_purity(predicted, truth)
    scores = (*pairwise_scores(predicted, truth), bcubed_scores(predicted, truth).f1, cluster_ratio(predicted, truth))
    return *(f"{s:.3f}" for s in scores), str(largest.size), f"{largest.purity:.2f}"


def _verification(faces: Faces, by_path: dict[str, ListedImage], data: Path) -> Result:
    main = faces.only(faces.is_main)
    row_of = {image: i for i, image in enumerate(main.image_ids)}
    pairs = [p for p in read_pairs(data / "pairs_folds1-2.txt") if {p.first, p.second} <= by_path.keys()]
    at = [[row_of.get(by_path[f].image_id, -1) for f in (p.first, p.second)] for p in pairs]
    is_mated = np.array([p.is_mated for p in pairs])
    unit = normalise(main.embeddings).astype(np.float64)
    similarities = {
        "L2, raw embeddings": -peers.Points(main.embeddings).distances,
        "cosine": unit @ unit.T,
    }
    index = np.array(at)
    rows = [_verification_row(n, s, index, is_mated, main.identities) for n, s in similarities.items()]
    faceless = int((index < 0).any(axis=1).sum())
    notes = (
        f"Accuracy: {len(pairs)} pairs of LFW View 2, folds 1 and 2, cut anew into ten folds; threshold from the other "
        f"nine; mean ± standard error. {faceless} pairs have an image without a face and count as non-mated.",
        f"TMR: share of all {_mated_pairs(main.identities):,} mated pairs of main faces accepted at the threshold "
        "that accepts this share of all non-mated pairs.",
    )
    columns = ("similarity", "accuracy", "mean threshold", *(f"TMR at FMR {r:g}" for r in _FALSE_MATCH_RATES))
    return Result("Verification, one face against one", columns, tuple(rows), notes)


def _verification_row(
    name: str,
    similarity: npt.NDArray[np.float64],
    at: npt.NDArray[np.int64],
    is_mated: npt.NDArray[np.bool_],
    identities: npt.NDArray[np.str_],
) -> tuple[str, ...]:
    scores = similarity[at[:, 0], at[:, 1]]
    scores[(at < 0).any(axis=1)] = similarity.min() - 1
    found = cross_validated(scores, is_mated, balanced_folds(is_mated))
    upper = np.triu_indices(len(identities), 1)
    same = identities[upper[0]] == identities[upper[1]]
    every = similarity[upper]
    rates = [true_match_rate(every[same], every[~same], r)[0] for r in _FALSE_MATCH_RATES]
    accuracy = f"{found.mean:.2%} ± {found.standard_error:.2%}"
    return name, accuracy, f"{abs(found.threshold):.3f}", *(f"{r:.3f}" for r in rates)


def _mated_pairs(identities: npt.NDArray[np.str_]) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(identities.tolist()).values())
