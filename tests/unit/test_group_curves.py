"""The threshold curve of a run: which faces make up a group, and that its rates are theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from facelib.audit.group_tails import group_rates
from facelib.audit.settings import AuditSettings
from facelib.clusters.evidence import Evidence
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.neighbours import normalise
from facelib.clusters.space import Space
from facelib.reports.threshold_curve import similarities
from facelib.spark.group_curves import curve
from facelib.spark.pipeline_config import PipelineConfig

pytestmark = pytest.mark.unit

N = 300
FLOOR = FloorEstimate(0.9, 1e-4, 0.03, "tail", N, dimension=8.0)


def labels_of(groups: list[str | None]) -> list[dict[str, Any]]:
    """A label per image, and a subject that must not become a group."""
    rows = [{"image_id": f"i{i:03d}", "attribute": "g", "value": g} for i, g in enumerate(groups)]
    return rows + [{"image_id": f"i{i:03d}", "attribute": "subject", "value": f"s{i}"} for i in range(len(groups))]


@pytest.fixture
def faces() -> dict[str, Any]:
    """A main face of each of 300 images, the first three unusable, and a second face of each of ten of them.

    Embeddings are in another order than the clusters.
    """
    rng = np.random.default_rng(1)
    names = [f"i{i:03d}-0" for i in range(N)] + [f"i{i:03d}-1" for i in range(10)]
    embeddings = 7 * rng.normal(size=(len(names), 6)).astype(np.float32)
    role = ["attached"] * 2 + ["noise"] + ["core"] * (len(names) - 3)
    clusters = pa.table(
        {
            "face_id": names,
            "image_id": [name.partition("-")[0] for name in names],
            "cluster_id": ["c3", "c4", None, *(f"c{i // 2}" for i in range(3, len(names)))],
            "role": role,
            "weight": pa.array(
                [None if r != "core" else w for r, w in zip(role, rng.uniform(0.8, 1.2, len(names)), strict=True)],
                pa.float32(),
            ),
        }
    )
    order = rng.permutation(len(names))
    return {"clusters": clusters, "ids": pa.chunked_array([[names[i] for i in order]]), "embeddings": embeddings[order]}


def curve_of(
    faces: dict[str, Any], labels: list[dict[str, Any]] | None, audit: AuditSettings | None = None
) -> list[dict[str, Any]]:
    context = SimpleNamespace(
        config=PipelineConfig(audit=audit or AuditSettings()),
        record=SimpleNamespace(tables={} if labels is None else {"labels": 1}),
        read_arrow=lambda table: pa.Table.from_pylist(labels or []),
    )
    nothing = np.zeros(0, np.float32)
    result = SimpleNamespace(
        clusters=faces["clusters"], evidence=Evidence(nothing, nothing), summary=SimpleNamespace(floor=FLOOR)
    )
    return curve(context, faces["ids"], faces["embeddings"], result).to_pylist()  # type: ignore[arg-type]


def test_a_group_s_rates_are_those_of_its_core_main_faces(faces: dict[str, Any]) -> None:
    groups = ["a" if i % 3 else "b" for i in range(N - 5)] + [None] * 5
    rows = curve_of(faces, labels_of(groups), AuditSettings(categories={"g": ("c", "b", "a")}))
    assert [(r["attributes"], r["groups"]) for r in rows[::17]] == [([], []), *((["g"], [g]) for g in "cba")]
    at = {name: i for i, name in enumerate(faces["ids"].to_pylist())}
    for g, part in (("b", rows[34:51]), ("a", rows[51:])):
        mine = [i for i in range(3, N) if groups[i] == g]
        unit = normalise(faces["embeddings"][[at[f"i{i:03d}-0"] for i in mine]])
        weight = faces["clusters"].column("weight").take(mine).to_numpy()
        expected = group_rates(
            Space.corrected(unit, weight),
            [i // 2 for i in mine],
            FLOOR,
            similarities(FLOOR),
            PipelineConfig().cluster.seed,
        )
        assert expected is not None
        assert {r["n_faces"] for r in part} == {len(mine)}
        for name, values in (("fmr_estimated", expected.fmr), ("fmr_ci_low", expected.low)):
            np.testing.assert_array_equal([np.nan if r[name] is None else r[name] for r in part], values)
        assert part[0]["estimator"] == "counted"
    assert {(r["n_faces"], r["fmr_estimated"]) for r in rows[17:34]} == {(0, None)}


def test_groups_below_the_least_size_are_withheld(faces: dict[str, Any]) -> None:
    groups = ["a"] * 200 + ["b"] * 100
    rows = curve_of(faces, labels_of(groups), AuditSettings(min_cell=150))[::17]
    assert [(r["n_faces"], r["is_suppressed"], r["fmr_estimated"] is None) for r in rows[1:]] == [
        (None, False, False),
        (None, True, True),
    ]


@pytest.mark.parametrize("labels", [None, [{"image_id": "i001", "attribute": "subject", "value": "s"}]])
def test_without_labelled_groups_the_curve_is_the_archive_s(
    faces: dict[str, Any], labels: list[dict[str, Any]] | None
) -> None:
    """Even where categories are declared."""
    rows = curve_of(faces, labels, AuditSettings(categories={"g": ("a", "b")}))
    assert len(rows) == 17
    assert {r["n_faces"] for r in rows} == {N}
