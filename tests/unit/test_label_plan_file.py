"""A plan that was carried out: what is read of its file, and that shares of the labels it chose are right."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.audit.label_plan import label_plan
from facelib.errors import ConfigError
from facelib.reports.label_plan_file import design_of, read_plan
from facelib.reports.partial_labels import PartialLabels, predicted_shares

pytestmark = pytest.mark.unit
CSV = "key,image_id,attribute,stratum,category,inclusion\na.jpg,i0,g,0,x,0.5\nb.jpg,i2,g,1,,0.25\nb.jpg,i2,h,0,,1\n"
ROWS = [
    {"image_id": "i0", "attribute": "g", "stratum": 0, "inclusion": 0.5},
    {"image_id": "i2", "attribute": "g", "stratum": 1, "inclusion": 0.25},
    {"image_id": "i2", "attribute": "h", "stratum": 0, "inclusion": 1.0},
]


def parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


def test_both_kinds_of_file_say_the_same() -> None:
    assert read_plan(CSV.encode(), "plan.csv").to_pylist() == ROWS
    assert read_plan(parquet(pa.Table.from_pylist(ROWS)), "plan.PARQUET").to_pylist() == ROWS


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (CSV, "plan.txt", "plan.txt is neither .csv nor .parquet"),
        (CSV.replace("stratum", "layer"), "plan.csv", "plan.csv has no column stratum"),
        (CSV.replace("0.25", "1.25"), "plan.csv", "an inclusion outside 0–1"),
        (CSV.replace("0.25", "0"), "plan.csv", "an inclusion outside 0–1"),
        (CSV.replace("0.25", ""), "plan.csv", "an empty cell"),
        (CSV.replace("0.25", "some"), "plan.csv", "is no plan of labels"),
        (CSV.replace(",h,", ",g,"), "plan.csv", "names an image twice"),
        ("x" * 40, "plan.parquet", "is no plan of labels"),
        ("", "plan.csv", "is no plan of labels"),
    ],
)
def test_other_files_are_refused(data: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_plan(data.encode(), name)


def test_labels_that_were_there_count_for_themselves_and_planned_ones_for_the_rest() -> None:
    plan = read_plan(CSV.encode(), "plan.csv")
    ids = pa.array([f"i{k}" for k in range(8)])
    codes = np.array([0, -1, 1, 1, 0, -1, -1, -1])
    design, lacking = design_of(plan, "g", ids, codes)
    assert design is not None
    assert lacking == 0
    assert design.inclusion[[3, 4]].tolist() == [1, 1]
    assert np.sum(1 / design.inclusion[[0, 2]]) == pytest.approx(6)  # six faces had no label before
    assert design.inclusion[0] / design.inclusion[2] == pytest.approx(2)
    assert design.stratum[[0, 2, 3]].tolist() == [0, 1, -1]
    assert design_of(plan, "g", ids, np.where(np.arange(8) == 2, -1, codes))[1] == 1
    assert design_of(plan, "other", ids, codes) == (None, 0)


def test_shares_of_a_carried_out_plan_are_right_where_taking_its_labels_for_random_is_wrong() -> None:
    """First labels leave out a category mostly, the plan favours uncertain faces: 60 archives, all known."""
    rng = np.random.default_rng(0)
    right, wrong, held = [], [], []
    for seed in range(60):
        truth = rng.choice(2, 1500, p=[0.8, 0.2])
        first = np.where(rng.random(1500) < np.where(truth == 1, 0.02, 0.25), truth, -1)
        chance = np.clip(0.25 + 0.5 * truth + rng.normal(0, 0.15, 1500), 0.01, 0.99)
        guess = np.stack([1 - chance, chance], axis=1)
        plan = label_plan(first, guess, np.arange(1500), 200, seed)
        ids = pa.array([str(k) for k in range(1500)])
        rows = {"image_id": ids.take(pa.array(plan.rows)), "stratum": plan.stratum, "inclusion": plan.inclusion}
        table = pa.table(rows).append_column("attribute", pa.array(["g"] * plan.rows.size))
        codes = first.copy()
        codes[plan.rows] = truth[plan.rows]
        for found, into in ((design_of(table, "g", ids, codes), right), ((None, 0), wrong)):
            counts = np.bincount(codes[codes >= 0], minlength=2)
            missing = int((codes < 0).sum())
            labels = PartialLabels("g", ("x", "y"), counts, missing, codes, np.arange(1500), *found)
            row = predicted_shares(labels, guess, np.zeros(2, np.bool_)).to_pylist()[1]
            into.append(row["corrected_share"] - truth.mean())
            if into is right:
                assert row["labels_drawn"] == "by_plan"
                held.append(row["corrected_low"] <= truth.mean() <= row["corrected_high"])
    assert abs(np.mean(right)) < 0.006
    assert abs(np.mean(wrong)) > 0.02
    assert np.mean(held) > 0.93


def test_an_unfinished_plan_gives_bounds_only() -> None:
    codes = np.array([0, 1] * 20 + [-1] * 40)
    labels = PartialLabels("g", ("x", "y"), np.array([20, 20]), 40, codes, np.arange(80), None, 3)
    rows = predicted_shares(labels, None, np.zeros(2, np.bool_)).to_pylist()
    assert {row["reason"] for row in rows} == {"plan_unfinished"}
    assert {row["labelled_share"] for row in rows} == {None}
    assert {(row["bound_low"], row["bound_high"]) for row in rows} == {(0.25, 0.75)}
