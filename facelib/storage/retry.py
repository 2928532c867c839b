"""Bounded repetition of a call, with exponential backoff and full jitter."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MAX_DELAY_S = 10.0


def with_retries(
    call: Callable[[], T],
    attempts_for: Callable[[Exception], int],
    backoff_s: float,
    asked_for: Callable[[Exception], float] = lambda error: 0.0,
) -> T:
    """The result of `call`, tried again while it has failed fewer than `attempts_for(error)` times.

    The wait before the n-th repetition is uniform in [0, min(10, backoff_s * 2**n)) seconds: "full
    jitter" (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). It comes on top of the
    seconds that `asked_for(error)` says the service asks for (Retry-After); both together are at most 10.
    """
    for attempt in itertools.count(1):
        try:
            return call()
        except Exception as error:
            if attempt >= attempts_for(error):
                raise
            least = asked_for(error)
        jitter = random.uniform(0.0, min(MAX_DELAY_S, backoff_s * 2**attempt))
        time.sleep(min(MAX_DELAY_S, least + jitter))
    raise AssertionError("unreachable")
