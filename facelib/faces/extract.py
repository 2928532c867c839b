"""One shard: fetch its objects and turn each into rows. Every member ends in at least one row."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facelib.errors import AccessDeniedError, ObjectChangedError, ObjectNotFoundError, StorageError
from facelib.faces.detectors import detector_digest
from facelib.faces.image_rows import RowSettings
from facelib.faces.landmarks import PREDICTOR_ID
from facelib.ids import settings_digest
from facelib.images.shards import ListedImage
from facelib.isolation import Failure
from facelib.reasons import ImageReason
from facelib.storage import ObjectTooLargeError
from schemas.arrow import arrow_schema
from schemas.tables import EXTRACTED

EXTRACT_VERSION = "3"
"""Step this when a change of code changes any extracted value; it is part of every shard's name."""

_RETRYABLE = (ImageReason.READ_ERROR, ImageReason.ACCESS_DENIED)
_GROUP_IMAGES = 16
_GROUP_BYTES = 8 * 1024 * 1024
_AHEAD_IMAGES = 2 * _GROUP_IMAGES
_AHEAD_BYTES = 4 * _GROUP_BYTES

Row = dict[str, Any]
Fetch = Callable[[str, str], bytes]
ToRows = Callable[[Sequence[bytes]], Sequence[list[Row] | Failure]]
Group = list[tuple[ListedImage, bytes | ImageReason]]


def extract(
    members: Sequence[ListedImage], fetch: Fetch, to_rows: ToRows, max_bytes: int, threads: int = 8
) -> pa.Table:
    """Extracted rows (contract `extracted`) of all members, in their order.

    `fetch(uri, etag)` returns bytes or raises a StorageError; objects, none larger than `max_bytes`, are fetched ahead
    by `threads` threads while earlier ones are computed. `to_rows` gives the rows of each of a group of
    images, or its Failure: `image_rows` with models, or the same in an `Isolated` process. Errors that concern one
    object become its reason; any other error is a fault of the code and propagates.
    """
    rows: list[Row] = []
    for group in _groups(_prefetched(members, fetch, max_bytes, threads)):
        found = iter(to_rows([data for _, data in group if not isinstance(data, ImageReason)]))
        for member, data in group:
            result = [_rejected(data)] if isinstance(data, ImageReason) else _settled(next(found), data)
            rows += [{"image_id": member.image_id} | row for row in result]
    return pa.Table.from_pylist(rows, schema=arrow_schema(EXTRACTED))


def extract_id(settings: RowSettings) -> str:
    """Digest of everything but the bytes that an extracted row depends on; known without loading a model."""
    detect = asdict(settings.detect) | {"model_path": ""}
    parts = (asdict(settings.decode), detect, detector_digest(settings.detect))
    return settings_digest([EXTRACT_VERSION, *parts, PREDICTOR_ID])


def has_retryable_failure(extracted: pa.Table) -> bool:
    """Whether a row failed in a way that may succeed when it is tried again."""
    return any(image_ids_with(extracted, reason) for reason in _RETRYABLE)


def image_ids_with(extracted: pa.Table, reason: ImageReason) -> list[str]:
    """Images whose row has that reason."""
    found: list[str] = extracted.filter(pc.equal(extracted.column("reason"), reason.value))["image_id"].to_pylist()
    return found


def _prefetched(
    members: Sequence[ListedImage], fetch: Fetch, max_bytes: int, threads: int
) -> Iterator[tuple[ListedImage, bytes | ImageReason]]:
    """Members with their bytes, or with the reason why there are none, in order."""

    def load(member: ListedImage) -> bytes | ImageReason:
        if member.size_bytes > max_bytes:
            return ImageReason.TOO_LARGE
        try:
            return fetch(member.uri, member.etag)
        except StorageError as error:
            return _storage_reason(error)

    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[ListedImage, Future[bytes | ImageReason]]] = deque()
        held = 0
        for member in members:
            while ahead and (len(ahead) >= _AHEAD_IMAGES or held + member.size_bytes > _AHEAD_BYTES):
                first, future = ahead.popleft()
                held -= first.size_bytes
                yield first, future.result()
            ahead.append((member, pool.submit(load, member)))
            held += member.size_bytes
        for first, future in ahead:
            yield first, future.result()


def _groups(loaded: Iterator[tuple[ListedImage, bytes | ImageReason]]) -> Iterator[Group]:
    """Runs of members that are computed together."""
    group: Group = []
    size = 0
    for member, data in loaded:
        group.append((member, data))
        size += 0 if isinstance(data, ImageReason) else len(data)
        if len(group) == _GROUP_IMAGES or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _settled(result: list[Row] | Failure, data: bytes) -> list[Row]:
    if not isinstance(result, Failure):
        return result
    reason = ImageReason.TIMEOUT if result.kind == "timeout" else ImageReason.WORKER_CRASH
    return [_rejected(reason) | {"detail": result.detail, "content_sha256": hashlib.sha256(data).hexdigest()}]


def _rejected(reason: ImageReason) -> Row:
    return {"status": "rejected", "reason": reason.value}


def _storage_reason(error: StorageError) -> ImageReason:
    if isinstance(error, ObjectNotFoundError):
        return ImageReason.NOT_FOUND
    if isinstance(error, ObjectChangedError):
        return ImageReason.CHANGED
    if isinstance(error, AccessDeniedError):
        return ImageReason.ACCESS_DENIED
    if isinstance(error, ObjectTooLargeError):
        return ImageReason.TOO_LARGE
    return ImageReason.READ_ERROR
