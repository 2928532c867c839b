"""One Spark session, one small generated archive and one S3 server for all tests of this folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from facelib.cli.main import main
from facelib.demo.archive import ATTRIBUTES, ArchivePlan, PlantedArchive, write_archive
from facelib.demo.s3_server import S3Server
from facelib.spark.session import SparkSettings, build_session
from facelib.storage import open_store

PLAN = ArchivePlan(identities=20, fewest=4, most=10, seed=11, exact_duplicates=2, near_duplicates=4, size=300)


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        before = dict(os.environ)
        os.environ.update(running.env())
        for bucket in ("images", "out"):
            running.create_bucket(bucket)
        yield running
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def spark(server: S3Server) -> Iterator[SparkSession]:
    """The server comes first: Python workers take their credentials from the environment they start in."""
    session = build_session(SparkSettings(master="local[2,4]", shuffle_partitions=2))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> PlantedArchive:
    return write_archive(tmp_path_factory.mktemp("archive"), PLAN, processes=2)


@dataclass
class ServedArchive:
    """An S3 server with buckets `images` and `out`; `reads` lists the image keys that were read."""

    server: S3Server
    reads: list[str] = field(default_factory=list)

    def count(self, method: str, bucket: str, key: str) -> None:
        if method == "GET" and bucket == "images" and key:
            self.reads.append(key)


@pytest.fixture
def s3(spark: SparkSession, server: S3Server) -> Iterator[ServedArchive]:
    served = ServedArchive(server)
    server.fault = served.count
    yield served
    server.fault = None


def label_options(archive: PlantedArchive) -> list[str]:
    return [
        "--labels", str(archive.labels), "--label-key", "file", "--subject", "subject",
        "--attributes", ",".join(ATTRIBUTES),
    ]  # fmt: skip


def facelib(*arguments: str) -> int:
    return main([*arguments, "--log", os.devnull])


@dataclass(frozen=True)
class Output:
    """Read access to what a run left behind."""

    uri: str

    @property
    def current(self) -> str:
        return open_store(self.uri).get("CURRENT").decode().strip()

    @property
    def has_current(self) -> bool:
        return open_store(self.uri).exists("CURRENT")

    def runs(self) -> list[str]:
        keys = [o.key for o in open_store(self.uri).list("runs/")]
        return sorted({k.split("/")[1] for k in keys})

    def record(self, run_id: str | None = None) -> dict[str, Any]:
        return json.loads(open_store(self.uri).get(f"runs/{run_id or self.current}/run.json"))

    def table(self, name: str, run_id: str | None = None) -> pa.Table:
        store = open_store(self.uri)
        keys = [o.key for o in store.list(f"runs/{run_id or self.current}/{name}/")]
        return pa.concat_tables(pq.read_table(pa.BufferReader(store.get(k))) for k in keys)

    def rows(self, name: str, run_id: str | None = None) -> list[dict[str, Any]]:
        return self.table(name, run_id).to_pylist()


def copy_image(archive: PlantedArchive, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((archive.images / name).read_bytes())
