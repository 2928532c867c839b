"""Ways to bring images from storage to measures on two cores: Spark tasks, Spark's binaryFile, a pool, img2dataset."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.archives import scratch
from benchmarks.harness import CHECKOUT
from benchmarks.peer_venv import peer_venv
from benchmarks.reader_ways import SHARD_IMAGES, by_binary_file, by_pool, by_tasks, decoded_urls, large_pictures
from benchmarks.results_file import Result
from benchmarks.small_faces import small_faces
from benchmarks.timing import child_pids, middle, ratios, spread, tree_cpu_seconds
from facelib.errors import FacelibError
from facelib.isolation import ENVIRONMENT
from facelib.spark.session import SparkSettings, build_session

PACKAGES = ("pyspark", "pyarrow", "pandas", "numpy", "opencv-python-headless", "Pillow")
POOL, TASKS, BINARY_FILE = "pool of 2 processes", "facelib: a Spark task per shard", "Spark binaryFile and a pandas UDF"
IMG2DATASET = "img2dataset 1.47.0"
_PROCESSES = 2
_REPEATS = 4
"""How often img2dataset and the pool read each URL, so that the start which is subtracted weighs little."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of all processes of one way, and wall clock."""

    cpu: float
    wall: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu - other.cpu, self.wall - other.wall)


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """CPU and wall seconds of each way, and the ratios to the pool within each repetition."""
    folders = (small_faces(64), large_pictures(16)) if quick else (small_faces(10_000), large_pictures(1000))
    venv = peer_venv(["img2dataset"], quick)
    os.environ.update(ENVIRONMENT)  # else binaryFile's buffers spare later ways in the same workers their page faults
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        local = _local(pool, folders, 1 if quick else 5)
        if "img2dataset" in venv.missing:
            note = f"Missing: {IMG2DATASET}, which reads over HTTP ({venv.missing['img2dataset']})."
            return [replace(local, notes=(*local.notes, note))]
        return [local, _over_http(pool, str(venv.python), folders[: 1 if quick else 2], 1 if quick else 3)]


def _local(pool: ProcessPoolExecutor, folders: Sequence[Path], repetitions: int) -> Result:
    """List, read from the local disk, decode and measure."""
    rows = []
    with build_session(SparkSettings(master="local[2,4]"), "facelib-bench") as spark:
        jvm = child_pids(os.getpid())
        for folder in folders:
            ways: dict[str, Callable[[], pa.Table]] = {
                POOL: partial(by_pool, pool, folder),
                TASKS: partial(by_tasks, spark, folder),
                BINARY_FILE: partial(by_binary_file, spark, folder),
            }
            same_measures({name: way() for name, way in ways.items()})
            costs: dict[str, list[Cost]] = {name: [] for name in ways}
            for repetition in range(repetitions):
                for name in list(ways)[:: -1 if repetition % 2 else 1]:
                    costs[name].append(_cost(ways[name], jvm if name == POOL else _workers()))
            rows += cost_rows(_described(folder), costs, len(_files(folder)))
    notes = (
        "Generated pictures on the local disk, listed, read, decoded and measured (`decode`, `measure_image`); every "
        "way gives the same hashes and brightness. `local[2,4]`, a pool of two processes, one thread each; "
        f"{repetitions} interleaved repetitions after a warm-up.",
        "All processes have the memory settings of extraction (`facelib.isolation.ENVIRONMENT`): without them, arrays "
        "of large images cost page faults, but no longer in workers where binaryFile has run.",
        "CPU of all processes, the JVM included. Objects travel to facelib's tasks as names; `extract` itself also "
        "decodes in a child process of the worker, which is part of the benchmark `spark`.",
    )
    return Result("From storage to measures, two cores", _COLUMNS, tuple(rows), notes, text_columns=2)


_COLUMNS = (
    "objects", "way", "CPU s per 1,000", "against the pool", "min–max",
    "wall s per 1,000", "against the pool", "min–max",
)  # fmt: skip


def same_measures(found: Mapping[str, pa.Table]) -> None:
    """FacelibError when two ways gave different measures."""
    rows = {name: sorted(zip(*table.to_pydict().values(), strict=True)) for name, table in found.items()}
    for name, values in rows.items():
        if values != rows[POOL]:
            raise FacelibError(f"{name} gave other measures than {POOL}")


