"""`facelib evaluate`: clusters and comparisons of a run against verified subjects, as tables and as JSON."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facelib.cli.evaluate_text import clusters_text, verification_text
from facelib.cli.label_source import label_source
from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.storage import StorageSettings, open_store

if TYPE_CHECKING:
    import pyarrow as pa

    from facelib.clusters.agreement import GroupAgreement
    from facelib.reports.all_pairs import OperatingPoint
    from facelib.spark.evaluation import FinishedRun, Labelled

Figures = dict[str, Any]


def command(arguments: argparse.Namespace) -> int:
    """Run `evaluate clusters` or `evaluate verification`; returns the exit code."""
    from facelib.spark.evaluation import FinishedRun
    from facelib.spark.pipeline_config import resolve_config

    storage = resolve_config(arguments.config, arguments.assignments).storage
    evaluate, attributes, text = _clusters, (), clusters_text
    if arguments.evaluation == "clusters":
        attributes = arguments.attributes
    else:
        evaluate, text = _verification, verification_text
    source = label_source(arguments, attributes, storage, needs_subject=True)
    run = FinishedRun.open(arguments.output, arguments.run, storage)
    figures = evaluate(run, run.labels(source, attributes), arguments, storage)
    if arguments.json:
        folder, name = _split(arguments.json)
        data = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        open_store(folder, storage).put(name, data.encode())
    sys.stdout.write(text(figures))
    return 0


def _clusters(run: FinishedRun, labels: Labelled, arguments: argparse.Namespace, storage: StorageSettings) -> Figures:
    from facelib.clusters import agreement
    from schemas.tables import CLUSTERS

    columns = (c.to_pylist() for c in run.main_faces(CLUSTERS, ["cluster_id"]).columns)
    rows = [row for row in zip(*columns, strict=True) if row[1] in labels.subject]
    head = _heading(run, labels, len(rows))
    predicted = [cluster or face for face, _, cluster in rows]
    truth = [labels.subject[image] for _, image, _ in rows]
    groups: dict[str, list[Figures]] = {}
    for name, values in labels.attributes.items():
        found = agreement.group_agreement(predicted, truth, [values.get(image) for _, image, _ in rows])
        groups[name] = [_group(*item) for item in found.items()]
    return head | {
        "n_subjects": len(set(truth)),
        "n_clusters": len(set(predicted)),
        "n_noise": sum(cluster is None for _, _, cluster in rows),
        "pairwise": agreement.pairwise_scores(predicted, truth)._asdict(),
        "bcubed": agreement.bcubed_scores(predicted, truth)._asdict(),
        "cluster_ratio": agreement.cluster_ratio(predicted, truth),
        "largest": agreement.largest_purity(predicted, truth)._asdict(),
        "groups": groups,
    }


def _group(group: str | None, found: GroupAgreement) -> Figures:
    from facelib.audit.intervals import wilson

    figures = {"group": group, **asdict(found)}
    figures |= {"clusters_per_subject": found.clusters_per_subject, "whole_share": found.whole_share}
    ends = [float(end) for end in wilson(found.n_whole, found.n_repeated)]
    return figures | {"whole_ends": ends if found.n_repeated else None}


def _verification(
    run: FinishedRun, labels: Labelled, arguments: argparse.Namespace, storage: StorageSettings
) -> Figures:
    from facelib.clusters.neighbours import normalise
    from facelib.reports.all_pairs import check_rates, sample_subjects, verify
    from facelib.spark.evaluation import without_copies
    from schemas.tables import FACES

    check_rates(arguments.fmr)
    main = run.main_faces(FACES)
    face_of = dict(zip(main.column("image_id").to_pylist(), main.column("face_id").to_pylist(), strict=True))
    labelled = [image for image in face_of if image in labels.subject]
    head = _heading(run, labels, len(labelled))
    listed = run.images()
    pairs = _pairs(run, arguments.pairs, listed, face_of, storage) if arguments.pairs else None
    distinct = without_copies(labelled, listed)
    is_taken = sample_subjects([labels.subject[i] for i in distinct], arguments.max_faces, arguments.seed)
    compared = [image for image, taken in zip(distinct, is_taken, strict=True) if taken]
    unit = normalise(run.embeddings([face_of[i] for i in compared]))
    subjects = [labels.subject[i] for i in compared]
    found = verify(unit, subjects, arguments.fmr, arguments.resamples, arguments.seed)
    return head | {
        "model_id": run.record.models["embedder"],
        "n_copies": len(labelled) - len(distinct),
        "n_not_sampled": len(distinct) - len(compared),
        "seed": arguments.seed,
        **asdict(found),
        "points": [_point(p) for p in found.points],
        "pairs": pairs,
    }


def _point(point: OperatingPoint) -> Figures:
    return {**asdict(point), "is_supported": point.threshold is not None}


def _pairs(run: FinishedRun, file: str, listed: pa.Table, face_of: dict[str, str], storage: StorageSettings) -> Figures:
    from facelib.clusters.neighbours import normalise
    from facelib.reports.verification import pairs_accuracy, parse_pairs

    folder, name = _split(file)
    try:
        pairs = parse_pairs(open_store(folder, storage).get(name), name)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(f"pairs file {file} does not exist: check --pairs") from None
    files = {f for p in pairs for f in (p.first, p.second)}
    keys = zip(listed.column("key").to_pylist(), listed.column("image_id").to_pylist(), strict=True)
    images = {key: image for key, image in keys if key in files}
    with_face = [image for image in images.values() if image in face_of]
    unit = normalise(run.embeddings([face_of[i] for i in with_face]))
    figures = asdict(pairs_accuracy(pairs, images, {image: row for row, image in enumerate(with_face)}, unit))
    found = figures.pop("accuracy")
    figures |= {"accuracy": found["mean"], "standard_error": found["standard_error"]}
    return figures | {"threshold": found["threshold"] if math.isfinite(found["threshold"]) else None}


def _heading(run: FinishedRun, labels: Labelled, n_faces: int) -> Figures:
    """What was labelled; ConfigError when none of it has a face."""
    if not n_faces:
        raise ConfigError(f"no image with a subject in {labels.source} has a face in run {run.record.run_id}")
    return {
        "run_id": run.record.run_id,
        "labels": labels.source,
        "n_label_rows_without_image": labels.unmatched,
        "n_labelled_images": len(labels.subject),
        "n_without_face": len(labels.subject) - n_faces,
        "n_faces": n_faces,
    }


def _split(uri: str) -> tuple[str, str]:
    parent, slash, name = uri.rpartition("/")
    return parent or slash or ".", name
