"""Clustering through the command line: growth, the user's pairs, copies, calibration, and what is refused."""

from __future__ import annotations

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import ATTRIBUTES, Output, copy_image, facelib, label_options
from pyspark.sql import SparkSession

from facelib.clusters.gallery_file import GALLERY
from facelib.clusters.neighbours import normalise
from facelib.demo.archive import PlantedArchive
from facelib.ids import face_id
from facelib.spark.tables import to_parquet
from facelib.spark.task_engine import TaskEngine

pytestmark = pytest.mark.spark
SHARDS = ("--set", "extract.shard_images=40")


@dataclass(frozen=True)
class Runs:
    """A published run, a published run over a few images more, and an unpublished one of the same images."""

    output: Output
    first: str
    grown: str
    later: frozenset[str]
    unpublished: str

    def cluster(self, *options: str, output: Output | None = None) -> int:
        """`facelib cluster` of the unpublished run."""
        uri = (output or self.output).uri
        return facelib("cluster", "--output", uri, "--run", self.unpublished, *SHARDS, *options)

    def facts(self, run_id: str) -> dict[str, Any]:
        return self.output.record(run_id)["stages"]["cluster"]

    def image_ids(self) -> dict[str, str]:
        """By path below --images."""
        root = self.output.record(self.grown)["arguments"]["root"].rstrip("/") + "/"
        return {row["uri"].removeprefix(root): row["image_id"] for row in self.output.rows("images", self.grown)}

    def by_face(self, run_id: str) -> dict[str, dict[str, Any]]:
        return {row["face_id"]: row for row in self.output.rows("clusters", run_id)}

    def members(self, run_id: str) -> dict[str, frozenset[str]]:
        """Faces of each cluster."""
        found = defaultdict(set)
        for face, row in self.by_face(run_id).items():
            found[row["cluster_id"]].add(face)
        found.pop(None, None)
        return {name: frozenset(faces) for name, faces in found.items()}


def portraits(archive: PlantedArchive) -> dict[str, list[str]]:
    """Ordinary portraits of each person, without those that have copies."""
    copied = {p["original"] for kind in ("exact_duplicates", "near_duplicates") for p in archive.planted[kind]}
    found = defaultdict(list)
    for name, subject in archive.planted["subject_of"].items():
        if "/portrait_" in name and name not in copied:
            found[subject].append(name)
    return found


