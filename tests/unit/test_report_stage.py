"""The report of a run in a store: where it lies, what it is made from, and that it can be made again."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.audit.settings import AuditSettings
from facelib.cli.main import main
from facelib.config import config_dict
from facelib.reports.balance import balance_cells
from facelib.reports.balance_summary import balance_summary
from facelib.reports.conservation import conserve
from facelib.reports.losses import losses
from facelib.spark.context import StageContext
from facelib.spark.pipeline_config import EmbedSettings, PipelineConfig
from facelib.spark.report_stage import report_key, report_stage, run_facts
from facelib.spark.run_record import RunRecord, publish
from facelib.spark.tables import Place
from facelib.storage import ObjectStore, StorageSettings, open_store

pytestmark = pytest.mark.unit

N = 60
SECRET_NAMES = ("s3://faces.example/archive/anna_smith.jpg", "/home/someone/labels.csv", "anna_smith")
CONFIG = PipelineConfig(
    audit=AuditSettings(categories={"gender": ("F", "M", "X")}, min_cell=3),
    embed=EmbedSettings(mirror=False),
    storage=StorageSettings(endpoint_url="http://10.1.2.3:9000"),
)


def tables() -> dict[str, pa.Table]:
    """60 images of 20 people, women on a third of them; the last six have no face."""
    rng = np.random.default_rng(0)
    images = [f"i{k:02d}" for k in range(N)]
    gender = ["F" if k % 3 == 0 else "M" for k in range(N)]
    n_faces = [int(k < 54) for k in range(N)]
    faces = [i for i, n in zip(images, n_faces, strict=True) if n]
    reason = [None if n else "no_face" for n in n_faces]
    clusters = [f"c{k % 20:02d}" for k in range(N) if n_faces[k]]
    labels = pa.table({"gender": gender})
    units = {
        "image": labels,
        "face": labels.filter(pa.array([n > 0 for n in n_faces])),
        "cluster": pa.table({"gender": [gender[k] for k in range(20)]}),
    }
    passed = {name: pa.array(n_faces) for name in ("n_faces", "n_usable", "n_clustered")}
    outcomes = pa.table({"status": ["ok" if n else "rejected" for n in n_faces], "reason": reason, **passed})
    audit = CONFIG.audit
    return {
        "images": pa.table({"image_id": images, "width_px": [640] * N, "height_px": [480] * N}),
        "faces": pa.table(
            {
                "face_id": [f"{i}-0" for i in faces],
                "image_id": faces,
                **{
                    name: rng.uniform(0.2, 0.9, len(faces)).astype(np.float32)
                    for name in ("eye_distance_px", "sharpness", "brightness", "yaw_deg", "pitch_deg", "quality_score")
                },
            }
        ),
        "labels": pa.table(
            {"image_id": images, "attribute": ["gender"] * N, "value": gender, "source": ["declared"] * N}
        ),
        "clusters": pa.table({"face_id": [f"{i}-0" for i in faces], "image_id": faces, "cluster_id": clusters}),
        "balance": balance_cells(units, ["gender"], audit.categories),
        "balance_summary": balance_summary(units, ["gender"], audit.categories),
        "losses": losses(outcomes.append_column("gender", labels.column(0)), ["gender"], audit.categories),
    }


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A run that has passed its checks; nothing of it needs a Spark session."""
    store = open_store(str(tmp_path / "out"))
    arguments = {"labels": SECRET_NAMES[1], "root": "s3://faces.example/archive/", "images": SECRET_NAMES[0]}
    record = RunRecord.begin(SECRET_NAMES[0], arguments, config_dict(CONFIG), "0")
    record.models = {"detector": "mtcnn-9d9362c27bde"}
    faces = int(0.9 * N)
    outcomes = {("ok", None): faces, ("rejected", "no_face"): N - faces}
    record.conservation = conserve(N, outcomes, faces, faces, {"core": faces}).as_dict()
    for name, table in tables().items():
        key, sink = f"runs/{record.run_id}/{name}/part-00000.parquet", io.BytesIO()
        pq.write_table(table, sink)
        store.put(key, sink.getvalue())
        record.tables[name] = {"version": 1, "rows": len(table), "files": {key: len(table)}}
    record.save(store)
    return StageContext(cast(Any, None), CONFIG, Place(store.root, StorageSettings()), record)


