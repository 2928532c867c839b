"""What the answers of S3 mean: fields of objects, and the statuses and codes of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from facelib.errors import AccessDeniedError, FacelibError, ObjectChangedError, ObjectNotFoundError, StorageError

_DENIED_CODES = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_BUSY_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "InternalError"}
_BUSY_STATUS = {408, 429, 500, 502, 503, 504}


def etag_of(answer: Mapping[str, Any]) -> str:
    """The etag in an answer or in an entry of a listing, without its quotes."""
    return str(answer["ETag"]).strip('"')


def modified_at(answer: Mapping[str, Any]) -> datetime:
    """UTC in whole seconds: a listing has milliseconds on some services, a HEAD never."""
    moment: datetime = answer["LastModified"]
    return moment.astimezone(UTC).replace(microsecond=0)


def is_busy(status: int, code: str) -> bool:
    """Whether the HTTP status or the error code says that the same request may succeed later."""
    return status in _BUSY_STATUS or code in _BUSY_CODES


def refusal(status: int, code: str, bucket: str, subject: str, failure: type[StorageError]) -> FacelibError:
    """The error for a request about `subject` in `bucket` that S3 answered with `status` and `code`.

    ObjectNotFoundError, ObjectChangedError and AccessDeniedError where the answer says so, else `failure`.
    """
    if code == "NoSuchBucket":
        return ObjectNotFoundError(f"bucket s3://{bucket} does not exist: check its name")
    if status == 404:
        return ObjectNotFoundError(f"{subject} is not there: list the bucket again, or check its name")
    if status in (409, 412):
        return ObjectChangedError(f"{subject} is not the version expected: list the bucket again")
    if status in (401, 403) or code in _DENIED_CODES:
        return AccessDeniedError(
            f"access to {subject} is denied ({code}): check the AWS credentials and the bucket's policy"
        )
    return failure(f"S3 answers {status} {code} for {subject}: check the service, or try again later")
