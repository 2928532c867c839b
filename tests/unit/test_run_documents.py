"""croissant.json and datasheet.md of a small run: validated, loaded, rendered, and read for what must not be there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from contract_rows import rows_of, write_run
from markdown_it import MarkdownIt
from report_specimen import Specimen, report_input

from facelib.audit.settings import AuditSettings
from facelib.cli.main import main
from facelib.config import config_dict
from facelib.reports.conservation import conserve
from facelib.reports.croissant import CONFORMS_TO, FilePart, TableFiles, croissant
from facelib.reports.datasheet import ArchiveFacts, datasheet
from facelib.reports.datasheet_questions import QUESTIONS
from facelib.reports.html.page import report_page
from facelib.reports.markdown import md
from facelib.reports.run_words import NOT_KNOWN, RunWords
from facelib.spark.context import StageContext
from facelib.spark.evaluation import FinishedRun
from facelib.spark.pipeline_config import PipelineConfig
from facelib.spark.report_stage import report_stage, run_report
from facelib.spark.run_record import RunRecord, publish
from facelib.spark.tables import Place
from facelib.storage import StorageSettings, open_store
from schemas.audit_tables import BALANCE, BALANCE_SUMMARY, LOSSES
from schemas.tables import CHECKS, CLUSTERS, EDGES, FACES, IMAGES, LABELS, TABLES

pytestmark = pytest.mark.unit

SECRETS = ("s3://faces.example/archive", "anna_smith", "/home/someone", "10.1.2.3", "subject.key")
SPECIMEN = Specimen(people=40, images=3, groups={"gender": ("F", "M", "X")}, shares={("gender", "X"): 0.0}, min_cell=4)
N = 120
CONFIG = PipelineConfig(
    audit=AuditSettings(categories={"gender": ("F", "M", "X")}, min_cell=4),
    storage=StorageSettings(endpoint_url="http://10.1.2.3:9000"),
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A run that has passed its checks; `images` has two files."""
    store = open_store(str(tmp_path_factory.mktemp("documents") / "out"))
    place = Place(store.root, StorageSettings())
    arguments = {"labels": "/home/someone/labels.csv", "root": "s3://faces.example/archive/"}
    record = RunRecord.begin("s3://faces.example/archive", arguments, config_dict(CONFIG), "0")
    record.models = {"detector": "mtcnn-9d9362c27bde"}
    record.stages["cluster"] = {"floor": {"floor": 0.945, "method": "tail"}, "cohort_source": "archive"}
    images = [
        {
            "image_id": f"i{k:03d}",
            "uri": f"s3://faces.example/archive/anna_smith/{k}.jpg",
            "phash": None if k == 5 else k,
            "width_px": 640,
            "height_px": 480,
            "duplicate_of": "i000" if k in (7, 8) else None,
            "status": "ok" if k < 110 else "rejected",
            "reason": None if k < 110 else "no_face",
            "n_faces": int(k < 110),
        }
        for k in range(N)
    ]
    with_face = [row["image_id"] for row in images if row["n_faces"]]
    face = {"box_width_px": 90.0, "box_height_px": 90.0, "is_usable": True, "quality_score": 0.8}
    clusters = [
        {"face_id": f"{i}-0", "image_id": i, "cluster_id": f"c{k % 40}", "cluster_size": 3}
        for k, i in enumerate(with_face)
    ]
    labels = [{"image_id": r["image_id"], "attribute": "gender", "value": "FM"[k % 2]} for k, r in enumerate(images)]
    labels += [{"image_id": r["image_id"], "attribute": "subject", "value": "s0"} for r in images]
    record.conservation = conserve(
        N, {("ok", None): 110, ("rejected", "no_face"): 10}, 110, 110, {"core": 110}
    ).as_dict()
    made = report_input(SPECIMEN).tables
    check = {"suite": "s", "table_name": "images", "expectation": "e", "severity": "critical", "success": True}
    tables = {
        IMAGES: [rows_of(IMAGES, images[:70]), rows_of(IMAGES, images[70:])],
        FACES: [rows_of(FACES, [{"face_id": f"{i}-0", "image_id": i, **face} for i in with_face])],
        LABELS: [rows_of(LABELS, labels)],
        CLUSTERS: [rows_of(CLUSTERS, clusters)],
        EDGES: [rows_of(EDGES, [])],
        BALANCE: [with_run(made["balance"])],
        BALANCE_SUMMARY: [with_run(made["balance_summary"])],
        LOSSES: [with_run(made["losses"])],
        CHECKS: [rows_of(CHECKS, [check])],
    }
    write_run(place, record, tables)
    context = StageContext(cast(Any, None), CONFIG, place, record)
    report_stage(context)
    record.end("published", 0, "done")
    publish(store, record)
    return context


def with_run(table: pa.Table) -> pa.Table:
    return table.append_column("run_id", pa.array(["r"] * len(table)))


