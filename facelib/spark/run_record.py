"""The record of one run, kept in `runs/<run_id>/run.json`."""

from __future__ import annotations

import json
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import facelib
from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.storage import ObjectStore
from schemas.contract import Table

CURRENT = "CURRENT"
_PACKAGES = ("pyspark", "pyarrow", "numpy", "torch", "opencv-python-headless", "Pillow", "networkit")


@dataclass
class RunRecord:
    """Everything a later reader must know about a run. Changed by one driver only; written as JSON.

    `status`: running, unpublished (stages done one by one), published, failed.
    `tables`: name → version, files (key → rows) and rows. `stages`: name → seconds, cpu_seconds, counts.
    """

    run_id: str
    images: str
    started_at: str
    status: str = "running"
    exit_code: int | None = None
    message: str = "the run has not ended"
    finished_at: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    conservation: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, images: str, arguments: dict[str, Any], config: dict[str, Any], config_hash: str) -> RunRecord:
        """A new record. The run_id sorts by time, to the millisecond; eight random hex digits keep twins apart."""
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{secrets.token_hex(4)}"
        return cls(
            run_id,
            images,
            now.isoformat(),
            arguments=arguments,
            config=config,
            config_hash=config_hash,
            versions=_versions(),
        )

    @classmethod
    def load(cls, store: ObjectStore, run_id: str) -> RunRecord:
        """The stored record; ConfigError when there is no such run."""
        try:
            return cls(**json.loads(store.get(f"runs/{run_id}/run.json")))
        except ObjectNotFoundError:
            raise ConfigError(f"there is no run {run_id} in {store.root}: see the folder runs/ for names") from None
        except (TypeError, ValueError):
            raise ConfigError(f"run.json of run {run_id} is damaged or of another version: begin a new run") from None

    def save(self, store: ObjectStore) -> None:
        """Write run.json whole."""
        store.put(f"runs/{self.run_id}/run.json", json.dumps(asdict(self), indent=2, ensure_ascii=False).encode())

    def folder(self, table: Table) -> str:
        """Where the run keeps a table."""
        return f"runs/{self.run_id}/{table.name}"

    def add_table(self, table: Table, files: Mapping[str, int]) -> int:
        """Note a written table; returns its rows."""
        rows = sum(files.values())
        self.tables[table.name] = {"version": table.version, "rows": rows, "files": dict(files)}
        return rows

    def files(self, table: Table) -> list[str]:
        """Keys of a table's files; ConfigError when it was not made yet."""
        return sorted(self._table(table)["files"])

    def rows(self, table: Table) -> int:
        """Number of a table's rows; ConfigError when it was not made yet."""
        return int(self._table(table)["rows"])

    def _table(self, table: Table) -> dict[str, Any]:
        if table.name not in self.tables:
            raise ConfigError(f"run {self.run_id} has no table {table.name} yet: run the stage that makes it first")
        return self.tables[table.name]

    def end(self, status: str, exit_code: int, message: str) -> None:
        """Close the record."""
        self.status, self.exit_code, self.message = status, exit_code, message
        self.finished_at = datetime.now(UTC).isoformat()

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage; the caller adds counts and cpu_seconds to the yielded dict."""
        facts: dict[str, Any] = {}
        begun, begun_cpu = time.monotonic(), time.process_time()
        yield facts
        facts["seconds"] = round(time.monotonic() - begun, 3)
        facts["driver_cpu_seconds"] = round(time.process_time() - begun_cpu, 3)
        self.stages[name] = facts


def _versions() -> dict[str, str]:
    found = {"facelib": facelib.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def publish(store: ObjectStore, record: RunRecord) -> None:
    """Make the run the current one: run.json first, then CURRENT by compare-and-swap.

    Raises ConflictError when another run was published in between.
    """
    expected = store.head(CURRENT).etag if store.exists(CURRENT) else None
    record.save(store)
    store.put_if(CURRENT, f"{record.run_id}\n".encode(), expected=expected)


def current_run_id(store: ObjectStore) -> str | None:
    """The published run, or None."""
    try:
        return store.get(CURRENT).decode().strip()
    except ObjectNotFoundError:
        return None


def published_or_named(store: ObjectStore, run_id: str | None) -> str:
    """`run_id`, or else the published run; ConfigError when there is neither."""
    found = run_id or current_run_id(store)
    if found is None:
        raise ConfigError(f"{store.root} holds no published run: run facelib run first, or name one with --run")
    return found


def latest_run_id(store: ObjectStore) -> str:
    """The newest run, published or not; ConfigError when there is none."""
    names = {o.key.split("/")[1] for o in store.list("runs/") if o.key.endswith("/run.json")}
    if not names:
        raise ConfigError(f"{store.root} holds no run yet: start with facelib extract or facelib run")
    return max(names)
