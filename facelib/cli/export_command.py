"""`facelib export`: a retraining set from a published run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from facelib.storage import open_store

_AIMS = {
    "cells": "equal groups",
    "identities": "equal groups with equal identities in each",
    "reference": "the reference shares",
}


def command(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from facelib.spark.context import StageContext
    from facelib.spark.export_stage import export_stage
    from facelib.spark.pipeline_config import resolve_config
    from facelib.spark.run_record import RunRecord, published_or_named
    from facelib.spark.session import session
    from facelib.spark.tables import Place

    storage = resolve_config(arguments.config, arguments.assignments).storage
    store = open_store(arguments.output, storage)
    record = RunRecord.load(store, published_or_named(store, arguments.run))
    of_run = {section: values for section, values in record.config.items() if section in ("audit", "export")}
    config = resolve_config(arguments.config, arguments.assignments, of_run)
    target = Place(open_store(arguments.to, config.storage).root, config.storage)
    with session(config.spark) as spark:
        context = StageContext(spark, config, Place(store.root, config.storage), record)
        result = export_stage(context, target, arguments.split_by, arguments.attributes)
    counts = ", ".join(f"{n} {split}" for split, n in sorted(result["faces"].items()))
    effective = f"{result['effective_sample_size']} of {sum(result['faces'].values())} faces"
    sys.stdout.write(
        f"exported {counts}: {result['identities']} identities, effective sample size {effective}\n"
        f"{_weights(result)}\n{target.uri}\n"
    )
    return 0


def _weights(result: Mapping[str, Any]) -> str:
    shortfall = f"; {result['shortfall']}" if result["shortfall"] else ""
    return (
        f"weights aim at {_AIMS[result['weight_target']]}, at most {result['weight_cap']:g} times their mean "
        f"(export.weight_cap), the largest is {result['largest_weight']:g}{shortfall}"
    )
