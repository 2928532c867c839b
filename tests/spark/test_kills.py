"""Processes killed in the middle of a run: a worker, an executor, the driver. The tables are as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import Output

from facelib.demo.archive import PlantedArchive
from schemas.tables import TABLES

pytestmark = pytest.mark.spark

DEADLINE_S = 300


class Run:
    """`facelib run` in a process group of its own."""

    def __init__(self, archive: PlantedArchive, out: Path, master: str = "local[2,4]") -> None:
        self.out, self.log = out, out.parent / f"{out.name}-{time.monotonic_ns()}.log"
        self.log.touch()
        command = [
            sys.executable, "-m", "facelib.cli.main", "run", "--images", str(archive.images), "--output", str(out),
            "--labels", str(archive.labels), "--label-key", "file", "--attributes", "glasses",
            "--set", "extract.shard_images=4", "--set", f"spark.master={master}", "--log", str(self.log),
        ]  # fmt: skip
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, start_new_session=True, **quiet)  # type: ignore[call-overload]

    def wait_for(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not reached():
            assert self.process.poll() is None, "the run ended before the moment came"
            assert time.monotonic() < deadline, "the moment did not come"
            time.sleep(0.01)

    def at(self, stage: str) -> bool:
        """Whether the stage has begun, and left some of its files where it leaves files one by one."""
        files = {"extract": "store/extracted/*/*.parquet", "embed": "store/embeddings/*/*.parquet"}.get(stage)
        if files and len(list(self.out.glob(files))) < 3:
            return False
        return self.has_logged("stage_started", stage)

    def is_within(self, stage: str) -> bool:
        """Whether the stage has not ended."""
        return not self.has_logged("stage_finished", stage)

    def has_logged(self, event: str, stage: str) -> bool:
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        return any((e["event"], e.get("stage")) == (event, stage) for e in events)

    def descendants(self) -> Iterator[tuple[int, str, str]]:
        """(pid, command, parent's command) of every process the run started."""
        found: dict[int, tuple[int, str]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(folder.name)] = parent, (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):
                continue
        below = {self.process.pid}
        while more := {pid for pid, (parent, _) in found.items() if parent in below} - below:
            below |= more
        for pid in below - {self.process.pid}:
            parent, command = found[pid]
            yield pid, command, found.get(parent, (0, ""))[1]

    def kill_one(self, wanted: Callable[[str, str], bool]) -> None:
        """SIGKILL one of the processes whose command and parent's command satisfy `wanted`."""
        pids = [pid for pid, command, parent in self.descendants() if wanted(command, parent)]
        assert pids, "there is no process to kill"
        os.kill(max(pids), signal.SIGKILL)

    def finish(self) -> None:
        assert self.process.wait(DEADLINE_S) == 0

    def kill_all(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_worker(command: str, parent: str) -> bool:
    return "pyspark.daemon" in command and "pyspark.daemon" in parent


def is_executor(command: str, parent: str) -> bool:
    return "CoarseGrainedExecutorBackend" in command


def is_child(command: str, parent: str) -> bool:
    return "facelib.isolation" in command


def contents(out: Path) -> dict[str, bytes]:
    """Each published table as bytes, rows by key, without the name of the run."""
    output = Output(str(out))
    tables = {}
    for name in output.record()["tables"]:
        rows = output.table(name).drop_columns(["run_id"])
        keys = [k for k in TABLES[name].key if not pa.types.is_list(rows.schema.field(k).type)]
        sink = pa.BufferOutputStream()
        rows = rows.sort_by([(k, "ascending") for k in keys]).combine_chunks()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        tables[name] = sink.getvalue().to_pybytes()
    return tables


@pytest.fixture(scope="module")
def undisturbed(archive: PlantedArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    Run(archive, out).finish()
    found = contents(out)
    assert {"images", "faces", "clusters", "edges", "labels", "balance", "losses", "checks"} <= found.keys()
    return found


@pytest.mark.parametrize(
    ("wanted", "stages", "master"),
    [
        (is_worker, ("extract", "images", "embed"), "local[2,4]"),
        (is_child, ("extract",), "local[2,4]"),
        (is_executor, ("extract", "images", "embed"), "local-cluster[2,1,1024]"),
    ],
)
def test_killed_processes_change_no_table(
    archive: PlantedArchive,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    wanted: Callable[[str, str], bool],
    stages: tuple[str, ...],
    master: str,
) -> None:
    run = Run(archive, tmp_path / "out", master)
    try:
        for stage in stages:
            run.wait_for(lambda stage=stage: run.at(stage))  # type: ignore[misc]
            run.kill_one(wanted)
            assert run.is_within(stage)
        run.finish()
    finally:
        if run.process.poll() is None:
            run.kill_all()
    assert contents(tmp_path / "out") == undisturbed


def test_a_driver_killed_again_and_again_changes_no_table(
    archive: PlantedArchive, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Each time the same command is given again; the last run is left alone."""
    for stage in ("extract", "embed", "check"):
        run = Run(archive, tmp_path / "out")
        try:
            run.wait_for(lambda stage=stage, run=run: run.at(stage))  # type: ignore[misc]
        finally:
            run.kill_all()
        assert run.is_within(stage)
        assert not (tmp_path / "out" / "CURRENT").exists()
    Run(archive, tmp_path / "out").finish()
    assert contents(tmp_path / "out") == undisturbed
