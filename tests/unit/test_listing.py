"""The archive as columns; a listing that fails or is cut off goes on where it stopped."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from arithmetic_bucket import ArithmeticBucket, CutOffError, cut_off_at, etag_of, key_of
from botocore.exceptions import ClientError

from facelib.errors import DegenerateResultError, ObjectNotFoundError, StorageError
from facelib.ids import image_id
from facelib.images.shards import ShardSettings
from facelib.spark import listing
from facelib.spark.listing import Listing, list_archive
from facelib.spark.pipeline_config import PipelineConfig
from facelib.storage import StorageSettings, StoredObject, list_images, open_store, s3, s3_listing
from facelib.storage.listing_checkpoint import ListingCheckpoint

pytestmark = pytest.mark.unit

N = 12_345
CHUNK = 1000
URI = "s3://archive/collection"
CONFIG = PipelineConfig(storage=StorageSettings(threads=4, backoff_s=0.001, attempts=4))
NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def serve(
    patch: pytest.MonkeyPatch, n: int = N, before: Callable[[int], None] = lambda number: None
) -> ArithmeticBucket:
    """The bucket that every store sees from now on; chunks are small."""
    bucket = ArithmeticBucket(n, before)
    patch.setattr(s3, "client_of", lambda settings: bucket)
    patch.setattr(listing, "CHUNK_ROWS", CHUNK)
    patch.setattr(s3_listing, "_RANGE_KEYS", CHUNK)
    return bucket


def is_whole(found: Listing, n: int = N) -> bool:
    uris = found.objects.column("uri").to_pylist()
    return uris == [f"s3://archive/{key_of(i)}" for i in range(n)]


def leftovers(output: Path) -> list[Path]:
    return [p for p in output.rglob("*") if p.is_file()]


def test_columns_of_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    found = list_archive(URI, CONFIG)
    assert (found.n, found.root) == (N, f"{URI}/")
    rows = found.rows.to_pylist()
    for i in (0, 1, CHUNK - 1, CHUNK, N - 1):
        uri = f"s3://archive/{key_of(i)}"
        assert rows[i] == {
            "image_id": image_id(uri, etag_of(i)),
            "uri": uri,
            "key": key_of(i).removeprefix("collection/"),
            "etag": etag_of(i),
            "size_bytes": 50_000 + i % 997,
            "modified_at": datetime(2024, 5, 1, 12, 34, 56, tzinfo=UTC),
        }
    assert is_whole(found)


def test_a_page_that_fails_twice_is_repeated_from_its_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(number: int) -> None:
        if number in (3, 4):
            raise ClientError(
                {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "ListObjectsV2"
            )

    bucket = serve(monkeypatch, 3500, busy)
    assert is_whole(list_archive(URI, CONFIG), 3500)
    first = [key_of(i) for i in (999, 1999, 2999)]
    assert bucket.asked == ["", first[0], first[1], first[1], first[1], first[2]]


@pytest.mark.parametrize("fail_at", [1, 3, 6, 9, 12, 15])
def test_a_listing_that_was_cut_off_goes_on_behind_its_last_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fail_at: int
) -> None:
    output = open_store(str(tmp_path))
    serve(monkeypatch, before=cut_off_at(fail_at))
    with pytest.raises(CutOffError):
        list_archive(URI, CONFIG, output)
    kept = len(leftovers(tmp_path))
    assert bool(kept) == (fail_at > 1)
    bucket = serve(monkeypatch)
    assert is_whole(list_archive(URI, CONFIG, output))
    assert min(bucket.asked) == (key_of(kept * CHUNK - 1) if kept else "")
    assert leftovers(tmp_path) == []


def test_a_listing_that_is_cut_off_again_and_again_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = open_store(str(tmp_path))
    starts = 0
    found = None
    while not found and starts < 20:
        starts += 1
        bucket = serve(monkeypatch, before=cut_off_at(4))
        with suppress(CutOffError):
            found = list_archive(URI, CONFIG, output)
        assert len({p.parent for p in leftovers(tmp_path)}) == (0 if found else 1)
    assert found
    assert is_whole(found)
    assert 1 < starts < 8
    assert key_of(0) < min(bucket.asked)


@pytest.mark.parametrize("uri", ["s3://archive", "s3://archive/collection/2024-05/person-0000001"])
def test_the_listing_of_another_prefix_begins_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str) -> None:
    output = open_store(str(tmp_path))
    serve(monkeypatch, before=cut_off_at(5))
    with pytest.raises(CutOffError):
        list_archive(URI, CONFIG, output)
    left = leftovers(tmp_path)
    bucket = serve(monkeypatch)
    assert list_archive(uri, CONFIG, output).n in (N, 200)
    assert "" in bucket.asked
    assert leftovers(tmp_path) == left


def test_no_chunk_is_kept_where_resuming_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    output = open_store(str(tmp_path))
    serve(monkeypatch, before=cut_off_at(5))
    with pytest.raises(CutOffError):
        list_archive(URI, CONFIG, output)
    assert leftovers(tmp_path)
    off = replace(CONFIG, extract=ShardSettings(listing_resume_s=0))
    bucket = serve(monkeypatch, before=cut_off_at(5))
    with pytest.raises(CutOffError):
        list_archive(URI, off, output)
    assert bucket.asked[0] == ""
    assert leftovers(tmp_path) == []


def test_nothing_is_written_for_a_listing_of_one_chunk_or_without_an_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = open_store(str(tmp_path))
    serve(monkeypatch, 900)
    monkeypatch.setattr(ListingCheckpoint, "save", None)
    assert is_whole(list_archive(URI, CONFIG, output), 900)
    serve(monkeypatch)
    assert is_whole(list_archive(URI, CONFIG))


def chunk(*names: str) -> pa.Table:
    return pa.table({"uri": list(names)})


def test_leftovers_are_continued_while_they_are_young(tmp_path: Path) -> None:
    output = open_store(str(tmp_path))
    earlier = ListingCheckpoint(output, "a", 3600, NOW)
    earlier.save("", chunk("k1", "k2"))
    earlier.save("k2", chunk("k3"))
    young = ListingCheckpoint(output, "a", 3600, NOW + timedelta(minutes=59))
    assert [c.column("uri").to_pylist() for c in young.chunks()] == [["k1", "k2"], ["k3"]]
    young.save("k3", chunk("k4"))
    assert len(ListingCheckpoint(output, "b", 3600, NOW).chunks()) == 0
    late = ListingCheckpoint(output, "a", 3600, NOW + timedelta(minutes=61))
    assert late.chunks() == []
    assert leftovers(tmp_path) == []


def test_two_drivers_at_once_leave_a_chain_without_gaps(tmp_path: Path) -> None:
    output = open_store(str(tmp_path))
    one, two = (ListingCheckpoint(output, "a", 3600, NOW) for _ in range(2))
    one.save("", chunk("k1", "k2"))
    two.save("", chunk("k1", "k2", "k3"))
    one.save("k2", chunk("k3", "k4"))
    two.save("k3", chunk("k4", "k5"))
    found = ListingCheckpoint(output, "a", 3600, NOW).chunks()
    assert [k for c in found for k in c.column("uri").to_pylist()] == ["k1", "k2", "k3", "k4", "k5"]
    one.clear()
    assert two.chunks() == []


def test_an_object_listed_twice_has_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [StoredObject(f"file:///x/{k}", k, e, 1, NOW) for k, e in ("b1", "a1", "b2", "c1", "a1")]
    monkeypatch.setattr(listing, "list_images", lambda *_: (None, iter(objects)))
    monkeypatch.setattr(listing, "CHUNK_ROWS", 2)
    found = list_archive("/x", CONFIG)
    assert [(r["key"], r["etag"]) for r in found.rows.to_pylist()] == [("a", "1"), ("b", "2"), ("c", "1")]


def test_keys_and_uris_agree_for_folders_and_manifests(tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/sub/b.jpg", "out.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    manifest = tmp_path / "in" / "list.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([["uri"], ["a.jpg"], ["sub/b.jpg"], ["../out.jpg"], ["none.jpg"]])
    for uri in (str(tmp_path), str(tmp_path / "in"), str(manifest)):
        found = list_archive(uri, CONFIG, open_store(str(tmp_path / "output")))
        objects = list(list_images(uri)[1])
        rows = found.rows.to_pylist()
        assert [(r["uri"], r["key"], r["etag"]) for r in rows] == [(o.uri, o.key, o.etag) for o in objects]
        assert [r["modified_at"] for r in rows] == [o.modified_at if o.etag else None for o in objects]
    assert not (tmp_path / "output").exists()


def test_an_empty_archive_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DegenerateResultError):
        list_archive(str(tmp_path), CONFIG)
    serve(monkeypatch, 0)
    with pytest.raises(ObjectNotFoundError):
        list_archive(URI, CONFIG, open_store(str(tmp_path)))


def test_listing_after_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "a/b.jpg", "a/c.jpg", "b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    store = open_store(str(tmp_path))
    assert [o.key for o in store.list(after="a/b.jpg")] == ["a/c.jpg", "b.jpg"]
    assert [o.key for o in store.list("a/", after="a/b.jpg")] == ["a/c.jpg"]
    assert list(store.list(after="b.jpg")) == []
    serve(monkeypatch)
    archive = open_store(URI, CONFIG.storage)
    for i in (0, 4321, N - 1):
        after = key_of(i).removeprefix("collection/")
        assert [o.uri for o in archive.list(after=after)] == [f"s3://archive/{key_of(j)}" for j in range(i + 1, N)]


def test_a_denied_listing_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(number: int) -> None:
        if number >= 5:
            raise ClientError(
                {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "ListObjectsV2"
            )

    serve(monkeypatch, before=refuse)
    with pytest.raises(StorageError, match="denied"):
        list_archive(URI, CONFIG, open_store(str(tmp_path)))
    assert len(leftovers(tmp_path)) == 4
