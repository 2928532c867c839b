"""One measured row of the benchmark `planted`: a program of its own, so that peak memory is its own.

`python -m benchmarks.planted_row REQUEST` with a request as JSON, prints the figures as JSON. What is timed must end
within `limit` seconds; the kernel ends the program otherwise (SIGALRM).
"""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from benchmarks import planted_faiss, planted_peers
from benchmarks.archives import scratch
from benchmarks.timing import tree_cpu_seconds
from facelib.clusters.agreement import bcubed_scores, cluster_ratio, largest_purity, pairwise_scores
from facelib.clusters.assign import Assignment, assign
from facelib.clusters.cells import cell_pairs
from facelib.clusters.engine import Array, Engine, LocalEngine
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.clusters.strongest import ROUNDING, ranked
from facelib.demo.planted_embeddings import KINDS, Planted, planted_embeddings
from facelib.isolation import peak_resident_bytes

CHECKED = 200
SEED = 1
T = TypeVar("T")


@contextmanager
def pool_engine(cores: int) -> Iterator[Engine]:
    """A pool of so many processes."""
    yield PoolEngine(cores)


@contextmanager
def spark_engine(cores: int) -> Iterator[Engine]:
    """The tasks of `facelib cluster`, on a session of so many cores."""
    from facelib.spark.session import SparkSettings, build_session
    from facelib.spark.tables import Place
    from facelib.spark.task_engine import TaskEngine
    from facelib.storage import StorageSettings

    with (
        scratch() as folder,
        build_session(SparkSettings(master=f"local[{cores},4]"), "facelib-bench") as spark,
    ):
        engine = TaskEngine(
            spark, Place(folder, StorageSettings()), "scratch", lambda description, tasks: nullcontext()
        )
        engine.run("start", _nothing, range(4 * cores), {})
        yield engine


ENGINES: dict[str, Callable[[int], AbstractContextManager[Engine]]] = {"Spark": spark_engine, "pool": pool_engine}
"""What facelib's rows can run on; opening it is not timed."""


def _nothing(arrays: Mapping[str, Array], item: int) -> list[Array]:
    """Starts the workers and loads their modules."""
    return []


class PoolEngine(LocalEngine):
    """Items in the processes of a pool, which inherit the arrays."""

    def __init__(self, cores: int) -> None:
        self._cores = cores

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Array], T], Sequence[Array]],
        items: Sequence[T],
        arrays: Mapping[str, Array],
    ) -> list[list[Array]]:
        """As `Engine.run`."""
        context = multiprocessing.get_context("fork")
        with context.Pool(self._cores, initializer=_inherit, initargs=(function, arrays)) as pool:
            found = pool.map(_one, items, chunksize=1)
            pool.close()
            pool.join()
        return found


_inherited: list[Any] = []


def _inherit(*given: Any) -> None:
    _inherited[:] = given


def _one(item: Any) -> list[Array]:
    function, arrays = _inherited
    return list(function(arrays, item))


class Watched:
    """An engine that notes wall seconds by step, and keeps the arrays of the last search for pairs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.search: Mapping[str, Array] = {}

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Array], T], Sequence[Array]],
        items: Sequence[T],
        arrays: Mapping[str, Array],
    ) -> list[list[Array]]:
        """As `Engine.run`."""
        if "left" in arrays:
            self.search = arrays
        begun = time.perf_counter()
        found = self._engine.run(description, function, items, arrays)
        self.seconds[re.sub(r"\d+", "n", description)] += time.perf_counter() - begun
        return found

    def components(self, n: int, u: npt.NDArray[np.int64], v: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """As `Engine.components`."""
        return self._engine.components(n, u, v)


def cluster(planted: Planted, engine: Engine, settings: ClusterSettings) -> Assignment:
    """As `facelib cluster` does it; every face on an image of its own."""
    ids = face_ids(len(planted.embeddings))
    return assign(ids, ids, planted.embeddings, np.ones(len(ids), bool), settings, engine=engine)


def face_ids(n: int) -> list[str]:
    """Ids in the order of the rows."""
    return [f"{i:09d}" for i in range(n)]


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one row."""
    planted = planted_embeddings(request["faces"], KINDS[request["kind"]], SEED)
    what, limit = request["what"], request["limit"]
    if what == "facelib":
        return _ours(planted, request)
    if what == "scan":
        scores = planted_peers.scan(request["peer"], planted.embeddings, request["distances"], planted.identities)
        return {"f1": scores}
    if what == "oracle":
        return planted_peers.oracle(planted, request["distances"])
    if what == "peer":
        find = planted_peers.PEERS[request["peer"]]
        labels, figures = measured(lambda: find(planted.embeddings, request["distance"]), limit)
        return figures | agreement(labels, planted.identities)
    return _neighbours(planted, request)


def measured(work: Callable[[], T], limit: float) -> tuple[T, dict[str, Any]]:
    """The result, and seconds of wall clock and CPU (with all processes started), and the peak from here on."""
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew (proc(5)): the generator's does not count
    signal.setitimer(signal.ITIMER_REAL, limit)
    begun, cpu = time.perf_counter(), tree_cpu_seconds()
    result = work()
    figures = {"seconds": time.perf_counter() - begun, "cpu": tree_cpu_seconds() - cpu, "peak": peak_resident_bytes()}
    signal.setitimer(signal.ITIMER_REAL, 0)
    return result, figures


