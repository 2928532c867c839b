"""An S3 server in a process of its own, with faults: `python -m benchmarks.faulty_server FOLDER faults|none`.

It puts FOLDER into the bucket `images`, writes one JSON line (its environment for clients), serves until its standard
input is closed, and then writes one JSON line of what it did.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from facelib.demo.s3_server import S3Server

TRANSIENT: dict[int | Literal["reset", "truncate"], float] = {503: 0.05, "reset": 0.01, "truncate": 0.005}
"""Share of the requests that fail so; the next attempt is drawn anew."""
PERMANENT = {404: 0.005, 412: 0.005}
"""Share of the keys that have vanished, or changed, since they were listed."""


@dataclass
class Faults:
    """Draws the faults of image GETs: the same for the same key and attempt, whatever the order of requests."""

    attempts: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, method: str, bucket: str, key: str) -> int | Literal["reset", "truncate"] | None:
        if method != "GET" or bucket != "images" or not key:
            return None
        with self.lock:
            self.attempts[key] += 1
            fault = _drawn(PERMANENT, key) or _drawn(TRANSIENT, f"{key} {self.attempts[key]}")
            if fault is not None:
                self.injected[str(fault)] += 1
        return fault  # type: ignore[return-value]


def permanent(key: str) -> int | None:
    """The lasting fault of a key."""
    return _drawn(PERMANENT, key)  # type: ignore[return-value]


def _drawn(shares: dict, seed: str) -> object:  # type: ignore[type-arg]
    draw = random.Random(seed).random()
    for fault, share in shares.items():
        if draw < share:
            return fault
        draw -= share
    return None


def main(folder: str, kind: str) -> None:
    """Serve until standard input ends."""
    with S3Server() as server:
        server.create_bucket("images")
        server.upload_folder(folder, "images")
        faults = Faults()
        server.fault = faults if kind == "faults" else None
        sys.stdout.write(json.dumps(server.env()) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
        done = {"requests": server.counts()["GET_OBJECT"], "injected": dict(faults.injected)}
        sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
