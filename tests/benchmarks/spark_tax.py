"""What Spark adds: the extract and embed stages on two cores, against a plain pool of two processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from benchmarks import plain_pool
from benchmarks.archives import Archive, archive, evenly, scratch
from benchmarks.results_file import Result
from benchmarks.timing import child_pids, middle, ratios, spread, tree_cpu_seconds
from facelib.config import config_dict, config_hash
from facelib.faces.image_rows import isolated_work
from facelib.images.shards import PLANNED, ListedImage, ShardSettings, plan_shards
from facelib.isolation import Isolated
from facelib.spark.context import StageContext
from facelib.spark.embed_stage import embed_stage
from facelib.spark.extract_stage import extract_stage
from facelib.spark.listing import Listing, list_archive
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord
from facelib.spark.session import SparkSettings, build_session
from facelib.spark.tables import Place

PACKAGES = ("pyspark", "pyarrow", "numpy", "torch")
_STAGES = ("extract", "embed")
_TABLES = "images"
_WARM_UP = 16


@dataclass(frozen=True)
class Cost:
    """Seconds of one stage: CPU inside the Python tasks, CPU of all processes, and wall clock."""

    tasks: float
    processes: float
    wall: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tasks + other.tasks, self.processes + other.processes, self.wall + other.wall)


@dataclass(frozen=True)
class _Metered(StageContext):
    """Notes the CPU time of all processes but those of the pool for every stage."""

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        pool = {p.pid for p in active_children() if p.pid}
        begun = tree_cpu_seconds(pool)
        with super().stage(name) as facts:
            yield facts
        facts["processes_cpu_seconds"] = tree_cpu_seconds(pool) - begun


@dataclass(frozen=True)
class _Contest:
    spark: SparkSession
    jvm: frozenset[int]
    pool: ProcessPoolExecutor
    scratch: Path
    source: Archive

    def on_spark(self, n: int, config: PipelineConfig) -> dict[str, Cost]:
        """The stages of `n` images in a new output folder."""
        context = self._extracted(n, config)
        embed_stage(context)
        return {
            name: Cost(facts.get("cpu_seconds", 0.0), facts["processes_cpu_seconds"], facts["seconds"])
            for name, facts in context.record.stages.items()
        }

    def _extracted(self, n: int, config: PipelineConfig) -> StageContext:
        place = Place(tempfile.mkdtemp(dir=self.scratch), config.storage)
        record = RunRecord.begin(str(self.source.images), {}, config_dict(config), config_hash(config))
        context = _Metered(self.spark, config, place, record)
        extract_stage(context, _listing(self.source, n, config))
        return context

    def warm_up(self, config: PipelineConfig) -> None:
        """Load code and models on both sides. Embedding ends the extracting children, so extraction comes last."""
        single = replace(config, extract=replace(config.extract, shard_images=1))
        self.on_spark(_WARM_UP, single)
        self._extracted(_WARM_UP, single)
        self.in_pool(_WARM_UP, single)

    def in_pool(self, n: int, config: PipelineConfig) -> dict[str, Cost]:
        """The same functions on the same shards."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        shards = _shards(self.source, n, config)
        extracted = [(members, folder / f"extracted-{i}.parquet") for i, members in enumerate(shards)]
        embedded = [(path, folder / f"embedded-{i}.parquet") for i, (_, path) in enumerate(extracted)]
        return {
            "extract": self._cost(plain_pool.extract_shard, extracted),
            "embed": self._cost(plain_pool.embed_shard, embedded),
        }

    def _cost(self, function: Any, tasks: list[Any]) -> Cost:
        begun, begun_cpu = time.monotonic(), tree_cpu_seconds(self.jvm)
        inside = sum(self.pool.map(function, tasks))
        return Cost(inside, tree_cpu_seconds(self.jvm) - begun_cpu, time.monotonic() - begun)


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """CPU and wall seconds of both, and their ratio within each repetition."""
    source = archive(data)
    n = min(24 if quick else 2736, len(source.members()))
    config = PipelineConfig(
        extract=ShardSettings(shard_images=6) if quick else ShardSettings(),
        spark=SparkSettings(master=f"local[{plain_pool.PROCESSES},4]"),
    )
    rounds = _rounds(source, n, config, 1 if quick else 5)
    spark, pool = ([r[i] for r in rounds] for i in (0, 1))
    notes = (
        f"{n} images of {source.name} in shards of {config.extract.shard_images}; {config.spark.master} against a pool "
        f"of {plain_pool.PROCESSES} processes; {len(rounds)} interleaved repetitions; one thread in each process.",
        f"Before each side's turn both run {_WARM_UP} images in shards of one, so models and code are loaded. On Spark "
        f"that costs {_start_cpu_seconds():.1f} s CPU per worker, once, for the child that decodes and detects.",
        "Python tasks: CPU time inside the task functions. All processes: driver, and JVM with its Python workers, or "
        "the pool's processes. Ratios are medians of the ratio within each repetition.",
        f"The tables `images` and `faces`, which only Spark writes here: {_tables(spark)}.",
    )
    columns = ("stage and measure", "Spark s", "pool s", "Spark / pool", "min–max")
    return [Result("The Spark tax", columns, tuple(_rows(spark, pool)), notes)]