def cost_rows(objects: str, costs: Mapping[str, Sequence[Cost]], n: int) -> list[tuple[str, ...]]:
    """A row per way: medians per 1,000 of `n` images, ratios to the pool within each repetition."""
    rows = []
    for name, found in costs.items():
        cells = []
        for measure in ("cpu", "wall"):
            ours, pools = ([getattr(cost, measure) for cost in some] for some in (found, costs[POOL]))
            ratio = ratios(ours, pools)
            cells += [f"{1000 * statistics.median(ours) / n:.2f}", f"{middle(ratio)} ×", spread(ratio)]
        rows.append((objects, name, *cells))
    return rows


def _cost(way: Callable[[], object], skip: Collection[int]) -> Cost:
    begun, begun_cpu = time.monotonic(), tree_cpu_seconds(skip)
    way()
    return Cost(tree_cpu_seconds(skip) - begun_cpu, time.monotonic() - begun)


def _over_http(pool: ProcessPoolExecutor, python: str, folders: Sequence[Path], repetitions: int) -> Result:
    """GET and decode only, which img2dataset can do too."""
    rows, started = [], []
    for folder in folders:
        with _server(folder) as port:
            names = [path.relative_to(folder).as_posix() for path in _files(folder)]
            urls = [f"http://127.0.0.1:{port}/{name}" for name in names] * _REPEATS
            others = child_pids(os.getpid())
            costs: dict[str, list[Cost]] = {POOL: [], IMG2DATASET: []}
            _decode_in_pool(pool, urls[:64])
            for _ in range(repetitions):
                costs[POOL].append(_cost(partial(_decode_in_pool, pool, urls), others - _workers()))
                started.append(_cost(partial(_img2dataset, python, urls[:_PROCESSES]), others))
                costs[IMG2DATASET].append(_cost(partial(_img2dataset, python, urls), others) - started[-1])
            rows += cost_rows(_described(folder), costs, len(urls))
    notes = (
        f"The same pictures from an HTTP server on the same cores, whose CPU is not counted, each {_REPEATS} "
        f"times; read and decoded only; {repetitions} interleaved repetitions.",
        "img2dataset: 2 processes of 8 threads, no resizing, encoding or writing; OpenCV decodes for it, Pillow for "
        "facelib. It waits for 16 answers at once and the pool for 2: compare the CPU, not the wall clock. Its "
        "start, with 2 images, is subtracted: "
        f"{middle([c.cpu for c in started], 1)} s CPU, {middle([c.wall for c in started], 1)} s wall clock.",
    )
    return Result("GET over HTTP and decode, two cores", _COLUMNS, tuple(rows), notes, text_columns=2)


def _decode_in_pool(pool: ProcessPoolExecutor, urls: Sequence[str]) -> None:
    shards = [urls[i : i + SHARD_IMAGES] for i in range(0, len(urls), SHARD_IMAGES)]
    _complete(sum(pool.map(decoded_urls, shards)), len(urls))


def _img2dataset(python: str, urls: Sequence[str]) -> None:
    with scratch() as folder:
        names = Path(folder) / "urls.txt"
        names.write_text("\n".join(urls) + "\n")
        shard_images = -(-len(urls) // _PROCESSES)
        arguments = ["img2dataset", str(names), f"{folder}/out", str(shard_images)]
        answer = _peer(python, arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        _complete(int(answer.communicate()[0] or 0), len(urls))


def _workers() -> frozenset[int]:
    """The pool's processes."""
    return frozenset(p.pid for p in active_children() if p.pid)


def _complete(found: int, expected: int) -> None:
    if found != expected:
        raise FacelibError(f"{found} of {expected} images were read over HTTP")


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Its port."""
    process = _peer(sys.executable, ["serve", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _peer(python: str, arguments: Sequence[str], **pipes: Any) -> subprocess.Popen[str]:
    settings = {"PYTHONPATH": str(CHECKOUT / "tests"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [python, "-m", "benchmarks.reader_peers", *arguments]
    return subprocess.Popen(command, env=os.environ | settings, text=True, **pipes)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def _described(folder: Path) -> str:
    sizes = [path.stat().st_size for path in _files(folder)]
    return f"{len(sizes):,} of {statistics.mean(sizes) / 1024:.0f} KB"