def run_of(context: StageContext) -> FinishedRun:
    return FinishedRun(context.store, context.place, context.record)


def folder(context: StageContext) -> Path:
    return Path(context.place.uri.removeprefix("file://")) / "runs" / context.record.run_id


def text(context: StageContext, name: str) -> str:
    return (folder(context) / name).read_text("utf-8")


def document(context: StageContext) -> dict[str, Any]:
    return json.loads(text(context, "croissant.json"))


@pytest.fixture(scope="module")
def dataset(context: StageContext) -> Any:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    return mlc.Dataset(str(folder(context) / "croissant.json"))


def test_the_croissant_is_valid(context: StageContext, dataset: Any) -> None:
    """Errors raise; warnings are of what the run cannot know."""
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert {w.split('"')[1].rpartition("/")[2] for w in issues.warnings} <= {"citeAs", "datePublished", "version"}
    assert dataset.metadata.ctx.conforms_to.value == CONFORMS_TO[0]
    assert {r.id for r in dataset.metadata.record_sets} == set(context.record.tables)
    assert dataset.metadata.data_biases == document(context)["rai:dataBiases"]


def test_record_sets_are_loaded_from_the_files_beside_it(context: StageContext, dataset: Any) -> None:
    for table in (IMAGES, LABELS, BALANCE, CLUSTERS, LOSSES):
        rows = list(dataset.records(table.name))
        assert len(rows) == context.record.tables[table.name]["rows"]
        assert {key.partition("/")[2] for key in rows[0]} == set(table.names)
    images = {r["images/image_id"].decode(): r for r in dataset.records("images")}
    assert images["i007"]["images/duplicate_of"] == b"i000"
    assert images["i006"]["images/duplicate_of"] is None
    assert images["i119"]["images/phash"] == 119
    assert images["i000"]["images/modified_at"] is None
    shares = [r["balance/share"] for r in dataset.records("balance")]
    stored = [
        None if s is None else pytest.approx(s) for s in report_input(SPECIMEN).tables["balance"]["share"].to_pylist()
    ]
    assert shares == stored
    assert [b"gender"] in [r["balance/attributes"] for r in dataset.records("balance")]


def test_a_changed_file_is_noticed(context: StageContext, tmp_path: Path) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    for path in folder(context).rglob("*.*"):
        copy = tmp_path / path.relative_to(folder(context))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    labels = tmp_path / document(context)["distribution"][-1]["contentUrl"]
    labels.write_bytes(labels.read_bytes() + b" ")
    with pytest.raises(mlc.GenerationError):
        list(mlc.Dataset(str(tmp_path / "croissant.json")).records(labels.parent.name))


def test_fields_are_those_of_the_contracts(context: StageContext) -> None:
    for record_set in document(context)["recordSet"]:
        table = TABLES[record_set["name"]]
        assert [f["source"]["extract"]["column"] for f in record_set["field"]] == table.names
        assert [k["@id"] for k in record_set["key"]] == [f"{table.name}/{k}" for k in table.key]
        for column, field in zip(table, record_set["field"], strict=True):
            assert field["description"].startswith(column.meaning)
            assert ("isArray" in field) == column.type.value.startswith("list")


def test_what_is_not_known_is_absent_or_said(context: StageContext) -> None:
    found = document(context)
    assert "not stated" in found["license"]["name"]
    for name in ("creator", "url", "citeAs", "datePublished", "rai:annotatorDemographics", "rai:dataSocialImpact"):
        assert name not in found
    assert "not known to the run" in found["rai:dataCollection"]
    assert "gender" in found["rai:dataAnnotationProtocol"]
    assert "given by the labels file" in found["rai:dataAnnotationProtocol"]
    assert "10 no_face" in found["rai:dataCollectionMissingData"]
    assert any("No image shows gender = X" in bias for bias in found["rai:dataBiases"])


@pytest.mark.parametrize("name", ["croissant.json", "datasheet.md"])
def test_documents_hold_no_address_no_name_and_no_key_of_an_image(context: StageContext, name: str) -> None:
    held = text(context, name)
    for secret in (*SECRETS, "i007", "c39", "/tmp", str(folder(context))):
        assert secret not in held
    assert context.record.run_id in held


def test_datasheet_answers_every_question(context: StageContext) -> None:
    lines = text(context, "datasheet.md").splitlines()
    assert [line[3:] for line in lines if line.startswith("## ")] == list(QUESTIONS)
    asked = [line[4:] for line in lines if line.startswith("### ")]
    assert asked == [q for part in QUESTIONS.values() for q in part.values()]
    held = "\n".join(lines)
    assert "120 images listed = 110 ok + 10 rejected" in held
    assert "Images that repeat the bytes of another: 2" in held
    assert held.count(NOT_KNOWN) > 20
    assert "under which licence" in held


