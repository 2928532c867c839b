"""Tables of a planted run for the tests of the report, made by the functions that make those of real runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from facelib.audit.joint_counts import attribute_sets
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate
from facelib.reports.balance import BalanceRules, balance_cells
from facelib.reports.balance_summary import balance_summary
from facelib.reports.cluster_sizes import cluster_sizes, images_per_cluster
from facelib.reports.html.chapter import ReportInput, RunFacts
from facelib.reports.losses import JOIN, loss_counts, losses, withheld_losses
from facelib.reports.measures_by_group import CLUSTER_MEASURES, FACE_MEASURES, measures_by_group
from facelib.reports.threshold_curve import threshold_curve
from facelib.reports.units import cluster_units
from facelib.reports.units_counted import unit_counts
from facelib.reports.withheld import withhold

GROUPS = {
    "gender": ("F", "M"),
    "age_band": ("0–2", "3–9", "10–19", "20–29", "30–39", "40–49", "50–59", "60–69", "70+"),
    "race": ("Black", "East Asian", "Indian", "Latino Hispanic", "Middle Eastern", "Southeast Asian", "White"),
}
Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Specimen:
    """What is planted. Shares are by attribute and group; a group that is not named has its even share.

    losses: (stage, attribute, group), or a pair as in `losses`, → share of the group's images lost there, besides
    `loss` of all at each stage.
    harder: (measure, attribute, group) → factor on the measure. missing: attribute → share without a label.
    """

    people: int = 240
    images: int = 4
    groups: Groups = field(default_factory=lambda: GROUPS)
    declared: bool = True
    shares: Mapping[tuple[str, str], float] = field(default_factory=dict)
    exact: Mapping[tuple[str, str], int] = field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    loss: float = 0.02
    losses: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    harder: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    varied: bool = False
    min_cell: int = 5
    seed: int = 7

    def with_(self, **changes: Any) -> Specimen:
        """A copy with changes."""
        return replace(self, **changes)


STAGE_COLUMNS = ("n_faces", "n_usable", "n_clustered")


def report_input(specimen: Specimen) -> ReportInput:
    """The planted run."""
    rng = np.random.default_rng(specimen.seed)
    person = _images_of_people(rng, specimen)
    values = {a: _values(rng, specimen, a)[person] for a in specimen.groups}
    known = {a: _with_missing(rng, specimen, a, v) for a, v in values.items()}
    images = _outcomes(rng, specimen, values, len(person)).append_column(
        "image_id", pa.array(map(str, range(len(person))))
    )
    for attribute, column in known.items():
        images = images.append_column(attribute, pa.array(column, pa.string(), from_pandas=True))
    labels = images.select(list(specimen.groups))
    has_face = images.column("n_faces").to_numpy() > 0
    in_cluster = images.column("n_clustered").to_numpy() > 0
    faces = labels.filter(pa.array(has_face))
    clusters, people = _clusters(person, known, in_cluster)
    units = {"image": labels, "face": faces, "cluster": people}
    limits = {"min_cell": specimen.min_cell, "flag_below": 0.8, "flag_above": 1.25}
    measured = _measured(rng, specimen, values, has_face)
    per_cluster = images_per_cluster(clusters)
    names, groups = list(specimen.groups), specimen.groups
    counted = {unit: unit_counts(table, names, groups) for unit, table in units.items()}
    withheld = withhold(counted, attribute_sets(names), specimen.min_cell)
    rules, lost = BalanceRules(specimen.reference), loss_counts(images, names, groups)
    hidden = withheld_losses(lost, withheld.masks.get("image", {}), specimen.min_cell)
    tables = {
        "balance": balance_cells(units, names, groups, rules, withheld=withheld),
        "balance_summary": balance_summary(units, names, groups, rules, withheld=withheld),
        "losses": losses(lost, names, groups, hidden=hidden),
        "threshold_curve": _curve(rng, int(has_face.sum())),
        "cluster_sizes": cluster_sizes(per_cluster.column("images").to_numpy(), specimen.min_cell),
        "measures_by_group": pa.concat_tables(
            [
                measures_by_group("face", _beside(faces, measured), FACE_MEASURES, names, groups),
                measures_by_group("cluster", _beside(people, per_cluster), CLUSTER_MEASURES, names, groups),
            ]
        ),
    }
    return ReportInput(tables, run_facts(specimen, images, limits))


def run_facts(specimen: Specimen, images: pa.Table, limits: Mapping[str, Any]) -> RunFacts:
    """The run around the tables."""
    reasons = images.column("reason").value_counts().to_pylist()
    rejected = {r["values"]: r["counts"] for r in reasons if r["values"]}
    n_faces = sum(images.column("n_faces").to_pylist())
    clustered = sum(n > 0 for n in images.column("n_clustered").to_pylist())
    account = {
        "listed": len(images),
        "ok": len(images) - sum(rejected.values()),
        "rejected": rejected,
        "faces": n_faces,
        "roles": {"core": clustered, "attached": 0, "noise": n_faces - clustered},
    }
    declared = {a: list(g) for a, g in specimen.groups.items()} if specimen.declared else {}
    return RunFacts(
        run_id="20260104T120000.000Z-0badcafe",
        started_at="2026-01-04T12:00:00+00:00",
        versions={"facelib": "0.1.0", "python": "3.11.7", "numpy": "1.26.4"},
        models={"detector": "mtcnn-9d9362c27bde", "embedder": "dlib_resnet_v1-55533b28-mirrored"},
        settings=(("audit.min_cell", str(specimen.min_cell), "0"),),
        audit={**limits, "categories": declared, "reference": specimen.reference},
        account=account,
        stages={"cluster": {"floor": {"method": "tail"}}},
    )


def _images_of_people(rng: np.random.Generator, specimen: Specimen) -> np.ndarray:
    """The person on each image."""
    if not specimen.varied:
        return np.repeat(np.arange(specimen.people), specimen.images)
    sizes = np.minimum(60, rng.geometric(0.35, specimen.people) * rng.choice([1, 1, 1, 4], specimen.people))
    return np.repeat(np.arange(specimen.people), sizes)


def _values(rng: np.random.Generator, specimen: Specimen, attribute: str) -> np.ndarray:
    """The group of every person: exact shares, in random order."""
    groups = specimen.groups[attribute]
    given = {g: specimen.shares[attribute, g] for g in groups if (attribute, g) in specimen.shares}
    rest = (1 - sum(given.values())) / max(1, len(groups) - len(given))
    ends = np.round(np.cumsum([given.get(g, rest) for g in groups]) * specimen.people).astype(int)
    values = np.array(groups, object)[
        np.searchsorted(ends, np.arange(specimen.people), side="right").clip(max=len(groups) - 1)
    ]
    values = rng.permutation(values)
    for (a, group), people in specimen.exact.items():
        if a == attribute:
            others = np.flatnonzero(values != group)
            values[values == group] = next(g for g in groups if g != group)
            values[others[:people]] = group
    return values


def _with_missing(rng: np.random.Generator, specimen: Specimen, attribute: str, values: np.ndarray) -> np.ndarray:
    return np.where(rng.random(len(values)) < specimen.missing.get(attribute, 0.0), None, values)


def _outcomes(rng: np.random.Generator, specimen: Specimen, values: Mapping[str, np.ndarray], n: int) -> pa.Table:
    """How far every image came."""
    alive, reached = np.ones(n, bool), {}
    for stage in ("decode", "detect", "quality", "cluster"):
        chance = np.full(n, specimen.loss)
        for (where, attribute, group), share in specimen.losses.items():
            if where == stage:
                cells = zip(attribute.split(JOIN), group.split(JOIN), strict=True)
                chance = np.where(np.logical_and.reduce([values[a] == g for a, g in cells]), share, chance)
        alive = alive & (rng.random(n) >= chance)
        reached[stage] = alive
    reason = np.where(reached["decode"], np.where(reached["detect"], None, "no_face"), "truncated")
    columns = {"status": np.where(reached["detect"], "ok", "rejected"), "reason": pa.array(reason, pa.string())}
    counts = zip(STAGE_COLUMNS, ("detect", "quality", "cluster"), strict=True)
    return pa.table(columns | {name: reached[stage].astype(np.int64) for name, stage in counts})


def _clusters(person: np.ndarray, known: Mapping[str, np.ndarray], in_cluster: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Rows of `clusters`, one cluster per person, and the people by cluster_id with their values."""
    images = [str(i) for i in range(len(person))]
    ids = [f"c{p:06d}" if there else None for p, there in zip(person.tolist(), in_cluster, strict=True)]
    values = {a: {i: v for i, v in zip(images, column, strict=True) if v is not None} for a, column in known.items()}
    people = cluster_units([f"{i}-0" for i in images], images, ids, values)
    return pa.table({"image_id": images, "cluster_id": pa.array(ids, pa.string())}), people


