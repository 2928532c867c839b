"""What every store promises, on a local disk and in S3; and what can go wrong with S3 alone."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from facelib.demo.s3_server import S3Server, operation_of
from facelib.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.storage import Fetcher, ObjectStore, ObjectTooLargeError, StorageSettings, open_store

pytest.importorskip("moto")
pytestmark = pytest.mark.unit

FAST = StorageSettings(attempts=4, backoff_s=0.001, connect_timeout_s=1, timeout_s=20)
ODD_KEYS = [
    "a b+c.jpg",
    "100%.jpg",
    "%41%2F.jpg",
    "q?x=1&y=2#frag.jpg",
    "été/Ünï.jpg",
    "日本/写真.jpg",
    "\U0001f600.png",
    "tilde~'()!*;:@=,$.jpg",
    'quote".jpg',
    "back\\slash.jpg",
    ".hidden/.file",
    "_SUCCESS",
    " leading and trailing ",
]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> str:
    name = "t-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    server.create_bucket(name)
    server.fault = None
    server.reset_counts()
    return name


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return open_store(str(tmp_path / "root"), FAST)
    return open_store(f"s3://{request.getfixturevalue('bucket')}/some/prefix/", FAST)


def faults(*answers: int | str | None) -> Callable[[str, str, str], int | str | None]:
    """Gives the answers one by one to requests for objects, the last one for ever."""
    left = list(answers)

    def fault(method: str, bucket: str, key: str) -> int | str | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return fault


def test_content_and_names_survive(store: ObjectStore) -> None:
    content = {key: hashlib.sha256(key.encode()).digest() * i for i, key in enumerate(ODD_KEYS)}
    etags = {key: store.put(key, data) for key, data in content.items()}
    listed = list(store.list())
    assert [o.key for o in listed] == sorted(ODD_KEYS)
    fetcher = pickle.loads(pickle.dumps(Fetcher(FAST)))  # noqa: S301
    for found in listed:
        assert found.uri == f"{store.root}/{found.key}" == store.uri(found.key)
        assert found.etag == etags[found.key]
        assert found.size_bytes == len(content[found.key])
        assert found == store.head(found.key)
        assert store.get(found.key) == content[found.key]
        assert fetcher.fetch(found.uri, found.etag) == content[found.key]


def test_times_are_utc_and_recent(store: ObjectStore) -> None:
    store.put("x", b"1")
    moment = store.head("x").modified_at
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


def test_order_is_that_of_keys(store: ObjectStore) -> None:
    keys = ["a.jpg", "a-b", "ab", "a/b/c", "a/b.c", "a/b-c/d", "A", "a0", "é", "z"]
    for key in keys:
        store.put(key, b"x")
    assert [o.key for o in store.list()] == sorted(keys)


def test_prefix_is_a_string_prefix(store: ObjectStore) -> None:
    for key in ("run/1", "run/2/x", "runner", "other"):
        store.put(key, b"x")
    assert [o.key for o in store.list("run")] == ["run/1", "run/2/x", "runner"]
    assert [o.key for o in store.list("run/")] == ["run/1", "run/2/x"]
    assert [o.key for o in store.list("run/2/")] == ["run/2/x"]
    assert list(store.list("nothing/here/")) == []


def test_missing_root(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFoundError, match="check"):
        list(store.list())
    assert list(store.list("sub/")) == []


def test_missing_object(store: ObjectStore) -> None:
    store.put("there", b"x")
    for call in (store.get, store.head):
        with pytest.raises(ObjectNotFoundError):
            call("missing")
    with pytest.raises(ObjectNotFoundError):
        store.get("missing", if_match="abc")
    assert store.exists("there")
    assert not store.exists("missing")
    store.delete("missing")
    store.delete("there")
    assert not store.exists("there")
    store.delete("there")


def test_get_of_another_version(store: ObjectStore) -> None:
    old = store.put("x", b"old")
    assert store.get("x", if_match=old) == b"old"
    new = store.put("x", b"new")
    assert new != old
    with pytest.raises(ObjectChangedError):
        store.get("x", if_match=old)
    assert store.get("x", if_match=new) == b"new"


def test_max_bytes(store: ObjectStore) -> None:
    store.put("x", b"12345")
    assert store.get("x", max_bytes=5) == b"12345"
    with pytest.raises(ObjectTooLargeError, match="5 bytes"):
        store.get("x", max_bytes=4)


def test_put_if(store: ObjectStore) -> None:
    first = store.put_if("p", b"1", expected=None)
    with pytest.raises(ConflictError):
        store.put_if("p", b"2", expected=None)
    second = store.put_if("p", b"2", expected=first)
    with pytest.raises(ConflictError):
        store.put_if("p", b"3", expected=first)
    assert store.get("p", if_match=second) == b"2"
    with pytest.raises(ConflictError):
        store.put_if("absent", b"1", expected=first)
    assert not store.exists("absent")


def test_one_of_many_creators_wins(store: ObjectStore) -> None:
    barrier = threading.Barrier(6)

    def create(writer: int) -> int | None:
        barrier.wait()
        try:
            store.put_if("lock", str(writer).encode(), expected=None)
        except ConflictError:
            return None
        return writer

    with ThreadPoolExecutor(6) as pool:
        winners = [w for w in pool.map(create, range(6)) if w is not None]
    assert len(winners) == 1
    assert store.get("lock") == str(winners[0]).encode()


def test_no_increment_is_lost(store: ObjectStore) -> None:
    store.put("count", b"0000")

    def add(_: int) -> None:
        while True:
            seen = store.head("count").etag
            try:
                value = int(store.get("count", if_match=seen)) + 1
                store.put_if("count", b"%04d" % value, expected=seen)
            except (ConflictError, ObjectChangedError):
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert store.get("count") == b"0012"


def test_pickled_store_works(store: ObjectStore) -> None:
    store.put("x", b"1")
    assert pickle.loads(pickle.dumps(store)).get("x") == b"1"  # noqa: S301


def test_fetch_of_an_object_that_was_not_listed(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFoundError):
        Fetcher(FAST).fetch(store.uri("late"), "")
    store.put("late", b"x")
    with pytest.raises(ObjectChangedError):
        Fetcher(FAST).fetch(store.uri("late"), "")
    assert Fetcher(FAST).fetch(store.uri("late"), None) == b"x"


def test_errors_of_reading_do_not_name_the_object(store: ObjectStore) -> None:
    store.put("Jane_Doe.jpg", b"123")
    calls: list[Callable[[], object]] = [
        lambda: store.get("Jane_Doe.jpg", if_match="0"),
        lambda: store.get("Jane_Doe.jpg", max_bytes=1),
        lambda: store.get("Jane_Doe2.jpg"),
        lambda: store.head("Jane_Doe2.jpg"),
        lambda: Fetcher(FAST).fetch(store.uri("Jane_Doe.jpg"), ""),
    ]
    for call in calls:
        with pytest.raises(StorageError) as caught:
            call()
        assert "Jane" not in str(caught.value)
        assert "Jane" not in "".join(traceback.format_exception_only(caught.value))
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("layout", ["flat", "folders", "one folder", "nested", "mixed"])
def test_parallel_listing_loses_nothing(
    server: S3Server, bucket: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(20240501)
    shapes: dict[str, Callable[[int], str]] = {
        "flat": lambda i: f"{i:04d}.jpg",
        "folders": lambda i: f"p{rng.randrange(40)}/{i}.jpg",
        "one folder": lambda i: f"all/of/them/p{rng.randrange(9)}/{i}.jpg",
        "nested": lambda i: f"{rng.randrange(3)}/{rng.randrange(3)}/{rng.randrange(9)}/{i}",
        "mixed": lambda i: rng.choice([f"{i}.jpg", f"a{rng.randrange(5)}/{i}", f"z/{rng.randrange(4)}/{i}"]),
    }
    keys = {shapes[layout](i) for i in range(150)}
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"x")
    assert server.upload_folder(tmp_path, bucket, "in") == len(keys)
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "7")
    store = open_store(f"s3://{bucket}/in", replace(FAST, threads=3))
    assert [o.key for o in store.list()] == sorted(keys)
    assert server.counts()["LIST"] >= len(keys) / 7


def page_of(keys: list[str], prefix: str, after: str, size: int, **more: str) -> dict[str, Any]:
    """One answer of ListObjectsV2: keys after StartAfter, those with the delimiter rolled up."""
    entries: dict[str, bool] = {}
    for key in sorted(k for k in keys if k.startswith(prefix) and k > after):
        name, slash, _ = key[len(prefix) :].partition("/")
        rolled = bool(slash) and "Delimiter" in more
        entries[prefix + name + "/" if rolled else key] = rolled
    shown = list(entries.items())[:size]
    now = datetime.now(UTC)
    return {
        "IsTruncated": len(entries) > size,
        "CommonPrefixes": [{"Prefix": name} for name, rolled in shown if rolled],
        "Contents": [
            {"Key": name, "Size": 1, "ETag": '"e"', "LastModified": now} for name, rolled in shown if not rolled
        ],
    }


def test_parallel_listing_of_random_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(77)
    for _ in range(60):
        parts = ["a", "b", "c/", "d/", "dd/", "e-"]
        keys = {"".join(rng.choices(parts, k=rng.randrange(1, 7))) for _ in range(rng.randrange(200))}
        store = open_store("s3://bucket", replace(FAST, threads=rng.randrange(1, 5)))
        model = partial(page_of, sorted(keys), size=rng.randrange(2, 9))
        monkeypatch.setattr(store, "_page", model)
        assert [o.key for o in store.list()] == sorted(keys)


def test_folder_markers_are_left_out(bucket: str) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    store.put("folder/", b"")
    store.put("folder/x", b"x")
    store.put("odd/", b"not empty")
    assert [o.key for o in store.list()] == ["folder/x", "odd/"]
    assert [o.key for o in open_store(f"s3://{bucket}/folder", FAST).list()] == ["x"]


def test_empty_bucket_is_no_error(bucket: str) -> None:
    assert list(open_store(f"s3://{bucket}").list()) == []


@pytest.mark.parametrize("fault", [500, 503, 429, "reset", "truncate"])
def test_get_survives_passing_faults(server: S3Server, bucket: str, fault: int | str) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    data = random.Random(7).randbytes(100_000)
    etag = store.put("x", data)
    server.fault = faults(fault, fault, fault, None)
    assert store.get("x", if_match=etag) == data
    assert server.counts()["GET_OBJECT"] == 4


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_get_gives_up_after_its_attempts(server: S3Server, bucket: str, fault: int | str) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    store.put("Jane_Doe", b"x" * 1000)
    server.fault = faults(fault)
    with pytest.raises(ReadFailedError, match="try again later") as caught:
        store.get("Jane_Doe")
    assert "Jane" not in str(caught.value)
    assert server.counts()["GET_OBJECT"] == FAST.attempts


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, AccessDeniedError), (404, ObjectNotFoundError), (412, ObjectChangedError)],
)
def test_lasting_answers_are_not_repeated(
    server: S3Server, bucket: str, status: int, error: type[StorageError]
) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    server.fault = faults(status)
    with pytest.raises(error):
        store.get("x")
    with pytest.raises(error):
        store.head("x")
    assert (server.counts()["GET_OBJECT"], server.counts()["HEAD"]) == (1, 1)


def test_listing_errors(server: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}/p", FAST)
    store.put("x", b"1")
    server.fault = faults(503, "reset", None)
    assert [o.key for o in store.list()] == ["x"]
    server.fault = faults(403)
    with pytest.raises(AccessDeniedError, match=f"s3://{bucket}/p"):
        list(store.list())
    server.fault = faults(503)
    with pytest.raises(StorageError, match=f"503 SlowDown for s3://{bucket}/p"):
        list(store.list())
    server.fault = None
    with pytest.raises(ObjectNotFoundError, match="bucket s3://no-such-bucket does not exist"):
        list(open_store("s3://no-such-bucket/p", FAST).list())
    with pytest.raises(ObjectNotFoundError, match="bucket s3://no-such-bucket does not exist"):
        open_store("s3://no-such-bucket", FAST).put("x", b"")


def test_put_if_whose_answer_is_lost_still_wins(server: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    server.fault = faults("reset", None)
    etag = store.put_if("p", b"mine", expected=None)
    assert store.get("p", if_match=etag) == b"mine"
    assert server.counts()["PUT"] == 2


def test_put_if_that_failed_and_was_overtaken_loses(server: S3Server, bucket: str) -> None:
    store = open_store(f"s3://{bucket}", FAST)
    done = threading.Event()

    def overtake(method: str, bucket: str, key: str) -> int | None:
        if method != "PUT" or done.is_set():
            return None
        done.set()
        store.put("p", b"theirs")
        return 500

    server.fault = overtake
    with pytest.raises(ConflictError):
        store.put_if("p", b"mine", expected=None)
    assert store.get("p") == b"theirs"


def test_unreachable_endpoint() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        settings = replace(FAST, endpoint_url=nobody)
        store = open_store("s3://some-bucket/prefix", settings)
        with pytest.raises(StorageError, match=f"cannot reach the S3 endpoint {nobody} for s3://some-bucket/prefix:"):
            list(store.list())
        with pytest.raises(ReadFailedError, match=nobody) as caught:
            store.get("Jane_Doe")
        assert "Jane" not in str(caught.value)
        with pytest.raises(StorageError, match=nobody):
            store.put("x", b"")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("no_credentials")
def test_no_credentials(server: S3Server) -> None:
    store = open_store("s3://some-bucket", replace(FAST, endpoint_url=server.endpoint_url))
    with pytest.raises(AccessDeniedError, match="no usable AWS credentials for s3://some-bucket: set AWS_"):
        list(store.list())


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("uri", "settings"),
    [("s3://Not A Bucket", FAST), ("s3://some-bucket", replace(FAST, endpoint_url="no endpoint"))],
)
def test_wrong_settings(uri: str, settings: StorageSettings) -> None:
    with pytest.raises(ConfigError):
        list(open_store(uri, settings).list())


def test_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(ConfigError, match="no-such-profile"):
        open_store("s3://some-bucket", FAST).exists("x")


def test_requests_of_other_processes_are_counted(server: S3Server, bucket: str) -> None:
    open_store(f"s3://{bucket}", FAST).put("x y", b"123")
    server.reset_counts()
    code = (
        "import sys, facelib.storage as s; assert 'boto3' not in sys.modules\n"
        f"assert len(list(s.open_store('s3://{bucket}').list())) == 1\n"
        f"sys.exit(s.Fetcher().fetch('s3://{bucket}/x y', None) != b'123')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **server.env()})
    assert server.counts() == {"GET_OBJECT": 1, "LIST": 1, "PUT": 0, "HEAD": 0, "DELETE": 0, "OTHER": 0}


@pytest.mark.parametrize(
    ("method", "key", "query", "operation"),
    [
        ("GET", "", "list-type=2&prefix=a", "LIST"),
        ("GET", "", "location", "OTHER"),
        ("GET", "k", "", "GET_OBJECT"),
        ("GET", "k", "partNumber=1", "GET_OBJECT"),
        ("GET", "k", "tagging", "OTHER"),
        ("PUT", "k", "", "PUT"),
        ("PUT", "", "", "OTHER"),
        ("HEAD", "k", "", "HEAD"),
        ("DELETE", "k", "", "DELETE"),
    ],
)
def test_operations_are_told_apart(method: str, key: str, query: str, operation: str) -> None:
    assert operation_of(method, key, query) == operation
