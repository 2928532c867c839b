"""Work that may kill or hang its process, done in a process of its own.

`Isolated` sends groups of byte strings to a child process and gets a result for each. The kernel ends a child that
works longer than its limit (SIGALRM, whose default action needs no cooperation of the code at work), and prefers it
when memory runs out. When a child dies, the items of its group are tried again one by one: what kills a process that
holds nothing else is the culprit, and its neighbours are unaffected.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from facelib.errors import FacelibError

Work = Callable[[Sequence[bytes]], Sequence[Any]]
Make = Callable[[Any], Work]

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
}
"""One compute thread; and large temporary arrays stay in the process, which saves their page faults."""

_log = logging.getLogger("facelib")


@dataclass(frozen=True)
class Failure:
    """An item that got no result: it took too long, or killed its process (or raised), alone.

    `detail`: name of the signal or of the error's class.
    """

    kind: Literal["timeout", "crash"]
    detail: str


class Isolated:
    """A child process for `make(settings)`, started when first used, and again after each death.

    `make` is a function of a module; it and `settings` are pickled. The work takes a list of byte strings and
    returns a list of picklable results. `timeout_s`: wall-clock seconds one call of it may take. Not for use by
    several threads.
    """

    def __init__(self, make: Make, settings: Any, timeout_s: float) -> None:
        self._order = pickle.dumps((make, settings, timeout_s))
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self.cpu_seconds = 0.0
        """CPU the work has taken so far, except for calls that were cut off."""
        self.peak_bytes = 0
        """Largest resident size of a child so far, at the end of a call."""

    def __call__(self, items: Sequence[bytes]) -> list[Any]:
        """A result or a Failure for each item. Raises the FacelibError that the work raised, if any;
        RuntimeError when the child cannot be started."""
        found = self._try(items)
        if not isinstance(found, Failure):
            return found
        if len(items) == 1:
            return [found]
        return [result for item in items for result in self([item])]

    def close(self) -> None:
        """End the child; the next call starts another."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None

    def _try(self, items: Sequence[bytes]) -> list[Any] | Failure:
        connection = self._connection or self._start()
        try:
            connection.send(list(items))
            kind, *rest = connection.recv()
        except (EOFError, OSError):
            return self._died()
        if kind == "failed":
            raise rest[0]
        if kind == "raised":
            name, trace = rest
            _log.warning("extraction raised an error, the item is set aside:\n%s", trace)
            return Failure("crash", name)
        results, cpu_seconds, peak_bytes = rest
        self.cpu_seconds += cpu_seconds
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        return list(results)

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "facelib.isolation", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders write about every broken file
                env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = connection = Connection(ours.detach())
        try:
            connection.send_bytes(self._order)
            kind, *rest = connection.recv()
        except (EOFError, OSError):
            self._died()
            raise RuntimeError(
                f"the worker's child process does not start: run {sys.executable} -m facelib.isolation"
            ) from None
        if kind == "failed":
            self.close()
            raise rest[0]
        return connection

    def _died(self) -> Failure:
        process = self._process
        assert process is not None
        self.close()
        number = -process.returncode
        if number == signal.SIGALRM:
            return Failure("timeout", "SIGALRM")
        return Failure("crash", signal.Signals(number).name if number > 0 else f"exit {process.returncode}")


def serve(descriptor: int) -> None:
    """The child: take an order from the socket, then do its work until the socket is closed."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    with Connection(descriptor) as connection:
        make, settings, timeout_s = pickle.loads(connection.recv_bytes())  # noqa: S301
        try:
            work = make(settings)
        except Exception as error:
            connection.send(_failed(error))
            return
        connection.send(("ready",))
        with suppress(EOFError, ConnectionError):
            while True:
                connection.send(_answer(work, connection.recv(), timeout_s))


def _answer(work: Work, items: list[bytes], timeout_s: float) -> tuple[Any, ...]:
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        results = work(items)
    except FacelibError as error:
        return _failed(error)
    except Exception as error:  # a fault of ours that one item shows must not cost the others
        return ("raised", type(error).__name__, traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ("done", results, time.process_time() - begun, peak_resident_bytes())


def peak_resident_bytes(pid: int | Literal["self"] = "self") -> int:
    """Largest resident size of a process so far; 0 where the system does not tell.

    From proc(5): what getrusage(2) tells of a program includes the process that started it.
    """
    with suppress(OSError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _failed(error: Exception) -> tuple[str, Exception]:
    """The error as the parent is to raise it; one that might not travel is told by its traceback."""
    known = isinstance(error, FacelibError)
    return ("failed", error if known else RuntimeError("".join(traceback.format_exception(error))))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