def _measured(
    rng: np.random.Generator, specimen: Specimen, values: Mapping[str, np.ndarray], has_face: np.ndarray
) -> pa.Table:
    n = len(has_face)
    columns = {
        "eye_distance_px": rng.lognormal(4, 0.3, n),
        "shorter_side_px": rng.choice([250.0, 480.0, 1080.0], n),
        "sharpness": rng.lognormal(-5, 0.6, n),
        "brightness": rng.beta(6, 6, n),
        "turn_deg": np.abs(rng.normal(0, 18, n)),
        "nod_deg": np.abs(rng.normal(0, 9, n)),
        "quality_score": rng.beta(8, 3, n),
    }
    for (measure, attribute, group), factor in specimen.harder.items():
        columns[measure] = np.where(values[attribute] == group, columns[measure] * factor, columns[measure])
    return pa.table({name: column[has_face] for name, column in columns.items()})


def _beside(labels: pa.Table, measured: pa.Table) -> pa.Table:
    for name in labels.column_names:
        measured = measured.append_column(name, labels.column(name))
    return measured


def _curve(rng: np.random.Generator, faces: int) -> pa.Table:
    floor = FloorEstimate(0.945, 0.04 / max(1, faces), 0.04, "tail", faces, dimension=20.0)
    evidence = Evidence(rng.normal(0.6, 0.12, 800).astype(np.float32), rng.normal(0.99, 0.01, 90).astype(np.float32))
    return threshold_curve(floor, evidence)


def with_group_curves(data: ReportInput, times: Mapping[tuple[str, str], float]) -> ReportInput:
    """The run with rows of groups in `threshold_curve`, their rates so many times those of all, with intervals."""
    curve = data.tables["threshold_curve"]
    rows: list[dict[str, Any]] = curve.to_pylist()
    for (attribute, group), factor in times.items():
        n = data.cells.single[attribute, "face"][group]["n"]
        for row in curve.to_pylist():
            fmr = min(1.0, row["fmr_estimated"] * factor)
            own = {"attributes": [attribute], "groups": [group], "n_faces": n, "is_suppressed": n is None}
            figures = {"fmr_estimated": fmr, "fmr_ci_low": fmr * 0.7, "fmr_ci_high": min(1.0, fmr * 1.4)}
            rows.append({**row, **own, **({} if n is None else figures)})
    return ReportInput({**data.tables, "threshold_curve": pa.Table.from_pylist(rows, curve.schema)}, data.run)
