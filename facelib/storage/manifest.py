"""Which objects to read: all below a folder or prefix, or those that a manifest names."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from facelib.errors import AccessDeniedError, ConfigError, ObjectNotFoundError
from facelib.storage import uris
from facelib.storage.base import StorageSettings, StoredObject
from facelib.storage.uris import Fetcher

MANIFEST_COLUMN = "uri"

_SUFFIXES = (".csv", ".parquet")
_CHUNK = 4096
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def is_manifest(uri: str) -> bool:
    """Whether `uri` names a .csv or .parquet file (in any case) and not a local folder of that name."""
    if not uri.lower().endswith(_SUFFIXES):
        return False
    root = uris.canonical_root(uri)
    return not (root.startswith("file://") and os.path.isdir(uris.bytes_of(root.removeprefix("file://"))))


def list_images(
    uri: str, settings: StorageSettings | None = None, after: str = ""
) -> tuple[Fetcher, Iterator[StoredObject]]:
    """What reads the objects, and the objects, of a folder, a prefix (from after the key `after`), or a manifest.

    A manifest is a .csv (UTF-8, with a header) or .parquet file with a text column `uri`: absolute
    URIs or paths of any scheme, or references relative to the manifest's folder. Its objects come
    once each, sorted by URI; their key is relative to that folder, or the whole URI outside of it. One
    that does not exist or may not be looked at has an empty etag, size 0 and the time 1970-01-01, so
    that reading it names the reason.

    A wrong manifest raises at once (ConfigError, ObjectNotFoundError); everything else while iterating.
    """
    settings = settings or StorageSettings()
    fetcher = Fetcher(settings)
    if not is_manifest(uri):
        return fetcher, uris.open_store(uri, settings).list(after=after)
    manifest = uris.canonical_root(uri)
    folder = manifest.rpartition("/")[0]
    members = sorted({_resolved(reference, row, folder, manifest) for row, reference in _references(manifest, fetcher)})
    return fetcher, _heads(members, folder + "/", settings)


def _resolved(reference: str | None, row: int, folder: str, manifest: str) -> str:
    try:
        return uris.resolve(folder, reference or "")
    except ConfigError as error:
        raise ConfigError(f"manifest {manifest}, row {row}: {error}") from None


def _references(manifest: str, fetcher: Fetcher) -> Iterator[tuple[int, str | None]]:
    """The column `uri` with row numbers; the first row below the header is 1."""
    try:
        data = fetcher.fetch(manifest, None)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(f"manifest {manifest} does not exist: check its name") from None
    read = _read_csv if manifest.lower().endswith(".csv") else _read_parquet
    return enumerate(read(data, manifest), start=1)


def _read_csv(data: bytes, manifest: str) -> Sequence[str]:
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        column = _column(next(rows, []), manifest)
        return [row[column] if column < len(row) else "" for row in rows if row]
    except UnicodeDecodeError:
        raise ConfigError(f"manifest {manifest} is not UTF-8: save it as UTF-8") from None
    except csv.Error as error:
        raise ConfigError(f"manifest {manifest} is not valid CSV ({error}): correct it") from None


def _read_parquet(data: bytes, manifest: str) -> Sequence[str | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _column(file.schema_arrow.names, manifest)
        values: list[str | None] = file.read(columns=[MANIFEST_COLUMN])[MANIFEST_COLUMN].to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"manifest {manifest} cannot be read as Parquet: write it again") from error
    if any(value is not None and not isinstance(value, str) for value in values):
        raise ConfigError(f"column {MANIFEST_COLUMN} of manifest {manifest} is not text: write it as strings")
    return values


def _column(names: Sequence[str], manifest: str) -> int:
    if MANIFEST_COLUMN not in names:
        raise ConfigError(f"manifest {manifest} has no column {MANIFEST_COLUMN!r}: name its column of URIs so")
    return names.index(MANIFEST_COLUMN)


def _heads(members: Sequence[str], folder: str, settings: StorageSettings) -> Iterator[StoredObject]:
    """The objects of absolute URIs, asked for in parallel, in the order given."""

    def head(uri: str) -> StoredObject:
        root, name = uris.split_object(uri)
        key = uri.removeprefix(folder)
        try:
            found = uris.open_store(root, settings).head(name)
        except (ObjectNotFoundError, AccessDeniedError):
            return StoredObject(uri, key, "", 0, _NEVER)
        return StoredObject(uri, key, found.etag, found.size_bytes, found.modified_at)

    with ThreadPoolExecutor(settings.threads) as pool:
        for start in range(0, len(members), _CHUNK):
            yield from pool.map(head, members[start : start + _CHUNK])
