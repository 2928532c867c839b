"""Objects in a folder of a local (or mounted) file system."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from facelib.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.storage import uris
from facelib.storage.base import ObjectTooLargeError, StoredObject

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PART = b".facelib-part"
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def local_etag(info: os.stat_result) -> str:
    """Version of a file: "m<mtime in ns, hex>-s<size in bytes, hex>". Cheap: no content is read."""
    return f"m{info.st_mtime_ns:x}-s{info.st_size:x}"


class LocalStore:
    """`ObjectStore` over a folder.

    Every regular file is listed, hidden ones too. Symbolic links are followed, except to a folder that
    the link lies in. A write goes to a temporary file beside the target (never listed), is synced and
    renamed. Writers of one folder exclude each other by a lock on the folder (flock), which vanishes
    with its process: comparisons between versions are atomic between processes of one machine.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._folder = uris.bytes_of(root.removeprefix("file://") or "/")

    @property
    def root(self) -> str:
        """Canonical URI of the folder."""
        return self._root

    def uri(self, key: str) -> str:
        """URI of the object `key`."""
        return uris.join(self._root, key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        if not (prefix or after) and not os.path.isdir(self._folder):
            raise ObjectNotFoundError(f"folder {self._root} does not exist: check the path")
        parent = prefix.rpartition("/")[0]
        try:
            for key, info in _walk(self._path(parent) if parent else self._folder, parent and parent + "/", prefix, ()):
                if key > after:
                    yield self._stored(key, info)
        except PermissionError:
            raise AccessDeniedError(f"a folder in {self._root} may not be read: change its permissions") from None
        except OSError as error:
            raise StorageError(f"listing {self._root} failed ({error.strerror}): check its file system") from None

    def head(self, key: str) -> StoredObject:
        """See `ObjectStore.head`."""
        with self._reading():
            info = os.stat(self._path(key))
        if not stat.S_ISREG(info.st_mode):
            raise self._not_found()
        return self._stored(key, info)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        try:
            self.head(key)
        except ObjectNotFoundError:
            return False
        return True

    def get(self, key: str, *, if_match: str | None = None, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`; a file that changes while it is read counts as changed."""
        with self._reading(), open(_open_regular(self._path(key)), "rb") as file:
            before = os.fstat(file.fileno())
            if if_match is not None and local_etag(before) != if_match:
                raise self._changed()
            if max_bytes is not None and before.st_size > max_bytes:
                raise ObjectTooLargeError(
                    f"a file in {self._root} has {before.st_size} bytes: more than {max_bytes} are not read"
                )
            data = file.read(before.st_size + 1)
            if len(data) != before.st_size or local_etag(os.fstat(file.fileno())) != local_etag(before):
                raise self._changed()
        return data

    def put(self, key: str, data: bytes) -> str:
        """See `ObjectStore.put`."""
        return self._write(key, data, compare=False)

    def put_if(self, key: str, data: bytes, *, expected: str | None) -> str:
        """See `ObjectStore.put_if`. StorageError when the file system has no locks."""
        return self._write(key, data, compare=True, expected=expected)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        path = self._path(key)
        with self._writing(key), suppress(*_MISSING), _locked(os.path.dirname(path), must=False):
            os.unlink(path)

    def _write(self, key: str, data: bytes, *, compare: bool, expected: str | None = None) -> str:
        path = self._path(key)
        folder = os.path.dirname(path)
        part = os.path.join(folder, b"." + secrets.token_hex(8).encode() + _PART)
        with self._writing(key):
            os.makedirs(folder, exist_ok=True)
            try:
                _write_synced(part, data)
                with _locked(folder, must=compare) as folder_fd:
                    old = _stat_or_none(path)
                    if compare and (local_etag(old) if old else None) != expected:
                        raise ConflictError(f"{self.uri(key)} is not the version expected: read it again, then write")
                    # Later than the version it replaces: two writes within a clock tick must differ.
                    modified = max(time.time_ns(), old.st_mtime_ns + 1 if old else 0)
                    os.utime(part, ns=(modified, modified))
                    os.replace(part, path)
                    info = os.stat(path)
                    os.fsync(folder_fd)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part)
        return local_etag(info)

    def _path(self, key: str) -> bytes:
        if "\0" in key or any(part in {"", ".", ".."} for part in key.split("/")):
            raise ConfigError(f"the key {key!r} is not a plain path below {self._root}: correct it")
        return os.path.join(self._folder, uris.bytes_of(key))

    def _stored(self, key: str, info: os.stat_result) -> StoredObject:
        modified = _EPOCH + timedelta(microseconds=info.st_mtime_ns // 1000)
        return StoredObject(self.uri(key), key, local_etag(info), info.st_size, modified)

    def _not_found(self) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"a file in {self._root} is not there: list the folder again")

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(f"a file in {self._root} changed after it was listed: list the folder again")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Errors of reading one file, without its name."""
        try:
            yield
        except _MISSING:
            raise self._not_found() from None
        except PermissionError:
            raise AccessDeniedError(f"a file in {self._root} may not be read: change its permissions") from None
        except OSError as error:
            raise ReadFailedError(
                f"reading a file in {self._root} failed ({error.strerror}): check its file system"
            ) from None

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except PermissionError:
            raise AccessDeniedError(
                f"{self.uri(key)} may not be written: change the permissions of its folder"
            ) from None
        except OSError as error:
            raise StorageError(f"writing {self.uri(key)} failed ({error.strerror}): check its file system") from None


def _walk(
    folder: bytes, key: str, prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, os.stat_result]]:
    """Files below `folder` whose key starts with `prefix`, sorted by key.

    `key` is that of the folder, with its slash; `above` identifies the folders on the way here.
    """
    try:
        info = os.stat(folder)
        here = (info.st_dev, info.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            # With its slash, a folder sorts where the keys below it do.
            children = sorted((key + uris.text_of(e.name) + "/" * _is_folder(e), e.path) for e in entries)
    except _MISSING:
        return
    for child, path in children:
        if child.endswith("/"):
            if child.startswith(prefix) or prefix.startswith(child):
                yield from _walk(path, child, prefix, (*above, here))
        elif child.startswith(prefix) and not path.endswith(_PART):
            found = _stat_or_none(path)
            if found is not None and stat.S_ISREG(found.st_mode):
                yield child, found


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _stat_or_none(path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _open_regular(path: bytes) -> int:
    """File descriptor for reading. IsADirectoryError for anything but a file; never blocks on a pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError
    return fd


def _write_synced(path: bytes, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


@contextmanager
def _locked(folder: bytes, *, must: bool) -> Iterator[int]:
    """Exclude other writers of the folder; its file descriptor. OSError when it `must` but cannot lock."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            if must:
                raise
        yield fd
    finally:
        os.close(fd)
