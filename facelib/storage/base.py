"""What every object store offers, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from facelib.errors import ConfigError, StorageError


class ObjectTooLargeError(StorageError):
    """The object holds more bytes than the caller allows; its content was not read."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of one object, as listed.

    uri: the scheme and the raw key or path, never percent-encoded.
    key: the path below the listed root, '/'-separated.
    etag: names the version; empty for a manifest entry that could not be found.
    size_bytes: length of the content.
    modified_at: UTC, aware; whole seconds on S3, microseconds on a local disk.
    """

    uri: str
    key: str
    etag: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class StorageSettings:
    """How storage is reached. Credentials are not part of it: they come from the AWS default chain.

    endpoint_url: an S3-compatible service; None means AWS_ENDPOINT_URL, or else AWS itself.
    timeout_s, connect_timeout_s: seconds without a byte received, and for opening a connection.
    get_timeout_s: seconds for one try of reading an object, however its bytes trickle in.
    attempts: tries of one request, the first included (at most 3 where nothing can be reached).
    threads: parallel requests of one process, and the size of its connection pool.
    backoff_s: the n-th repetition waits a random time below backoff_s * 2**n seconds.
    region: AWS region of the bucket; None means the default chain.
    """

    endpoint_url: str | None = None
    timeout_s: float = 30.0
    connect_timeout_s: float = 5.0
    get_timeout_s: float = 300.0
    attempts: int = 5
    threads: int = 16
    backoff_s: float = 0.2
    region: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("attempts", 1), ("threads", 1), ("backoff_s", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"[storage] {name} is {getattr(self, name)}: use at least {least}")
        for name in ("timeout_s", "connect_timeout_s", "get_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"[storage] {name} is {getattr(self, name)}: use more than 0 seconds")


@runtime_checkable
class ObjectStore(Protocol):
    """Objects below one root: a bucket, a prefix in a bucket, or a folder.

    All methods are safe in threads, and a store can be pickled. Any of them may raise
    AccessDeniedError, or StorageError when storage cannot be reached. Keys are non-empty paths
    below the root; ConfigError for one that would leave a local root.
    """

    @property
    def root(self) -> str:
        """Canonical URI without a trailing slash: "s3://bucket/prefix" or "file:///abs/path"."""
        ...

    def uri(self, key: str) -> str:
        """URI of the object `key`."""
        ...

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """All objects whose key starts with the string `prefix`, at any depth, sorted by key.

        With `after`, a key, only those later than it. Without either, ObjectNotFoundError when the root does
        not exist (on S3: when nothing lies below it); else nothing found is an empty iterator.
        """
        ...

    def head(self, key: str) -> StoredObject:
        """The current version, without its content. ObjectNotFoundError when there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object `key`."""
        ...

    def get(self, key: str, *, if_match: str | None = None, max_bytes: int | None = None) -> bytes:
        """The whole content, of the version `if_match` when given.

        Raises ObjectNotFoundError, ObjectChangedError (another version is there now),
        ObjectTooLargeError (more than `max_bytes`) and ReadFailedError (all attempts failed).
        """
        ...

    def put(self, key: str, data: bytes) -> str:
        """Write the whole object, which appears at once or not at all; its etag."""
        ...

    def put_if(self, key: str, data: bytes, *, expected: str | None) -> str:
        """Compare and swap: write only over the version `expected`; the new etag.

        `expected` None means that the object must not exist yet. ConflictError when the
        comparison fails; of several writers that compare with one version, one succeeds.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...
