"""Run records: what they keep, how they are found, and publication by compare-and-swap."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import facelib
from facelib.errors import ConfigError, ConflictError, StorageError
from facelib.spark.run_record import RunRecord, current_run_id, latest_run_id, publish
from facelib.storage import ObjectStore, open_store
from schemas.tables import FACES, IMAGES

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "out"))


def record(**changes: Any) -> RunRecord:
    made = RunRecord.begin("s3://b/images", {"labels": "l.csv"}, {"cluster": {"seed": 1}}, "c0ffee")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_new_record_says_what_runs_and_that_it_has_not_ended() -> None:
    made = record()
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}", made.run_id)
    assert (made.status, made.exit_code, made.finished_at) == ("running", None, None)
    assert made.versions["facelib"] == facelib.__version__
    assert len({record().run_id for _ in range(50)}) == 50


def test_saved_records_come_back_whole(store: ObjectStore) -> None:
    made = record(message="état: größer", conservation={"listed": 3, "rejected": {"empty": 1}})
    made.add_table(IMAGES, {"runs/x/images/part-00000.parquet": 3})
    with made.stage("extract") as facts:
        facts["images"] = 3
    made.end("unpublished", 0, "stage extract is done")
    made.save(store)
    assert RunRecord.load(store, made.run_id) == made
    raw = json.loads(store.get(f"runs/{made.run_id}/run.json"))
    assert raw["tables"]["images"] == {
        "version": IMAGES.version,
        "rows": 3,
        "files": {"runs/x/images/part-00000.parquet": 3},
    }
    assert raw["stages"]["extract"]["images"] == 3
    assert raw["stages"]["extract"]["seconds"] >= 0


def test_an_unknown_run_is_named(store: ObjectStore) -> None:
    with pytest.raises(ConfigError, match=r"there is no run 2020 in .*out: see the folder runs/"):
        RunRecord.load(store, "2020")


def test_files_of_tables() -> None:
    made = record()
    assert made.add_table(FACES, {"b": 2, "a": 5}) == 7
    assert made.files(FACES) == ["a", "b"]
    assert made.folder(FACES) == f"runs/{made.run_id}/faces"
    with pytest.raises(ConfigError, match="has no table images yet: run the stage that makes it"):
        made.files(IMAGES)


def test_a_stage_that_fails_is_not_recorded() -> None:
    made = record()
    with pytest.raises(ZeroDivisionError), made.stage("embed"):
        raise ZeroDivisionError
    assert made.stages == {}


def test_the_newest_run_is_found_published_or_not(store: ObjectStore) -> None:
    with pytest.raises(ConfigError, match="holds no run yet: start with facelib extract"):
        latest_run_id(store)
    newest = "20240301T000000.251Z-00000000"
    for name in ("20240301T000000.250Z-ffffffff", newest, "20231231T235959.999Z-ffffffff"):
        record(run_id=name).save(store)
    store.put("runs/20250101T000000.000Z-00000000/images/part-00000.parquet", b"a run that has no record")
    assert latest_run_id(store) == newest


def test_runs_begun_one_after_the_other_sort_by_time() -> None:
    ids = []
    for _ in range(20):
        ids.append(record().run_id)
        time.sleep(0.002)
    assert ids == sorted(ids)


def test_publication_sets_the_current_run(store: ObjectStore) -> None:
    assert current_run_id(store) is None
    for name in ("20240101T000000Z-aaaaaaaa", "20240101T000000Z-bbbbbbbb"):
        made = record(run_id=name)
        made.end("published", 0, "published")
        publish(store, made)
        assert current_run_id(store) == name
        assert RunRecord.load(store, name).status == "published"
    assert store.get("CURRENT") == b"20240101T000000Z-bbbbbbbb\n"


class Interrupted:
    """A store in which something happens right after `run.json` was written."""

    def __init__(self, store: ObjectStore, event: Any) -> None:
        self._store, self._event = store, event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes) -> str:
        etag = self._store.put(key, data)
        self._event()
        return etag


@pytest.mark.parametrize("first", [True, False])
def test_a_run_published_in_between_is_not_overwritten(store: ObjectStore, first: bool) -> None:
    if not first:
        publish(store, record())
    winner = record()
    with pytest.raises(ConflictError):
        publish(Interrupted(store, lambda: publish(store, winner)), record())
    assert current_run_id(store) == winner.run_id


def test_a_crash_before_the_swap_leaves_the_old_run_current(store: ObjectStore) -> None:
    old = record()
    publish(store, old)

    def crash() -> None:
        raise StorageError("gone")

    with pytest.raises(StorageError):
        publish(Interrupted(store, crash), record())
    assert current_run_id(store) == old.run_id


def test_of_many_that_publish_at_once_the_current_one_succeeded(store: ObjectStore) -> None:
    """All begin from the same state: at least one wins, and CURRENT names a winner."""
    records = [record() for _ in range(8)]
    barrier = threading.Barrier(len(records))
    won: list[str] = []

    def run(mine: RunRecord) -> None:
        try:
            publish(Interrupted(store, barrier.wait), mine)
            won.append(mine.run_id)
        except ConflictError:
            pass

    threads = [threading.Thread(target=run, args=(r,)) for r in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [current_run_id(store)]
