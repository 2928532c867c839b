"""The whole run, images and output in S3, against what was planted in the archive."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from conftest import Output, facelib, label_options
from pyspark.sql import SparkSession

from facelib.clusters.agreement import pairwise_scores
from facelib.demo.archive import ATTRIBUTES, PlantedArchive
from facelib.demo.s3_server import S3Server
from facelib.ids import face_id
from facelib.storage import open_store
from schemas import TABLES
from schemas.arrow import arrow_schema

pytestmark = pytest.mark.spark
ANALYST = [t for t in TABLES.values() if not t.is_store]


@pytest.fixture(scope="module")
def output(spark: SparkSession, server: S3Server, archive: PlantedArchive) -> Output:
    server.upload_folder(archive.images, "images", "all")
    options = ("--set", "audit.min_cell=0", *label_options(archive))
    assert facelib("run", "--images", "s3://images/all", "--output", "s3://out/first", *options) == 0
    return Output("s3://out/first")


def name_of(row: dict) -> str:
    return row["uri"].removeprefix("s3://images/all/")


def test_every_listed_object_is_one_row(output: Output, archive: PlantedArchive) -> None:
    names = [name_of(r) for r in output.rows("images")]
    assert sorted(names) == sorted(str(p.relative_to(archive.images)) for p in archive.images.rglob("*") if p.is_file())


def test_rejections_are_those_planted(output: Output, archive: PlantedArchive) -> None:
    found = {name_of(r): r["reason"] for r in output.rows("images") if r["status"] == "rejected"}
    planted = archive.planted["rejected"]
    assert {n: found.get(n) for n in planted} == planted
    missed = [reason for n, reason in found.items() if n not in planted]
    assert set(missed) <= {"no_face"}
    assert len(missed) <= 0.03 * archive.planted["portraits"]
    account = output.record()["conservation"]
    assert account["listed"] == archive.planted["files"] == account["ok"] + sum(account["rejected"].values())
    assert account["balanced"] is True
    assert sum(account["roles"].values()) == account["faces"] == len(output.rows("faces"))


@pytest.mark.parametrize("table", ANALYST, ids=lambda t: t.name)
def test_table_follows_its_contract(output: Output, table) -> None:  # type: ignore[no-untyped-def]
    found = output.table(table.name)
    assert found.schema.names == table.names
    assert [str(f.type) for f in found.schema] == [str(f.type) for f in arrow_schema(table)]
    assert set(found.column("run_id").to_pylist()) <= {output.current}
    keys = [tuple(str(r[k]) for k in table.key) for r in found.select(list(table.key)).to_pylist()]
    assert len(set(keys)) == len(keys)


def test_no_analyst_table_holds_pixels_embeddings_or_names(output: Output, archive: PlantedArchive) -> None:
    for table in ANALYST:
        assert not any(str(f.type) == "binary" for f in output.table(table.name).schema), table.name
    subjects = {r["value"] for r in output.rows("labels") if r["attribute"] == "subject"}
    assert subjects
    assert not subjects & set(archive.planted["subject_of"].values())


def test_exact_and_near_duplicates(output: Output, archive: PlantedArchive) -> None:
    images = {name_of(r): r for r in output.rows("images")}
    for pair in archive.planted["exact_duplicates"]:
        ids = {images[pair["original"]]["image_id"], images[pair["copy"]]["image_id"]}
        originals = {images[n]["duplicate_of"] for n in pair.values()} - {None}
        assert len(originals) == 1
        assert originals < ids
    assert sum(r["duplicate_of"] is not None for r in images.values()) == len(archive.planted["exact_duplicates"])
    pairs = archive.planted["near_duplicates"]
    together = [
        images[p["original"]]["near_duplicate_group"] == images[p["copy"]]["near_duplicate_group"] is not None
        for p in pairs
    ]
    assert sum(together) >= len(pairs) - 1


def test_odd_files_are_read_upright(output: Output, archive: PlantedArchive) -> None:
    images = {name_of(r): r for r in output.rows("images")}
    assert {images[n]["status"] for n in archive.planted["unusual_but_readable"]} == {"ok"}
    assert images["odd/png_named_jpg.jpg"]["format"] == "png"
    assert images["odd/rotated.jpg"]["exif_orientation"] == 6
    faces = {r["image_id"]: r for r in output.rows("faces")}
    assert abs(faces[images["odd/rotated.jpg"]["image_id"]]["roll_deg"]) < 25


def test_planted_identities_come_back(output: Output, archive: PlantedArchive) -> None:
    clusters = {r["face_id"]: r["cluster_id"] or r["face_id"] for r in output.rows("clusters")}
    images = {name_of(r): r["image_id"] for r in output.rows("images")}
    named = [(s, clusters.get(face_id(images[n], 0))) for n, s in archive.planted["subject_of"].items()]
    known = [(s, c) for s, c in named if c is not None]
    assert len(known) >= 0.95 * len(named)
    assert pairwise_scores([c for _, c in known], [s for s, _ in known]).f1 >= 0.85


def test_two_faces_of_one_image_are_never_together(output: Output) -> None:
    rows = output.rows("clusters")
    shared = Counter((r["image_id"], r["cluster_id"]) for r in rows if r["cluster_id"])
    assert max(Counter(r["image_id"] for r in rows).values()) >= 2
    assert set(shared.values()) == {1}


def test_edges_join_clustered_faces_of_two_images(output: Output) -> None:
    image_of = {r["face_id"]: r["image_id"] for r in output.rows("clusters")}
    edges = output.rows("edges")
    floor = output.record()["stages"]["cluster"]["floor"]["floor"]
    assert edges
    assert all(e["face_a"] < e["face_b"] and image_of[e["face_a"]] != image_of[e["face_b"]] for e in edges)
    assert min(e["similarity"] for e in edges) > floor


def test_balance_of_images_counts_the_labels_file(output: Output, archive: PlantedArchive) -> None:
    with archive.labels.open(newline="") as f:
        rows = list(csv.DictReader(f))
    n_images = archive.planted["files"]
    for attribute in ("skin_tone", "glasses"):
        expected = Counter(r[attribute].strip() for r in rows if r[attribute].strip())
        cells = {
            r["groups"][0]: r for r in output.rows("balance") if r["unit"] == "image" and r["attributes"] == [attribute]
        }
        assert {g: r["n"] for g, r in cells.items() if g is not None} == expected
        assert cells[None]["n"] == n_images - sum(expected.values())
        assert math.isclose(sum(r["share"] for r in cells.values()), 1)
        assert all(r["ci_low"] <= r["share"] <= r["ci_high"] for r in cells.values())


def test_attributes_that_are_labelled_in_part_have_bounds_and_a_plan(output: Output, tmp_path: Path) -> None:
    main = {r["image_id"] for r in output.rows("faces") if r["face_id"] == face_id(r["image_id"], 0)}
    labels: dict[str, dict[str, str]] = {a: {} for a in ATTRIBUTES}
    for r in output.rows("labels"):
        if r["image_id"] in main and r["value"] and r["attribute"] in labels:
            labels[r["attribute"]][r["image_id"]] = r["value"]
    part = {a for a, known in labels.items() if 0 < len(known) < len(main)}
    rows = output.rows("predicted_shares")
    assert {r["attribute"] for r in rows} == part
    for r in (r for r in rows if not r["is_suppressed"]):
        counted = Counter(labels[r["attribute"]].values())
        assert (r["n_labelled"], r["n_used"]) == (counted[r["category"]], len(main))
        assert math.isclose(r["bound_low"], counted[r["category"]] / len(main))
    assert {r["attribute"] for r in output.rows("label_missingness")} == part
    planned, target = min(part), tmp_path / "plan.csv"
    command = ("balance", "--output", output.uri, "--label-budget", "3", "--label-attribute", planned)
    assert facelib(*command, "--to", str(target)) == 0
    plan = list(csv.DictReader(target.open()))
    assert {r["image_id"] for r in plan} <= main - set(labels[planned])
    uris = {r["image_id"]: r["uri"] for r in output.rows("images")}
    assert [f"s3://images/all/{r['key']}" for r in plan] == [uris[r["image_id"]] for r in plan]


def test_losses_chain_from_stage_to_stage(output: Output) -> None:
    rows = output.rows("losses")
    total = [r for r in rows if r["attribute"] is None]
    assert [r["stage"] for r in sorted(total, key=lambda r: -r["n_in"])]
    by_stage = {r["stage"]: r for r in total}
    images = output.rows("images")
    assert by_stage["decode"]["n_in"] == len(images)
    assert by_stage["decode"]["n_out"] == sum(r["n_faces"] is not None for r in images)
    assert by_stage["detect"]["n_out"] == sum((r["n_faces"] or 0) > 0 for r in images)
    assert by_stage["quality"]["n_in"] == by_stage["detect"]["n_out"]
    assert by_stage["cluster"]["n_in"] == by_stage["quality"]["n_out"]


def test_every_check_passed(output: Output) -> None:
    checks = output.rows("checks")
    assert {c["table_name"] for c in checks} >= {"images", "faces", "clusters", "labels", "balance"}
    assert [c for c in checks if not c["success"]] == []


def test_run_record_says_what_was_done(output: Output) -> None:
    record = output.record()
    assert (record["status"], record["exit_code"]) == ("published", 0)
    assert record["config"]["cluster"]["false_edges_per_face"] == 0.04
    assert set(record["stages"]) == {"extract", "images", "embed", "cluster", "labels", "balance", "check", "report"}
    assert record["tables"]["images"]["rows"] == len(output.rows("images"))


def test_the_report_lies_beside_the_tables_and_can_be_made_again(output: Output, tmp_path: Path) -> None:
    page = open_store(output.uri).get(f"runs/{output.current}/report.html")
    assert b"Who is in the archive" in page
    assert facelib("report", "--output", output.uri, "--to", str(tmp_path / "report.html")) == 0
    assert (tmp_path / "report.html").read_bytes() == page


def test_the_documents_lie_beside_it_and_name_the_files_of_the_run(output: Output, tmp_path: Path) -> None:
    store, folder = open_store(output.uri), f"runs/{output.current}"
    for form, name in (("croissant", "croissant.json"), ("datasheet", "datasheet.md")):
        held = store.get(f"{folder}/{name}")
        assert b"s3://" not in held
        assert facelib("report", "--output", output.uri, "--format", form, "--to", str(tmp_path / name)) == 0
        assert (tmp_path / name).read_bytes() == held
    described = json.loads((tmp_path / "croissant.json").read_bytes())
    files = {f["contentUrl"]: f["sha256"] for f in described["distribution"] if f["@type"] == "cr:FileObject"}
    assert files == {
        key.removeprefix(f"{folder}/"): hashlib.sha256(store.get(key)).hexdigest()
        for table in output.record()["tables"].values()
        for key in table["files"]
    }
