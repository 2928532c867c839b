"""The S3 client of a process, set up for many small reads. The only module that imports boto3."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from botocore.utils import parse_timestamp

import facelib
from facelib.storage.base import StorageSettings

_PIECE = 128 * 1024
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_VARIABLES = (*_ENDPOINT_VARIABLES, "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_REGION")

_clients: dict[tuple[object, ...], Any] = {}
_clients_lock = threading.Lock()


def _after_fork() -> None:
    global _clients_lock
    _clients.clear()
    _clients_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def _parse_time(value: Any) -> datetime:
    """A time of an answer: ISO 8601 in listings, RFC 9110 in headers.

    botocore's own parser takes any format there is, and two thirds of the time of reading a listing.
    """
    parsers: tuple[Callable[[str], datetime], ...] = (datetime.fromisoformat, parsedate_to_datetime)
    for parse in parsers if isinstance(value, str) else ():
        with suppress(ValueError):
            moment = parse(value)
            if moment.tzinfo:
                return moment
    other: datetime = parse_timestamp(value)
    return other


def endpoint_of(settings: StorageSettings) -> str | None:
    """The endpoint that was set; None for that of AWS."""
    return settings.endpoint_url or next(filter(None, map(os.environ.get, _ENDPOINT_VARIABLES)), None)


def client_of(settings: StorageSettings) -> Any:
    """The client of this process, these settings and this AWS environment."""
    wanted = (settings, *map(os.environ.get, _VARIABLES))
    with _clients_lock:
        if wanted not in _clients:
            endpoint = endpoint_of(settings)
            session = botocore.session.Session()
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_time)
            config = Config(
                connect_timeout=settings.connect_timeout_s,
                read_timeout=settings.timeout_s,
                max_pool_connections=settings.threads,
                retries={"mode": "standard", "total_max_attempts": 1},  # with_retries covers the body too
                s3={"addressing_style": "path" if endpoint else "auto"},
                user_agent=f"facelib/{facelib.__version__}",  # botocore composes its own anew for each request
                parameter_validation=False,
            )
            _clients[wanted] = boto3.session.Session(botocore_session=session).client(
                "s3", endpoint_url=endpoint, region_name=settings.region, config=config
            )
        return _clients[wanted]


class PunctualStream:
    """The stream of a body that must end by a time: a read timeout alone begins anew with each byte.

    until: of the monotonic clock, in seconds; noticed when the next bytes come in, or at the read timeout.
    """

    def __init__(self, stream: Any, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, amount: int | None = None) -> bytes:
        """The whole body (`amount` is for the interface only)."""
        parts = []
        while part := self._stream.read1(_PIECE):
            if time.monotonic() > self._until:
                raise ReadTimeoutError(endpoint_url="")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
