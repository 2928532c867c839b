"""Lists a bucket in parallel, in key order, from pages of ListObjectsV2.

API reference: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Protocol

import pyarrow as pa

from facelib.storage.s3_answers import etag_of, modified_at

_SERIAL_PAGES = 4
_RANGE_KEYS = 8000
_RANGES_PER_THREAD = 8
_ENTRY = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("size_bytes", pa.int64()), ("modified_s", pa.int64())]
)


class PageReader(Protocol):
    """One request of ListObjectsV2, safe in threads; it raises what the listing is to raise."""

    def __call__(self, prefix: str, after: str, **more: str) -> dict[str, Any]:
        """The answer for keys with this prefix later than `after` ("" for all); `more` are further parameters."""
        ...


def pages(page: PageReader, prefix: str, threads: int, after: str = "") -> Iterator[pa.RecordBatch]:
    """Everything later than `after` that starts with `prefix`, in key order.

    Columns: key, etag (strings), size_bytes and modified_s (int64, seconds since 1970 UTC). Ranges that
    are listed before their turn wait in this form, about 130 bytes per key.

    A few pages in sequence first: most listings end there. Then ranges between first-level "folders" in
    parallel by `threads` threads, as far as one page of folder names reaches, and so on. A range holds as many
    folders as have some 8,000 keys, judged by the ranges before, but there is a range for each thread.
    """
    serial, width = _SERIAL_PAGES, 1
    with ThreadPoolExecutor(threads) as pool:
        while True:
            for _ in range(serial):
                answer = page(prefix, after)
                yield _packed(answer.get("Contents", ()))
                if not answer["IsTruncated"]:
                    return
                after = answer["Contents"][-1]["Key"]
            folders = _folders(page, prefix, after)
            width = max(1, min(width, math.ceil(len(folders) / threads)))
            bounds = folders[width - 1 :: width][: threads * _RANGES_PER_THREAD]
            found = 0
            for part in pool.map(lambda r: _range(page, prefix, *r), pairwise([after, *bounds])):
                found += sum(len(batch) for batch in part)
                yield from part
            if bounds:
                after, serial = bounds[-1], 1
                width = width * len(bounds) * _RANGE_KEYS // max(1, found)
            else:
                serial *= 2


def _folders(page: PageReader, prefix: str, after: str) -> list[str]:
    """Names of the next folders later than `after`, below the only folder where there is but one."""
    answer = page(prefix, after, Delimiter="/")
    folders = [folder["Prefix"] for folder in answer.get("CommonPrefixes", ())]
    if len(folders) == 1 and not answer.get("Contents"):
        return _folders(page, folders[0], after)
    return [folder for folder in folders if folder > after]


def _range(page: PageReader, prefix: str, after: str, last: str) -> list[pa.RecordBatch]:
    """Entries with after < key <= last."""
    found: list[pa.RecordBatch] = []
    while True:
        answer = page(prefix, after)
        found.append(_packed(item for item in answer.get("Contents", ()) if item["Key"] <= last))
        if not answer["IsTruncated"] or answer["Contents"][-1]["Key"] > last:
            return found
        after = answer["Contents"][-1]["Key"]


def _packed(items: Iterable[Mapping[str, Any]]) -> pa.RecordBatch:
    rows = [(item["Key"], etag_of(item), int(item["Size"]), int(modified_at(item).timestamp())) for item in items]
    columns = zip(*rows, strict=True) if rows else ((),) * len(_ENTRY)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, _ENTRY, strict=True)], schema=_ENTRY
    )
