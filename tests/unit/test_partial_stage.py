"""Partial labels of a run in a store: the tables, the plan as a table and as a file, and what is refused."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.audit.label_plan import label_plan
from facelib.audit.ppi import category_shares
from facelib.audit.probe import cross_fitted
from facelib.audit.settings import AuditSettings
from facelib.cli.main import main
from facelib.config import config_dict
from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun
from facelib.spark.main_faces import Categories, MainFaces
from facelib.spark.main_measures import MOST_KINDS, camera_kinds, main_measures
from facelib.spark.partial_stage import carried_out_plan, label_plan_of, label_plan_stage, partial_labels
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.run_record import RunRecord, publish
from facelib.spark.tables import Place
from facelib.storage import StorageSettings, open_store
from schemas.arrow import conform
from schemas.label_tables import LABEL_MISSINGNESS, LABEL_PLAN, PREDICTED_SHARES

pytest.importorskip("sklearn")
pytestmark = pytest.mark.unit

N = 300
CATEGORIES = {"gender": ("F", "M"), "age": ("child", "adult"), "glasses": ("no", "yes")}
CONFIG = PipelineConfig(audit=AuditSettings(categories=dict(CATEGORIES)))
SHARD = "store/extracted/x/shard-a.parquet"
TRUTH = np.random.default_rng(0).integers(0, 2, N // 2)
"""Gender of 150 people of two images each."""


def tables() -> dict[str, pa.Table]:
    """300 images with a face, a second face on the first ten, 20 images without; gender is labelled on some, age on
    all, glasses on none. Every second person is a cluster, the others are noise but have a subject."""
    rng = np.random.default_rng(1)
    images = [f"i{k:03d}" for k in range(N + 20)]
    faces = [f"{i}-0" for i in images[:N]] + [f"{i}-1" for i in images[:10]]
    owners = images[:N] + images[:10]
    names = ("eye_distance_px", "sharpness", "brightness", "yaw_deg", "pitch_deg", "quality_score")
    measured = {name: rng.uniform(0.2, 0.9, len(faces)).astype(np.float32) for name in names}
    person = np.arange(N) // 2
    clusters = [f"c{p}" if p % 2 == 0 else None for p in person.tolist()] + [None] * 10
    labels = []
    for k, image in enumerate(images):
        is_labelled = k >= N or rng.random() < 0.4
        gender = ("F" if k % 2 else "M") if k >= N else CATEGORIES["gender"][TRUTH[person[k]]]
        labels.append((image, "gender", gender if is_labelled else None))
        labels.append((image, "age", "adult"))
        labels.append((image, "subject", f"s{person[k]}" if k < N and person[k] % 2 else None))
    columns = list(zip(*labels, strict=True))
    return {
        "images": pa.table(
            {
                "image_id": images,
                "uri": [f"s3://faces.example/all/p{i}.jpg" for i in images],
                "duplicate_of": pa.nulls(len(images), pa.string()),
                "width_px": [640] * len(images),
                "height_px": [480] * len(images),
            }
        ),
        "faces": pa.table({"face_id": faces, "image_id": owners, **measured}),
        "labels": pa.table(dict(zip(("image_id", "attribute", "value"), columns, strict=True))),
        "clusters": pa.table({"face_id": faces, "image_id": owners, "cluster_id": clusters}),
        "balance": pa.table(
            {
                "unit": ["face"] * 3,
                "attributes": [["gender"]] * 3,
                "groups": [["F"], ["M"], [None]],
                "n": [50, 60, 200],
                "is_suppressed": [False] * 3,
            }
        ),
    }


def embeddings() -> np.ndarray:
    noise = np.random.default_rng(2).normal(0, 0.25, (N, 8))
    return (np.eye(2, 8)[np.repeat(TRUTH, 2)] + noise).astype(np.float32)


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A run after its balance; nothing of it needs a Spark session."""
    store = open_store(str(tmp_path / "out"))
    record = RunRecord.begin("in", {"root": "s3://faces.example/all/"}, config_dict(CONFIG), "0")
    record.models, record.shards = {"embedder": "m"}, [SHARD]
    for name, table in tables().items():
        put(store, record, name, table)
    vectors = {"face_id": [f"i{k:03d}-0" for k in range(N)], "embedding": list(embeddings())}
    sink = io.BytesIO()
    pq.write_table(pa.table(vectors).take(np.random.default_rng(3).permutation(N)), sink)
    store.put("store/embeddings/model_id=m/shard-a.parquet", sink.getvalue())
    record.save(store)
    return StageContext(cast(Any, None), CONFIG, Place(store.root, StorageSettings()), record)


