"""Clustering of planted embeddings beside peers: DBSCAN, HDBSCAN, Chinese Whispers, average linkage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.planted_child import (
    CORES,
    LIMIT_S,
    MAIN,
    OURS_LIMIT_S,
    WORDS,
    Figures,
    agreement_words,
    between,
    measured_apart,
    megabytes,
    oracle,
    planned,
)
from benchmarks.planted_peers import PEERS, SMALL_ONLY, WITHOUT_DISTANCE
from benchmarks.results_file import Result

PACKAGES = ("numpy", "scipy", "networkit", "scikit-learn", "dlib-bin", "pyspark")


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """One table; every row comes from a program of its own."""
    plan = planned(quick)
    smallest = plan.sizes[0]
    best = {p: _best_distance(p, smallest, plan.distances) for p in PEERS if p not in WITHOUT_DISTANCE}
    rows, gave_up = [], dict[str, int]()
    asked = sorted({d for d in best.values() if d is not None})
    allowed = dict(zip(asked, oracle(smallest, asked)["counts"], strict=True))
    for n in plan.sizes:
        if n < plan.sizes[-1]:  # where no peer finishes, the benchmark `planted` has facelib's cost
            ours = measured_apart(plan.ours(what="facelib", faces=n), OURS_LIMIT_S)
            rows.append(_peer_row("**facelib**", n, "none: floor estimated", ours))
        non_mated = oracle(n)["distances"] if n > smallest else []
        for peer in PEERS:
            if peer in gave_up or (peer in SMALL_ONLY and n > smallest):
                why = f"not run: did not finish at {gave_up[peer]:,}" if peer in gave_up else "not run: needs n² memory"
                rows.append(_peer_row(peer, n, "–", {"failed": why}))
                continue
            distance = best.get(peer)
            if distance is not None and n > smallest:
                distance = between(non_mated, allowed[distance])
            found = measured_apart({"what": "peer", "faces": n, "peer": peer, "distance": distance}, threads=CORES)
            if "failed" in found:
                gave_up[peer] = n
            setting = "none" if distance is None else f"L2 {distance:.3f} (oracle)"
            rows.append(_peer_row(peer, n, setting, found))
    notes = (
        f"Kind {MAIN}, the same faces, the same machine, one after the other; {CORES} threads for peers that can use "
        f"them; {LIMIT_S:.0f} s each. facelib: {WORDS[plan.engine]}; at {plan.sizes[-1]:,} faces see `planted`. MB: a "
        "peer's process while it works; facelib: all processes.",
        f"Oracle: at {smallest:,} faces the distance with the best pairwise F of {len(plan.distances)} from "
        f"{plan.distances[0]} to {plan.distances[-1]}, by the planted identities; at larger sizes the distance at "
        "which as many pairs of two identities per face are closer (2,000 random faces against all). That favours the "
        "peers: no archive tells its identities. HDBSCAN takes no distance; facelib estimates its floor.",
        "DBSCAN of two samples is connected components by definition, and its distance is scanned as such.",
    )
    columns = (
        "method", "setting", "faces", "pairwise P", "R", "F", "BCubed F", "predicted / true", "wall s", "CPU s", "MB",
    )  # fmt: skip
    return [Result("Clustering beside peers", columns, tuple(rows), notes, text_columns=2)]


def _peer_row(method: str, n: int, setting: str, found: Figures) -> tuple[str, ...]:
    if "failed" in found:
        return method, f"{setting}; {found['failed']}", f"{n:,}", *["–"] * 8
    cost = (
        f"{found['seconds']:,.1f}",
        f"{found['cpu']:,.1f}",
        megabytes(found["whole" if "facelib" in method else "peak"]),
    )
    return method, setting, f"{n:,}", *agreement_words(found), *cost


def _best_distance(peer: str, n: int, distances: Sequence[float]) -> float | None:
    request = {"what": "scan", "faces": n, "peer": peer, "distances": distances}
    found = measured_apart(request, 4 * LIMIT_S, threads=CORES)
    return float(distances[int(np.argmax(found["f1"]))]) if "f1" in found else float(np.median(distances))
