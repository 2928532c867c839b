"""`error_rates` and `error_summary` of a run: who is confused with whom, on the driver and without a Spark job.

The comparisons are of main faces of verified subjects, exact copies of an image once, by the cosine of their
embeddings. Of more than `audit.error_faces` of them, subjects are drawn with the seed of the run; what is compared, of
how many, goes into the record. Without subjects the label-free rates of `threshold_curve` at the floor stand instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from facelib.audit.group_errors import ErrorTable, error_tables
from facelib.audit.labelled_pairs import sampled_rows
from facelib.clusters.agreement import GroupAgreement, group_agreement
from facelib.clusters.neighbours import normalise
from facelib.clusters.space import IntArray, Space
from facelib.reports.error_rates import GroupedErrors, error_rates, error_summary, tail_rates
from facelib.reports.error_withholding import Withheld, withheld_groups
from facelib.reports.labels import SUBJECT
from facelib.reports.units import values_by_image
from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun, without_copies
from schemas.audit_tables import BALANCE
from schemas.error_tables import ERROR_RATES, ERROR_SUMMARY
from schemas.tables import CLUSTERS, IMAGES, LABELS, THRESHOLD_CURVE

MOST_GROUPS = 64
"""Attributes with more categories have no rows: pairs of them grow with the square."""
RESAMPLES = 1000
_CURVE_COLUMNS = ["attributes", "groups", "similarity", "is_floor", "n_faces", "is_suppressed"]
_CURVE_COLUMNS += ["fmr_estimated", "fmr_ci_low", "fmr_ci_high"]
Categories = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Subjects:
    """Main faces of verified subjects, (n,) each, in the order of their ids.

    subject counts from 0 in order of appearance, so that draws do not depend on names. cluster: noise by its face_id.
    group: per attribute the position in its categories, -1 where missing. n_copies: further copies, left out.
    """

    face_ids: list[str]
    subject: IntArray
    cluster: list[str]
    group: Mapping[str, IntArray]
    n_copies: int


def error_audit(context: StageContext, categories: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Write both tables; returns what was compared.

    Time grows with the square of the compared faces and with the number of attributes; memory holds their
    embeddings, and face and image ids of the run.
    """
    kept = {a: names for a, names in categories.items() if len(names) <= MOST_GROUPS}
    subjects = _subjects(context, kept)
    facts: dict[str, Any] = {"estimator": "tail"}
    if subjects is None:
        rates, summary = _without_subjects(context), error_summary([], [], {}, "", 0)
    else:
        rates, summary, facts = _with_subjects(context, kept, subjects)
    facts["attributes_left_out"] = [a for a in categories if a not in kept]
    rows = {"rates": context.write_arrow(rates, ERROR_RATES), "summary": context.write_arrow(summary, ERROR_SUMMARY)}
    return {"errors": rows | facts}


def _subjects(context: StageContext, categories: Categories) -> _Subjects | None:
    """None when the run has no verified subjects."""
    if not context.record.tables.get(LABELS.name, {}).get("rows"):
        return None
    if SUBJECT not in context.read_arrow(LABELS, ["attribute"]).column("attribute").unique().to_pylist():
        return None
    labels = context.read_arrow(LABELS, ["image_id", "attribute", "value"])
    values = values_by_image(labels, [SUBJECT, *categories])
    of_image = values[SUBJECT]
    if not of_image:
        return None
    main = FinishedRun(context.store, context.place, context.record).main_faces(CLUSTERS, ["cluster_id"])
    face_ids, images, clusters = (main.column(c).to_pylist() for c in ("face_id", "image_id", "cluster_id"))
    row_of = {image: row for row, image in enumerate(images) if image in of_image}
    distinct = without_copies(row_of, context.read_arrow(IMAGES, ["image_id", "duplicate_of"]))
    rows = [row_of[image] for image in distinct]
    number: dict[str, int] = {}
    return _Subjects(
        face_ids=[face_ids[row] for row in rows],
        subject=np.array([number.setdefault(of_image[image], len(number)) for image in distinct], np.int64),
        cluster=[clusters[row] or face_ids[row] for row in rows],
        group={attribute: _codes(values[attribute], distinct, names) for attribute, names in categories.items()},
        n_copies=len(row_of) - len(rows),
    )


def _codes(value: Mapping[str, str], images: Sequence[str], names: Sequence[str]) -> IntArray:
    at = {name: i for i, name in enumerate(names)}
    return np.array([at.get(value.get(image, ""), -1) for image in images], np.int64)


