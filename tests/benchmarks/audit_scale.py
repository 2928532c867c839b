"""Cost of the audit of a run as its archive grows, from planted tables of four attributes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.archives import scratch
from benchmarks.planted_child import Watch
from benchmarks.results_file import Result
from benchmarks.timing import child_pids, tree_cpu_seconds

PACKAGES = ("pyspark", "pyarrow", "numpy", "scipy")
CATEGORIES = {
    "race": tuple("abcdefg"),
    "gender": ("f", "m"),
    "age": tuple("123456789"),
    "region": tuple("uvwxyz"),
}
PEOPLE_IMAGES = 10
_PART = 250_000
_SIZES = (100_000, 1_000_000, 10_000_000)
_HEAP_MB = 4096


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """One audit per size, each by a driver of its own."""
    sizes = (2_000, 4_000) if quick else _SIZES
    found = [_measured(n) for n in sizes]
    rows = [
        (
            f"{n:,}",
            f"{f['seconds']:,.0f}",
            f"{f['cpu']:,.0f}",
            f"{1e6 * f['cpu'] / n:,.1f}",
            f"{f['driver_mb']:,}",
            f"{f['jvm_mb']:,}",
            f"{f['whole_mb']:,}",
        )
        for n, f in zip(sizes, found, strict=True)
    ]
    columns = (
        "images", "wall s", "CPU s", "CPU s per million", "driver Python MB", "JVM MB", "all processes MB",
    )  # fmt: skip
    notes = (
        f"Planted tables: {PEOPLE_IMAGES} images per person on average, four attributes of "
        f"{', '.join(str(len(c)) for c in CATEGORIES.values())} declared categories, every image labelled, a face on "
        "97 % of them, one file per quarter of a million images in a local folder; `local[2,4]`. The whole balance "
        "stage: all attributes and pairs as images, faces and clusters, losses, associations, suppression below 10, "
        "and the tables after them. Archives above 200,000 images are counted in tasks.",
        "Memory: largest resident size of the driver's Python process, of the JVM (driver and executor in one, heap at "
        f"most {_HEAP_MB} MB), and of all processes together (shared pages once, looked at twice a second).",
    )
    return [Result("The audit as the archive grows", columns, tuple(rows), notes, text_columns=0)]


def _measured(n: int) -> dict[str, Any]:
    with scratch() as out:
        command = [sys.executable, "-m", "benchmarks.audit_scale", str(n), out]
        environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--driver-memory {_HEAP_MB}m pyspark-shell"}
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def parts(n: int) -> Iterator[dict[str, pa.Table]]:
    """The tables of a run of n images, a quarter of a million at a time; only the columns that an audit reads."""
    people = max(1, n // PEOPLE_IMAGES)
    for number, first in enumerate(range(0, n, _PART)):
        rng = np.random.default_rng(number)
        size = min(_PART, n - first)
        person = (people * rng.random(size) ** 1.5).astype(np.int64)
        image = pa.array([f"{i:016x}" for i in range(first, first + size)])
        face = rng.random(size) < 0.97
        kept = pa.array(face)
        faces = image.filter(kept)
        count = int(face.sum())
        labels = [_labels(image, person, i) for i in range(len(CATEGORIES))]
        main = pa.array([f"{i}-0" for i in faces.to_pylist()])
        measures = {
            name: pa.array(rng.random(count), pa.float32())
            for name in ("eye_distance_px", "sharpness", "brightness", "yaw_deg", "pitch_deg", "quality_score")
        }
        usable = rng.random(count) < 0.95
        cluster = pa.array([f"c{p:x}" for p in person[face].tolist()], mask=~usable)
        yield {
            "images": pa.table(
                {
                    "image_id": image,
                    "uri": pa.array([f"file:///archive/{i % 7}/{i}.jpg" for i in range(first, first + size)]),
                    "status": pa.array(np.where(face, "ok", "rejected")),
                    "reason": pa.array(np.where(face, "", "no_face"), mask=face),
                    "n_faces": pa.array(face.astype(np.int64)),
                    "width_px": pa.array(rng.integers(200, 2000, size)),
                    "height_px": pa.array(rng.integers(200, 2000, size)),
                    "duplicate_of": pa.nulls(size, pa.string()),
                }
            ),
            "faces": pa.table({"face_id": main, "image_id": faces, "is_usable": usable, **measures}),
            "clusters": pa.table(
                {
                    "face_id": main,
                    "image_id": faces,
                    "cluster_id": cluster,
                    "role": pa.array(np.where(usable, "core", "noise")),
                }
            ),
            "labels": pa.concat_tables(labels),
        }


def _labels(image: pa.Array, person: Any, number: int) -> pa.Table:
    name, categories = list(CATEGORIES.items())[number]
    code = (person * 2654435761 >> (3 * number + 4)) % len(categories)
    value = pa.array(np.array(categories)[code])
    same = [pa.repeat(pa.scalar(text), len(person)) for text in (name, "declared")]
    return pa.table({"image_id": image, "attribute": same[0], "value": value, "source": same[1]})


def _write(n: int, store: Any, record: Any) -> None:
    for number, tables in enumerate(parts(n)):
        for name, table in tables.items():
            key = f"runs/{record.run_id}/{name}/part-{number:05d}.parquet"
            sink = io.BytesIO()
            pq.write_table(table, sink, compression="zstd")
            store.put(key, sink.getvalue())
            written = record.tables.setdefault(name, {"version": 1, "rows": 0, "files": {}})
            written["rows"] += table.num_rows
            written["files"][key] = table.num_rows


def main(n: int, out: str) -> None:
    """Write the tables, then audit them; the last line of output is JSON."""
    from facelib.audit.settings import AuditSettings
    from facelib.config import config_dict
    from facelib.isolation import peak_resident_bytes
    from facelib.spark.balance_stage import balance_stage
    from facelib.spark.context import StageContext
    from facelib.spark.pipeline_config import PipelineConfig
    from facelib.spark.run_record import RunRecord
    from facelib.spark.session import SparkSettings, session
    from facelib.spark.tables import Place
    from facelib.storage import StorageSettings, open_store
    from schemas.arrow import empty
    from schemas.tables import THRESHOLD_CURVE

    store = open_store(out)
    audit = AuditSettings(categories=CATEGORIES, uniform=("gender",))
    config = PipelineConfig(audit=audit)
    record = RunRecord.begin("file:///archive", {"root": "file:///archive/"}, config_dict(config), "0")
    _write(n, store, record)
    with session(SparkSettings(master="local[2,4]")) as spark:
        context = StageContext(spark, config, Place(store.root, StorageSettings()), record)
        context.write_arrow(empty(THRESHOLD_CURVE).drop_columns(["run_id"]), THRESHOLD_CURVE)
        watch = Watch(os.getpid())
        begun, cpu = time.monotonic(), tree_cpu_seconds()
        balance_stage(context)
        figures = {
            "seconds": time.monotonic() - begun,
            "cpu": tree_cpu_seconds() - cpu,
            "driver_mb": peak_resident_bytes() >> 20,
            "jvm_mb": max(peak_resident_bytes(pid) for pid in child_pids(os.getpid())) >> 20,
            "whole_mb": watch.stop() >> 20,
        }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
