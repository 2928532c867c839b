"""Reading from an S3 service that misbehaves: what passes is survived, what lasts has its name."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fault_script import Answer, FaultScript

from facelib.demo.s3_server import Refusal, S3Server, Slow
from facelib.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.storage import Fetcher, StorageSettings, StoredObject, open_store, retry

pytest.importorskip("moto")
pytestmark = pytest.mark.unit

OBJECTS = 24
THREADS = 8
BACKOFF_S = 0.25
SETTINGS = StorageSettings(attempts=4, backoff_s=BACKOFF_S, connect_timeout_s=2, timeout_s=20, threads=THREADS)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> str:
    name = "f-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    server.fault = None
    server.create_bucket(name)
    return name


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before repetitions, in seconds, which take no time; the random part is the largest there may be."""
    found: list[float] = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=found.append))
    monkeypatch.setattr(retry, "random", SimpleNamespace(uniform=lambda low, high: high))
    return found


def content(i: int) -> bytes:
    return random.Random(i).randbytes(20_000)


def fill(server: S3Server, bucket: str, n: int = OBJECTS) -> list[StoredObject]:
    """Objects 00, 01, ... and what a listing says of them."""
    store = open_store(f"s3://{bucket}", SETTINGS)
    for i in range(n):
        store.put(f"{i:02d}", content(i))
    listed = list(store.list())
    server.reset_counts()
    return listed


def faults_of(*answers: Answer, keys: Callable[[str], bool] = lambda key: True) -> FaultScript:
    """The answers in turn to the reads of each of these keys."""
    return FaultScript(lambda key: answers if keys(key) else ())


def read_all(listed: list[StoredObject], settings: StorageSettings = SETTINGS) -> list[bytes | type[Exception]]:
    """The content of each object, or the class of the error."""
    fetcher = Fetcher(settings)

    def read(item: StoredObject) -> bytes | type[Exception]:
        try:
            return fetcher.fetch(item.uri, item.etag, 10**6)
        except StorageError as error:
            return type(error)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, listed))


@pytest.mark.parametrize("fault", [503, 500, 429, "reset", "truncate"])
def test_passing_faults_of_every_object_are_survived(
    server: S3Server, bucket: str, waits: list[float], fault: int | str
) -> None:
    listed = fill(server, bucket)
    faults = server.fault = faults_of(fault, fault)
    assert read_all(listed) == [content(i) for i in range(OBJECTS)]
    assert set(faults.reads.values()) == {3}
    assert server.counts()["GET_OBJECT"] == 3 * OBJECTS
    assert sorted(waits) == [0.5] * OBJECTS + [1.0] * OBJECTS


def test_a_mixture_of_faults(server: S3Server, bucket: str, waits: list[float]) -> None:
    listed = fill(server, bucket)
    server.fault = faults_of("reset", 503, "truncate")
    assert read_all(listed) == [content(i) for i in range(OBJECTS)]
    assert Counter(waits) == {0.5: OBJECTS, 1.0: OBJECTS, 2.0: OBJECTS}


def test_silence_is_cut_off_and_tried_again(server: S3Server, bucket: str, waits: list[float]) -> None:
    listed = fill(server, bucket, 4)
    faults = server.fault = faults_of(Slow(delay_s=4.0))
    assert read_all(listed, replace(SETTINGS, timeout_s=2.0)) == [content(i) for i in range(4)]
    assert set(faults.reads.values()) == {2}
    assert waits == [0.5] * 4


def test_a_late_answer_within_the_limit_is_taken(server: S3Server, bucket: str, waits: list[float]) -> None:
    listed = fill(server, bucket, 4)
    faults = server.fault = faults_of(Slow(delay_s=0.2, byte_s=1e-5))
    assert read_all(listed) == [content(i) for i in range(4)]
    assert set(faults.reads.values()) == {1}
    assert waits == []


def test_a_body_that_trickles_is_cut_off(server: S3Server, bucket: str, waits: list[float]) -> None:
    """At a byte in 50 ms the read timeout never strikes, and a whole object would take 1,000 s."""
    listed = fill(server, bucket, 4)
    faults = server.fault = faults_of(Slow(byte_s=0.05))
    settings = replace(SETTINGS, timeout_s=5, get_timeout_s=1.0, attempts=2)
    assert read_all(listed, settings) == [content(i) for i in range(4)]
    assert set(faults.reads.values()) == {2}
    server.fault = faults_of(*[Slow(byte_s=0.05)] * 2)
    assert read_all(listed, settings) == [ReadFailedError] * 4
    assert len(waits) == 4 + 4


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_waits_grow_to_a_limit_and_attempts_end(
    server: S3Server, bucket: str, waits: list[float], fault: int | str
) -> None:
    listed = fill(server, bucket, 1)
    server.fault = faults_of(*[fault] * 9)
    assert read_all(listed, replace(SETTINGS, attempts=6, backoff_s=1.0)) == [ReadFailedError]
    assert server.counts()["GET_OBJECT"] == 6
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("asked", "expected"), [(3, [3.5, 4.0]), (0, [0.5, 1.0]), (3600, [10.0, 10.0])], ids=["3 s", "0 s", "1 h"]
)
def test_retry_after_is_honoured_up_to_a_limit(
    server: S3Server, bucket: str, waits: list[float], asked: int, expected: list[float]
) -> None:
    listed = fill(server, bucket, 1)
    server.fault = faults_of(Refusal(503, asked), Refusal(429, asked))
    assert read_all(listed) == [content(0)]
    assert waits == expected


def test_waits_are_random(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[float] = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=found.append))
    listed = fill(server, bucket)
    server.fault = faults_of(503)
    assert read_all(listed) == [content(i) for i in range(OBJECTS)]
    assert len(set(found)) == OBJECTS
    assert 0.0 <= min(found) < 0.25 < max(found) < 0.5


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, AccessDeniedError), (401, AccessDeniedError), (404, ObjectNotFoundError), (412, ObjectChangedError)],
)
def test_a_refusal_of_one_object_concerns_that_one_alone(
    server: S3Server, bucket: str, waits: list[float], status: int, error: type[StorageError]
) -> None:
    listed = fill(server, bucket)
    server.fault = faults_of(*[status] * 9, keys=lambda key: key == "07")
    found = read_all(listed)
    assert found[7] is error
    assert found[:7] + found[8:] == [content(i) for i in range(OBJECTS) if i != 7]
    assert server.counts()["GET_OBJECT"] == OBJECTS
    assert waits == []


def test_what_changed_or_vanished_after_the_listing(server: S3Server, bucket: str, waits: list[float]) -> None:
    listed = fill(server, bucket, 6)
    store = open_store(f"s3://{bucket}", SETTINGS)
    store.put("01", b"another version")
    store.delete("04")
    found = read_all(listed)
    assert [found[1], found[4]] == [ObjectChangedError, ObjectNotFoundError]
    assert [found[i] for i in (0, 2, 3, 5)] == [content(i) for i in (0, 2, 3, 5)]
    assert waits == []


def test_an_object_that_vanishes_between_two_attempts(server: S3Server, bucket: str, waits: list[float]) -> None:
    listed = fill(server, bucket, 1)
    server.fault = faults_of(503, "reset", 404)
    assert read_all(listed) == [ObjectNotFoundError]
    assert len(waits) == 2


def test_a_bound_of_no_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="get_timeout_s"):
        StorageSettings(get_timeout_s=0)
