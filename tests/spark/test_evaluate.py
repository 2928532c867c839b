"""A run on the planted archive compared with its subjects, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Output, facelib, label_options
from pyspark.sql import SparkSession
from sklearn.metrics.cluster import pair_confusion_matrix

from facelib.demo.archive import PlantedArchive
from facelib.demo.findings import findings, queries
from facelib.reports.verification import balanced_folds, cross_validated

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def output(spark: SparkSession, archive: PlantedArchive, tmp_path_factory: pytest.TempPathFactory) -> Output:
    folder = tmp_path_factory.mktemp("evaluate") / "out"
    command = ("run", "--images", str(archive.images), "--output", str(folder), *label_options(archive))
    assert facelib(*command, "--set", "extract.shard_images=40") == 0
    return Output(str(folder))


@pytest.fixture(autouse=True)
def _no_session(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation must start no Spark session."""

    def refuse(*_: Any) -> None:
        raise AssertionError("an evaluation started a Spark session")

    monkeypatch.setattr("facelib.spark.session.build_session", refuse)
    monkeypatch.setattr("facelib.spark.session.session", refuse)


def labels(archive: PlantedArchive, **changes: str) -> list[str]:
    given = {"labels": str(archive.labels), "label-key": "file", "subject": "subject"} | {
        name.replace("_", "-"): value for name, value in changes.items()
    }
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def main_faces(output: Output, archive: PlantedArchive) -> list[dict[str, Any]]:
    """Main face of every labelled image with one: face_id, its row in `clusters`, and the label row by column."""
    with archive.labels.open(newline="", encoding="utf-8") as f:
        by_file = {row["file"]: row for row in csv.DictReader(f)}
    images = {r["image_id"]: r for r in output.rows("images")}
    found = []
    for row in output.rows("clusters"):
        image = images[row["image_id"]]
        label = by_file.get(image["uri"].rpartition("/images/")[2])
        if label and row["face_id"] == f"{row['image_id']}-0":
            found.append(label | row | {"original": image["duplicate_of"] or row["image_id"]})
    return found


def embeddings(output: Output) -> dict[str, np.ndarray]:
    rows = pa.concat_tables(map(pq.read_table, Path(output.uri).glob("store/embeddings/*/*.parquet"))).to_pylist()
    return {r["face_id"]: np.array(r["embedding"]) / np.linalg.norm(r["embedding"]) for r in rows}