def test_datasheet_renders_cleanly(context: StageContext) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(text(context, "datasheet.md"))
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert len(headings) == 1 + len(QUESTIONS) + sum(map(len, QUESTIONS.values()))
    tables = [t for t in tokens if t.type == "table_open"]
    assert len(tables) == 4
    assert not [t for t in tokens if t.type in ("html_block", "code_block", "fence")]
    shown = "".join(c.content for t in tokens if t.type == "inline" for c in t.children or () if c.type == "text")
    assert "\\" not in shown
    assert "|" not in shown
    for row in rows_in(tokens):
        assert len(row) in (2, 3, 4)


def rows_in(tokens: list[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(tokens[i + 1].content)
    return rows


def test_the_shares_of_the_datasheet_are_those_of_the_balance(context: StageContext) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(text(context, "datasheet.md"))
    rows = {row[0]: row[1:] for row in rows_in(tokens)}
    for row in report_input(SPECIMEN).rows("balance"):
        at = ("image", "face", "cluster").index(row["unit"])
        cell = rows["no label" if row["groups"] == [None] else row["groups"][0]][at]
        assert cell.split(" · ")[0] == ("withheld" if row["is_suppressed"] else f"{row['n']:,}")


def words_of(specimen: Specimen) -> RunWords:
    return RunWords(report_input(specimen), {"gender": ("declared",), "subject": ("declared",)})


def test_withheld_figures_stay_withheld() -> None:
    specimen = Specimen(
        people=200, images=1, groups={"gender": ("F", "M", "X", "Y")}, exact={("gender", "X"): 2}, min_cell=5
    )
    words = words_of(specimen)
    rows = {r["groups"][0]: r for r in words.data.rows("balance") if r["unit"] == "image"}
    assert rows["X"]["is_suppressed"]
    shown = dict(words.shares("gender"))
    assert shown["X"][0] == "withheld"
    sheet = datasheet(words, [], ArchiveFacts())
    assert "withheld" in sheet
    hidden = [group for group, row in rows.items() if row["is_suppressed"]]
    assert len(hidden) > 1
    assert all(shown["no label" if g is None else g][0] == "withheld" for g in hidden)


def test_missing_labels_stay_withheld() -> None:
    """They stand in for a group of three, whose number would follow from theirs."""
    groups, few = {"gender": ("F", "M", "X")}, {("gender", "X"): 3}
    specimen = Specimen(people=400, images=1, groups=groups, exact=few, missing={"gender": 0.02}, min_cell=5)
    words = words_of(specimen)
    row = next(r for r in words.data.rows("balance") if r["unit"] == "image" and r["groups"] == [None])
    assert row["is_suppressed"]
    assert "gender: withheld images" in words.missing()
    assert "images without a value: withheld" in words.labels()[0]


def test_a_run_without_labels_says_so() -> None:
    words = RunWords(report_input(Specimen(people=60, groups={})), {})
    made = json.loads(croissant(words, []))
    assert made["rai:dataAnnotationProtocol"] == "The run has no labels."
    assert "rai:annotationsPerItem" not in made
    sheet = datasheet(words, [], ArchiveFacts())
    assert "nothing is known about groups of people" in sheet


def test_a_table_of_an_earlier_version_has_the_fields_it_holds() -> None:
    part = FilePart("balance/part-00000.parquet", "0" * 64, 10, 3)
    columns = tuple(c for c in BALANCE if c.name in ("unit", "groups", "n"))
    made = json.loads(croissant(words_of(SPECIMEN), [TableFiles(BALANCE, columns, (part,))]))
    assert [f["name"] for f in made["recordSet"][0]["field"]] == ["balance/unit", "balance/groups", "balance/n"]
    assert [k["@id"] for k in made["recordSet"][0]["key"]] == ["balance/unit", "balance/groups"]


def test_markdown_is_shown_as_it_is() -> None:
    for given in ("a|b", "*x*", "<b>", "`c`", "[t](u)", "age_band_x", "# h", "a & b", "~~s~~", "back\\slash", "!x"):
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"x {md(given)}")
        assert "".join(c.content for c in tokens[1].children or ()) == f"x {given}"
    assert md("two\nlines") == "two lines"


def test_documents_are_made_again_the_same(
    context: StageContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, name in (("croissant", "croissant.json"), ("datasheet", "datasheet.md"), ("html", "report.html")):
        target = tmp_path / name
        options = ["--format", form, "--log", os.devnull]
        assert main(["report", "--output", context.place.uri, "--to", str(target), *options]) == 0
        assert target.read_text("utf-8") == text(context, name) == run_report(run_of(context), form)
    assert "datasheet of run" in capsys.readouterr().out


def test_the_report_is_what_it_was(context: StageContext) -> None:
    assert text(context, "report.html").startswith("<!DOCTYPE html>")
    assert report_page(report_input(SPECIMEN)).startswith("<!DOCTYPE html>")
