"""The retraining set of a published run, read back completely by petastorm."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import Output, facelib, label_options
from pyspark.sql import SparkSession

from facelib.audit.sampling_weights import sampling_weights
from facelib.demo.archive import ATTRIBUTES, PlantedArchive
from facelib.faces.chip import decode_chip
from facelib.storage import open_store

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def output(spark: SparkSession, archive: PlantedArchive, tmp_path_factory: pytest.TempPathFactory) -> Output:
    folder = tmp_path_factory.mktemp("export") / "out"
    command = ("run", "--images", str(archive.images), "--output", str(folder), *label_options(archive))
    assert facelib(*command, "--set", "extract.shard_images=40") == 0
    return Output(str(folder))


def read_set(folder: Path) -> dict[str, list]:  # type: ignore[type-arg]
    pytest.importorskip("petastorm", reason="petastorm is not installed: pip install facelib[train]")
    from facelib.training.petastorm_reader import read_batches

    return {d.name: list(read_batches(d, 16)) for d in sorted(folder.iterdir())}


def test_every_exported_face_comes_back_with_all_columns(
    output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "training"
    code = facelib("export", "--output", output.uri, "--to", str(target), "--attributes", "skin_tone,glasses")
    assert code == 0
    duplicates = {r["image_id"] for r in output.rows("images") if r["duplicate_of"]}
    clusters = {r["face_id"]: r for r in output.rows("clusters")}
    expected = {f for f, r in clusters.items() if r["cluster_id"] and r["image_id"] not in duplicates}
    splits = read_set(target)
    batches = [b for part in splits.values() for b in part]
    ids = [f for b in batches for f in b.face_ids]
    assert sorted(ids) == sorted(expected)
    assert {tuple(b.chips.shape[1:]) for b in batches} == {(3, 150, 150)}
    assert {frozenset(b.labels) for b in batches} == {frozenset({"skin_tone", "glasses"})}

    side = defaultdict(set)
    for name, part in splits.items():
        for f in (f for b in part for f in b.face_ids):
            side[clusters[f]["cluster_id"]].add(name)
    assert {len(s) for s in side.values()} == {1}

    weights = {f: float(w) for b in batches for f, w in zip(b.face_ids, b.weights, strict=True)}
    cell = {
        f: (s, g)
        for b in batches
        for f, s, g in zip(b.face_ids, b.labels["skin_tone"], b.labels["glasses"], strict=True)
    }
    known = sorted({c for c in cell.values() if "unknown" not in c})
    codes = [known.index(c) if c in known else -1 for c in cell.values()]
    expected = sampling_weights(codes, np.full(len(known), 1 / len(known)), cap=10.0)
    assert [weights[f] for f in cell] == pytest.approx(expected.weights.tolist(), rel=1e-6)
    message = capsys.readouterr().out
    assert f"effective sample size {expected.effective_sample_size:.1f} of {len(cell)} faces" in message
    assert "weights aim at equal groups, at most 10 times their mean (export.weight_cap)" in message

    chips = {}
    for shard in Path(output.uri).glob("store/extracted/*/*.parquet"):
        import pyarrow.parquet as pq

        for row in pq.read_table(shard, columns=["image_id", "face_index", "chip"]).to_pylist():
            chips[f"{row['image_id']}-{row['face_index']}"] = row["chip"]
    batch = batches[0]
    assert np.array_equal(batch.chips[0].permute(1, 2, 0).numpy(), decode_chip(chips[batch.face_ids[0]]))


def test_the_run_has_a_plan_for_every_attribute_and_pair(output: Output) -> None:
    plan, counted = output.rows("sampling_plan"), output.rows("balance")
    cells = {(tuple(r["attributes"]), tuple(r["groups"])): r for r in plan if r["goal"] == "shares"}
    images = {(tuple(r["attributes"]), tuple(r["groups"])): r["n"] for r in counted if r["unit"] == "image"}
    assert len({names for names, _ in cells}) == len(ATTRIBUTES) * (len(ATTRIBUTES) + 1) / 2
    assert {key: row["images"] for key, row in cells.items()} == {k: n for k, n in images.items() if None not in k[1]}
    page = open_store(output.uri).get(f"runs/{output.current}/report.html").decode()
    assert "What to collect, and how to weight" in page


def test_a_second_export_into_the_same_folder_is_refused(
    output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "training")
    assert facelib("export", "--output", output.uri, "--to", target, "--split-by", "subject") == 0
    assert facelib("export", "--output", output.uri, "--to", target) == 2
    assert "already holds a training set" in capsys.readouterr().err


def test_unknown_attribute_is_named(output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert facelib("export", "--output", output.uri, "--to", str(tmp_path / "t"), "--attributes", "shoe") == 2
    assert "no labels for shoe" in capsys.readouterr().err