def test_clusters_agree_with_counting_on_the_tables(
    output: Output, archive: PlantedArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "figures.json"
    given = [*labels(archive), "--attributes", "glasses"]
    assert facelib("evaluate", "clusters", "--output", output.uri, *given, "--json", str(target)) == 0
    text, figures = capsys.readouterr().out, json.loads(target.read_text())
    faces = main_faces(output, archive)
    clusters = [f["cluster_id"] or f["face_id"] for f in faces]
    subjects = [f["subject"] for f in faces]
    (_, wrong), (missed, right) = pair_confusion_matrix(subjects, clusters)
    assert figures["pairwise"]["precision"] == pytest.approx(right / (right + wrong))
    assert figures["pairwise"]["recall"] == pytest.approx(right / (right + missed))
    assert (figures["n_faces"], figures["n_subjects"]) == (len(faces), len(set(subjects)))
    assert (figures["n_clusters"], figures["n_noise"]) == (
        len(set(clusters)),
        sum(f["cluster_id"] is None for f in faces),
    )
    assert figures["cluster_ratio"] == pytest.approx(len(set(clusters)) / len(set(subjects)))
    groups = {g["group"]: g for g in figures["groups"]["glasses"]}
    assert {name or "": g["n_faces"] for name, g in groups.items()} == {
        value: sum(f["glasses"] == value for f in faces) for value in {f["glasses"] for f in faces}
    }
    assert figures["n_label_rows_without_image"] == 0
    assert f"{len(faces)} main faces of {len(set(subjects))} subjects" in text
    assert f"{figures['pairwise']['f1']:.3f}" in text
    assert not any(subject in text + target.read_text() for subject in set(subjects))


def test_labels_of_the_run_give_the_same_figures(output: Output, archive: PlantedArchive, tmp_path: Path) -> None:
    files = [tmp_path / "from_file.json", tmp_path / "from_run.json"]
    for file, given in zip(files, (labels(archive), []), strict=True):
        command = ("evaluate", "clusters", "--output", output.uri, *given, "--attributes", "glasses,skin_tone")
        assert facelib(*command, "--json", str(file)) == 0
    from_file, from_run = (json.loads(f.read_text()) for f in files)
    assert from_file.pop("labels") != from_run.pop("labels")
    assert from_file == from_run


def test_verification_agrees_with_comparing_pair_by_pair(
    output: Output, archive: PlantedArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    options = ("--fmr", "0.01,1e-6", "--resamples", "50", "--json", str(target))
    assert facelib("evaluate", "verification", "--output", output.uri, *labels(archive), *options) == 0
    text, figures = capsys.readouterr().out, json.loads(target.read_text())
    faces = main_faces(output, archive)
    distinct = list({f["original"]: f for f in sorted(faces, key=lambda f: f["face_id"], reverse=True)}.values())
    assert 0 < figures["n_copies"] == len(faces) - len(distinct)
    whole = [r for r in output.rows("error_rates") if r["attribute"] is None]
    assert {(r["n_faces"], r["n_subjects"]) for r in whole} == {(len(distinct), len({f["subject"] for f in distinct}))}
    unit = embeddings(output)
    pairs = [(a["subject"] == b["subject"], a["face_id"], b["face_id"]) for a, b in combinations(distinct, 2)]
    mated, non_mated = (np.array([unit[a] @ unit[b] for same, a, b in pairs if same == kind]) for kind in (True, False))
    assert (figures["n_mated"], figures["n_non_mated"]) == (len(mated), len(non_mated))
    point, not_supported = figures["points"]
    threshold = np.sort(non_mated)[::-1][int(0.01 * len(non_mated))]
    assert point["threshold"] == pytest.approx(threshold, abs=1e-6)
    assert point["tmr"] == pytest.approx((mated > threshold).mean(), abs=1.5 / len(mated))
    assert point["tmr_ends"][0] <= point["tmr"] <= point["tmr_ends"][1]
    assert (not_supported["tmr"], not_supported["threshold"], not_supported["is_supported"]) == (None, None, False)
    assert "FMR 1e-06 is not supported by the data" in text
    assert figures["pairs"] is None


def test_the_demo_compares_the_run_with_what_was_planted(output: Output, archive: PlantedArchive) -> None:
    root = output.record()["arguments"]["root"]
    found = findings(archive.planted, Path(output.uri), output.current, root)
    assert [f for f in found if f.agrees is False] == []
    assert sum(f.agrees is True for f in found) >= 7
    assert all(duckdb.sql(sql).fetchall() for _, sql in queries(Path(output.uri), output.current))


def test_pairs_file_is_cross_validated(output: Output, archive: PlantedArchive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    """The archive as LFW would name it: the same run, its images listed under other names."""
    copied = tmp_path / "out"
    shutil.copytree(output.uri, copied)
    faces = sorted(main_faces(output, archive), key=lambda f: f["face_id"])
    number: dict[str, int] = {}
    name_of = {}
    for face in faces:
        number[face["subject"]] = number.get(face["subject"], 0) + 1
        name_of[face["image_id"]] = (face["subject"], number[face["subject"]])
    part = next((copied / "runs" / output.current / "images").glob("*.parquet"))
    table = pq.read_table(part)
    root = output.record()["arguments"]["root"]
    uris = [
        root + "{0}/{0}_{1:04d}.jpg".format(*name_of[i]) if i in name_of else u
        for i, u in zip(*(table.column(c).to_pylist() for c in ("image_id", "uri")), strict=True)
    ]
    pq.write_table(table.set_column(table.column_names.index("uri"), "uri", pa.array(uris)), part)
    several = [s for s in number if number[s] > 1]
    others = list(zip(several, several[1:] + several[:1], strict=True))
    lines = [f"{s}\t1\t2" for s in several] + [f"{a}\t1\t{b}\t2" for a, b in others]
    (tmp_path / "pairs.txt").write_text("\n".join([f"1\t{len(several)}", *lines]) + "\n")
    target = tmp_path / "figures.json"
    options = ("--pairs", str(tmp_path / "pairs.txt"), "--resamples", "5", "--json", str(target))
    assert facelib("evaluate", "verification", "--output", str(copied), *options) == 0
    found = json.loads(target.read_text())["pairs"]
    assert (found["n_pairs"], found["n_mated"], found["folds"]) == (2 * len(several), len(several), 10)
    assert (found["n_not_listed"], found["n_without_face"]) == (0, 0)
    unit = embeddings(output)
    vector = {name_of[f["image_id"]]: unit[f["face_id"]] for f in faces}
    scores = [vector[s, 1] @ vector[s, 2] for s in several] + [vector[a, 1] @ vector[b, 2] for a, b in others]
    is_mated = np.arange(len(scores)) < len(several)
    expected = cross_validated(np.array(scores), is_mated, balanced_folds(is_mated))
    assert found["accuracy"] == pytest.approx(expected.mean)
    assert found["standard_error"] == pytest.approx(expected.standard_error)
    assert found["threshold"] == pytest.approx(expected.threshold, abs=1e-6)
    assert f"accuracy {found['accuracy']:.4f}" in capsys.readouterr().out


def test_a_sample_of_subjects_is_stated(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--max-faces", "60", "--seed", "4", "--resamples", "5")
    assert facelib("evaluate", "verification", "--output", output.uri, *options) == 0
    assert "faces left out by drawing subjects with seed 4" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["clusters", "verification"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": "sobject"}, "has no column sobject"),
        ({"label_key": "fle"}, "has no column fle"),
        ({"label_key": "subject", "subject": "file"}, "with conflicting rows: keep one row per image"),
    ],
)
def test_misspelt_or_confused_columns_are_refused(
    output: Output, archive: PlantedArchive, kind: str, changes: dict[str, str], message: str, capsys
) -> None:  # type: ignore[no-untyped-def]
    assert facelib("evaluate", kind, "--output", output.uri, *labels(archive, **changes)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize("kind", ["clusters", "verification"])
def test_labels_that_match_nothing_are_refused(output: Output, kind: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "labels.csv").write_text("file,subject\nelsewhere/a.jpg,someone\n")
    given = ("--labels", str(tmp_path / "labels.csv"), "--label-key", "file", "--subject", "subject")
    assert facelib("evaluate", kind, "--output", output.uri, *given) == 2
    message = capsys.readouterr().err
    assert "none of the 1 values of column file is the path of a listed object" in message
    assert "someone" not in message
    assert facelib("evaluate", kind, "--output", output.uri, "--labels", "none.csv", *given[2:]) == 5
    assert "labels file none.csv does not exist" in capsys.readouterr().err


def test_what_a_run_lacks_is_named(output: Output, archive: PlantedArchive, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    copied = tmp_path / "out"
    shutil.copytree(output.uri, copied)
    file = copied / "runs" / output.current / "run.json"
    record = json.loads(file.read_text())
    del record["tables"]["labels"]
    record["models"].pop("embedder")
    file.write_text(json.dumps(record))
    for kind in ("clusters", "verification"):
        assert facelib("evaluate", kind, "--output", str(copied)) == 2
        assert "give --labels FILE --label-key COL --subject COL" in capsys.readouterr().err
    assert facelib("evaluate", "verification", "--output", str(copied), *labels(archive)) == 2
    assert "has no embeddings yet: run facelib embed first" in capsys.readouterr().err
    assert facelib("evaluate", "clusters", "--output", output.uri, "--attributes", "shoe") == 2
    assert "has no labels for shoe: its attributes are age_band, glasses" in capsys.readouterr().err
    assert facelib("evaluate", "clusters", "--output", output.uri, "--run", "none") == 2
    assert "there is no run none" in capsys.readouterr().err
    assert facelib("evaluate", "verification", "--output", output.uri, "--pairs", "none.txt") == 5
    assert "pairs file none.txt does not exist" in capsys.readouterr().err
    assert facelib("evaluate", "verification", "--output", output.uri, "--fmr", "1.5") == 2
    assert "outside 0 … 1" in capsys.readouterr().err
