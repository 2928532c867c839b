"""`facelib clusters diff`: what changed between the clusters of two runs, without Spark."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facelib.storage import open_store

if TYPE_CHECKING:
    from facelib.clusters.difference import Difference


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code, 0 whether or not something changed."""
    from facelib.clusters.difference import compare
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.run_record import RunRecord
    from facelib.spark.tables import Place, read_arrow
    from schemas.tables import CLUSTERS

    config = resolve_config(arguments.config, arguments.assignments)
    store = open_store(arguments.output, config.storage)
    place = Place(store.root, config.storage)
    files = [RunRecord.load(store, run_id).files(CLUSTERS) for run_id in (arguments.run_a, arguments.run_b)]
    a, b = (read_arrow(place, keys, CLUSTERS, ["face_id", "cluster_id"]) for keys in files)
    found = compare(a, b, arguments.limit)
    if arguments.format == "json":
        text = json.dumps(as_dict(found, arguments.run_a, arguments.run_b), indent=2)
    else:
        text = "\n".join(as_lines(found, arguments.run_a, arguments.run_b))
    sys.stdout.write(f"{text}\n")
    return 0


def as_dict(found: Difference, run_a: str, run_b: str) -> dict[str, Any]:
    """The difference as JSON values."""
    return {
        "run_a": run_a,
        "run_b": run_b,
        "is_empty": found.is_empty,
        "faces": {
            "a": found.faces_a,
            "b": found.faces_b,
            "both": found.faces_both,
            "only_a": found.only_a,
            "only_b": found.only_b,
            "moved": found.faces_moved,
        },
        "clusters": {
            "a": found.clusters_a,
            "b": found.clusters_b,
            "unchanged": found.unchanged,
            "unchanged_with_same_id": found.same_id,
        },
        "events": found.events,
        "pairs": {**asdict(found.pairs), "adjusted_rand_index": found.pairs.adjusted_rand_index},
        "merges": found.merges,
        "splits": found.splits,
    }


def as_lines(found: Difference, run_a: str, run_b: str) -> Iterator[str]:
    """The difference as lines for a reader; one line says it when nothing changed."""
    if found.is_empty:
        yield f"{run_a} → {run_b}: nothing changed, {found.faces_b:,} faces in {found.clusters_b:,} clusters"
        return
    events, pairs, index = found.events, found.pairs, found.pairs.adjusted_rand_index
    yield f"{run_a} → {run_b}"
    yield (
        f"faces     {found.faces_a:,} → {found.faces_b:,}: {found.faces_both:,} in both, "
        f"{found.only_a:,} only before, {found.only_b:,} only after; {found.faces_moved:,} changed cluster"
    )
    yield (
        f"clusters  {found.clusters_a:,} → {found.clusters_b:,}: {found.unchanged:,} unchanged "
        f"({found.same_id:,} with the same id), {events['grown']:,} grown, {events['shrunk']:,} shrunk, "
        f"{events['born']:,} born, {events['retired']:,} retired"
    )
    yield (
        f"pairs     {pairs.together:,} together in both, {pairs.together_only_a:,} only before, "
        f"{pairs.together_only_b:,} only after; adjusted Rand index {'—' if index is None else format(index, '.6f')}"
    )
    yield from _listed("merged", events["merged"], found.merges)
    yield from _listed("split", events["split"], found.splits)


def _listed(event: str, total: int, rows: list[dict[str, Any]]) -> Iterator[str]:
    shown = f", largest {len(rows):,} of them" if len(rows) < total else ""
    yield f"{event:9} {total:,}{shown}"
    for row in rows:
        yield (
            f"  {row['n_shared']:,} of {row['n_previous']:,} faces of {row['previous_cluster_id']} "
            f"→ {row['cluster_id']} ({row['n_current']:,})"
        )
