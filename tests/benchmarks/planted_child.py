"""Rows of the benchmark `planted`, each measured in a program of its own (`benchmarks.planted_row`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelib.errors import FacelibError

MAIN = "plain"
"""The kind of embeddings whose cost is measured."""
CORES = 2
LIMIT_S = 120.0
OURS_LIMIT_S = 7200.0
_PATIENCE = 3.0
"""Of the whole program, which also generates the embeddings and judges the result, as a multiple of the limit."""
_GRAIN_S = 0.5

Figures = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to run."""

    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    quality_sizes: tuple[int, ...] = (10_000, 100_000)
    kinds: tuple[str, ...] = ("facenet", "arcface", "dlib")
    distances: tuple[float, ...] = tuple(round(0.70 + 0.05 * i, 2) for i in range(11))
    settings: tuple[tuple[str, int], ...] = ()
    """Of facelib, where they are not the defaults."""
    engine: str = "Spark"
    """One of `planted_row.ENGINES`."""

    def ours(self, **request: Any) -> Figures:
        """A request for a row of facelib's."""
        return {"settings": dict(self.settings), "engine": self.engine, **request}


_QUICK = Plan((1000, 2000), (1000,), ("arcface",), (0.9, 1.0), (("exact_faces", 1500), ("cells", 40)), "pool")


def planned(quick: bool) -> Plan:
    """The plan of all benchmarks on planted embeddings; tiny sizes when `quick`."""
    return _QUICK if quick else Plan()


WORDS = {
    "Spark": f"tasks of Spark on `local[{CORES},4]`, as `facelib cluster` runs, one thread each",
    "pool": f"a pool of {CORES} processes, one thread each",
}


def measured_apart(
    request: Figures, limit: float = LIMIT_S, python: Path = Path(sys.executable), threads: int = 1
) -> Figures:
    """The figures of one row, or {"failed": why there are none}."""
    request = {"limit": limit, "cores": CORES, "kind": MAIN} | request
    command = [str(python), "-m", "benchmarks.planted_row", json.dumps(request)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    watch = Watch(child.pid)
    try:
        out, error = child.communicate(timeout=_PATIENCE * limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return {"failed": f"did not finish in {limit:.0f} s"}
    finally:
        whole = watch.stop()
    if child.returncode == -signal.SIGALRM:
        return {"failed": f"did not finish in {limit:.0f} s"}
    if child.returncode == -signal.SIGKILL:
        return {"failed": "killed, out of memory"}
    if child.returncode:
        return {"failed": _reason(error) or f"exit code {child.returncode}"}
    figures: Figures = json.loads(out.splitlines()[-1])
    return figures | {"whole": max(whole, figures.get("peak", 0))}


def _reason(error: str) -> str:
    """From a traceback: the sentence of a refusal without its advice, else the last line."""
    last = error.strip().rpartition("\n")[2]
    name, _, text = last.partition(": ")
    return f"refused: {text.partition(':')[0]}" if name.endswith("DegenerateResultError") else last


class Watch:
    """The largest memory of a process and all its descendants together, looked at twice a second.

    Proportional set size (proc(5)): a page that several processes share counts once in all.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._ended.wait(_GRAIN_S):
            self._peak = max(self._peak, sum(map(_proportional_bytes, _tree(self._pid))))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # ended since it was listed
            continue
        for child in children:
            yield from _tree(int(child))


def _proportional_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = [int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:")]
    return sum(found)


def megabytes(size: int) -> str:
    """As text."""
    return f"{size >> 20:,}"


def oracle(n: int, distances: Sequence[float] = ()) -> Figures:
    """What `planted_peers.oracle` finds, in a program of its own; FacelibError where that fails."""
    found = measured_apart({"what": "oracle", "faces": n, "distances": list(distances)}, threads=CORES)
    if "failed" in found:
        raise FacelibError(f"the benchmark planted could not judge distances at {n:,} faces: {found['failed']}")
    return found


def between(ascending: Sequence[float], count: int) -> float:
    """A distance with `count` of the ascending ones below it."""
    last = len(ascending) - 1
    return (ascending[min(max(count - 1, 0), last)] + ascending[min(count, last)]) / 2


def agreement_words(found: Figures) -> tuple[str, ...]:
    """Pairwise P, R and F, BCubed F and clusters to identities, for a table."""
    return tuple(f"{v:.3f}" for v in (*found["pairwise"], found["bcubed"], found["ratio"]))
