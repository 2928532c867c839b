"""`facelib run` on inputs that cannot be used: one sentence, the exit code, and nothing left in the output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facelib.cli.main import main

pytestmark = pytest.mark.unit


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
        ("images", [*LABELS, "path", "--set", "audit.categories={gender=['M']}"], 2, "gender"),
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
