"""Lists a bucket in parallel, in key order, from pages of ListObjectsV2.

API reference: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Protocol

_SERIAL_PAGES = 4


class PageReader(Protocol):
    """One request of ListObjectsV2, safe in threads; it raises what the listing is to raise."""

    def __call__(self, prefix: str, after: str, **more: str) -> dict[str, Any]:
        """The answer for keys with this prefix later than `after` ("" for all); `more` are further parameters."""
        ...


def entries(page: PageReader, prefix: str, threads: int) -> Iterator[dict[str, Any]]:
    """Everything that starts with `prefix`, in key order.

    A few pages in sequence first: most listings end there. Then ranges between first-level
    "folders" in parallel, as wide as one page of folder names reaches, and so on, by `threads` threads.
    """
    after, serial = "", _SERIAL_PAGES
    with ThreadPoolExecutor(threads) as pool:
        while True:
            for _ in range(serial):
                answer = page(prefix, after)
                yield from answer.get("Contents", ())
                if not answer["IsTruncated"]:
                    return
                after = answer["Contents"][-1]["Key"]
            bounds = _bounds(page, prefix, after, threads)
            if not bounds:
                serial *= 2
            for part in pool.map(lambda r: _range(page, prefix, *r), pairwise([after, *bounds])):
                yield from part
            after = bounds[-1] if bounds else after


def _bounds(page: PageReader, prefix: str, after: str, threads: int) -> tuple[str, ...]:
    """At most `threads` names of folders later than `after`, evenly spread, as range ends."""
    answer = page(prefix, after, Delimiter="/")
    folders = [folder["Prefix"] for folder in answer.get("CommonPrefixes", ())]
    if len(folders) == 1 and not answer.get("Contents"):
        return _bounds(page, folders[0], after, threads)
    later = [folder for folder in folders if folder > after]
    step = math.ceil(len(later) / threads) or 1
    return tuple(later[step - 1 :: step])


def _range(page: PageReader, prefix: str, after: str, last: str) -> tuple[dict[str, Any], ...]:
    """Entries with after < key <= last."""
    found: list[dict[str, Any]] = []
    while True:
        answer = page(prefix, after)
        found += [item for item in answer.get("Contents", ()) if item["Key"] <= last]
        if not answer["IsTruncated"] or answer["Contents"][-1]["Key"] > last:
            return tuple(found)
        after = answer["Contents"][-1]["Key"]