def put(store: Any, record: RunRecord, name: str, table: pa.Table) -> None:
    key, sink = f"runs/{record.run_id}/{name}/part-00000.parquet", io.BytesIO()
    pq.write_table(table, sink)
    store.put(key, sink.getvalue())
    record.tables[name] = {"version": 1, "rows": len(table), "files": {key: len(table)}}


def published(context: StageContext) -> None:
    context.record.end("published", 0, "done")
    publish(context.store, context.record)


def known(context: StageContext, categories: Categories = CATEGORIES) -> dict[str, Any]:
    faces = MainFaces(finished(context), categories, plan=carried_out_plan(context.config))
    return partial_labels(context, categories, faces)


def codes() -> np.ndarray:
    values = {r["image_id"]: r["value"] for r in tables()["labels"].to_pylist() if r["attribute"] == "gender"}
    return np.array([{"F": 0, "M": 1, None: -1}[values[f"i{k:03d}"]] for k in range(N)])


def test_tables_are_of_the_attributes_that_are_labelled_in_part(context: StageContext) -> None:
    noted = known(context)
    shares, missing = (context.read_arrow(t).to_pylist() for t in (PREDICTED_SHARES, LABEL_MISSINGNESS))
    assert {row["attribute"] for row in (*shares, *missing)} == {"gender"}
    person = np.arange(N) // 2
    guess = cross_fitted(embeddings(), codes(), person, 2, seed=context.config.cluster.seed).probabilities
    expected = category_shares(codes(), guess, "source", person)
    assert [row["n_labelled"] for row in shares] == np.bincount(codes()[codes() >= 0]).tolist()
    assert {row["n_unlabelled"] for row in shares} == {(codes() < 0).sum()}
    np.testing.assert_allclose([row["corrected_share"] for row in shares], expected.share)
    np.testing.assert_allclose([row["corrected_low"] for row in shares], expected.low)
    assert {row["measure"] for row in missing} > {"sharpness", "shorter_side_px", "turn_deg"}
    assert {row["n"] for row in missing if row["bin"] is None} == {N}
    assert context.read_arrow(LABEL_PLAN).num_rows == 0
    found = noted["partial_labels"]
    assert (found["attributes"], found["main_faces"], found["main_faces_used"]) == (["gender"], N, N)


def test_what_balance_withholds_is_withheld_here(context: StageContext) -> None:
    table = tables()["balance"]
    suppressed = table.set_column(4, "is_suppressed", pa.array([True, False, False]))
    put(context.store, context.record, "balance", suppressed)
    known(context)
    rows = context.read_arrow(PREDICTED_SHARES).to_pylist()
    assert [row["is_suppressed"] for row in rows] == [True, False]
    put(context.store, context.record, "balance", table.set_column(4, "is_suppressed", pa.array([False, False, True])))
    known(context)
    assert all(row["is_suppressed"] for row in context.read_arrow(PREDICTED_SHARES).to_pylist())
    assert all(row["is_suppressed"] for row in context.read_arrow(LABEL_MISSINGNESS).to_pylist())


def test_only_chosen_nuisances_are_looked_at(context: StageContext) -> None:
    audit = replace(CONFIG.audit, nuisances=("camera", "turn_deg"))
    known(replace(context, config=replace(CONFIG, audit=audit)))
    missing = context.read_arrow(LABEL_MISSINGNESS).to_pylist()
    assert {row["measure"] for row in missing} == {"turn_deg"}
    run, faces = finished(context), MainFaces(finished(context), CATEGORIES)
    found = main_measures(run, faces, CATEGORIES, audit.nuisances)
    assert (list(found.values), list(found.kinds)) == (["turn_deg"], [])
    images = tables()["images"]
    names = ["Canon EOS 5D" if k % 2 else None for k in range(images.num_rows)]
    put(context.store, context.record, "images", images.append_column("camera", pa.array(names)))
    found = main_measures(run, MainFaces(run, CATEGORIES), CATEGORIES, audit.nuisances)
    is_named = np.array([int(i[1:]) % 2 for i in faces.image_ids], bool)
    assert {frozenset(found.kinds["camera"][rows].tolist()) for rows in (is_named, ~is_named)} == {
        frozenset({0}),
        frozenset({1}),
    }


def test_rare_cameras_count_as_one() -> None:
    names = [f"camera {k:02d}" for k in range(60)] * 2 + [None] * 3
    found = camera_kinds(pa.chunked_array([names]))
    assert found is not None
    counted = np.bincount(found)
    assert counted.tolist() == [3] + [2] * (MOST_KINDS - 2) + [120 - 2 * (MOST_KINDS - 2)]
    assert camera_kinds(pa.chunked_array([["one"] * 3])) is None


