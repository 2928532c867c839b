"""Losses against a loop over random images, and against a table worked by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.proportion import proportion_confint

from facelib.errors import ConfigError
from facelib.reports.losses import LOSSES_SCHEMA, STAGES, losses
from schemas.tables import LOSSES

pytestmark = pytest.mark.unit

COLUMNS = ("status", "reason", "n_faces", "n_usable", "n_clustered", "g")
TYPES = (pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64(), pa.string())
HAND = [
    ("ok", None, 2, 1, 1, "F"),  # passes all
    ("ok", None, 2, 1, 0, "F"),  # all noise
    ("ok", None, 1, 0, 1, "F"),  # unusable face attached to a cluster: lost at quality already
    ("rejected", "no_face", 0, None, None, "M"),
    ("rejected", "truncated", None, None, None, "M"),
    ("rejected", "empty", None, None, None, None),
]
CATEGORIES = {"g": ("M", "F", "X"), "h": ("a", "b")}


def images(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    return pa.table([pa.array(c, t) for c, t in zip(columns, TYPES, strict=True)], names=COLUMNS)


def test_hand_worked() -> None:
    table = losses(images(HAND), ["g"], CATEGORIES)
    counts = {(r["stage"], r["attribute"], r["group"]): (r["n_in"], r["n_out"]) for r in table.to_pylist()}
    expected = {
        (None, None): (6, 4, 3, 2, 1),
        ("g", "M"): (2, 1, 0, 0, 0),
        ("g", "F"): (3, 3, 3, 2, 1),
        ("g", "X"): (0, 0, 0, 0, 0),
        ("g", None): (1, 0, 0, 0, 0),
    }
    assert counts == {
        (stage, *group): (reached[i], reached[i + 1])
        for i, stage in enumerate(STAGES)
        for group, reached in expected.items()
    }
    assert table.column("rate").to_pylist()[:5] == [pytest.approx(2 / 6), 0.5, 0.0, None, 1.0]


def random_images(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for _ in range(n):
        faces, usable, clustered = (int(v) for v in rng.integers(0, 3, 3))
        g = [None, "M", "F"][rng.integers(3)]
        if rng.random() < 0.3:
            rows.append(("rejected", ["no_face", "empty", "changed"][rng.integers(3)], None, None, None, g))
        else:
            rows.append(("ok", None, faces + 1, usable, clustered, g))
    h = pa.array([[None, "a", "b"][i] for i in rng.integers(0, 3, n)], pa.string())
    return images(rows).append_column("h", h)


def stages_passed(row: dict[str, object]) -> int:
    if row["status"] != "ok" and row["reason"] != "no_face":
        return 0
    passed = 1
    for column in ("n_faces", "n_usable", "n_clustered"):
        if not row[column]:
            break
        passed += 1
    return passed


def test_random_tables_agree_with_a_loop() -> None:
    for seed in range(5):
        table = random_images(400, seed)
        rows = table.to_pylist()
        for r in losses(table, ["g", "h"], CATEGORIES, confidence=0.9).to_pylist():
            at = STAGES.index(r["stage"])
            members = [row for row in rows if r["attribute"] is None or row[r["attribute"]] == r["group"]]
            n_in = sum(stages_passed(row) >= at for row in members)
            n_out = sum(stages_passed(row) > at for row in members)
            assert (r["n_in"], r["n_out"]) == (n_in, n_out)
            if n_in == 0:
                assert r["rate"] is r["ci_low"] is r["ci_high"] is None
                continue
            assert r["rate"] == pytest.approx((n_in - n_out) / n_in)
            interval = proportion_confint(n_in - n_out, n_in, alpha=0.1, method="wilson")
            assert (r["ci_low"], r["ci_high"]) == pytest.approx(interval, abs=1e-12)


def test_groups_add_up_to_the_overall_row() -> None:
    table = losses(random_images(1000, 99), ["g", "h"], CATEGORIES).to_pylist()
    for stage in STAGES:
        for column in ("n_in", "n_out"):
            total: Counter[str | None] = Counter()
            for r in table:
                total[r["attribute"]] += r[column] if r["stage"] == stage else 0
            assert total["g"] == total["h"] == total[None] > 0


def test_columns_and_ranges_are_those_of_the_contract() -> None:
    table = losses(random_images(300, 1), ["g"], CATEGORIES)
    assert table.schema == LOSSES_SCHEMA
    assert ["run_id", *table.column_names] == LOSSES.names
    for field in table.schema:
        column = LOSSES.column(field.name)
        assert (str(field.type).replace("double", "float64"), field.nullable) == (column.type.value, column.nullable)
    assert LOSSES.column("stage").values == STAGES
    rates = table.select(["rate", "ci_low", "ci_high"]).to_pandas().dropna().to_numpy()
    assert ((rates >= 0) & (rates <= 1)).all()
    assert ((rates[:, 1] <= rates[:, 0] + 1e-12) & (rates[:, 0] <= rates[:, 2] + 1e-12)).all()


def test_no_images() -> None:
    table = losses(images([]), ["g"], CATEGORIES)
    assert table.num_rows == len(STAGES) * 5
    assert set(table.column("n_in").to_pylist()) == {0}
    assert table.column("rate").null_count == table.num_rows


def test_without_attributes_only_the_overall_rows() -> None:
    table = losses(images(HAND), [], {})
    assert table.column("n_in").to_pylist() == [6, 4, 3, 2]
    assert table.column("attribute").null_count == 4


def test_all_labels_missing() -> None:
    table = losses(images([(*row[:-1], None) for row in HAND]), ["g"], {"g": ()}).to_pylist()
    overall = [r for r in table if r["attribute"] is None]
    missing = [r for r in table if r["attribute"] == "g"]
    assert [r["n_out"] for r in missing] == [r["n_out"] for r in overall]


def test_columns_that_are_null_throughout_may_have_the_null_type() -> None:
    table = images([("ok", None, 1, 1, None, None)] * 3)
    for column in ("reason", "n_clustered", "g"):
        table = table.drop_columns([column]).append_column(column, pa.nulls(3))
    overall = losses(table, ["g"], CATEGORIES).to_pylist()[::5]
    assert [r["n_out"] for r in overall] == [3, 3, 3, 0]


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="no column n_usable"):
        losses(images(HAND).drop_columns(["n_usable"]), ["g"], CATEGORIES)
    with pytest.raises(ConfigError, match="no column h"):
        losses(images(HAND), ["h"], CATEGORIES)
    with pytest.raises(ConfigError, match="g has no categories"):
        losses(images(HAND), ["g"], {})
    with pytest.raises(ConfigError, match="g has 3 rows"):
        losses(images(HAND), ["g"], {"g": ("M",)})
