"""The local store and URIs: names, links, versions, writers that meet, failing disks."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facelib.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadFailedError,
    StorageError,
)
from facelib.storage import Fetcher, ObjectStore, StorageSettings, open_store, uris
from facelib.storage.retry import with_retries

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path))


def keys(store: ObjectStore) -> list[str]:
    return [found.key for found in store.list()]


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("/data/faces", "file:///data/faces"),
        ("/data/faces/", "file:///data/faces"),
        ("/data/../x/./y", "file:///x/y"),
        ("file:///data/a b%20c#d/", "file:///data/a b%20c#d"),
        ("FILE:///data", "file:///data"),
        ("//data", "file:///data"),
        ("/", "file://"),
        ("file:///", "file://"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://bucket/a/../b//c/", "s3://bucket/a/../b//c"),
    ],
)
def test_root_is_canonical(given: str, root: str) -> None:
    assert open_store(given).root == root
    assert open_store(root).root == root


def test_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("a/b").root == f"file://{tmp_path}/a/b"
    assert open_store(".").root == f"file://{tmp_path}"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3a://b/c", "scheme 's3a'"),
        ("http://x/y", "scheme 'http'"),
        ("s3://", "no bucket"),
        ("s3:///key", "no bucket"),
        ("file://host/x", "no absolute path"),
        ("", "empty"),
    ],
)
def test_wrong_locations(uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_store(uri)


@pytest.mark.parametrize(
    "change", [{"attempts": 0}, {"threads": 0}, {"timeout_s": 0}, {"connect_timeout_s": -1}, {"backoff_s": -0.1}]
)
def test_wrong_settings_name_their_field(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        StorageSettings(**change)  # type: ignore[arg-type]


def test_every_file_is_listed(tmp_path: Path, store: ObjectStore) -> None:
    names = [".hidden", "_private", "a/.b/c", "x.jpg", "no extension", "line\nbreak"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "empty folder").mkdir()
    assert keys(store) == sorted(names)


def test_names_that_are_not_utf8(tmp_path: Path, store: ObjectStore) -> None:
    raw = [b"caf\xe9.jpg", b"\xff\xfe", "valid \uefe9.jpg".encode(), b"d\xe9r/x", "é".encode()]
    for name in raw:
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    listed = list(store.list())
    assert len({o.uri.encode("utf-8") for o in listed}) == len(raw)
    assert sorted(Fetcher().fetch(o.uri, o.etag) for o in listed) == sorted(raw)
    assert sorted(store.get(o.key) for o in listed) == sorted(raw)


def test_spelling_of_names_is_reversible() -> None:
    rng = random.Random(11)
    names = [rng.randbytes(rng.randrange(1, 9)) for _ in range(5000)]
    names += ["".join(chr(rng.randrange(0xEF00, 0xF010)) for _ in range(3)).encode() for _ in range(500)]
    spelled = {}
    for name in names:
        text = uris.text_of(name)
        assert text.encode("utf-8")
        assert uris.bytes_of(text) == name
        assert spelled.setdefault(text, name) == name
    assert uris.text_of("plain ü 日.jpg".encode()) == "plain ü 日.jpg"


def test_links(tmp_path: Path, store: ObjectStore) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"x")
    (tmp_path / "a" / "deep" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").symlink_to(tmp_path / "a")
    (tmp_path / "file").symlink_to(tmp_path / "a" / "x")
    os.mkfifo(tmp_path / "pipe")
    assert keys(store) == ["a/x", "file", "folder/x"]
    assert store.get("folder/x") == b"x"
    for name in ("pipe", "broken", "self", "a"):
        with pytest.raises(StorageError):
            store.get(name)
    for name in ("pipe", "broken", "a"):
        assert not store.exists(name)


def test_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    assert keys(open_store(str(tmp_path / "link"))) == ["x"]


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(ObjectNotFoundError, match="file"):
        keys(open_store(str(tmp_path / "file")))


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "a/", "./a", "nul\0"])
def test_keys_stay_below_the_root(store: ObjectStore, key: str) -> None:
    for call in (store.get, store.head, store.delete, lambda k: store.put(k, b"")):
        with pytest.raises(ConfigError):
            call(key)


def test_etag_and_time_are_those_of_the_file(tmp_path: Path, store: ObjectStore) -> None:
    etag = store.put("x", b"12345")
    os.utime(tmp_path / "x", ns=(0, 1_700_000_000_123_456_789))
    found = store.head("x")
    assert found.etag == "m17979cfe3d85cd15-s5"
    assert found.modified_at == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    with pytest.raises(ObjectChangedError):
        store.get("x", if_match=etag)


def test_versions_differ_within_a_clock_tick(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    etags = [store.put("x", b"%d" % i) for i in range(5)]
    assert len(set(etags)) == 5


def test_growing_file_counts_as_changed(tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("x", b"1234")
    plain = os.fstat

    def stat_then_grow(fd: int) -> os.stat_result:
        info = plain(fd)
        with (tmp_path / "x").open("ab") as file:
            file.write(b"5")
        return info

    monkeypatch.setattr("facelib.storage.local.os.fstat", stat_then_grow)
    with pytest.raises(ObjectChangedError):
        store.get("x")


def test_failing_disk_keeps_the_old_version(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("x", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("facelib.storage.local.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        store.put("x", b"new")
    assert store.get("x") == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_unfinished_writes_are_not_listed(tmp_path: Path, store: ObjectStore) -> None:
    script = "import os, facelib.storage.local as l; l.os.replace = lambda *_: os._exit(9); "
    script += f"l.LocalStore('file://{tmp_path}').put('x', b'1')"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert len(os.listdir(tmp_path)) == 1
    assert keys(store) == []


def test_new_files_have_the_usual_permissions(tmp_path: Path, store: ObjectStore) -> None:
    (tmp_path / "usual").write_bytes(b"")
    store.put("x", b"1")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_denied(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("Jane/x", b"1")

    def deny(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("facelib.storage.local.os.open", deny)
    monkeypatch.setattr("facelib.storage.local.os.scandir", deny)
    with pytest.raises(AccessDeniedError) as caught:
        store.get("Jane/x")
    assert "Jane" not in str(caught.value)
    with pytest.raises(AccessDeniedError, match="permissions"):
        store.put("Jane/y", b"1")
    with pytest.raises(AccessDeniedError, match=str(tmp_path)):
        keys(store)


def test_failing_read(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("Jane", b"1")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("facelib.storage.local.os.open", fail)
    with pytest.raises(ReadFailedError, match="Input/output error") as caught:
        store.get("Jane")
    assert "Jane" not in str(caught.value)


COUNT = """
import sys
from facelib.errors import ConflictError, ObjectChangedError
from facelib.storage import open_store
store = open_store(sys.argv[1])
for _ in range(40):
    while True:
        seen = store.head("count").etag
        try:
            store.put_if("count", b"%06d" % (int(store.get("count", if_match=seen)) + 1), expected=seen)
        except (ConflictError, ObjectChangedError):
            continue
        break
"""


def test_no_increment_of_other_processes_is_lost(tmp_path: Path, store: ObjectStore) -> None:
    store.put("count", b"%06d" % 0)
    writers = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert store.get("count") == b"000120"
    assert os.listdir(tmp_path) == ["count"]


def test_retries_wait_longer_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    calls = []

    def call() -> None:
        calls.append(1)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        with_retries(call, lambda _: 8, backoff_s=0.2)
    assert waits == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert len(calls) == 8
