"""Broken files of every format: what becomes of them, how long the slowest takes, how much memory a worker needs."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from corruptions import corruptions

from benchmarks.plain_pool import SETTINGS
from benchmarks.results_file import Result
from facelib.faces.image_rows import isolated_work
from facelib.isolation import Failure, Isolated

PACKAGES = ("Pillow", "opencv-python-headless", "numpy")


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Outcomes of the corruptions, each in a call of its own."""
    n = 100 if quick else 2000
    outcomes: Counter[str] = Counter()
    seconds = []
    with closing(Isolated(isolated_work, SETTINGS, SETTINGS.decode.timeout_s)) as to_rows:
        to_rows([b""])
        idle = to_rows.peak_bytes
        for _, content in corruptions(n):
            begun = time.monotonic()
            (rows,) = to_rows([content])
            seconds.append(time.monotonic() - begun)
            outcomes[rows.kind if isinstance(rows, Failure) else rows[0].get("reason") or "ok"] += 1
        peak = to_rows.peak_bytes
    seconds.sort()
    notes = (
        f"{n:,} corruptions (bit flips, truncations, spliced headers … of all formats, fixed seed), one at a time in "
        "the child process of a worker.",
        f"Wall clock per file: median {1000 * seconds[n // 2]:.1f} ms, 99 % {1000 * seconds[n * 99 // 100]:.0f} ms, "
        f"slowest {1000 * seconds[-1]:.0f} ms; the limit is {SETTINGS.decode.timeout_s:.0f} s.",
        f"Largest resident size of the process: {peak >> 20} MB, {idle >> 20} MB of it models and libraries.",
    )
    rows = tuple((outcome, str(count)) for outcome, count in outcomes.most_common())
    return [Result("What became of broken files", ("outcome", "files"), rows, notes)]