def _with_subjects(
    context: StageContext, categories: Categories, faces: _Subjects
) -> tuple[pa.Table, pa.Table, dict[str, Any]]:
    audit, seed = context.config.audit, context.config.cluster.seed
    targets = list(dict.fromkeys(audit.error_fmr))
    rows = sampled_rows(faces.subject, audit.error_faces, seed)
    run = FinishedRun(context.store, context.place, context.record)
    ids = [faces.face_ids[row] for row in rows.tolist()]
    space = Space.plain(normalise(run.embeddings(ids)) if ids else np.zeros((0, 1), np.float32))
    subject, image = faces.subject[rows], np.arange(len(rows))

    def tables(group: IntArray, names: Sequence[str]) -> list[ErrorTable | None]:
        return error_tables(space, subject, image, group, names, targets, max(2, len(rows)), RESAMPLES, seed)

    elsewhere = _withheld_in_balance(context)
    found = []
    for attribute, names in categories.items():
        of_all, group = faces.group[attribute], faces.group[attribute][rows]
        compared, everyone = _sizes(group, subject, len(names)), _sizes(of_all, faces.subject, len(names))
        hidden = withheld_groups(names, [*compared, *everyone], elsewhere.get(attribute, set()), audit.min_cell)
        shown = [c for c in names if c not in hidden.groups]
        position = np.array([shown.index(c) if c in shown else -1 for c in names] + [-1], np.int64)
        sizes: dict[str | None, tuple[int, int]] = dict(zip(names, zip(*compared, strict=True), strict=False))
        found.append(GroupedErrors(attribute, names, hidden, sizes, tables(position[group], shown)))
    whole = found[0].tables if found else tables(np.full(len(rows), -1), ())
    n_subjects = len(np.unique(subject))
    found.insert(0, GroupedErrors(None, (), Withheld(), {None: (len(rows), n_subjects)}, whole))
    facts = {
        "estimator": "subjects",
        "faces": len(rows),
        "of_faces": len(faces.subject),
        "subjects": n_subjects,
        "of_subjects": len(np.unique(faces.subject)),
        "copies_left_out": faces.n_copies,
        "seed": seed,
        "resamples": RESAMPLES,
    }
    summary = error_summary(found, targets, _agreement(faces, categories), _similarity(context), audit.min_cell)
    return error_rates(found, targets, audit.min_cell), summary, facts


def _sizes(group: IntArray, subject: IntArray, n_groups: int) -> tuple[list[int], list[int]]:
    """Faces and subjects of each group and, last, without one."""
    at = np.where(group < 0, n_groups, group)
    of_subjects = np.unique(np.stack([at, subject]), axis=1)[0]
    faces, subjects = (np.bincount(codes, minlength=n_groups + 1).tolist() for codes in (at, of_subjects))
    return faces, subjects


def _agreement(faces: _Subjects, categories: Categories) -> dict[str | None, Mapping[str | None, GroupAgreement]]:
    """How well clusters keep to subjects, of all labelled faces and by category."""
    if not faces.cluster:
        return {}
    nobody: list[str | None] = [None] * len(faces.cluster)
    found: dict[str | None, Mapping[str | None, GroupAgreement]] = {
        None: group_agreement(faces.cluster, faces.subject, nobody)
    }
    for attribute, names in categories.items():
        groups = [names[code] if code >= 0 else None for code in faces.group[attribute].tolist()]
        found[attribute] = group_agreement(faces.cluster, faces.subject, groups)
    return found


def _without_subjects(context: StageContext) -> pa.Table:
    if THRESHOLD_CURVE.name not in context.record.tables:
        return error_rates([], [], 0)
    curve = context.read_arrow(THRESHOLD_CURVE, _CURVE_COLUMNS)
    return tail_rates(curve, _withheld_in_balance(context), _similarity(context))


def _similarity(context: StageContext) -> str:
    """Of the clusters."""
    is_corrected = context.record.stages.get("cluster", {}).get("cohort_distance") is not None
    return "corrected" if is_corrected else "cosine"


def _withheld_in_balance(context: StageContext) -> dict[str, set[str]]:
    """Groups of each attribute that `balance` withholds as images, faces or identities."""
    found: dict[str, set[str]] = {}
    for row in context.read_arrow(BALANCE, ["attributes", "groups", "is_suppressed"]).to_pylist():
        if row["is_suppressed"] and len(row["attributes"]) == 1 and row["groups"][0] is not None:
            found.setdefault(row["attributes"][0], set()).add(row["groups"][0])
    return found
