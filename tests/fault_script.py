"""Faults of the S3 server as a script: what each read of an object gets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from facelib.demo.s3_server import Refusal, Slow

Answer = int | str | Refusal | Slow | None


class FaultScript:
    """Gives the reads of an object the answers of `answers_for(key)` in turn, then right ones; `reads` counts them."""

    def __init__(self, answers_for: Callable[[str], Sequence[Answer]]) -> None:
        self.reads: Counter[str] = Counter()
        self._answers_for = answers_for
        self._lock = threading.Lock()

    def __call__(self, method: str, bucket: str, key: str) -> Answer:
        if method != "GET" or not key:
            return None
        with self._lock:
            number = self.reads[key]
            self.reads[key] += 1
        answers = self._answers_for(key)
        return answers[number] if number < len(answers) else None
