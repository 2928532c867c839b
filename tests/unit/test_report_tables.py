"""Tables that the report aggregates: sizes of clusters, measures by group, rates too high for chance."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from facelib.audit.excess import excess_p
from facelib.audit.settings import NUISANCES
from facelib.errors import ConfigError
from facelib.reports.cluster_sizes import CLUSTER_SIZES_SCHEMA, cluster_sizes, images_per_cluster
from facelib.reports.measures_by_group import (
    FACE_MEASURES,
    MEASURES_SCHEMA,
    Measure,
    chosen_measures,
    face_measures,
    measures_by_group,
)

pytestmark = pytest.mark.unit


def test_images_of_a_cluster_are_counted_once() -> None:
    clusters = pa.table({"image_id": ["a", "a", "b", "c", "d"], "cluster_id": ["y", "y", "y", "x", None]})
    assert images_per_cluster(clusters).to_pylist() == [
        {"cluster_id": "x", "images": 1},
        {"cluster_id": "y", "images": 2},
    ]


def test_sizes_are_joined_by_powers_of_two() -> None:
    sizes = [1] * 10 + [2] * 4 + [3, 4, 4] + [5] * 2 + [16]
    rows = cluster_sizes(sizes).to_pylist()
    found = [(r["smallest"], r["largest"], r["clusters"], r["images"]) for r in rows]
    assert found == [(1, 1, 10, 10), (2, 2, 4, 8), (3, 4, 3, 11), (5, 8, 2, 10), (9, 16, 1, 16)]


def test_sizes_with_few_clusters_are_joined_and_the_last_is_open() -> None:
    sizes = [1] * 10 + [2] * 4 + [3, 4, 4] + [5] * 2 + [16]
    rows = cluster_sizes(sizes, 3).to_pylist()
    found = [(r["smallest"], r["largest"], r["clusters"], r["images"]) for r in rows]
    assert found == [(1, 1, 10, 10), (2, 2, 4, 8), (3, 4, 3, 11), (5, None, 3, 26)]
    assert [(r["smallest"], r["clusters"]) for r in cluster_sizes([1, 1, 7, 7, 7], 3).to_pylist()] == [(1, 5)]
    assert [(r["smallest"], r["largest"], r["clusters"]) for r in cluster_sizes([9, 9], 3).to_pylist()] == [
        (1, None, 2)
    ]


@pytest.mark.parametrize("min_cell", [0, 1, 2, 5, 40])
def test_every_cluster_and_image_is_in_one_size(min_cell: int) -> None:
    sizes = np.random.default_rng(min_cell).geometric(0.2, 300)
    table = cluster_sizes(sizes, min_cell)
    rows = table.to_pylist()
    assert sum(r["clusters"] for r in rows) == 300
    assert sum(r["images"] for r in rows) == sizes.sum()
    assert all(r["clusters"] >= max(1, min_cell) for r in rows)
    assert rows[0]["smallest"] == 1
    assert [r["smallest"] for r in rows[1:]] == [r["largest"] + 1 for r in rows[:-1]]
    for row in rows:
        inside = (sizes >= row["smallest"]) & (sizes <= (row["largest"] or np.inf))
        assert row["clusters"] == inside.sum()
    assert table.schema.equals(CLUSTER_SIZES_SCHEMA)
    assert cluster_sizes([], min_cell).num_rows == 0


def rows_of(values: list[float | None], groups: list[str | None]) -> pa.Table:
    return pa.table({"m": pa.array(values, pa.float64()), "g": pa.array(groups, pa.string())})


def test_quantiles_and_hard_shares_are_those_of_each_group() -> None:
    rng = np.random.default_rng(4)
    values, groups = rng.normal(size=400), rng.choice(np.array(["a", "b", None], object), 400)
    values[::50] = np.nan
    known = [None if np.isnan(v) else v for v in values.tolist()]
    table = measures_by_group(
        "face", rows_of(known, groups.tolist()), {"m": Measure("m", "", "high")}, ["g"],
        {"g": ("a", "b", "none")},
    )  # fmt: skip
    assert table.schema.equals(MEASURES_SCHEMA)
    limit = np.nanquantile(values, 0.9)
    assert [(r["attribute"], r["group"]) for r in table.to_pylist()] == [
        (None, None), ("g", "a"), ("g", "b"), ("g", "none"), ("g", None),
    ]  # fmt: skip
    for row in table.to_pylist():
        own = values[~np.isnan(values) & ((row["attribute"] is None) | (groups == row["group"]))]
        assert row["n"] == len(own)
        if row["group"] == "none":
            assert row["q50"] is row["hard_share"] is row["ci_low"] is row["median_low"] is None
            continue
        for name, q in (("q10", 0.1), ("q25", 0.25), ("q50", 0.5), ("q75", 0.75), ("q90", 0.9)):
            assert row[name] == pytest.approx(np.quantile(own, q))
        assert row["hard_limit"] == pytest.approx(limit)
        assert row["n_hard"] == (own >= limit).sum()
        interval = binomtest(row["n_hard"], row["n"]).proportion_ci(method="wilson")
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high))


def test_the_low_end_is_hard_where_the_measure_says_so() -> None:
    rows = rows_of([1.0, 1.0, 2.0, 3.0, 4.0], ["a", "b", "a", "a", "a"])
    found = measures_by_group("face", rows, {"m": Measure("m", "", "low")}, ["g"], {"g": ("a", "b")}).to_pylist()
    assert [(r["n"], r["n_hard"]) for r in found] == [(5, 2), (4, 1), (1, 1), (0, 0)]
    assert found[0]["hard_limit"] == 1.0


def test_the_interval_of_the_median_holds_it_as_often_as_it_says() -> None:
    """Exact coverage of order statistics l and n + 1 − l is 1 − 2 P(B < l), B binomial (n, ½)."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        values = rng.exponential(size=25)
        row = measures_by_group("face", rows_of(values.tolist(), ["a"] * 25), {"m": Measure("m", "", "low")}, [], {})
        low, high = (row.column(name)[0].as_py() for name in ("median_low", "median_high"))
        assert np.sort(values)[[7, 17]] == pytest.approx([low, high])  # ranks 8 and 18 of 25, as in tables
        held += low <= np.log(2) <= high
    assert held / 400 > 0.93
    few = measures_by_group("face", rows_of([1.0] * 5, ["a"] * 5), {"m": Measure("m", "", "low")}, [], {})
    assert few.column("median_low")[0].as_py() is None


