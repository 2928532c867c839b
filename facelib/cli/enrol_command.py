"""`facelib enrol`: a gallery file from a table of images and the subject on each."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from facelib.cli.private_files import private_path, write_private
from facelib.errors import ConfigError, DegenerateResultError
from facelib.reports.label_file import LabelColumns, read_label_file
from facelib.storage import Fetcher, is_manifest
from facelib.storage.manifest import MANIFEST_COLUMN
from facelib.storage.uris import canonical_root, resolve

if TYPE_CHECKING:
    import pyarrow as pa

    from facelib.spark.pipeline_config import PipelineConfig


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.spark.listing import list_archive
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.session import session

    config = resolve_config(arguments.config, arguments.assignments)
    target = private_path(arguments.output, "--output")
    if target.suffix.lower() != ".parquet" or target.is_dir():
        raise ConfigError(f"--output {arguments.output} is not a .parquet file: name the gallery file so")
    subject_of = _subjects(arguments.images, arguments.subject, config)
    listing = list_archive(arguments.images, config)
    if set(listing.objects.column("uri").to_pylist()) != set(subject_of):
        raise ConfigError(f"--images {arguments.images} changed while it was read, or has blanks around a uri")
    with session(config.spark) as spark:
        from facelib.spark.identify_stage import enrolled_faces

        rows = enrolled_faces(spark, config, listing)
    enrolled = _write(rows, subject_of, config, target)
    _say(rows.column("reason").to_pylist(), enrolled, len(set(subject_of.values())), target)
    return 0


def _subjects(images: str, column: str, config: PipelineConfig) -> dict[str, str]:
    """uri → subject of every row of the table."""
    if not is_manifest(images):
        raise ConfigError(f"--images {images} is not a table: give a .csv or .parquet file with a column uri")
    table = canonical_root(images)
    data = Fetcher(config.storage).fetch(table, None)
    rows = read_label_file(data, images, LabelColumns(MANIFEST_COLUMN, column, ()))
    nameless = rows.column("subject").null_count
    if nameless:
        raise ConfigError(f"--images {images} has {nameless} rows without a value in {column}: fill or drop them")
    folder = table.rpartition("/")[0]
    found: dict[str, str] = {}
    for reference, subject in zip(rows.column("key").to_pylist(), rows.column("subject").to_pylist(), strict=True):
        if found.setdefault(resolve(folder, reference), subject) != subject:
            raise ConfigError(f"--images {images} names one image twice with different subjects: correct one of them")
    return found


def _write(rows: pa.Table, subject_of: dict[str, str], config: PipelineConfig, target: Path) -> int:
    """Write the gallery; returns the number of subjects with a face. DegenerateResultError when there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from facelib.clusters.gallery_file import GALLERY
    from facelib.embeddings.model import model_id
    from facelib.spark.tables import to_parquet

    made_by = model_id(config.embed.model, config.embed.mirror)
    subjects = pa.array([subject_of[uri] for uri in rows.column("uri").to_pylist()], pa.string())
    rows = rows.append_column("subject", subjects)
    rows = rows.append_column("model_id", pa.array([made_by] * len(rows), pa.string()))
    enrolled = rows.filter(pc.is_valid(rows.column("embedding"))).column("subject").unique()
    if not len(enrolled):
        raise DegenerateResultError(f"none of the {len(rows)} images has a face: no gallery was written")
    write_private(target, to_parquet(rows, GALLERY))
    return len(enrolled)


def _say(reasons: list[str | None], enrolled: int, subjects: int, target: Path) -> None:
    rejected = Counter(reason for reason in reasons if reason)
    counts = ", ".join(f"{n} {reason}" for reason, n in sorted(rejected.items()))
    sys.stdout.write(
        f"enrolled {enrolled} of {subjects} subjects from {len(reasons)} images, {rejected.total()} of them rejected"
        f"{f' ({counts})' if counts else ''}\n{target}\nIt holds embeddings and names: keep it as you keep passwords.\n"
    )
