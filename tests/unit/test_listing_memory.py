"""Two million objects: the driver lists them and plans their shards in less than 1 GB, and goes on after a cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import arithmetic_bucket
import pytest
from arithmetic_bucket import key_of

pytestmark = pytest.mark.unit

N = 2_000_000
CUT_OFF_AT = 1100
PAGE = 1000
SHARD_IMAGES = 256
CHUNK_ROWS = 65_536


def driver(fail_at: int, output: Path) -> dict[str, Any]:
    """What a process of its own reports (see `arithmetic_bucket`)."""
    command = [sys.executable, str(arithmetic_bucket.__file__), str(N), str(fail_at), str(output)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_two_million_objects(tmp_path: Path) -> None:
    first = driver(CUT_OFF_AT, tmp_path)
    assert first["cut_off"]
    chunks = len(list(tmp_path.rglob("*.parquet")))
    assert chunks * CHUNK_ROWS > CUT_OFF_AT * PAGE / 2
    second = driver(0, tmp_path)
    assert (second["rows"], second["exact"]) == (N, True)
    assert second["shards"] == -(-N // SHARD_IMAGES)
    assert second["peak_bytes"] < 1e9
    assert min(second["asked"]) == key_of(chunks * CHUNK_ROWS - 1)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