@pytest.fixture(scope="module")
def runs(spark: SparkSession, archive: PlantedArchive, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Held back at first: the pictures of a person who is on no other one, and one of somebody known."""
    folder = tmp_path_factory.mktemp("cluster_runs")
    elsewhere = {s for pair in archive.planted["group_pictures"].values() for s in pair}
    elsewhere |= {archive.planted["subject_of"][n] for n in archive.planted["subject_of"] if "/portrait_" not in n}
    pictures = portraits(archive)
    newcomer, *others = sorted(set(pictures) - elsewhere, key=lambda subject: (len(pictures[subject]), subject))
    known = others[-1]
    later = [*pictures[newcomer][:2], pictures[known][0]]
    names = [str(p.relative_to(archive.images)) for p in archive.images.rglob("*") if p.is_file()]
    for name in names:
        if name not in later and archive.planted["subject_of"].get(name) != newcomer:
            copy_image(archive, name, folder / "images" / name)
    output = Output(str(folder / "out"))
    given = ("--images", str(folder / "images"), "--output", output.uri, *SHARDS)
    assert facelib("run", *given, *label_options(archive)) == 0
    first = output.current
    for name in later:
        copy_image(archive, name, folder / "images" / name)
    assert facelib("run", *given) == 0
    grown = output.current
    assert facelib("extract", *given) == 0
    (unpublished,) = set(output.runs()) - {first, grown}
    assert facelib("embed", "--output", output.uri, "--run", unpublished, *SHARDS) == 0
    return Runs(output, first, grown, frozenset(later), unpublished)


@pytest.fixture
def unmoved(runs: Runs) -> Iterator[None]:
    yield
    assert runs.output.current == runs.grown


def pairs_file(path: Path, *pairs: tuple[str, str]) -> str:
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("a", "b"), *pairs])
    return str(path)


def together(runs: Runs, archive: PlantedArchive, run_id: str) -> list[list[str]]:
    """Portraits, core in their cluster, of each of the clusters with three or more of them."""
    rows, image_ids, found = runs.by_face(run_id), runs.image_ids(), defaultdict(list)
    for name in sorted(n for names in portraits(archive).values() for n in names if n in image_ids):
        row = rows.get(face_id(image_ids[name], 0))
        if row and row["role"] == "core":
            found[row["cluster_id"]].append(name)
    return [names for names in found.values() if len(names) >= 3]


def test_a_few_new_images_leave_the_clusters_they_do_not_join(runs: Runs) -> None:
    before, now = runs.by_face(runs.first), runs.by_face(runs.grown)
    core = ({f for f, row in rows.items() if row["role"] == "core"} for rows in (before, now))
    gone, new = (lambda a, b: (a - b, b - a))(*core)
    assert not gone
    assert len(new) == len(runs.later) == 3
    facts = runs.facts(runs.grown)
    assert (facts["search"]["added"], facts["previous_run"]) == (len(new), runs.first)
    assert runs.facts(runs.first)["search"]["added"] is None
    assert facts["floor"] == runs.facts(runs.first)["floor"]
    tables = [f"'{runs.output.uri}/runs/{run}/clusters/*.parquet'" for run in (runs.first, runs.grown)]
    untouched, changed = duckdb.sql(f"""
        WITH joined AS (
            SELECT DISTINCT cluster_id FROM {tables[1]} ANTI JOIN {tables[0]} USING (face_id)),
        old AS (
            SELECT cluster_id, list((face_id, role) ORDER BY face_id) AS faces FROM {tables[0]}
            WHERE cluster_id NOT IN (FROM joined) GROUP BY ALL),
        new AS (
            SELECT cluster_id, list((face_id, role) ORDER BY face_id) AS faces FROM {tables[1]} GROUP BY ALL)
        SELECT count(*), count_if(old.faces IS DISTINCT FROM new.faces) FROM old LEFT JOIN new USING (cluster_id)
    """).fetchall()[0]
    assert changed == 0
    assert untouched >= len(runs.members(runs.first)) - 3


def test_lineage_says_what_became_of_every_cluster(runs: Runs) -> None:
    assert runs.output.table("cluster_lineage", runs.first).num_rows == 0
    before, now = runs.members(runs.first), runs.members(runs.grown)
    shared = {(c, p): len(now[c] & before[p]) for c in now for p in before if now[c] & before[p]}
    expected = {(c, None, "born", 0, None, len(now[c])) for c in now if c not in before}
    for (c, p), n in shared.items():
        gained, lost = len(now[c]) - n, len(before[p]) - n
        still = sum(m for (_, other), m in shared.items() if other == p)
        goes_on = "kept" if gained == lost == 0 else "grown" if gained >= lost else "shrunk"
        expected.add(
            (c, p, goes_on if c == p else "merged" if 2 * n > still else "split", n, len(before[p]), len(now[c]))
        )
    columns = ("cluster_id", "previous_cluster_id", "event", "n_shared", "n_previous", "n_current")
    rows = [tuple(row[c] for c in columns) for row in runs.output.rows("cluster_lineage", runs.grown)]
    assert len(rows) == len(expected)
    assert set(rows) == expected
    events = Counter(row[2] for row in rows)
    assert events["kept"] >= len(before) - 2
    assert events["grown"] >= 1
    assert events["born"] >= 1
    assert events["retired"] == events["merged"] == 0
    checks = [c for c in runs.output.rows("checks", runs.grown) if c["table_name"] == "cluster_lineage"]
    assert len(checks) >= 5
    assert all(c["success"] for c in checks)


def test_previous_none_starts_afresh(runs: Runs, unmoved: None) -> None:
    assert runs.cluster("--previous", "none") == 0
    facts = runs.facts(runs.unpublished)
    assert (facts["search"]["added"], facts["previous_run"]) == (None, None)
    assert runs.output.table("cluster_lineage", runs.unpublished).num_rows == 0


def test_another_setting_clusters_anew_and_keeps_ids(runs: Runs, unmoved: None) -> None:
    assert runs.cluster("--set", "cluster.neighbours=70") == 0
    facts = runs.facts(runs.unpublished)
    assert (facts["search"]["added"], facts["previous_run"]) == (None, runs.grown)
    names = {faces: name for name, faces in runs.members(runs.grown).items()}
    same = {faces: name for name, faces in runs.members(runs.unpublished).items() if faces in names}
    assert same == {faces: names[faces] for faces in same}
    assert len(same) > 0.8 * len(names)
    kept = [r for r in runs.output.rows("cluster_lineage", runs.unpublished) if r["event"] == "kept"]
    assert {r["cluster_id"] for r in kept} == set(same.values())


def cohort_file(path: Path, model: str, embeddings: np.ndarray) -> str:
    """A gallery of 240 people whose embeddings lie between those of two faces."""
    rng = np.random.default_rng(1)
    share = rng.uniform(0.3, 0.7, (240, 1))
    first, second = (embeddings[rng.integers(0, len(embeddings), 240)] for _ in range(2))
    between = share * first + (1 - share) * second
    columns = {
        "uri": [f"{i:03d}.jpg" for i in range(240)],
        "subject": [f"s{i:03d}" for i in range(240)],
        "status": ["ok"] * 240,
        "reason": pa.nulls(240, pa.string()),
        "n_faces": [1] * 240,
        "quality_score": np.ones(240, np.float32),
        "model_id": [model] * 240,
        "embedding": list(between.astype(np.float32)),
    }
    path.write_bytes(to_parquet(pa.table(columns), GALLERY))
    return str(path)


def test_an_archive_of_few_people_is_corrected_against_a_given_cohort(
    runs: Runs, unmoved: None, tmp_path: Path
) -> None:
    """Twenty people are too few to draw a cohort from."""
    stored = pa.concat_tables(
        pq.read_table(p, columns=["face_id", "embedding"])
        for p in Path(runs.output.uri).glob("store/embeddings/*/*.parquet")
    )
    unit = dict(zip(stored["face_id"].to_pylist(), normalise(stored["embedding"].to_pylist()), strict=True))
    model = runs.output.record(runs.unpublished)["models"]["embedder"]
    file = cohort_file(tmp_path / "cohort.parquet", model, np.stack(list(unit.values())))

    assert runs.cluster() == 0
    facts = runs.facts(runs.unpublished)
    assert (facts["search"]["cohort"], facts["search"]["added"]) == (0, 0)
    assert (facts["cohort_source"], facts["cohort_digest"], facts["cohort_distance"]) == (None, None, None)

    assert runs.cluster("--cohort", file) == 0  # the published run had none, so all is clustered anew
    given = runs.facts(runs.unpublished)
    assert (given["search"]["cohort"], given["cohort_source"], given["search"]["added"]) == (240, "given", None)
    assert len(given["cohort_digest"]) == 32
    assert given["canary_f"] is None
    rows = runs.by_face(runs.unpublished)
    weight = {face: row["weight"] for face, row in rows.items() if row["role"] == "core"}
    assert len(set(weight.values())) > 0.9 * len(weight)
    assert not any(row["is_cohort"] for row in rows.values())
    edges = runs.output.rows("edges", runs.unpublished)
    expected = [
        1 - (1 - float(unit[e["face_a"]] @ unit[e["face_b"]])) * weight[e["face_a"]] * weight[e["face_b"]]
        for e in edges
    ]
    np.testing.assert_allclose([e["similarity"] for e in edges], expected, atol=1e-5)

    again = ("--previous", runs.unpublished)
    assert runs.cluster("--cohort", file, *again) == 0  # the same cohort: nothing is new
    assert runs.facts(runs.unpublished)["search"] == {**given["search"], "added": 0, "compared": 0}
    assert runs.by_face(runs.unpublished) == rows
    assert runs.cluster(*again) == 0
    assert runs.facts(runs.unpublished)["search"]["added"] is None


def test_an_unknown_previous_run_is_refused(runs: Runs, unmoved: None, capsys) -> None:  # type: ignore[no-untyped-def]
    assert runs.cluster("--previous", "20200101T000000.000Z-00000000") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "there is no run 20200101T000000.000Z-00000000" in line


def test_linked_pairs_are_obeyed(runs: Runs, archive: PlantedArchive, unmoved: None, tmp_path: Path) -> None:
    (a, b, *_), (c, *_), (d, *_) = together(runs, archive, runs.grown)[:3]
    cannot = pairs_file(tmp_path / "cannot.csv", (a, b))
    image_ids = runs.image_ids()
    faces = {name: face_id(image_ids[name], 0) for name in (a, b, c, d)}
    must = pairs_file(tmp_path / "must.csv", (faces[c], faces[d]))
    before = runs.by_face(runs.grown)
    assert runs.cluster("--cannot-link", cannot, "--must-link", must) == 0
    rows = runs.by_face(runs.unpublished)
    assert before[faces[a]]["cluster_id"] == before[faces[b]]["cluster_id"]
    assert rows[faces[a]]["cluster_id"] != rows[faces[b]]["cluster_id"]
    named = {before[faces[name]]["cluster_id"] for name in (c, d)}
    assert len(named) == 2
    (joined,) = {rows[face]["cluster_id"] for face, row in before.items() if row["cluster_id"] in named}
    assert joined in named
    assert runs.facts(runs.unpublished)["search"]["added"] == 0
    events = Counter(r["event"] for r in runs.output.rows("cluster_lineage", runs.unpublished))
    assert (events["merged"], events["retired"]) == (1, 1)
    assert events["born"] == events["split"] >= 1


def test_pairs_that_contradict_or_name_nothing_are_refused(
    runs: Runs, archive: PlantedArchive, unmoved: None, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    a, b, c = together(runs, archive, runs.grown)[0][:3]
    must = pairs_file(tmp_path / "must.csv", (a, b), (b, c))
    cannot = pairs_file(tmp_path / "cannot.csv", (c, a))
    capsys.readouterr()
    assert runs.cluster("--must-link", must, "--cannot-link", cannot) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "cannot.csv, row 1, keeps apart what links file" in line
    assert "must.csv, rows 1 and 2, link" in line
    assert runs.cluster("--must-link", pairs_file(tmp_path / "other.csv", (a, b), (a, "nobody/x.jpg"))) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "other.csv, row 2: column b names no face of this run" in line
    assert "nobody" not in line


def test_copies_join_their_original(runs: Runs, archive: PlantedArchive) -> None:
    rows, image_ids = runs.by_face(runs.first), runs.image_ids()
    group = {r["image_id"]: r["near_duplicate_group"] for r in runs.output.rows("images", runs.first)}
    attached = set()
    for kind in ("exact_duplicates", "near_duplicates"):
        for pair in archive.planted[kind]:
            images = [image_ids[pair[name]] for name in ("original", "copy")]
            if kind == "near_duplicates" and (group[images[0]] is None or group[images[0]] != group[images[1]]):
                continue
            one, other = (rows[face_id(image, 0)] for image in images)
            assert one["cluster_id"] == other["cluster_id"] is not None, pair
            assert sorted((one["role"], other["role"])) == ["attached", "core"], pair
            attached |= {r["face_id"] for r in (one, other) if r["role"] == "attached"}
    facts = runs.facts(runs.first)
    assert facts["copies"] == len(attached) >= 5
    usable = {r["face_id"] for r in runs.output.rows("faces", runs.first) if r["is_usable"]}
    assert {f for f, row in rows.items() if row["role"] == "attached" and f in usable} == attached & usable


def test_threshold_curve_stands_on_the_floor_and_the_counted_pairs(runs: Runs) -> None:
    facts, everything = runs.facts(runs.first), runs.output.table("threshold_curve", runs.first)
    curve = everything.filter(pc.equal(pc.list_value_length(everything.column("attributes")), 0)).sort_by("similarity")
    rows = curve.to_pylist()
    (floor,) = (r for r in rows if r["is_floor"])
    assert floor["similarity"] == facts["floor"]["floor"]
    assert floor["fmr_estimated"] == facts["floor"]["fmr"]
    on_image = Counter(r["image_id"] for r in runs.by_face(runs.first).values() if r["role"] == "core")
    counts = {(r["n_copies"], r["n_same_photograph"]) for r in rows}
    assert counts == {(facts["copies"], sum(n * (n - 1) // 2 for n in on_image.values()))}
    assert floor["n_same_photograph"] > 0
    assert np.all(np.diff(curve.column("similarity").to_numpy()) > 0)
    for name in ("same_photograph", "copies"):
        rate, low, high = (curve.column(f"{name}_{part}").to_numpy() for part in ("rate", "ci_low", "ci_high"))
        assert np.all((low <= rate) & (rate <= high))
        assert np.all(np.diff(rate) <= 0)
    assert np.all(np.diff(curve.column("fmr_estimated").to_numpy()) <= 0)
    assert floor["copies_rate"] > floor["same_photograph_rate"]


def test_threshold_curve_has_every_labelled_group(runs: Runs) -> None:
    labels = {(r["image_id"], r["attribute"]): r["value"] for r in runs.output.rows("labels", runs.first)}
    faces = Counter(
        (attribute, labels.get((row["image_id"], attribute)))
        for name, row in runs.by_face(runs.first).items()
        for attribute in ATTRIBUTES
        if row["role"] == "core" and name.endswith("-0")
    )
    rows = [r for r in runs.output.rows("threshold_curve", runs.first) if r["is_floor"]]
    assert len(rows) == len({(*r["attributes"], *r["groups"]) for r in rows})
    single = {(*r["attributes"], *r["groups"]): r["n_faces"] for r in rows if len(r["attributes"]) == 1}
    assert single == {(a, v): faces[a, v] for (_, a), v in labels.items() if a in ATTRIBUTES and v is not None}
    for a, b in combinations(ATTRIBUTES, 2):
        cells = [r for r in rows if r["attributes"] == [a, b]]
        assert len(cells) == len({v for x, v in single if x == a}) * len({v for x, v in single if x == b})
    unlabelled = [r for r in runs.output.rows("threshold_curve", runs.grown) if r["attributes"]]
    assert unlabelled == []


def test_calibration_on_subjects_needs_labels(runs: Runs, archive: PlantedArchive, unmoved: None, capsys) -> None:  # type: ignore[no-untyped-def]
    asked = ("--set", "cluster.calibrate_on_subjects=true")
    capsys.readouterr()
    assert runs.cluster(*asked) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "cluster.calibrate_on_subjects needs labels" in line
    assert "--labels and --subject" in line
    assert runs.cluster() == 0
    balance = ("balance", "--output", runs.output.uri, "--run", runs.unpublished)
    assert facelib(*balance, *SHARDS, *label_options(archive)) == 0
    assert runs.cluster(*asked) == 0
    facts = runs.facts(runs.unpublished)
    assert (facts["floor"]["method"], facts["search"]["added"]) == ("subjects", None)
    assert 0 < facts["floor"]["floor"] < 1


@pytest.mark.parametrize(("value", "said"), [(0.0, "are zero"), (0.1, "are equal")])
def test_broken_embeddings_are_refused(runs: Runs, tmp_path: Path, capsys, value: float, said: str) -> None:  # type: ignore[no-untyped-def]
    broken = Output(str(shutil.copytree(runs.output.uri, tmp_path / "out")))
    for path in Path(broken.uri).glob("store/embeddings/*/*.parquet"):
        table = pq.read_table(path)
        place = table.schema.get_field_index("embedding")
        same = pa.array([np.full(len(v), value, np.float32) for v in table.column(place).to_pylist()])
        pq.write_table(table.set_column(place, table.schema.field(place), same.cast(table.schema[place].type)), path)
    for options in ((), ("--previous", "none")):
        capsys.readouterr()
        assert runs.cluster(*options, output=broken) == 4
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert said in line
        assert broken.current == runs.grown
        assert (broken.record(runs.unpublished)["status"], broken.record(runs.unpublished)["exit_code"]) == (
            "failed",
            4,
        )


def test_a_floor_that_joins_everything_is_refused(runs: Runs, unmoved: None, capsys) -> None:  # type: ignore[no-untyped-def]
    capsys.readouterr()
    assert runs.cluster("--set", "cluster.floor=-1") == 4
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "at similarity floor -1.000" in line


def test_another_number_of_clusters_is_refused(runs: Runs, unmoved: None, capsys) -> None:  # type: ignore[no-untyped-def]
    capsys.readouterr()
    assert runs.cluster("--previous", runs.first, "--set", "cluster.max_cluster_change=1") == 4
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "beyond cluster.max_cluster_change = 1;" in line


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--set", "cluster.floor=-1"), 4)])
def test_nothing_is_left_in_scratch(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    scratch, seen, close = Path(runs.output.uri) / "scratch", [], TaskEngine.close

    def watched(engine: TaskEngine) -> None:
        seen.extend(p for p in scratch.rglob("*") if p.is_file())
        close(engine)

    monkeypatch.setattr(TaskEngine, "close", watched)
    monkeypatch.setattr("facelib.clusters.neighbours._FEWEST_ROWS", 64)  # so that there are several tasks
    assert runs.cluster("--previous", "none", *options) == code
    assert seen
    assert [p for p in scratch.rglob("*") if p.is_file()] == []


def test_clusters_hold_no_two_faces_of_a_photograph(runs: Runs) -> None:
    for faces in runs.members(runs.grown).values():
        assert all(a.rpartition("-")[0] != b.rpartition("-")[0] for a, b in combinations(sorted(faces), 2))


def test_the_record_keeps_the_settings_that_made_the_clusters(runs: Runs, archive: PlantedArchive) -> None:
    """A later run continues clusters only when the settings that made them are its own."""
    assert runs.cluster("--set", "cluster.neighbours=70") == 0
    assert runs.output.record(runs.unpublished)["stages"]["cluster"]["settings"]["neighbours"] == 70
    balance = ("balance", "--output", runs.output.uri, "--run", runs.unpublished)
    assert facelib(*balance, *SHARDS, *label_options(archive)) == 0
    assert runs.output.record(runs.unpublished)["stages"]["cluster"]["settings"]["neighbours"] == 70


def test_groups_counted_in_tasks_are_those_counted_on_the_driver(
    runs: Runs, archive: PlantedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance = ("balance", "--output", runs.output.uri, "--run", runs.unpublished, *label_options(archive))
    assert runs.cluster() == 0
    assert facelib(*balance, *SHARDS) == 0
    names = ("balance", "balance_summary", "losses")
    expected = {name: runs.output.rows(name, runs.unpublished) for name in names}
    assert all(len(rows) > 4 for rows in expected.values())
    monkeypatch.setattr("facelib.spark.audit_units.DRIVER_IMAGES", 0)
    assert facelib(*balance, *SHARDS) == 0
    assert {name: runs.output.rows(name, runs.unpublished) for name in names} == expected
