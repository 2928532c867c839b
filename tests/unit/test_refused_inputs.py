"""`facelib run` on inputs that cannot be used: one sentence, the exit code, and nothing left in the output."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from facelib.cli.main import main
from facelib.clusters.gallery_file import GALLERY
from facelib.embeddings.model import model_id
from facelib.spark.cluster_inputs import ClusterInputs
from facelib.spark.pipeline_config import resolve_config
from facelib.spark.tables import to_parquet
from facelib.storage import open_store

pytestmark = pytest.mark.unit


def gallery(people: int, model: str = model_id("dlib_resnet_v1", mirror=True)) -> pa.Table:
    """Two images of each person, of which every 50th has no face on the second; and one of nobody."""
    n = 2 * people + 1
    vectors = np.random.default_rng(people).normal(size=(n, 128)).astype(np.float32)
    has_face = [i < n - 1 and i % 100 != 99 for i in range(n)]
    columns = {
        "uri": [f"{i:05d}.jpg" for i in range(n)],
        "subject": [f"s{i // 2:04d}" for i in range(n)],
        "status": ["ok" if face else "rejected" for face in has_face],
        "reason": [None if face else "no_face" for face in has_face],
        "n_faces": [int(face) for face in has_face],
        "quality_score": [(0.25 if i % 2 else 0.75) if face else None for i, face in enumerate(has_face)],
        "model_id": [model] * n,
        "embedding": [v if face else None for v, face in zip(vectors.tolist(), has_face, strict=True)],
    }
    return pa.table(columns)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"any bytes")
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("path,gender\na.jpg,F\n")
    return tmp_path


LABELS = ("--labels", "labels.csv", "--attributes", "gender", "--label-key")


@pytest.mark.parametrize(
    ("images", "options", "code", "message"),
    [
        ("images", ["--frobnicate"], 2, "unrecognized arguments: --frobnicate"),
        ("gone", [], 5, "gone does not exist: check the path"),
        ("s3://bucket/prefix", ["--set", "storage.endpoint_url=http://127.0.0.1:9"], 5, "cannot reach the S3 endpoint"),
        ("images", [*LABELS, "file"], 2, "labels.csv has no column file: its columns are path, gender"),
        ("empty", [], 4, "holds no objects: check --images"),
        (".", [], 2, "--output out lies inside --images"),
        ("manifest.csv", [], 5, "manifest.csv does not exist"),
        ("images", ["--labels", "gone.csv", "--label-key", "path", "--attributes", "gender"], 5, "does not exist"),
        (
            "images",
            [*LABELS, "path", "--set", "audit.categories={sex=['M']}"],
            2,
            "sex, which is none of the attributes",
        ),
        ("images", [*LABELS, "path", "--set", "audit.uniform=sex"], 2, "names sex, which is none of the attributes"),
        ("images", ["--set", "audit.edges={age=[18]}"], 2, "need labels: add --labels FILE"),
    ],
)
def test_it_is_refused(
    archive: Path,
    images: str,
    options: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(archive)
    assert main(["run", "--images", images, "--output", "out", *options]) == code
    said = capsys.readouterr().err
    assert said.startswith("facelib: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (archive / "out").exists()


def written(folder: Path) -> dict[str, pa.Table]:
    """Galleries that are no cohort, and one that is."""
    good = gallery(200)
    place = good.schema.get_field_index("embedding")
    embeddings = good.column("embedding").to_pylist()
    zero = good.set_column(place, "embedding", pa.array([[0.0] * 128, *embeddings[1:]]))
    infinite = good.set_column(place, "embedding", pa.array([[np.inf] * 128, *embeddings[1:]]))
    found = {"good": good, "few": gallery(199), "other": gallery(200, "other-1"), "zero": zero, "infinite": infinite}
    for name, table in found.items():
        (folder / f"{name}.parquet").write_bytes(to_parquet(table, GALLERY))
    return found


@pytest.mark.parametrize("command", [["run", "--images", "images"], ["cluster"]], ids=["run", "cluster"])
@pytest.mark.parametrize(
    ("file", "options", "code", "message"),
    [
        ("gone.parquet", [], 5, "does not exist: give a file that facelib enrol has written"),
        ("labels.csv", [], 2, "is not a gallery: give a file that facelib enrol has written"),
        ("other.parquet", [], 2, "was enrolled with other-1, and embed.model and embed.mirror ask for dlib_resnet_v1-"),
        ("good.parquet", ["--set", "embed.mirror=false"], 2, "-mirrored, and embed.model and embed.mirror ask for"),
        (
            "few.parquet",
            [],
            2,
            "holds 199 people with a face, and at least 200 are needed: enrol more, or leave it out",
        ),
        ("zero.parquet", [], 2, "holds 1 faces whose embedding is zero or not finite"),
        ("infinite.parquet", [], 2, "holds 1 faces whose embedding is zero or not finite"),
        ("good.parquet", ["--set", "cluster.cohort=false"], 2, "needs cluster.cohort = true: leave one of the two out"),
    ],
)
def test_a_cohort_that_is_none_is_refused(
    archive: Path,
    command: list[str],
    file: str,
    options: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(archive)
    written(archive)
    assert main([*command, "--output", "out", "--cohort", file, *options]) == code
    said = capsys.readouterr().err
    assert said.startswith("facelib: --cohort ")
    assert message in said
    assert file in said or "cluster.cohort=false" in options
    assert said.count("\n") == 1
    assert not (archive / "out").exists()


def test_a_cohort_is_one_template_per_person(archive: Path) -> None:
    """The direction of the mean of a person's unit embeddings, weighted by quality."""
    rows = written(archive)["good"].to_pylist()
    inputs = ClusterInputs.read(
        open_store(str(archive / "out")), resolve_config(None, []), None, None, None, str(archive / "good.parquet")
    )
    assert inputs.cohort is not None
    assert inputs.cohort.shape == (200, 128)
    for i in (0, 49, 198):
        faces = [r for r in rows if r["subject"] == f"s{i:04d}" and r["embedding"]]
        assert len(faces) == (1 if i == 49 else 2)
        vectors = np.array([r["embedding"] for r in faces])
        mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * [[r["quality_score"]] for r in faces]).sum(0)
        np.testing.assert_allclose(inputs.cohort[i], mean / np.linalg.norm(mean), atol=1e-6)