def _rounds(
    source: Archive, n: int, config: PipelineConfig, repetitions: int
) -> list[tuple[dict[str, Cost], dict[str, Cost]]]:
    with scratch() as folder, _session(config) as spark:
        jvm = child_pids(os.getpid())
        with plain_pool.start() as pool:
            contest = _Contest(spark, jvm, pool, Path(folder), source)
            ways = (contest.on_spark, contest.in_pool)
            rounds = []
            for repetition in range(repetitions):
                found = {}
                for way in ways[:: -1 if repetition % 2 else 1]:
                    contest.warm_up(config)
                    found[way.__name__] = way(n, config)
                rounds.append((found["on_spark"], found["in_pool"]))
    return rounds


def _start_cpu_seconds() -> float:
    """CPU of a child that starts, loads its models and ends."""
    begun = os.times()
    with closing(Isolated(isolated_work, plain_pool.SETTINGS, plain_pool.SETTINGS.decode.timeout_s)) as to_rows:
        to_rows([b""])
    ended = os.times()
    return ended.children_user + ended.children_system - begun.children_user - begun.children_system


@contextmanager
def _session(config: PipelineConfig) -> Iterator[SparkSession]:
    spark = build_session(config.spark, "facelib-bench")
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def _listing(source: Archive, n: int, config: PipelineConfig) -> Listing:
    whole = list_archive(str(source.images), config)
    return replace(whole, objects=whole.objects.take(pa.array(evenly(range(whole.n), n))))


def _shards(source: Archive, n: int, config: PipelineConfig) -> list[list[ListedImage]]:
    listed = _listing(source, n, config).objects
    plan = plan_shards(listed, PLANNED.empty_table(), (), "bench", config.extract)
    return [list(shard.members) for shard in plan.todo]


def _rows(spark: list[dict[str, Cost]], pool: list[dict[str, Cost]]) -> Iterator[tuple[str, ...]]:
    both = {name: ([r[name] for r in spark], [r[name] for r in pool]) for name in _STAGES}
    both["extract + embed"] = (
        [r["extract"] + r["embed"] for r in spark],
        [r["extract"] + r["embed"] for r in pool],
    )
    measures = {"tasks": "CPU of Python tasks", "processes": "CPU of all processes", "wall": "wall clock"}
    for stage, (ours, plain) in both.items():
        for field, text in measures.items():
            a, b = ([getattr(cost, field) for cost in costs] for costs in (ours, plain))
            yield f"{stage}: {text}", middle(a), middle(b), middle(ratios(a, b), 3), spread(ratios(a, b), 3)


def _tables(spark: list[dict[str, Cost]]) -> str:
    costs = [r[_TABLES] for r in spark]
    return (
        f"{middle([c.processes for c in costs])} s CPU of all processes, {middle([c.wall for c in costs])} s wall clock"
    )
