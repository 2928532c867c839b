"""Enrolment and search through the command line, with damaged and missing images among both."""

from __future__ import annotations

import csv
import stat
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from conftest import ServedArchive, facelib
from pyspark.sql import SparkSession

from facelib.clusters.candidates import CANDIDATES
from facelib.demo.archive import PlantedArchive

pytestmark = pytest.mark.spark

ENROLLED, IMAGES_EACH = 12, 2
SMALL_TASKS = ("--set", "extract.shard_images=20")


class Plan:
    """Who is enrolled with which images, and which images are probes."""

    def __init__(self, archive: PlantedArchive) -> None:
        of: dict[str, list[str]] = {}
        for name, subject in sorted(archive.planted["subject_of"].items()):
            if "portrait" in name:
                of.setdefault(subject, []).append(name)
        known = sorted(of)[:ENROLLED]
        self.images = archive.images
        self.gallery = [(name, subject) for subject in known for name in of[subject][:IMAGES_EACH]]
        self.mated = {name: subject for subject in known for name in of[subject][IMAGES_EACH:]}
        self.non_mated = [name for subject in sorted(of)[ENROLLED:] for name in of[subject]]
        self.rejected = dict(archive.planted["rejected"]) | {"gone.jpg": "not_found"}

    def uri(self, name: str) -> str:
        return f"file://{self.images / name}"


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture(scope="module")
def plan(archive: PlantedArchive) -> Plan:
    return Plan(archive)


