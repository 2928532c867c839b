"""Objects in S3 or a compatible service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore import exceptions as bc
from botocore.parsers import ResponseParserError

from facelib.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    FacelibError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.storage import uris
from facelib.storage.base import ObjectTooLargeError, StorageSettings, StoredObject
from facelib.storage.retry import with_retries
from facelib.storage.s3_answers import etag_of, is_busy, modified_at, refusal
from facelib.storage.s3_client import PunctualStream, client_of, endpoint_of
from facelib.storage.s3_listing import pages

T = TypeVar("T")

_UNREACHABLE_ATTEMPTS = 3
_CREDENTIALS = (
    bc.NoCredentialsError,
    bc.PartialCredentialsError,
    bc.CredentialRetrievalError,
    bc.TokenRetrievalError,
    bc.SSOError,
)
_UNREACHABLE = (bc.EndpointConnectionError, bc.ConnectTimeoutError, bc.ProxyConnectionError, bc.SSLError)
_BROKEN = (
    bc.HTTPClientError,
    bc.IncompleteReadError,
    bc.FlexibleChecksumError,
    ResponseParserError,
    OSError,
)


def _status(error: Exception) -> int:
    """HTTP status of an answer; 0 when there was none."""
    if not isinstance(error, bc.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, bc.ClientError) else ""


def _retry_after_s(error: Exception) -> float:
    """Seconds that a refusal asks to wait; 0 when it does not say, or gives a date."""
    metadata = error.response.get("ResponseMetadata", {}) if isinstance(error, bc.ClientError) else {}
    value = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
    return float(value) if value.isdecimal() else 0.0


def _attempts_for(error: Exception, attempts: int) -> int:
    if isinstance(error, _UNREACHABLE):
        return min(attempts, _UNREACHABLE_ATTEMPTS)
    busy = is_busy(_status(error), _code(error))
    return attempts if busy or isinstance(error, _BROKEN) else 1


class S3Store:
    """`ObjectStore` over a bucket or a prefix in it. Credentials come from the AWS default chain."""

    def __init__(self, root: str, settings: StorageSettings) -> None:
        self._root = root
        self._settings = settings
        self._bucket, prefix = uris.split_s3(root)
        self._base = prefix + "/" if prefix else ""

    @property
    def root(self) -> str:
        """Canonical URI of the bucket and prefix."""
        return self._root

    def uri(self, key: str) -> str:
        """URI of the object `key`."""
        return uris.join(self._root, key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list`. Many pages are requested in parallel, split at "folders".

        Zero-byte keys that end with '/' stand for folders and are left out. Needs s3:ListBucket.
        """
        empty = True
        start = after and self._base + after
        for page in pages(self._page, self._base + prefix, self._settings.threads, start):
            empty = empty and not len(page)
            columns = (column.to_numpy(zero_copy_only=False).tolist() for column in page.columns)
            for name, etag, size, seconds in zip(*columns, strict=True):
                key = name[len(self._base) :]
                if key and not (key.endswith("/") and size == 0):
                    yield StoredObject(self.uri(key), key, etag, size, datetime.fromtimestamp(seconds, UTC))
        if empty and self._base and not (prefix or after):
            raise ObjectNotFoundError(f"nothing lies below {self._root}/: check bucket and prefix")

    def head(self, key: str) -> StoredObject:
        """See `ObjectStore.head`."""
        answer = self._call(lambda c: c.head_object(**self._where(key)), self._one, ReadFailedError)
        return StoredObject(self.uri(key), key, etag_of(answer), int(answer["ContentLength"]), modified_at(answer))

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`. Without s3:ListBucket, S3 denies access instead of saying no."""
        try:
            self.head(key)
        except ObjectNotFoundError:
            return False
        return True

    def get(self, key: str, *, if_match: str | None = None, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.get`. A body that ends early, is reset or takes too long counts as a failed attempt."""
        condition = {} if if_match is None else {"IfMatch": f'"{if_match}"'}

        def read(client: Any) -> bytes:
            begun = time.monotonic()
            answer = client.get_object(**self._where(key), **condition)
            size = int(answer["ContentLength"])
            with closing(answer["Body"]) as body:
                if max_bytes is not None and size > max_bytes:
                    raise ObjectTooLargeError(f"{self._one} has {size} bytes: more than {max_bytes} are not read")
                body._raw_stream = PunctualStream(body._raw_stream, begun + self._settings.get_timeout_s)
                data = bytes(body.read())
            if len(data) != size:
                raise bc.IncompleteReadError(actual_bytes=len(data), expected_bytes=size)
            return data

        return self._call(read, self._one, ReadFailedError)

    def put(self, key: str, data: bytes) -> str:
        """See `ObjectStore.put`. One request: at most 5 GiB."""
        return self._call(lambda c: etag_of(c.put_object(**self._where(key), Body=data)), self.uri(key))

    def put_if(self, key: str, data: bytes, *, expected: str | None) -> str:
        """See `ObjectStore.put_if`; by If-Match and If-None-Match, which the service must honour."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        perhaps_written = False

        def write(client: Any) -> str:
            nonlocal perhaps_written
            try:
                return etag_of(client.put_object(**self._where(key), Body=data, **condition))
            except Exception as error:
                if perhaps_written and _status(error) == 412:
                    present = client.get_object(**self._where(key))
                    if present["Body"].read() == data:
                        return etag_of(present)
                perhaps_written = perhaps_written or not 400 <= _status(error) < 500
                raise

        try:
            return self._call(write, self.uri(key))
        except (ObjectChangedError, ObjectNotFoundError):
            raise ConflictError(f"{self.uri(key)} is not the version expected: read it again, then write") from None

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._call(lambda c: c.delete_object(**self._where(key)), self.uri(key))

    @property
    def _one(self) -> str:
        return f"an object of s3://{self._bucket}"

    def _where(self, key: str) -> dict[str, str]:
        if not key:
            raise ConfigError(f"the key of an object below {self._root} is empty: give its name")
        return {"Bucket": self._bucket, "Key": self._base + key}

    def _page(self, prefix: str, after: str, **more: str) -> dict[str, Any]:
        where = {"Bucket": self._bucket, "Prefix": prefix, **more}
        if after:
            where["StartAfter"] = after
        return self._call(lambda c: dict(c.list_objects_v2(**where)), self._root)

    def _call(self, request: Callable[[Any], T], subject: str, failure: type[StorageError] = StorageError) -> T:
        """Result of a request, repeated while that may help; `failure` after the last attempt.

        The causes of errors are cut off: botocore's messages hold URLs with keys.
        """
        settings = self._settings
        try:
            return with_retries(
                lambda: request(client_of(settings)),
                lambda error: _attempts_for(error, settings.attempts),
                settings.backoff_s,
                _retry_after_s,
            )
        except FacelibError:
            raise
        except Exception as error:
            raise self._translated(error, subject, failure) from None

    def _translated(self, error: Exception, subject: str, failure: type[StorageError]) -> FacelibError:
        if isinstance(error, _CREDENTIALS):
            return AccessDeniedError(
                f"no usable AWS credentials for s3://{self._bucket}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role"
            )
        if isinstance(error, _UNREACHABLE):
            return failure(
                f"cannot reach the S3 endpoint {endpoint_of(self._settings) or 'of AWS'} for "
                f"{subject}: check AWS_ENDPOINT_URL or [storage] endpoint_url, and the network"
            )
        if isinstance(error, bc.ClientError):
            return refusal(_status(error), _code(error), self._bucket, subject, failure)
        if isinstance(error, _BROKEN):
            return failure(
                f"the connection to S3 broke {self._settings.attempts} times ({type(error).__name__}) for "
                f"{subject}: check the network, or try again later"
            )
        if isinstance(error, bc.BotoCoreError | ValueError):
            return ConfigError(f"S3 settings for s3://{self._bucket} are wrong ({error}): correct them")
        raise error