def test_values_outside_the_categories_count_as_missing() -> None:
    rows, measures = rows_of([1.0], ["c"]), {"m": Measure("m", "", "low")}
    found = measures_by_group("face", rows, measures, ["g"], {"g": ("a",)}).to_pylist()
    assert [(r["group"], r["n"]) for r in found[1:]] == [("a", 0), (None, 1)]
    with pytest.raises(ConfigError, match="no categories"):
        measures_by_group("face", rows, measures, ["g"], {})


def test_measures_of_faces_come_from_their_image_and_have_no_sign() -> None:
    faces = pa.table(
        {
            "image_id": ["b", "a"],
            "eye_distance_px": [50.0, 60.0],
            "sharpness": [0.1, 0.2],
            "brightness": [0.5, 0.6],
            "yaw_deg": [-12.0, None],
            "pitch_deg": [3.0, -4.0],
            "quality_score": [0.7, 0.8],
        }
    )
    images = pa.table({"image_id": ["a", "b", "c"], "width_px": [640, 300, 1], "height_px": [480, 400, 1]})
    found = face_measures(faces, images)
    assert found.column_names == list(FACE_MEASURES) == list(chosen_measures(NUISANCES))
    assert [*FACE_MEASURES, "source", "camera"] == list(NUISANCES)
    assert found.column("shorter_side_px").to_pylist() == [300.0, 480.0]
    assert found.column("turn_deg").to_pylist() == [12.0, None]
    assert found.column("nod_deg").to_pylist() == [3.0, 4.0]


def test_p_values_are_those_of_the_exact_test() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        of = int(rng.integers(1, 300))
        n, chance = int(rng.integers(0, of + 1)), float(rng.uniform(0.01, 0.99))
        expected = min(1.0, 2 * binomtest(n, of, chance, alternative="greater").pvalue)
        assert excess_p(n, of, chance) == pytest.approx(expected, rel=1e-9)
    assert excess_p([0, 0, 5], [0, 9, 5], [0.1, 0.0, 1.0]).tolist() == [1.0, 1.0, 1.0]
    assert excess_p([], [], []).shape == (0,)
