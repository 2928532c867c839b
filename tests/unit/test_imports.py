"""Importing facelib, and its command line, must stay cheap: heavy packages are imported where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

HEAVY = ("pyspark", "torch", "boto3", "botocore", "great_expectations", "petastorm", "onnxruntime", "duckdb", "mtcnn")


def heavy_after(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter holds after `statement`."""
    program = f"{statement}\nimport sys\nsys.stdout.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "facelib",
        "facelib.cli.main",
        "facelib.cli.arguments",
        "facelib.spark.run_record",
        "facelib.spark.java",
        "facelib.training.export",
        "facelib.faces.extract",
        "facelib.faces.detectors",
        "facelib.embeddings.embed",
        "facelib.storage",
        "schemas",
    ],
)
def test_import_loads_nothing_heavy(module: str) -> None:
    assert heavy_after(f"import {module}") == set()


def test_a_wrong_argument_is_answered_without_loading_anything_heavy() -> None:
    assert heavy_after("from facelib.cli.main import main\nassert main(['run']) == 2") == set()


def test_opening_a_local_folder_does_not_load_the_s3_client() -> None:
    assert heavy_after("from facelib.storage import open_store\nopen_store('.').exists('x')") == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert "boto3" in heavy_after("import boto3")