@pytest.mark.parametrize("categories", [{}, {"age": ("child", "adult")}, {"glasses": ("no", "yes")}])
def test_runs_without_labels_or_with_all_of_them_read_no_embedding(
    context: StageContext, categories: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facelib.spark.evaluation.FinishedRun.embeddings", lambda *_: pytest.fail("read embeddings"))
    if not categories:
        monkeypatch.setattr("facelib.spark.evaluation.FinishedRun.read", lambda *_: pytest.fail("read a table"))
    assert known(context, categories) == {"partial_labels": {"attributes": []}}
    for table in (PREDICTED_SHARES, LABEL_MISSINGNESS, LABEL_PLAN):
        assert context.record.tables[table.name]["rows"] == 0


def test_without_the_library_the_run_goes_on(context: StageContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facelib.spark.partial_stage.has_probe", lambda: False)
    known(context)
    assert {row["reason"] for row in context.read_arrow(PREDICTED_SHARES).to_pylist()} == {"no_probe"}
    plan, noted = label_plan_of(finished(context), 20, "gender")
    assert (plan.num_rows, noted["strata"]) == (20, 1)


def finished(context: StageContext) -> FinishedRun:
    return FinishedRun(context.store, context.place, context.record)


def test_large_archives_are_looked_at_by_identities(context: StageContext) -> None:
    faces = MainFaces(finished(context), CATEGORIES, most=100)
    labels = faces.labels("gender")
    rows, share = faces.drawn
    assert (len(rows), share) == (100, 50 / 150)
    assert np.array_equal(np.sort(np.unique(rows // 2, return_counts=True)[1]), np.full(50, 2))
    assert labels.counts.sum() + labels.missing == N
    np.testing.assert_array_equal(labels.codes, codes()[rows])
    np.testing.assert_array_equal(faces.embeddings, embeddings()[rows])
    assert faces.image_ids == [f"i{k:03d}" for k in rows]


def test_the_plan_is_that_of_the_audit_function(context: StageContext) -> None:
    label_plan_stage(context, 40, None)
    rows = context.read_arrow(LABEL_PLAN).to_pylist()
    seed, person = context.config.cluster.seed, np.arange(N) // 2
    guess = cross_fitted(embeddings(), codes(), person, 2, seed=seed).probabilities
    expected = label_plan(codes(), guess, person, 40, seed)
    by_image = {row["image_id"]: row for row in rows}
    assert sorted(by_image) == [f"i{k:03d}" for k in expected.rows]
    found = [by_image[f"i{k:03d}"]["inclusion"] for k in expected.rows]
    np.testing.assert_allclose(found, expected.inclusion)
    assert context.record.stages["label_plan"]["attribute"] == "gender"
    assert context.record.stages["label_plan"]["rows"] == 40


def balance(context: StageContext, *options: str) -> int:
    return main(["balance", "--output", context.store.root, *options, "--log", os.devnull])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_published_run_is_read_and_only_the_file_is_written(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    published(context)
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    target = tmp_path / f"plan{suffix}"
    assert balance(context, "--label-budget", "30", "--to", str(target)) == 0
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    assert target.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr().out
    assert f"30 images to label next, of {(codes() < 0).sum()} whose main face has no label of gender" in said
    assert "jpg" not in said
    assert "i0" not in said
    if suffix == ".csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(target.open()))
    else:
        rows = pq.read_table(target).to_pylist()
    assert len(rows) == 30
    assert all(row["key"] == f"p{row['image_id']}.jpg" for row in rows)
    for row in rows:
        assert float(row["weight"]) == pytest.approx(1 / float(row["inclusion"]))
    plan, _ = label_plan_of(finished(context), 30, "gender")
    conform(plan.append_column("run_id", pa.array(["r"] * 30)), LABEL_PLAN)
    assert sorted(row["image_id"] for row in rows) == plan.column("image_id").to_pylist()
    again = tmp_path / f"again{suffix}"
    assert balance(context, "--label-budget", "30", "--label-attribute", "gender", "--to", str(again)) == 0
    assert again.read_bytes() == target.read_bytes()


def test_a_run_without_labels_has_a_plan_of_any_name(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(context.store, context.record, "labels", tables()["labels"].slice(0, 0))
    context.record.config["audit"]["categories"] = {}
    published(context)
    target = tmp_path / "plan.parquet"
    assert balance(context, "--label-budget", "30", "--label-attribute", "hair", "--to", str(target)) == 0
    rows = pq.read_table(target).to_pylist()
    assert {(row["attribute"], row["category"], row["stratum"]) for row in rows} == {("hair", None, 0)}
    assert all(row["inclusion"] == pytest.approx(0.1) for row in rows)
    assert balance(context, "--label-budget", "30", "--to", str(target)) == 2
    assert "has no labels: name what is to be labelled with --label-attribute" in capsys.readouterr().err


def test_labels_of_a_plan_are_weighted_by_it(context: StageContext, tmp_path: Path) -> None:
    truth = np.repeat(TRUTH, 2)
    plan, _ = label_plan_of(finished(context), 40, "gender")
    path = tmp_path / "plan.parquet"
    pq.write_table(plan, path)
    rows = np.array([int(i[1:]) for i in plan.column("image_id").to_pylist()])
    more = {"image_id": plan.column("image_id").to_pylist(), "attribute": ["gender"] * len(plan)}
    more["value"] = [CATEGORIES["gender"][k] for k in truth[rows]]
    put(context.store, context.record, "labels", pa.concat_tables([pa.table(more), tables()["labels"]]))
    config = replace(CONFIG, audit=replace(CONFIG.audit, label_plan_path=str(path)))
    known(replace(context, config=config))
    found = context.read_arrow(PREDICTED_SHARES).to_pylist()
    assert {row["labels_drawn"] for row in found} == {"by_plan"}
    labelled = codes()
    labelled[rows] = truth[rows]
    weight = (labelled >= 0).astype(float)
    weight[rows] = plan.column("weight").to_numpy()
    weight[rows] *= (codes() < 0).sum() / weight[rows].sum()
    expected = [weight[labelled == k].sum() / weight.sum() for k in (0, 1)]
    np.testing.assert_allclose([row["labelled_share"] for row in found], expected)


def test_a_plan_that_is_not_there_ends_the_command_before_it_begins(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "l.csv"
    labels.write_text("k,gender\np000.jpg,F\n")
    given = ("--labels", str(labels), "--label-key", "k", "--attributes", "gender")
    for path, code, sentence in (
        (tmp_path / "none.csv", 5, "does not exist: correct the setting"),
        (labels, 2, "l.csv has no column image_id: give the file that facelib balance wrote"),
    ):
        assert balance(context, *given, "--set", f"audit.label_plan_path={path}") == code
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--label-attribute", "gender"], "--label-attribute is for a plan of labels: add --label-budget N"),
        (["--to", "x.csv"], "--to is for a plan of labels: add --label-budget N"),
        (["--label-budget", "0"], "0 is not a whole number of 1 or more"),
        (["--label-budget", "9", "--to", "x.csv", "--labels", "l.csv"], "with the labels it has: leave --labels out"),
        (["--label-budget", "9", "--to", "x.xlsx"], "x.xlsx is neither .csv nor .parquet: name the file so"),
        (["--label-budget", "9", "--to", "s3://b/x.csv"], "is not a local path"),
        (["--label-budget", "9", "--to", "{out}/plan.csv"], "lies inside the output of a run"),
        (["--label-budget", "9", "--to", "{tmp}/p.csv", "--label-attribute", "gendr"], "no labels of gendr: its attri"),
        (["--label-budget", "9", "--to", "{tmp}/p.csv", "--label-attribute", "age"], "has a label of age: there is no"),
        (["--label-budget", "1", "--to", "{tmp}/p.csv"], "a budget of 1 labels is below 2"),
        (["--label-budget", "9", "--to", "{tmp}/p.csv", "--run", "other"], "there is no run other"),
        (["--label-budget", "9"], "is published and never changes: to plan labels of it, add --to FILE"),
        (
            ["--label-budget", "9", "--labels", "l.csv", "--label-key", "k", "--attributes", "a,b", "--label-attribute",
             "c"],
            "--label-attribute c is none of --attributes a,b",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_said_in_one_sentence(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    published(context)
    given = [o.format(out=tmp_path / "out", tmp=tmp_path) for o in options]
    assert balance(context, *given) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_several_attributes_must_be_chosen_from(context: StageContext, tmp_path: Path, capsys: Any) -> None:
    labels = tables()["labels"]
    some = pa.table({"image_id": ["i000"], "attribute": ["glasses"], "value": ["no"]})
    put(context.store, context.record, "labels", pa.concat_tables([labels, some]))
    published(context)
    assert balance(context, "--label-budget", "9", "--to", str(tmp_path / "p.csv")) == 2
    assert "labels of gender, glasses are missing: name one with --label-attribute" in capsys.readouterr().err
