"""CPU time: of a call, of alternatives in turn, and of processes with all they started."""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from facelib.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Adds up the CPU seconds of this process, all threads, and the calls, by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)

    def time(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function and add its CPU time to `name`."""
        begun = time.process_time()
        result = function(*args, **kwargs)
        self.seconds[name] += time.process_time() - begun
        self.calls[name] += 1
        return result


def interleaved(alternatives: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """CPU seconds of each alternative, by repetition: one warm-up each, then in turn, the order reversed each time."""
    for function in alternatives.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for repetition in range(repetitions):
        for name in list(alternatives)[:: -1 if repetition % 2 else 1]:
            watch = Stopwatch()
            watch.time(name, alternatives[name])
            seconds[name].append(watch.seconds[name])
    return seconds


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Ratio within each repetition."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def middle(values: Sequence[float], digits: int = 2) -> str:
    """The median, as text."""
    return f"{statistics.median(values):,.{digits}f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Smallest and largest value, as text."""
    return f"{min(values):,.{digits}f}–{max(values):,.{digits}f}"


def tree_cpu_seconds(skip: Collection[int] = ()) -> float:
    """CPU seconds, user and system, of this process and all its descendants, ended ones included.

    Processes in `skip`, and their descendants, are left out. Reads /proc (proc(5)); ConfigError without it.
    """
    ticks: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, fields in _processes():
        children[int(fields[1])].append(pid)
        ticks[pid] = sum(int(v) for v in fields[11:15])  # utime, stime, and those of children waited for
    total, waiting = 0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += ticks[pid]
        waiting += [c for c in children[pid] if c not in skip]
    return total / os.sysconf("SC_CLK_TCK")


def child_pids(pid: int) -> frozenset[int]:
    """The processes that this one started and that still run."""
    return frozenset(child for child, fields in _processes() if int(fields[1]) == pid)


def _processes() -> list[tuple[int, list[str]]]:
    """Process ids and the fields of /proc/PID/stat after the name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:  # ended since it was listed
            continue
        found.append((int(path.parent.name), text.rpartition(")")[2].split()))
    if not found:
        raise ConfigError("the benchmark spark reads CPU times from /proc: run it on Linux")
    return found
