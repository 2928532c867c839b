"""The archive as it was listed: the list that a run works on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from facelib.errors import DegenerateResultError
from facelib.ids import image_id
from facelib.images.shards import is_in_order
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import PipelineConfig
from facelib.storage import ObjectStore, StoredObject, is_manifest, list_images
from facelib.storage.listing_checkpoint import ListingCheckpoint, last_uri
from facelib.storage.uris import canonical_root
from schemas.tables import IMAGES

CHUNK_ROWS = 65_536
"""Objects that are turned into columns, and kept for a later run, together."""

_LISTING = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Listing:
    """The archive as it was listed: one row per object version (image_id, uri, etag, size_bytes, modified_at).

    `root` is what the uri of an object begins with before its key; one elsewhere has its uri for a key.
    """

    objects: pa.Table
    root: str

    @property
    def n(self) -> int:
        """Number of listed objects."""
        return int(self.objects.num_rows)

    @property
    def rows(self) -> pa.Table:
        """The objects and their `key`."""
        uris = self.objects.column("uri")
        keys = pc.if_else(pc.starts_with(uris, self.root), pc.utf8_slice_codeunits(uris, len(self.root)), uris)
        return self.objects.append_column("key", keys)


def list_archive(uri: str, config: PipelineConfig, output: ObjectStore | None = None) -> Listing:
    """List the archive, sorted by uri, each uri once.

    A listing in S3 that is cut off leaves its finished chunks in `output`. The next one continues behind them
    if it starts within `extract.listing_resume_s` of when the first one started. It does not see what was added
    before that place in the meantime; what was changed or deleted there shows when the object is read.

    DegenerateResultError when it is empty; StorageError when it is out of reach.
    """
    root = _root(uri)
    checkpoint = None if output is None or is_manifest(uri) else _checkpoint(root, config, output)
    chunks = checkpoint.chunks() if checkpoint else []
    objects = list_images(uri, config.storage, last_uri(chunks).removeprefix(root))[1]
    for chunk in _chunks(objects):
        if checkpoint and len(chunk) == CHUNK_ROWS:
            checkpoint.save(last_uri(chunks), chunk)
        chunks.append(chunk)
    if not chunks:
        raise DegenerateResultError(f"the archive {uri} holds no objects: check --images")
    if checkpoint:
        checkpoint.clear()
    return Listing(_in_order(pa.concat_tables(chunks)), root)


def listing_of_run(context: StageContext) -> Listing:
    """The listing that an earlier stage of the run worked on."""
    return Listing(context.read_arrow(IMAGES, _LISTING.names), context.record.arguments["root"])


def _root(uri: str) -> str:
    """What a key is relative to: the folder or prefix, or the folder of the manifest."""
    root = canonical_root(uri)
    return (root.rpartition("/")[0] if is_manifest(uri) else root) + "/"


def _checkpoint(root: str, config: PipelineConfig, output: ObjectStore) -> ListingCheckpoint | None:
    """For archives in S3: their listings take long, and may begin behind any key."""
    if not root.startswith("s3://"):
        return None
    archive = f"{config.storage.endpoint_url or ''} {root}"
    return ListingCheckpoint(output, archive, config.extract.listing_resume_s, datetime.now(UTC))


def _chunks(objects: Iterable[StoredObject]) -> Iterator[pa.Table]:
    """The objects as tables of `CHUNK_ROWS` rows, the last one smaller."""
    rest = iter(objects)
    while part := list(islice(rest, CHUNK_ROWS)):
        columns = (
            [image_id(o.uri, o.etag) for o in part],
            [o.uri for o in part],
            [o.etag for o in part],
            [o.size_bytes for o in part],
            [o.modified_at if o.etag else None for o in part],
        )
        yield pa.table(list(columns), schema=_LISTING)


def _in_order(rows: pa.Table) -> pa.Table:
    """Sorted by uri; of several rows with one uri the last that was listed."""
    if is_in_order(rows):
        return rows
    rows = rows.sort_by("uri")
    uris = rows.column("uri")
    is_last = pa.chunked_array([*pc.not_equal(uris[:-1], uris[1:]).chunks, pa.array([True])])
    return rows.filter(is_last)
