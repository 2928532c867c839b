"""Errors a user can act on. Each class carries the exit code its kind of failure ends a command with.

Only the command line turns an error into an exit code; everything below it raises.
Messages are one sentence that names the field or the file and the fix. They never hold pixel
data, embeddings or the contents of a labels file.
"""

from __future__ import annotations


class FacelibError(Exception):
    """Base of all expected failures."""

    exit_code = 1


class ConfigError(FacelibError):
    """A wrong argument, option, config key or labels file."""

    exit_code = 2


class GateError(FacelibError):
    """A critical data-quality expectation failed, or the rows do not add up."""

    exit_code = 3


class DegenerateResultError(FacelibError):
    """A stage produced a result that must not be published (nothing, or one giant cluster)."""

    exit_code = 4


class StorageError(FacelibError):
    """Object storage could not be reached, denied access, or answered with a lasting error."""

    exit_code = 5


class ObjectNotFoundError(StorageError):
    """The object does not exist (any more)."""


class ObjectChangedError(StorageError):
    """The object is not the version that was listed (its etag differs)."""


class AccessDeniedError(StorageError):
    """The credentials in use may not do this."""


class ConflictError(StorageError):
    """A conditional write lost: the object exists already, or is not the version expected."""


class ReadFailedError(StorageError):
    """Reading failed after all retries (timeouts, resets, 5xx); trying again later may succeed."""
