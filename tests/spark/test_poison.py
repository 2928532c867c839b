"""Images that kill or hang the process that decodes them: each costs its own row, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Output

from facelib.demo.archive import PlantedArchive

pytestmark = pytest.mark.spark

# Every Python process imports `sitecustomize` at its start: here it puts a handler before the decoder that does to its
# process what broken native code would do.
HANDLER = """
import ctypes, os, signal, time
from facelib.images import decode as module

original = module.decode

def decode(data, *args, **kwargs):
    if data.endswith(b"segfault"):
        ctypes.string_at(0)
    if data.endswith(b"out of memory"):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.endswith(b"hang"):
        while True:
            time.sleep(1)
    return original(data, *args, **kwargs)

module.decode = decode
"""
POISON = {
    b"segfault": ("worker_crash", "SIGSEGV"),
    b"out of memory": ("worker_crash", "SIGKILL"),
    b"hang": ("timeout", "SIGALRM"),
}


def extracted(images: Path, out: Path, handler: Path | None) -> dict[str, dict[str, Any]]:
    """Rows of `images` by file name."""
    path = os.pathsep.join(str(p) for p in (handler, os.environ.get("PYTHONPATH")) if p)
    command = [
        sys.executable, "-m", "facelib.cli.main", "extract", "--images", str(images), "--output", str(out),
        "--set", "extract.shard_images=10", "--set", "decode.timeout_s=4", "--set", "spark.master=local[2,1]",
    ]  # fmt: skip
    subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True)
    output = Output(str(out))
    rows = output.rows("images", output.runs()[-1])
    return {r["uri"].rsplit("/", 1)[1]: r for r in rows}


def test_poison_costs_its_own_row_only(archive: PlantedArchive, tmp_path: Path) -> None:
    """`local[2,1]` gives a failed task no second attempt: the run survives because none fails."""
    chosen = sorted((archive.images / "00").glob("*.jpg"))[:24]
    (tmp_path / "images").mkdir()
    for path in chosen:
        shutil.copy(path, tmp_path / "images" / path.name)
    poisoned = {}
    for path, (poison, outcome) in zip((chosen[1], chosen[2], chosen[15]), POISON.items(), strict=True):
        (tmp_path / "images" / path.name).write_bytes(path.read_bytes() + poison)
        poisoned[path.name] = outcome
    (tmp_path / "handler").mkdir()
    (tmp_path / "handler" / "sitecustomize.py").write_text(HANDLER)

    found = extracted(tmp_path / "images", tmp_path / "out", tmp_path / "handler")
    calm = extracted(tmp_path / "images", tmp_path / "calm", None)
    assert found.keys() == calm.keys() == {p.name for p in chosen}
    for name, row in found.items():
        if name in poisoned:
            assert (row["status"], row["reason"], row["detail"]) == ("rejected", *poisoned[name])
            assert row["content_sha256"] == calm[name]["content_sha256"]
            assert calm[name]["status"] == "ok"
        else:
            assert row | {"run_id": ""} == calm[name] | {"run_id": ""}
