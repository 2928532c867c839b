"""`facelib identify`: who of an enrolled gallery is on each probe image, if anyone."""

from __future__ import annotations

import argparse
import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facelib.cli.private_files import private_path, write_private
from facelib.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from facelib.clusters.gallery import Gallery
    from facelib.clusters.gallery_file import References

DEFAULT_FPIR = 0.01
_NO_RESULT = "--output {} is neither .csv nor .parquet: name the result file so"


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.clusters.gallery_file import load_gallery
    from facelib.embeddings.model import model_id
    from facelib.spark.listing import list_archive
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.session import session

    config = resolve_config(arguments.config, arguments.assignments)
    target = private_path(arguments.output, "--output")
    if target.suffix.lower() not in (".csv", ".parquet") or target.is_dir():
        raise ConfigError(_NO_RESULT.format(arguments.output))
    if arguments.threshold is not None and not math.isfinite(arguments.threshold):
        raise ConfigError(f"--threshold is {arguments.threshold}: give a number")
    wanted = model_id(config.embed.model, config.embed.mirror)
    references = load_gallery("--gallery", arguments.gallery, wanted, config.storage)
    gallery, threshold, source = prepare(references, arguments, config.cluster.fallback_floor)
    listing = list_archive(arguments.probes, config)
    with session(config.spark) as spark:
        from facelib.spark.identify_stage import identified_faces

        rows = identified_faces(spark, config, listing, gallery, arguments.top, threshold)
    write_private(target, _encoded(rows, target))
    _say(rows, threshold, source, target)
    return 0


def prepare(
    references: References, arguments: argparse.Namespace, model_threshold: float
) -> tuple[Gallery, float, str]:
    """What to search, the threshold, and in words where it comes from.

    Without `threshold` and `fpir`: a false-positive identification rate of 0.01 where the gallery has the 100 subjects
    that this takes. In a smaller one, for templates `model_threshold` or the best cosine between two of
    its subjects where that is higher; for machines 0, or the best value of a left-out subject where that is higher.
    """
    from facelib.clusters.gallery import non_mated_scores, templates, threshold_at_fpir
    from facelib.clusters.subject_heads import fit_heads, held_out_scores

    unit, quality, subjects, _ = references
    is_svm = arguments.method == "svm"
    gallery = fit_heads(unit, subjects) if is_svm else templates(unit, quality, subjects)
    if arguments.threshold is not None:
        return gallery, arguments.threshold, "as given"
    n, fewest = len(gallery.subjects), 3 if is_svm else 2
    least = 0.0 if is_svm else model_threshold
    if arguments.fpir is None and n < fewest:
        return gallery, least, "default"
    scores = held_out_scores(unit, quality, subjects) if is_svm else non_mated_scores(gallery)
    fpir = DEFAULT_FPIR if arguments.fpir is None and n * DEFAULT_FPIR >= 1 else arguments.fpir
    if fpir is not None:
        found = threshold_at_fpir(scores, fpir)
        return gallery, found, f"FPIR {fpir:g}, estimated from the {n} subjects of the gallery"
    highest = float(scores.max())
    return gallery, max(least, highest), "default" if highest <= least else "highest between two enrolled subjects"


def _encoded(rows: pa.Table, target: Path) -> bytes:
    from pyarrow import csv

    from facelib.clusters.candidates import CANDIDATES
    from facelib.spark.tables import to_parquet

    if target.suffix.lower() == ".parquet":
        return to_parquet(rows, CANDIDATES)
    sink = io.BytesIO()
    csv.write_csv(rows, sink)
    return sink.getvalue()


def _say(rows: pa.Table, threshold: float, source: str, target: Path) -> None:
    import pyarrow.compute as pc

    decisions = {r["values"]: r["counts"] for r in pc.value_counts(rows.column("decision")).to_pylist()}
    images = len(rows.column("uri").unique())
    without = rows.column("face_index").null_count
    identified, unknown = (decisions.get(d, 0) for d in ("identified", "unknown"))
    sys.stdout.write(
        f"{images} probe images, {without} of them without a face; {identified + unknown} faces: {identified} "
        f"identified, {unknown} unknown\nthreshold {threshold:.4f}: {source}\n{target}\n"
    )
