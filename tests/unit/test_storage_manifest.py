"""What a run reads: folders, prefixes, and manifests in CSV and Parquet."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.demo.s3_server import S3Server
from facelib.errors import AccessDeniedError, ConfigError, ObjectNotFoundError, StorageError
from facelib.storage import StorageSettings, StoredObject, is_manifest, list_images, open_store, uris

pytest.importorskip("moto")
pytestmark = pytest.mark.unit

FAST = StorageSettings(attempts=2, backoff_s=0.001)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env().items():
            patch.setenv(name, value)
        running.create_bucket("photos")
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b c.jpg", "d,e/f\ng.jpg", "sub/h.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    return tmp_path / "in"


def write_csv(path: Path, references: list[str], encoding: str = "utf-8") -> str:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(["number", "uri"])
        writer.writerows(enumerate(references))
    return str(path)


def read_all(uri: str) -> list[StoredObject]:
    return list(list_images(uri, FAST)[1])


def test_folder(folder: Path) -> None:
    fetcher, found = list_images(str(folder))
    objects = list(found)
    assert [o.key for o in objects] == ["a.jpg", "b c.jpg", "d,e/f\ng.jpg", "sub/h.jpg"]
    assert [fetcher.fetch(o.uri, o.etag) for o in objects] == [o.key.encode() for o in objects]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_lists_what_the_folder_does(folder: Path, tmp_path: Path, encoding: str) -> None:
    everything = read_all(str(folder))
    manifest = write_csv(folder / "list.CSV", [o.key for o in everything], encoding)
    assert read_all(manifest) == everything
    elsewhere = write_csv(tmp_path / "absolute.csv", [o.uri for o in everything])
    assert [(o.uri, o.etag) for o in read_all(elsewhere)] == [(o.uri, o.etag) for o in everything]
    paths = write_csv(tmp_path / "paths.csv", [str(folder / o.key) for o in everything])
    assert [o.uri for o in read_all(paths)] == [o.uri for o in everything]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_parquet_lists_what_the_folder_does(folder: Path, kind: pa.DataType) -> None:
    everything = read_all(str(folder))
    table = pa.table({"uri": pa.array([o.key for o in everything], kind), "label": [1] * len(everything)})
    pq.write_table(table, folder / "list.parquet")
    assert read_all(str(folder / "list.parquet")) == everything


def test_each_object_comes_once_and_missing_ones_too(folder: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", ["in/a.jpg", "./in/a.jpg", "in/sub/../a.jpg", str(folder / "a.jpg"), "in/none.jpg"])
    fetcher, found = list_images(str(tmp_path / "m.csv"))
    present, missing = found
    assert (present.key, present.size_bytes) == ("in/a.jpg", 5)
    assert (missing.key, missing.etag, missing.size_bytes) == ("in/none.jpg", "", 0)
    with pytest.raises(ObjectNotFoundError):
        fetcher.fetch(missing.uri, missing.etag)


def test_mixed_manifest_in_s3(server: S3Server, folder: Path, tmp_path: Path) -> None:
    server.upload_folder(folder, "photos", "x/images")
    references = ["../images/a.jpg", "s3://photos/x/images/sub/h.jpg", f"file://{folder}/a.jpg", "none.jpg"]
    local = Path(write_csv(tmp_path / "m.csv", references))
    open_store("s3://photos/x/lists").put("m.csv", local.read_bytes())
    server.reset_counts()
    fetcher, found = list_images("s3://photos/x/lists/m.csv", FAST)
    objects = list(found)
    assert [(o.uri, o.key) for o in objects] == [
        (f"file://{folder}/a.jpg", f"file://{folder}/a.jpg"),
        ("s3://photos/x/images/a.jpg", "s3://photos/x/images/a.jpg"),
        ("s3://photos/x/images/sub/h.jpg", "s3://photos/x/images/sub/h.jpg"),
        ("s3://photos/x/lists/none.jpg", "none.jpg"),
    ]
    counts = server.counts()
    assert (counts["GET_OBJECT"], counts["HEAD"], counts["LIST"]) == (1, 3, 0)
    assert [fetcher.fetch(o.uri, o.etag) for o in objects[:3]] == [b"a.jpg", b"a.jpg", b"sub/h.jpg"]
    whole = {o.uri: o for o in open_store("s3://photos/x/images").list()}
    for o in objects[1:3]:
        same = whole[o.uri]
        assert (o.etag, o.size_bytes, o.modified_at) == (same.etag, same.size_bytes, same.modified_at)


def test_denied_entries_are_kept_and_broken_storage_is_an_error(server: S3Server, tmp_path: Path) -> None:
    manifest = write_csv(tmp_path / "m.csv", ["s3://photos/Jane.jpg"])
    server.fault = lambda method, bucket, key: 403
    try:
        fetcher, found = list_images(manifest, FAST)
        (denied,) = found
        assert denied.etag == ""
        with pytest.raises(AccessDeniedError):
            fetcher.fetch(denied.uri, denied.etag)
        server.fault = lambda method, bucket, key: 503
        with pytest.raises(StorageError) as caught:
            read_all(manifest)
        assert "Jane" not in str(caught.value)
    finally:
        server.fault = None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("", "row 2"),
        ("http://x/y.jpg", "row 2.*scheme 'http'"),
        ("s3://", "row 2.*no bucket"),
        ("s3://bucket", "row 2.*no object"),
        ("file://relative", "row 2.*absolute"),
        ("../" * 40 + "x", "row 2.*leaves"),
    ],
)
def test_wrong_entries_name_their_row(tmp_path: Path, reference: str, message: str) -> None:
    manifest = write_csv(tmp_path / "m.csv", ["a.jpg", reference])
    with pytest.raises(ConfigError, match=message) as caught:
        list_images(manifest)
    assert manifest in str(caught.value)


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "other.csv").write_text("path,label\na.jpg,1\n")
    (tmp_path / "latin.csv").write_bytes("uri\né.jpg\n".encode("latin-1"))
    (tmp_path / "quote.csv").write_text('uri\n"a.jpg\n')
    (tmp_path / "text.parquet").write_text("uri\na.jpg\n")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"uri": [1, 2]}), tmp_path / "numbers.parquet")
    pq.write_table(pa.table({"uri": ["a", None]}), tmp_path / "null.parquet")
    expected = {
        "empty.csv": "no column 'uri'",
        "other.csv": "no column 'uri'",
        "latin.csv": "not UTF-8",
        "quote.csv": "not valid CSV",
        "text.parquet": "cannot be read as Parquet",
        "other.parquet": "no column 'uri'",
        "numbers.parquet": "not text",
        "null.parquet": "row 2",
    }
    for name, message in expected.items():
        with pytest.raises(ConfigError, match=message) as caught:
            list_images(str(tmp_path / name))
        assert name in str(caught.value)
    with pytest.raises(ObjectNotFoundError, match=r"none\.csv does not exist"):
        list_images(str(tmp_path / "none.csv"))


def test_header_alone_is_an_empty_manifest(tmp_path: Path) -> None:
    assert read_all(write_csv(tmp_path / "m.csv", [])) == []


def test_folder_named_like_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").mkdir()
    (tmp_path / "x.parquet" / "a.jpg").write_bytes(b"1")
    assert not is_manifest(str(tmp_path / "x.parquet"))
    assert [o.key for o in read_all(str(tmp_path / "x.parquet"))] == ["a.jpg"]
    assert is_manifest("s3://bucket/x.parquet")
    assert not is_manifest("s3://bucket/x.jpg")


def test_relative_references_in_the_root_folder() -> None:
    assert uris.resolve("file://", "a.jpg") == "file:///a.jpg"
    assert uris.resolve("s3://bucket", "a/./b/../c d.jpg") == "s3://bucket/a/c d.jpg"
    assert uris.resolve("s3://bucket/x", "a//b") == "s3://bucket/x/a//b"
    assert uris.resolve("s3://bucket/x", "s3://other/a/../b") == "s3://other/a/../b"
    assert uris.resolve("file:///x", "file:///y/../z") == "file:///z"
    assert uris.resolve("file:///x", os.sep + "y//z") == "file:///y/z"
