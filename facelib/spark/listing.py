"""The archive as it was listed: the list that a run works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from facelib.errors import DegenerateResultError
from facelib.ids import image_id
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import PipelineConfig
from facelib.storage import StoredObject, list_images
from schemas.tables import IMAGES

_LISTING = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("key", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Listing:
    """The archive as it was listed: one row per object version (image_id, uri, key, etag, size_bytes, modified_at).

    `root` is what the uri of an object begins with before its key.
    """

    rows: pa.Table
    root: str

    @property
    def n(self) -> int:
        """Number of listed objects."""
        return int(self.rows.num_rows)


def list_archive(uri: str, config: PipelineConfig) -> Listing:
    """List the archive. DegenerateResultError when it is empty; StorageError when it is out of reach."""
    _, objects = list_images(uri, config.storage)
    rows = [_listed_row(o) for o in objects]
    if not rows:
        raise DegenerateResultError(f"the archive {uri} holds no objects: check --images")
    roots = {o_uri.removesuffix(key) for _, o_uri, key, *_ in rows if o_uri != key}
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Listing(pa.table(columns, schema=_LISTING), max(roots, key=len) if len(roots) == 1 else "")


def listing_of_run(context: StageContext) -> Listing:
    """The listing that an earlier stage of the run worked on."""
    images = context.read_arrow(IMAGES, [n for n in _LISTING.names if n != "key"])
    root = context.record.arguments["root"]
    keys = [uri.removeprefix(root) for uri in images.column("uri").to_pylist()]
    return Listing(images.append_column("key", pa.array(keys, pa.string())).select(_LISTING.names), root)


def _listed_row(o: StoredObject) -> tuple[Any, ...]:
    modified_at = o.modified_at if o.etag else None
    return image_id(o.uri, o.etag), o.uri, o.key, o.etag, o.size_bytes, modified_at
