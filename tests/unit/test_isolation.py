"""What kills, hangs or breaks the child costs the item that did it, and nothing else."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from facelib.errors import ConfigError
from facelib.isolation import Failure, Isolated, Work

pytestmark = pytest.mark.unit


def _segfault() -> None:
    ctypes.string_at(0)


def _hang_in_c() -> None:
    """Exponential matching inside one C call: no signal handler of Python's would ever run."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def _value_error() -> None:
    raise ValueError("odd item")


def _memory_error() -> None:
    bytearray(1 << 60)


def _wrong_setting() -> None:
    raise ConfigError("setting x is wrong: correct it")


POISON: dict[bytes, Callable[[], object]] = {
    b"segfault": _segfault,
    b"kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"abort": os.abort,
    b"exit": lambda: os._exit(3),
    b"hang": _hang_in_c,
    b"sleep": lambda: time.sleep(60),
    b"error": _value_error,
    b"memory": _memory_error,
    b"config": _wrong_setting,
}


def upper(log: str) -> Work:
    """Items in upper case; poison does what it says. Each item is noted in the file `log`, with the process."""

    def work(items: Sequence[bytes]) -> list[bytes]:
        results = []
        for item in items:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{os.getpid()} {item.decode()}\n")
            if item in POISON:
                POISON[item]()
            results.append(item.upper())
        return results

    return work


def no_models(settings: Any) -> Work:
    raise ConfigError(f"the model {settings} is missing: install it")


def broken(settings: Any) -> Work:
    raise KeyError(settings)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def isolated(log: Path) -> Iterator[Isolated]:
    made = Isolated(upper, str(log), 1.0)
    yield made
    made.close()


def processes(log: Path) -> list[int]:
    """Distinct processes that worked, in order."""
    return list(dict.fromkeys(int(line.split()[0]) for line in log.read_text().splitlines()))


def test_results_come_in_order_from_one_process(isolated: Isolated, log: Path) -> None:
    assert isolated([b"a", b"b"]) == [b"A", b"B"]
    assert isolated([]) == []
    assert isolated([b"c"]) == [b"C"]
    assert len(processes(log)) == 1
    assert processes(log)[0] != os.getpid()


@pytest.mark.parametrize(
    ("poison", "failure"),
    [
        (b"segfault", Failure("crash", "SIGSEGV")),
        (b"kill", Failure("crash", "SIGKILL")),
        (b"abort", Failure("crash", "SIGABRT")),
        (b"exit", Failure("crash", "exit 3")),
        (b"hang", Failure("timeout", "SIGALRM")),
        (b"sleep", Failure("timeout", "SIGALRM")),
        (b"error", Failure("crash", "ValueError")),
        (b"memory", Failure("crash", "MemoryError")),
    ],
)
def test_one_poisonous_item_costs_that_item_alone(isolated: Isolated, poison: bytes, failure: Failure) -> None:
    assert isolated([b"a", poison, b"b"]) == [b"A", failure, b"B"]
    assert isolated([b"c"]) == [b"C"]


def test_several_culprits_in_one_group(isolated: Isolated) -> None:
    found = isolated([b"segfault", b"a", b"error", b"kill"])
    assert found == [Failure("crash", "SIGSEGV"), b"A", Failure("crash", "ValueError"), Failure("crash", "SIGKILL")]


def test_an_item_is_tried_again_alone_in_a_new_process(isolated: Isolated, log: Path) -> None:
    isolated([b"a", b"kill"])
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [name for _, name in lines] == ["a", "kill", "a", "kill"]
    assert lines[0][0] == lines[1][0] != lines[2][0] == lines[3][0]


def test_the_limit_holds_for_each_call_anew(log: Path) -> None:
    isolated = Isolated(upper, str(log), 1.0)
    for _ in range(5):
        time.sleep(0.3)
        assert isolated([b"a"]) == [b"A"]
    isolated.close()
    assert len(processes(log)) == 1


def test_a_wrong_setting_found_by_the_work_is_raised(isolated: Isolated) -> None:
    with pytest.raises(ConfigError, match="setting x is wrong"):
        isolated([b"a", b"config"])
    assert isolated([b"a"]) == [b"A"]


def test_a_missing_model_is_raised_where_it_can_be_told() -> None:
    with pytest.raises(ConfigError, match="the model m is missing"):
        Isolated(no_models, "m", 1.0)([b"a"])


def test_a_fault_in_starting_is_no_fault_of_an_item() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'm'"):
        Isolated(broken, "m", 1.0)([b"a"])


def test_the_child_ends_with_its_parent(isolated: Isolated, log: Path) -> None:
    isolated([b"a"])
    isolated.close()
    with pytest.raises(ProcessLookupError):
        os.kill(processes(log)[0], 0)
    assert isolated([b"b"]) == [b"B"]


def test_a_child_whose_parent_was_killed_ends(log: Path) -> None:
    parent = os.fork()
    if parent == 0:
        Isolated(upper, str(log), 1.0)([b"a"])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    child = processes(log)[0]
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.05)


def test_cost_is_accounted(isolated: Isolated) -> None:
    isolated([b"a"])
    assert isolated.cpu_seconds > 0
    assert isolated.peak_bytes > 1_000_000