def agreement(labels: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, Any]:
    """Scores of the labels (n,)."""
    largest = largest_purity(labels, truth)
    return {
        "pairwise": pairwise_scores(labels, truth),
        "bcubed": bcubed_scores(labels, truth).f1,
        "ratio": cluster_ratio(labels, truth),
        "largest": largest.size,
        "purity": largest.purity,
    }


def _ours(planted: Planted, request: Mapping[str, Any]) -> dict[str, Any]:
    settings = ClusterSettings(**request["settings"])
    with ENGINES[request["engine"]](request["cores"]) as engine:
        watched = Watched(engine)
        counted, own = getattr(engine, "cpu_seconds", None), time.process_time()
        found, figures = measured(lambda: cluster(planted, watched, settings), request["limit"])
        if counted is not None:  # idle workers end, and take what /proc knew of their time with them
            tasks = getattr(engine, "cpu_seconds", 0.0) - counted
            figures["cpu"] = max(figures["cpu"], time.process_time() - own + tasks)
    ids, clusters = (found.clusters.column(c).to_pylist() for c in ("face_id", "cluster_id"))
    labels = [cluster or face for face, cluster in zip(ids, clusters, strict=True)]
    summary = found.summary
    return (
        figures
        | agreement(labels, planted.identities)
        | {
            "identities": len(np.unique(planted.identities)),
            "floor": summary.floor.floor,
            "canary": summary.canary_f,
            "edges": summary.n_edges,
            "steps": watched.seconds,
            "search": vars(summary.search),
            "checked": check(found, watched.search, len(planted.embeddings)),
        }
    )


def check(found: Assignment, search: Mapping[str, Array], n: int) -> dict[str, Any]:
    """All pairs above the floor of 200 random faces, from brute force: how many there are, the share that was compared
    (by face: mean over faces), and the share by face of those with the nearest 80 that are edges."""
    space = Space(search["left"], search.get("right", search["left"]))
    judged = np.sort(np.random.default_rng(SEED + 2).permutation(n)[:CHECKED])
    floor = found.summary.floor.floor
    i, b = np.nonzero(space.left[judged] @ space.right[:n].T > floor - ROUNDING)
    a, b, _ = ranked(space, judged[i], b, floor, n)
    is_near = np.arange(len(a)) - np.searchsorted(a, a) < ClusterSettings().neighbours
    ends = (pc.cast(found.edges.column(c), "int64").to_numpy() for c in ("face_a", "face_b"))
    is_edge = np.isin(planted_peers.keys(a, b, n), planted_peers.keys(*ends, n))
    compared = (
        np.ones(len(a), bool) if "members" not in search else _compared(search, a, b, found.summary.search.probes)
    )
    return {
        "pairs": len(a),
        "compared": float(compared.mean()),
        "compared_by_face": planted_peers.mean_by_face(a, compared),
        "edges": planted_peers.mean_by_face(a[is_near], is_edge[is_near]),
    }


def _compared(search: Mapping[str, Array], a: Array, b: Array, probes: int) -> npt.NDArray[np.bool_]:
    """Whether either face of a pair probes the cell of the other."""
    members, starts = search["members"], search["starts"]
    home = np.empty(len(members), np.int64)
    home[members] = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    compared = np.zeros(len(a), bool)
    for one, other in ((a, b), (b, a)):
        faces, row = np.unique(one, return_inverse=True)
        near = search["unit"][faces] @ search["centroids"].T
        cells = np.argsort(-near, axis=1)[:, :probes]
        compared |= (cells[row] == home[other][:, None]).any(axis=1)
    return compared


def _neighbours(planted: Planted, request: Mapping[str, Any]) -> dict[str, Any]:
    """The neighbour stage alone, on cosines."""
    unit, floor, limit = planted.embeddings, request["floor"], request["limit"]
    settings = ClusterSettings(**request["settings"])
    truth = planted_peers.known_neighbours(unit, floor, ClusterSettings().neighbours, SEED + 3)
    n = len(unit)
    if request["what"] == "cells":
        with ENGINES[request["engine"]](request["cores"]) as engine:
            found, figures = measured(lambda: cell_pairs(unit, Space.plain(unit), floor, settings, engine), limit)
        setting = f"{found.cells} cells, probes {found.probes.cells}"
        pairs = planted_peers.keys(found.edges.u, found.edges.v, n)
    else:
        search, setting = planted_faiss.FAISS[request["what"]](unit, floor, settings, truth, request["cores"])
        pairs, figures = measured(search, limit)
    is_found = np.isin(planted_peers.keys(*truth, n), pairs)
    recall = {"recall": float(is_found.mean()), "recall_by_face": planted_peers.mean_by_face(truth[0], is_found)}
    return figures | recall | {"setting": setting, "known": len(truth[0]), "pairs": len(pairs)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.loads(sys.argv[1]))) + "\n")
