"""An S3 server for the demo and the tests: moto's, in a thread of this process, counting requests."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

from facelib.errors import ConfigError


@dataclass(frozen=True)
class Refusal:
    """An HTTP status instead of the answer, and the seconds after which to try again (Retry-After)."""

    status: int
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Slow:
    """The right answer, late: seconds before it begins, and before each byte of its body."""

    delay_s: float = 0.0
    byte_s: float = 0.0


Fault = Callable[[str, str, str], "int | Refusal | Slow | Literal['reset', 'truncate'] | None"]

_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 500: "InternalError", 503: "SlowDown"}
_OPERATIONS = {"PUT": "PUT", "HEAD": "HEAD", "DELETE": "DELETE"}
_REGION = "us-east-1"
_ACCESS_KEY = _SECRET_KEY = "demo"


def operation_of(method: str, key: str, query: str) -> str:
    """What a request counts as: GET_OBJECT, LIST, PUT, HEAD, DELETE (of objects), or OTHER."""
    parameters = parse_qs(query, keep_blank_values=True)
    if not key:
        listing = method == "GET" and ("list-type" in parameters or not parameters)
        return "LIST" if listing else "OTHER"
    if method == "GET":
        subresources = {"acl", "tagging", "uploads", "uploadId", "attributes"}
        return "OTHER" if subresources & parameters.keys() else "GET_OBJECT"
    return _OPERATIONS.get(method, "OTHER")


class S3Server:
    """Context manager: a server on a free port of this machine, with no buckets and any credentials valid.

    It serves other processes too and counts their requests. Objects live in memory until it ends.

    fault: called with (method, bucket, key) of each request. It may return an HTTP status to answer
    with or a Refusal, "reset" (a GET sends half of the body, any other request is carried out, then the
    connection is reset), "truncate" (the connection ends after half of the body), Slow, or None.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.fault: Fault | None = None
        self._address = (host, port)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._conditional = threading.Lock()

    def __enter__(self) -> Self:
        try:
            from moto.core import DEFAULT_ACCOUNT_ID
            from moto.moto_server.werkzeug_app import create_backend_app
            from moto.s3.models import s3_backends
            from werkzeug.serving import WSGIRequestHandler, make_server
        except ImportError:
            raise ConfigError('the S3 server needs moto: pip install "facelib[dev]"') from None
        silent = {"log": lambda *_: None, "disable_nagle_algorithm": True}
        handler = type("_SilentHandler", (WSGIRequestHandler,), silent)
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._app = create_backend_app("s3")
        self._server = make_server(*self._address, self._answer, threaded=True, request_handler=handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="s3-server")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._backend.reset()

    @property
    def endpoint_url(self) -> str:
        """Address for AWS_ENDPOINT_URL, "http://127.0.0.1:<port>"."""
        return f"http://{self._address[0]}:{self._server.server_port}"

    def env(self) -> dict[str, str]:
        """Environment variables with which any AWS client uses this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket, whose name has 3 to 63 characters."""
        self._backend.create_bucket(name, _REGION)

    def upload_folder(self, path: Path | str, bucket: str, prefix: str = "") -> int:
        """Put every file below the folder at `prefix`/relative path; the number of objects.

        The files go in directly: they are not counted as requests.
        """
        root, start = Path(path), f"{prefix.rstrip('/')}/" if prefix else ""
        files = sorted(file for file in root.rglob("*") if file.is_file())
        for file in files:
            self._backend.put_object(bucket, start + file.relative_to(root).as_posix(), file.read_bytes())
        return len(files)

    def counts(self) -> dict[str, int]:
        """Requests received since the last reset, faults included, by operation (see `operation_of`)."""
        names = ("GET_OBJECT", "LIST", "PUT", "HEAD", "DELETE", "OTHER")
        with self._lock:
            return {name: self._counts[name] for name in names}

    def reset_counts(self) -> None:
        """Start counting at zero."""
        with self._lock:
            self._counts.clear()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI application: counts, injects faults, and lets moto do the rest."""
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        bucket, _, key = path.removeprefix("/").partition("/")
        with self._lock:
            self._counts[operation_of(method, key, environ["QUERY_STRING"])] += 1
        fault = self.fault(method, bucket, key) if self.fault else None
        if isinstance(fault, int | Refusal):
            refusal = Refusal(fault) if isinstance(fault, int) else fault
            return _error(refusal, environ, start_response)
        if isinstance(fault, Slow):
            time.sleep(fault.delay_s)
        if method == "PUT" and environ.keys() & {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"}:
            with self._conditional:  # moto compares and writes in two steps
                answer = self._app(environ, start_response)
        else:
            answer = self._app(environ, start_response)
        if isinstance(fault, Slow):
            return _dripping(answer, fault.byte_s) if fault.byte_s else answer
        return _broken(answer, environ, method, fault) if fault else answer


def _error(refusal: Refusal, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    code = _CODES.get(refusal.status, "Fault")
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    if refusal.retry_after_s is not None:
        headers.append(("Retry-After", str(refusal.retry_after_s)))
    start_response(f"{refusal.status} {code}", headers)
    return [body]


def _dripping(answer: Iterable[bytes], byte_s: float) -> Iterable[bytes]:
    for part in answer:
        for byte in part:
            time.sleep(byte_s)
            yield bytes([byte])


def _broken(
    answer: Iterable[bytes], environ: dict[str, Any], method: str, fault: Literal["reset", "truncate"]
) -> Iterable[bytes]:
    """The first half of an answer, then a broken connection."""
    body = b"".join(answer)
    if method == "GET":
        yield body[: len(body) // 2]
    connection: socket.socket = environ["werkzeug.socket"]
    if fault == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _hang_up(connection)
    raise ConnectionAbortedError("injected")


def _hang_up(connection: socket.socket) -> None:
    """Close the connection now, under the server's open file objects: they see the end of a stream."""
    ours, other = socket.socketpair()
    other.close()
    os.dup2(ours.fileno(), connection.fileno())
    ours.close()
