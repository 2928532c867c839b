"""The search for neighbours beside Faiss."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peer_venv import peer_venv
from benchmarks.planted_child import (
    CORES,
    LIMIT_S,
    MAIN,
    OURS_LIMIT_S,
    WORDS,
    Figures,
    between,
    measured_apart,
    megabytes,
    oracle,
    planned,
)
from benchmarks.planted_peers import JUDGED
from benchmarks.results_file import Result
from facelib.clusters.settings import ClusterSettings

_FAISS = "faiss-cpu"
_FALSE_EDGES = ClusterSettings().false_edges_per_face


PACKAGES = ("numpy", "pyspark")


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """One table: cells, IVF and HNSW at every size but the smallest; every row comes from a program of its own."""
    plan = planned(quick)
    venv = peer_venv([_FAISS], quick)
    methods = {"**facelib**, cells": "cells", "Faiss IVF": "IVF", "Faiss HNSW": "HNSW"}
    rows, gave_up = [], set[str]()
    for n in plan.sizes[1:]:
        probed = oracle(n)
        floor = 1 - between(probed["distances"], round(_FALSE_EDGES * probed["faces"])) ** 2 / 2
        for name, what in methods.items():
            request = plan.ours(what=what, faces=n, floor=floor)
            if what != "cells" and venv.missing:
                found = {"failed": venv.missing[_FAISS]}
            elif name in gave_up:
                found = {"failed": "not run: did not finish at a smaller size"}
            elif what == "cells":
                found = measured_apart(request, OURS_LIMIT_S)
            else:
                found = measured_apart(request, python=venv.python, threads=CORES)
            if "failed" in found:
                gave_up.add(name)
            rows.append(_row(name, n, floor, found))
    notes = (
        f"Kind {MAIN}, cosines without cohort, at one floor: where {_FALSE_EDGES} pairs of two identities per face "
        f"are above it, by the planted identities. {CORES} cores each: facelib on {WORDS[plan.engine]}, Faiss with "
        f"{CORES} threads; {LIMIT_S:.0f} s for Faiss.",
        f"Recall: of the pairs above the floor of {JUDGED:,} random faces with their nearest "
        f"{ClusterSettings().neighbours}, the share found from either side; by face: mean over the faces that have "
        f"some. IVF: all pairs above the floor; HNSW and facelib: the nearest {ClusterSettings().neighbours} above it.",
        "Faiss: the least power of two of probes or efSearch (at most 512) at which the recall by face is "
        f"{ClusterSettings().recall:.1%}; finding it is not timed, which favours Faiss, and facelib's own choice of "
        "the probes is. 4 √n lists; 32 links, efConstruction 40.",
        "MB: Faiss while it works; facelib: all processes.",
        f"Requirement: {_FAISS} as pinned in peers.txt.",
    )
    columns = (
        "search",
        "setting",
        "faces",
        "floor",
        "recall by face",
        "of pairs",
        "known pairs",
        "pairs found",
        "wall s",
        "CPU s",
        "MB",
    )
    return [Result("Search for neighbours beside Faiss", columns, tuple(rows), notes, text_columns=2)]


def _row(name: str, n: int, floor: float, found: Figures) -> tuple[str, ...]:
    if "failed" in found:
        return name, found["failed"], f"{n:,}", f"{floor:.3f}", *["–"] * 7
    recall = tuple(f"{found[part]:.4f}" for part in ("recall_by_face", "recall"))
    counts = f"{found['known']:,}", f"{found['pairs']:,}"
    cost = (
        f"{found['seconds']:,.1f}",
        f"{found['cpu']:,.1f}",
        megabytes(found["whole" if "facelib" in name else "peak"]),
    )
    return name, found["setting"], f"{n:,}", f"{floor:.3f}", *recall, *counts, *cost
