"""What a listing that was cut off leaves behind, so that the next run need not begin it again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from facelib.errors import ObjectNotFoundError
from facelib.ids import digest
from facelib.storage.base import ObjectStore


class ListingCheckpoint:
    """Finished chunks of one archive's listing in a store, as Parquet files below `store/listing/`.

    A chunk is named after the uri it begins behind, so chunks form a chain from the first uri on. Two drivers
    that list the same archive may overwrite each other's chunks: either is a true part of the listing.

    The folder is named after the time when the listing began. The newest one that began within `resume_s`
    seconds before `now` (aware) is continued; older ones are deleted. With `resume_s` 0 nothing is kept.
    """

    def __init__(self, store: ObjectStore, archive: str, resume_s: float, now: datetime) -> None:
        self._store = store
        self._keeps = resume_s > 0
        above = f"store/listing/{digest(archive)}/"
        oldest = _name(datetime.fromtimestamp(max(0.0, now.timestamp() - resume_s), UTC))
        begun = {found.key: found.key.removeprefix(above).partition("/")[0] for found in store.list(above)}
        left = {key for key, name in begun.items() if not self._keeps or name < oldest}
        for key in left:
            store.delete(key)
        newest = max((name for key, name in begun.items() if key not in left), default=_name(now))
        self._folder = above + newest

    def chunks(self) -> list[pa.Table]:
        """The chunks of an earlier listing, in order."""
        found: list[pa.Table] = []
        try:
            while True:
                data = self._store.get(self._key(last_uri(found)))
                found.append(pq.read_table(io.BytesIO(data)))
        except ObjectNotFoundError:
            return found

    def save(self, after: str, chunk: pa.Table) -> None:
        """Keep the listed objects (at least one, with a column `uri`) that follow the uri `after`."""
        if self._keeps:
            sink = io.BytesIO()
            pq.write_table(chunk, sink, compression="zstd")
            self._store.put(self._key(after), sink.getvalue())

    def clear(self) -> None:
        """Delete the chunks: the listing is complete."""
        for found in self._store.list(f"{self._folder}/"):
            self._store.delete(found.key)

    def _key(self, after: str) -> str:
        return f"{self._folder}/{digest(after)}.parquet"


def last_uri(chunks: Sequence[pa.Table]) -> str:
    """The last uri of consecutive chunks; "" without any."""
    return str(chunks[-1].column("uri")[-1].as_py()) if chunks else ""


def _name(begun: datetime) -> str:
    return f"{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}"