@pytest.fixture(scope="module")
def gallery(spark: SparkSession, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enrolled from a table that also names an image without a face and one that is not there."""
    folder = tmp_path_factory.mktemp("gallery")
    rubbish = [("scenery/gradient.jpg", "s-no-face"), ("gone.jpg", plan.gallery[0][1])]
    rows = [(str(plan.images / name), subject) for name, subject in [*plan.gallery, *rubbish]]
    table = write_table(folder / "enrol.csv", ("uri", "person"), rows)
    target = folder / "gallery.parquet"
    assert facelib("enrol", "--images", table, "--subject", "person", "--output", str(target), *SMALL_TASKS) == 0
    return target


@pytest.fixture(scope="module")
def probes(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> str:
    names = [*plan.mated, *plan.non_mated, *plan.rejected]
    folder = tmp_path_factory.mktemp("probes")
    return write_table(folder / "probes.csv", ("uri",), [(str(plan.images / n),) for n in names])


@pytest.fixture(scope="module")
def found(gallery: Path, probes: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    target = tmp_path_factory.mktemp("found") / "found.parquet"
    command = ("identify", "--gallery", str(gallery), "--probes", probes, "--output", str(target), "--top", "3")
    assert facelib(*command, *SMALL_TASKS) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    return pq.read_table(target).to_pylist()  # type: ignore[no-any-return]


def test_every_enrolled_image_is_in_the_gallery_with_what_became_of_it(gallery: Path, plan: Plan) -> None:
    rows = {r["uri"]: r for r in pq.read_table(gallery).to_pylist()}
    names = {plan.uri(name): subject for name, subject in plan.gallery}
    assert set(rows) == set(names) | {plan.uri("gone.jpg"), plan.uri("scenery/gradient.jpg")}
    reasons = {uri: r["reason"] for uri, r in rows.items() if uri not in names}
    assert sorted(reasons.values()) == ["no_face", "not_found"]
    assert {uri: rows[uri]["subject"] for uri in names} == names
    with_face = [r for r in rows.values() if r["embedding"] is not None]
    assert len(with_face) >= 0.9 * len(names)
    assert all(len(r["embedding"]) == 128 and r["status"] == "ok" for r in with_face)
    assert stat.S_IMODE(gallery.stat().st_mode) == 0o600


def test_every_probe_ends_in_a_row_and_each_rejected_one_in_its_reason(found: list[dict[str, Any]], plan: Plan) -> None:
    listed = {plan.uri(name) for name in [*plan.mated, *plan.non_mated, *plan.rejected]}
    assert {r["uri"] for r in found} == listed
    reasons = {r["uri"]: r["reason"] for r in found if r["status"] == "rejected"}
    for name, reason in plan.rejected.items():
        assert reasons[plan.uri(name)] == reason
    for row in found:
        is_whole = row["subject"] is not None and row["similarity"] is not None
        assert is_whole == (row["face_index"] is not None) == (row["status"] == "ok")
    faces: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in (r for r in found if r["rank"]):
        faces.setdefault((row["uri"], row["face_index"]), []).append(row)
    for rows in faces.values():
        assert [r["rank"] for r in rows] == [1, 2, 3]
        assert [r["similarity"] for r in rows] == sorted((r["similarity"] for r in rows), reverse=True)
        assert rows[0]["decision"] == ("identified" if rows[0]["similarity"] > rows[0]["threshold"] else "unknown")
        assert [r["decision"] for r in rows[1:]] == [None, None]


def test_enrolled_people_are_found_and_others_mostly_unknown(found: list[dict[str, Any]], plan: Plan) -> None:
    subject_of = {plan.uri(name): subject for name, subject in plan.mated.items()}
    first = [r for r in found if r["rank"] == 1 and r["face_index"] == 0]
    mated = [r for r in first if r["uri"] in subject_of]
    right = [r for r in mated if r["subject"] == subject_of[r["uri"]]]
    assert len(mated) >= 0.9 * len(subject_of)
    assert len(right) >= 0.9 * len(mated)
    assert sum(r["decision"] == "identified" for r in right) >= 0.8 * len(right)
    strangers = [r for r in first if r["uri"] in {plan.uri(name) for name in plan.non_mated}]
    assert strangers
    assert sum(r["decision"] == "identified" for r in strangers) <= 0.3 * len(strangers)


def test_a_prefix_in_s3_searched_by_machines_into_a_csv_file(
    s3: ServedArchive, gallery: Path, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    source = tmp_path / "few"
    names = [next(iter(plan.mated)), "damaged/zero_bytes.jpg"]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((plan.images / name).read_bytes())
    s3.server.upload_folder(source, "images", "probes")
    target = tmp_path / "found.csv"
    command = ("identify", "--gallery", str(gallery), "--probes", "s3://images/probes", "--output", str(target))
    assert facelib(*command, "--method", "svm", "--threshold", "-0.5") == 0
    said = capsys.readouterr().out
    assert "2 probe images, 1 of them without a face" in said
    assert "threshold -0.5000: as given" in said
    rows = pacsv.read_csv(target, convert_options=pacsv.ConvertOptions(strings_can_be_null=True)).to_pylist()
    assert list(rows[0]) == CANDIDATES.names
    by_uri = {r["uri"]: r for r in rows}
    assert by_uri["s3://images/probes/damaged/zero_bytes.jpg"]["reason"] == "empty"
    assert by_uri[f"s3://images/probes/{names[0]}"]["subject"] == plan.mated[names[0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "embed.mirror=false"], "embed.model and embed.mirror ask for"),
        (["--fpir", "0.01"], "less than one of the gallery's 12 searches"),
        (["--fpir", "2"], "--fpir is 2"),
    ],
)
def test_wrong_options_of_identify_say_so(
    gallery: Path, probes: str, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "found.csv"
    command = ("identify", "--gallery", str(gallery), "--probes", probes, "--output", str(target))
    assert facelib(*command, *options) == 2
    assert message in capsys.readouterr().err
    assert not target.exists()


def test_a_gallery_that_is_not_one_or_not_there(
    probes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("identify", "--probes", probes, "--output", str(tmp_path / "found.csv"), "--gallery")
    assert facelib(*command, probes) == 2
    assert "is not a gallery" in capsys.readouterr().err
    assert facelib(*command, str(tmp_path / "gone.parquet")) == 5


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([("a.jpg", "")], 2, "1 rows without a value in person"),
        ([("a.jpg", "ann"), ("./a.jpg", "bo")], 2, "names one image twice with different subjects"),
        ([("a.jpg", "ann"), ("a.jpg", "bo")], 2, "conflicting rows"),
        ([("a.jpg", "ann")], 4, "none of the 1 images has a face"),
    ],
)
def test_a_table_that_cannot_be_enrolled(
    spark: SparkSession,
    tmp_path: Path,
    rows: list[tuple[str, ...]],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = write_table(tmp_path / "t.csv", ("uri", "person"), rows)
    target = tmp_path / "gallery.parquet"
    assert facelib("enrol", "--images", table, "--subject", "person", "--output", str(target)) == code
    assert message in capsys.readouterr().err
    assert not target.exists()
