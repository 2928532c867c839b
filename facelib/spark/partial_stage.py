"""What is known of attributes that only some main faces are labelled with, and which images to label next."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.reports.declared import declared_categories
from facelib.reports.label_missingness import MISSINGNESS_SCHEMA, label_missingness
from facelib.reports.label_plan_file import read_plan
from facelib.reports.label_plan_rows import PLAN_SCHEMA, plan_rows
from facelib.reports.labels import SUBJECT
from facelib.reports.measures_by_group import chosen_measures
from facelib.reports.partial_labels import (
    SHARES_SCHEMA,
    has_probe,
    predicted,
    predicted_shares,
    withheld_categories,
)
from facelib.spark.audit_units import as_columns
from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun
from facelib.spark.main_faces import Categories, MainFaces
from facelib.spark.pipeline_config import PipelineConfig
from facelib.storage import open_store
from schemas.audit_tables import BALANCE
from schemas.label_tables import LABEL_MISSINGNESS, LABEL_PLAN, PREDICTED_SHARES
from schemas.tables import LABELS


def partial_labels(context: StageContext, categories: Categories, faces: MainFaces) -> dict[str, Any]:
    """Write `predicted_shares` and `label_missingness`, and `label_plan` without rows. What is noted: the attributes
    that are labelled in part, the main faces that were looked at and in all, and how many identities they stand for.
    """
    partial = [attribute for attribute in categories if faces.is_partial(attribute)]
    audit, seed = context.config.audit, context.config.cluster.seed
    shares, labels = [SHARES_SCHEMA.empty_table()], []
    withheld = _withheld_faces(context) if partial else {}
    for attribute in partial:
        found = faces.labels(attribute)
        hidden = withheld_categories(found, withheld.get(attribute, []), audit.min_cell)
        can_predict = has_probe() and found.can_correct.any() and not hidden.all()
        guess = predicted(found, faces.embeddings, seed) if can_predict else None
        shares.append(predicted_shares(found, guess, hidden))
        labels.append((found, bool(hidden.all())))
    missing = MISSINGNESS_SCHEMA.empty_table()
    if labels:
        missing = label_missingness(
            labels, faces.measures.select(list(chosen_measures(audit.nuisances))), audit.min_cell
        )
    context.write_arrow(pa.concat_tables(shares), PREDICTED_SHARES)
    context.write_arrow(missing, LABEL_MISSINGNESS)
    context.write_arrow(PLAN_SCHEMA.empty_table(), LABEL_PLAN)
    if not partial:
        return {"partial_labels": {"attributes": []}}
    rows, share = faces.drawn
    looked = {"main_faces": faces.count, "main_faces_used": len(rows), "identities_drawn": share, "seed": seed}
    return {"partial_labels": {"attributes": partial, **looked}}


def carried_out_plan(config: PipelineConfig) -> pa.Table | None:
    """The plan that `audit.label_plan_path` names; ConfigError or StorageError when it is unfit."""
    path = config.audit.label_plan_path
    if not path:
        return None
    parent, slash, name = path.rpartition("/")
    try:
        return read_plan(open_store(parent or slash or ".", config.storage).get(name), name)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(f"audit.label_plan_path {path} does not exist: correct the setting") from None


def _withheld_faces(context: StageContext) -> dict[str, list[str | None]]:
    """By attribute, categories whose number of faces `balance` withholds, None for the missing value."""
    rows = context.read_arrow(BALANCE, ["unit", "attributes", "groups", "n", "is_suppressed"])
    rows = rows.filter(pc.equal(rows.column("unit"), "face"))
    found: dict[str, list[str | None]] = {}
    for row in rows.to_pylist():
        if len(row["attributes"]) == 1 and (row["n"] is None or row["is_suppressed"]):
            found.setdefault(row["attributes"][0], []).append(row["groups"][0])
    return found


def label_plan_stage(context: StageContext, budget: int, attribute: str | None) -> None:
    """Write `label_plan` of a run whose balance is done; arguments as of `label_plan_of`."""
    with context.stage("label_plan") as facts:
        run = FinishedRun(context.store, context.place, context.record)
        plan, noted = label_plan_of(run, budget, attribute)
        facts.update(noted, rows=context.write_arrow(plan, LABEL_PLAN))


def label_plan_of(run: FinishedRun, budget: int, attribute: str | None) -> tuple[pa.Table, dict[str, Any]]:
    """Rows of `label_plan` without run_id, and what to note of it; the run is only read.

    attribute: by default the only one that some main faces have no label of; in a run without labels only a name.
    ConfigError for an attribute that the run does not have or that every main face has a label of, when there are
    several to choose from, without a name in a run without labels, and for a budget below 2.
    """
    categories = _categories(run)
    faces = MainFaces(run, categories)
    name = _planned_attribute(faces, run.record.run_id, attribute, categories)
    labels, seed = faces.labels(name), int(run.record.config["cluster"]["seed"])
    guess = predicted(labels, faces.embeddings, seed) if has_probe() and labels.can_correct.any() else None
    plan = plan_rows(labels, guess, faces.image_ids, faces.drawn[1], budget, seed)
    strata = len(plan.column("stratum").unique())
    noted = {"attribute": name, "budget": budget, "without_label": labels.missing, "strata": strata, "seed": seed}
    return plan, noted | {"main_faces_used": len(faces.drawn[0]), "identities_drawn": faces.drawn[1]}


def _planned_attribute(faces: MainFaces, run_id: str, attribute: str | None, categories: Categories) -> str:
    if not categories:
        if attribute is None:
            raise ConfigError(f"run {run_id} has no labels: name what is to be labelled with --label-attribute")
        return attribute
    if attribute is not None:
        if attribute not in categories:
            raise ConfigError(
                f"run {run_id} has no labels of {attribute}: its attributes are {', '.join(categories)}; correct "
                "--label-attribute"
            )
        return attribute
    partial = [a for a in categories if not faces.is_full(a)]
    if not partial:
        raise ConfigError(f"every main face of run {run_id} has all its labels: there is nothing to plan")
    if len(partial) > 1:
        raise ConfigError(f"labels of {', '.join(partial)} are missing: name one with --label-attribute")
    return partial[0]


def _categories(run: FinishedRun) -> dict[str, tuple[str, ...]]:
    """The categories of every attribute of the run's labels, subjects aside, as its configuration declares them."""
    rows = run.read(LABELS, ["attribute", "value"])
    distinct = rows.group_by(["attribute", "value"], use_threads=False).aggregate([]).to_pylist()
    values: dict[str, list[str]] = {row["attribute"]: [] for row in distinct if row["attribute"] != SUBJECT}
    for row in distinct:
        if row["attribute"] != SUBJECT and row["value"] is not None:
            values[row["attribute"]].append(row["value"])
    audit = run.record.config["audit"]
    given = [{a: c for a, c in audit.get(key, {}).items() if a in values} for key in ("categories", "edges")]
    return declared_categories(as_columns(values), *given)
