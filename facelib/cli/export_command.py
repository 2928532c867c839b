"""`facelib export`: a retraining set from a published run."""

from __future__ import annotations

import argparse
import sys

from facelib.storage import open_store


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.spark.context import StageContext
    from facelib.spark.export_stage import export_stage
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.run_record import RunRecord, published_or_named
    from facelib.spark.session import session
    from facelib.spark.tables import Place

    config = resolve_config(arguments.config, arguments.assignments)
    store = open_store(arguments.output, config.storage)
    record = RunRecord.load(store, published_or_named(store, arguments.run))
    target = Place(open_store(arguments.to, config.storage).root, config.storage)
    with session(config.spark) as spark:
        context = StageContext(spark, config, Place(store.root, config.storage), record)
        result = export_stage(context, target, arguments.split_by, arguments.attributes)
    counts = ", ".join(f"{n} {split}" for split, n in sorted(result["faces"].items()))
    sys.stdout.write(
        f"exported {counts}: {result['identities']} identities, effective sample size "
        f"{result['effective_sample_size']}\n{target.uri}\n"
    )
    return 0
