"""URIs of objects and roots.

A URI is the scheme and the raw name: "s3://bucket/" + key, "file://" + absolute path. Nothing is
percent-encoded, so '%', '#', '?', '+' and spaces stand for themselves.

A local name need not be valid UTF-8, but a column of strings must be. The bytes of a name that do
not decode are written as U+EF80 + (byte - 0x80), and so are the three bytes of a character that is
in that range itself: every name has one spelling and every spelling leads back to its bytes.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from facelib.errors import ConfigError, ObjectChangedError
from facelib.storage.base import ObjectStore, StorageSettings

if TYPE_CHECKING:
    from facelib.storage.local import LocalStore
    from facelib.storage.s3 import S3Store

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_RESERVED = re.compile("[\uef80-\uefff]")
_UNDECODED = re.compile("[\udc80-\udcff]")


def scheme_of(uri: str) -> str | None:
    """The scheme in lower case ("s3", "file"); None for a plain path."""
    found = _SCHEME.match(uri)
    return found[1].lower() if found else None


def text_of(name: bytes) -> str:
    """A local name as valid Unicode, reversible by `bytes_of`."""
    text = name.decode("utf-8", "surrogateescape")
    text = _RESERVED.sub(lambda m: m[0].encode().decode("ascii", "surrogateescape"), text)
    return _UNDECODED.sub(lambda m: chr(ord(m[0]) - 0xDC00 + 0xEF00), text)


def bytes_of(text: str) -> bytes:
    """The local name that `text_of` spelled."""
    escaped = _RESERVED.sub(lambda m: chr(ord(m[0]) - 0xEF00 + 0xDC00), text)
    return escaped.encode("utf-8", "surrogateescape")


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and raw key (or prefix, or "") of an s3:// URI. ConfigError without a bucket."""
    bucket, _, key = uri[len("s3://") :].partition("/")
    if not bucket:
        raise ConfigError(f"{uri!r} names no bucket: write s3://bucket/prefix")
    return bucket, key


def canonical_root(uri: str) -> str:
    """A folder path, file:// or s3:// URI as a canonical URI without a trailing slash.

    Paths are made absolute and '.' and '..' in them resolved, symbolic links are kept. ConfigError for
    another scheme, an empty text, or a file:// URI that names a host.
    """
    scheme = scheme_of(uri)
    if scheme == "s3":
        bucket, key = split_s3(uri)
        return f"s3://{bucket}/{key}".rstrip("/")
    if scheme == "file":
        path = uri[len("file://") :]
        if path and not path.startswith("/"):
            raise ConfigError(f"{uri!r} names no absolute path: write file:///folder")
        return "file://" + _normal_path(bytes_of(path or "/")).rstrip("/")
    if scheme is not None:
        raise ConfigError(f"{uri!r} has the unknown scheme {scheme!r}: use a folder path, file:// or s3://")
    if not uri:
        raise ConfigError("the storage location is empty: give a folder path, file:// or s3:// URI")
    return "file://" + _normal_path(os.path.abspath(os.fsencode(uri))).rstrip("/")


def _normal_path(path: bytes) -> str:
    return "/" + text_of(os.path.normpath(path)).lstrip("/")


def join(root: str, key: str) -> str:
    """URI of `key` below the canonical URI `root`."""
    return f"{root}/{key}"


def split_object(uri: str) -> tuple[str, str]:
    """Root and key of one object's canonical URI: bucket and key, or "file://" and the path below "/".

    ConfigError for another scheme or a URI that names no object.
    """
    scheme = scheme_of(uri)
    if scheme == "s3":
        bucket, key = split_s3(uri)
        root = f"s3://{bucket}"
    elif scheme == "file":
        root, key = "file://", uri[len("file:///") :]
    else:
        raise ConfigError(f"an object's URI has the scheme {scheme!r}: use file:// or s3://")
    if not key:
        raise ConfigError(f"{uri!r} names no object: give the URI of a file or an S3 key")
    return root, key


def resolve(folder: str, reference: str) -> str:
    """URI of an object that a manifest in `folder` (a canonical URI) refers to.

    A reference is an s3:// or file:// URI, an absolute path, or relative to the folder; '.' and '..'
    count in paths and relative references, not in S3 keys. ConfigError when it leaves the bucket, has
    an unknown scheme, or names no object.
    """
    if not reference:
        raise ConfigError("the URI is empty: fill it in or leave the row out")
    scheme = scheme_of(reference)
    if scheme == "s3":
        bucket, key = split_s3(reference)
        uri = f"s3://{bucket}/{key}"
    elif scheme is not None or reference.startswith("/"):
        uri = canonical_root(reference)
    else:
        root, base = split_object(folder + "/_")
        segments = base.split("/")[:-1]
        for segment in reference.split("/"):
            if segment == "..":
                if not segments:
                    raise ConfigError(f"the relative URI {reference!r} leaves {root}/: write it in full")
                segments.pop()
            elif segment != ".":
                segments.append(segment)
        uri = join(root, "/".join(segments))
    split_object(uri)
    return uri


def open_store(uri: str, settings: StorageSettings | None = None) -> ObjectStore:
    """The store below a folder path, a file:// or an s3:// URI; nothing is contacted or created yet.

    ConfigError for an unknown scheme.
    """
    return _open(canonical_root(uri), settings or StorageSettings())


def _open(root: str, settings: StorageSettings) -> LocalStore | S3Store:
    if scheme_of(root) == "s3":
        from facelib.storage.s3 import S3Store

        return S3Store(root, settings)
    from facelib.storage.local import LocalStore

    return LocalStore(root)


class Fetcher:
    """Reads single objects by URI, of any scheme and bucket; can be pickled, safe in threads.

    Connections belong to the process and the settings, so a Fetcher costs nothing to make.
    Messages of its errors name the bucket, never the key.
    """

    def __init__(self, settings: StorageSettings | None = None) -> None:
        self.settings = settings or StorageSettings()

    def fetch(self, uri: str, etag: str | None, max_bytes: int | None = None) -> bytes:
        """The content of the version `etag` of an object; None means whatever version is there.

        An empty etag means that the object was not there when it was listed: ObjectNotFoundError
        if that is still so, ObjectChangedError otherwise. Raises what `ObjectStore.get` raises.
        """
        root, key = split_object(uri)
        store = _open(root, self.settings)
        if etag == "":
            store.head(key)
            raise ObjectChangedError(f"an object of {root} appeared after it was listed: list again")
        return store.get(key, if_match=etag, max_bytes=max_bytes)