def published(context: StageContext) -> str:
    report_stage(context)
    context.record.end("published", 0, "done")
    publish(context.store, context.record)
    return context.store.get(report_key(context.record)).decode()


def report(store: ObjectStore, target: Path | str, *options: str) -> int:
    return main(["report", "--output", store.root, "--to", str(target), *options, "--log", os.devnull])


def test_the_report_lies_beside_the_tables(context: StageContext) -> None:
    page = published(context)
    assert page.startswith("<!DOCTYPE html>")
    record = RunRecord.load(context.store, context.record.run_id)
    assert record.stages["report"]["bytes"] == len(page.encode())
    assert f"{N} images listed = 54 ok + 6 rejected" in page
    assert "No image shows gender = X." in page
    assert "20 clusters hold 54 images" in page
    for chapter in ("shares", "losses", "identities", "measures", "unknown", "provenance"):
        assert f'<h2 id="{chapter}">' in page


def test_settings_that_differ_are_listed_and_those_of_machines_are_not(context: StageContext) -> None:
    names = [name for name, _, _ in run_facts(context.record).settings]
    assert names == ["embed.mirror", "audit.categories", "audit.min_cell"]
    page = published(context)
    assert "embed.mirror" in page
    assert "10.1.2.3" not in page
    assert "mtcnn-9d9362c27bde" in page


def test_a_page_holds_no_address_and_no_name(context: StageContext) -> None:
    page = published(context)
    for secret in (*SECRET_NAMES, "s3:", "faces.example", "http:", "https:", "file:", "i00"):
        assert secret not in page


def test_the_name_of_a_model_file_is_shown_without_its_folder(context: StageContext) -> None:
    context.record.config["detect"] = {"model_path": "/home/someone/yunet.onnx"}
    assert run_facts(context.record).settings[0] == ("detect.model_path", "yunet.onnx", '""')


def test_a_published_run_can_be_reported_on_again(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = published(context)
    target = tmp_path / "again.html"
    assert report(context.store, target) == 0
    assert target.read_text("utf-8") == page
    assert str(target) in capsys.readouterr().out
    assert report(context.store, tmp_path / "named.html", "--run", context.record.run_id) == 0
    assert (tmp_path / "named.html").read_text("utf-8") == page


def test_a_finished_run_is_never_written_to(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = published(context)
    inside = tmp_path / "out" / "runs" / context.record.run_id / "report.html"
    assert report(context.store, inside) == 2
    assert report(context.store, tmp_path / "out" / "new.html") == 2
    assert "inside --output" in capsys.readouterr().err
    assert inside.read_text("utf-8") == page
    assert not (tmp_path / "out" / "new.html").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [("unchecked", "has not been checked yet"), ("no run", "there is no run"), ("folder", "names a folder")],
)
def test_what_cannot_be_reported_on_is_named(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, sentence: str
) -> None:
    if change == "unchecked":
        context.record.conservation = {}
    context.record.save(context.store)
    run_id = "other" if change == "no run" else context.record.run_id
    target = f"{tmp_path}/" if change == "folder" else tmp_path / "r.html"
    assert report(context.store, target, "--run", run_id) == 2
    assert sentence in capsys.readouterr().err


def test_a_run_of_an_earlier_version_can_be_reported_on(context: StageContext) -> None:
    """Settings that it did not know have their defaults, and tables it did not write are left out."""
    context.record.config["audit"].pop("flag_above")
    del context.record.tables["losses"]
    page = published(context)
    assert "more than 1.25 times its share of identities" in page
    assert '<h2 id="losses">' not in page
