"""Heavy steps of clustering in Spark tasks; large arrays travel through the output's store, not through the JVM."""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import SparkSession

from facelib.clusters.components import components, first_seen
from facelib.clusters.engine import Array
from facelib.clusters.space import IntArray
from facelib.spark.component_frames import component_frame
from facelib.spark.tables import Place
from facelib.spark.tasks import map_items, run_each
from facelib.storage import open_store
from facelib.storage.uris import bytes_of

T = TypeVar("T")
Job = Callable[[str, int], AbstractContextManager[None]]

_PART_BYTES = 1 << 29
"""An array is stored in parts of about this size, far below what one PUT may hold."""
_SMALL_RESULT = 1 << 20
DRIVER_EDGES = 50_000_000
"""Edges whose components are found on the driver: about 8 GB of memory."""
_EDGES_PER_PART = 5_000_000
_EDGES_PER_BATCH = 100_000
_MAPPED = 16
"""Arrays that a worker keeps mapped."""


@dataclass(frozen=True)
class _Shared:
    """An array in the store: its parts, rows one after the other."""

    keys: tuple[str, ...]


class TaskEngine:
    """`facelib.clusters.engine.Engine` on Spark: one task per item, one thread per task; a single item runs here.

    Arrays and large results lie below `folder` of the output, under names of their own, until `close`. Every machine
    maps an array from one file: the store's own where that is a local folder, else a copy in the executor's folder of
    the application.
    """

    def __init__(
        self, spark: SparkSession, place: Place, folder: str, job: Job, driver_edges: int = DRIVER_EDGES
    ) -> None:
        self._driver_edges = driver_edges
        self._spark, self._place, self._folder, self._job = spark, place, f"{folder}/{secrets.token_hex(4)}", job
        self._shared: dict[int, tuple[Array, _Shared]] = {}
        self._runs = 0
        self.cpu_seconds = 0.0
        """Of all tasks so far."""

    def run(
        self,
        description: str,
        function: Callable[[Mapping[str, Array], T], Sequence[Array]],
        items: Sequence[T],
        arrays: Mapping[str, Array],
    ) -> list[list[Array]]:
        """As `Engine.run`."""
        if len(items) < 2:
            return [list(function(arrays, item)) for item in items]
        names = {name: self._share(array) for name, array in arrays.items()}
        place, results = self._place, f"{self._folder}/results-{self._runs:03d}"
        self._runs += 1

        def task(numbered: tuple[int, T]) -> tuple[float, list[Array] | str]:
            number, item = numbered
            begun = time.process_time()
            found = list(function({n: _open(place, shared) for n, shared in names.items()}, item))
            kept = found if sum(a.nbytes for a in found) <= _SMALL_RESULT else _put(place, f"{results}-{number}", found)
            return time.process_time() - begun, kept

        with self._job(description, len(items)):
            done = run_each(self._spark, list(enumerate(items)), task)
        self.cpu_seconds += sum(seconds for seconds, _ in done)
        return [self._take(found) if isinstance(found, str) else found for _, found in done]

    def components(self, n: int, u: IntArray, v: IntArray) -> IntArray:
        """As `Engine.components`: here while the edges are few enough, in frames beyond."""
        if len(u) <= self._driver_edges:
            return components(n, u, v)
        parts = [
            (self._share(u[i : i + _EDGES_PER_PART]), self._share(v[i : i + _EDGES_PER_PART]))
            for i in range(0, len(u), _EDGES_PER_PART)
        ]
        place = self._place

        def read(part: tuple[_Shared, _Shared]) -> Iterator[pa.RecordBatch]:
            ends = [np.asarray(_open(place, side)) for side in part]
            yield from pa.table(ends, names=["u", "v"]).to_batches(_EDGES_PER_BATCH)

        with self._job(f"components of {len(u)} edges", len(parts)):
            edges = map_items(self._spark, parts, read, "u long, v long")
            found = component_frame(edges, self._driver_edges).toArrow()
        labels = np.arange(n, dtype=np.int64)
        labels[found.column("node").to_numpy()] = found.column("component").to_numpy()
        return first_seen(labels)

    def close(self) -> None:
        """Remove everything below the folder."""
        store = open_store(self._place.uri, self._place.settings)
        for stored in list(store.list(f"{self._folder}/")):
            store.delete(stored.key)

    def _share(self, array: Array) -> _Shared:
        if id(array) not in self._shared:
            store = open_store(self._place.uri, self._place.settings)
            rows = max(1, _PART_BYTES // max(1, array[:1].nbytes)) if array.ndim else 1
            parts = [array[i : i + rows] for i in range(0, len(array), rows)] if array.ndim and len(array) else [array]
            keys = tuple(f"{self._folder}/array-{len(self._shared):03d}-{i}.npy" for i in range(len(parts)))
            for key, part in zip(keys, parts, strict=True):
                store.put(key, _npy(part))
            self._shared[id(array)] = (array, _Shared(keys))  # the array is kept, so that its id stays its own
        return self._shared[id(array)][1]

    def _take(self, key: str) -> list[Array]:
        store = open_store(self._place.uri, self._place.settings)
        with np.load(io.BytesIO(store.get(key))) as arrays:
            found: list[Array] = [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
        store.delete(key)
        return found


def _put(place: Place, name: str, arrays: list[Array]) -> str:
    sink = io.BytesIO()
    np.savez(sink, *arrays)
    open_store(place.uri, place.settings).put(f"{name}.npz", sink.getvalue())
    return f"{name}.npz"


def _npy(array: Array) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ascontiguousarray(array) if array.ndim else array)
    return sink.getvalue()


@lru_cache(maxsize=_MAPPED)
def _open(place: Place, shared: _Shared) -> Array:
    """The array, read-only, mapped from a file of this machine."""
    uri = open_store(place.uri, place.settings).uri(shared.keys[0])
    if uri.startswith("file://") and len(shared.keys) == 1:
        return _mapped(os.fsdecode(bytes_of(uri.removeprefix("file://"))))
    copy = Path(SparkFiles.getRootDirectory()) / shared.keys[0].replace("/", "-")
    with (copy.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker of the machine fetches, the others wait for it
        if not copy.is_file():
            _fetch(place, shared, copy)
    return _mapped(str(copy))


def _fetch(place: Place, shared: _Shared, copy: Path) -> None:
    store = open_store(place.uri, place.settings)
    parts = [np.load(io.BytesIO(store.get(key))) for key in shared.keys]
    partial = copy.with_suffix(".part")
    partial.write_bytes(_npy(np.concatenate(parts) if len(parts) > 1 else parts[0]))
    os.replace(partial, copy)


def _mapped(path: str) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r")
    except ValueError:  # nothing to map: an empty array
        array = np.load(path)
    return array
