"""A stand-in for the S3 client whose bucket holds any number of keys, worked out when they are asked for.

As a program: lists it, plans its shards, and prints what that took as JSON.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

PER_FOLDER = 200
_LAST = "\U0010ffff"
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
_TIME = datetime(2024, 5, 1, 12, 34, 56, tzinfo=UTC)


def key_of(i: int) -> str:
    return f"collection/2024-05/person-{i // PER_FOLDER:07d}/session-7/IMG_20240501_{i:09d}.jpg"


def etag_of(i: int) -> str:
    return f"{i * _SPREAD % 2**128:032x}"


class ArithmeticBucket:
    """`list_objects_v2` over `n` keys in folders of `PER_FOLDER`; `asked` are the StartAfter of all requests.

    before: called with the number of each request, the first being 1; it may raise what the request then raises.
    """

    def __init__(self, n: int, before: Callable[[int], None] = lambda number: None) -> None:
        self._keys = range(n)
        self._before = before
        self.asked: list[str] = []

    def list_objects_v2(
        self, Bucket: str, Prefix: str = "", StartAfter: str = "", Delimiter: str = "", MaxKeys: int = 1000
    ) -> dict[str, Any]:
        self.asked.append(StartAfter)
        self._before(len(self.asked))
        i = max(bisect_left(self._keys, Prefix, key=key_of), bisect_right(self._keys, StartAfter, key=key_of))
        end = bisect_left(self._keys, Prefix + _LAST, key=key_of)
        contents: list[dict[str, Any]] = []
        folders: list[dict[str, str]] = []
        while i < end and len(contents) + len(folders) < MaxKeys:
            key = key_of(i)
            name, slash, _ = key[len(Prefix) :].partition(Delimiter) if Delimiter else (key, "", "")
            if slash:
                folders.append({"Prefix": Prefix + name + slash})
                i = bisect_left(self._keys, Prefix + name + slash + _LAST, key=key_of)
            else:
                contents.append(
                    {"Key": key, "ETag": f'"{etag_of(i)}"', "Size": 50_000 + i % 997, "LastModified": _TIME}
                )
                i += 1
        return {"IsTruncated": i < end, "Contents": contents, "CommonPrefixes": folders}


class CutOffError(Exception):
    """The driver died."""


def cut_off_at(number: int) -> Callable[[int], None]:
    """`before` of a bucket whose requests fail from this number on; never with 0."""

    def before(request: int) -> None:
        if number and request >= number:
            raise CutOffError

    return before


def main(n: int, fail_at: int, output: str) -> None:
    from facelib.images.shards import PLANNED, plan_shards
    from facelib.isolation import peak_resident_bytes
    from facelib.spark.listing import list_archive
    from facelib.spark.pipeline_config import PipelineConfig
    from facelib.storage import open_store, s3

    bucket = ArithmeticBucket(n, cut_off_at(fail_at))
    s3.client_of = lambda settings: bucket
    config = PipelineConfig()
    found: dict[str, Any] = {}
    try:
        listing = list_archive("s3://archive/collection", config, open_store(output))
        plan = plan_shards(listing.objects, PLANNED.empty_table(), (), "x", config.extract)
        found["shards"] = len(plan.todo)
        found["peak_bytes"] = peak_resident_bytes()
        found["rows"] = listing.n
        uris, etags = (listing.objects.column(name).to_numpy(zero_copy_only=False).tolist() for name in ("uri", "etag"))
        found["exact"] = all(
            uri == f"s3://archive/{key_of(i)}" and etag == etag_of(i)
            for i, (uri, etag) in enumerate(zip(uris, etags, strict=True))
        )
    except CutOffError:
        found["cut_off"] = True
    sys.stdout.write(json.dumps({**found, "asked": bucket.asked}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
