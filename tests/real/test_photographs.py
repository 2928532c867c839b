"""Real photographs: every one is accounted for, faces are found, and clusters agree with the persons."""

from __future__ import annotations

import csv
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.assign import assign
from facelib.clusters.settings import ClusterSettings
from facelib.embeddings.embed import CHIP_COLUMNS, embed, vectors_of
from facelib.embeddings.model import load_model
from facelib.faces.detector import DetectSettings
from facelib.faces.extract import extract
from facelib.faces.face_rows import face_rows
from facelib.faces.image_rows import RowSettings, isolated_work
from facelib.faces.quality import QualitySettings
from facelib.ids import image_id
from facelib.images.decode import DecodeSettings
from facelib.images.shards import ListedImage
from facelib.isolation import Isolated

DATA = Path(os.environ.get("FACELIB_DATA", Path(__file__).parents[3] / "shared" / "data")) / "lfw_dev"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="the photographs ../shared/data/lfw_dev are not on this machine"),
]
SUBJECTS = 40


@pytest.fixture(scope="module")
def chosen() -> dict[str, str]:
    """file → subject: at most 8 photographs of each of the subjects that have most."""
    with (DATA / "labels.csv").open(newline="", encoding="utf-8") as f:
        rows = [(r["file"], r["identity"]) for r in csv.DictReader(f)]
    files: dict[str, list[str]] = {}
    for file, subject in rows:
        files.setdefault(subject, []).append(file)
    most = sorted(files, key=lambda s: (-len(files[s]), s))[:SUBJECTS]
    return {file: s for s in most for file in sorted(files[s])[:8]}


def test_extraction_embedding_and_clusters_on_photographs(chosen: dict[str, str]) -> None:
    members = [ListedImage(image_id(f, ""), f, "", (DATA / "images" / f).stat().st_size) for f in chosen]
    settings = RowSettings(DecodeSettings(), DetectSettings())
    with closing(Isolated(isolated_work, settings, settings.decode.timeout_s)) as to_rows:
        rows = extract(members, lambda uri, _: (DATA / "images" / uri).read_bytes(), to_rows, 10**7)
    assert set(rows.column("image_id").to_pylist()) == {m.image_id for m in members}
    with_face = {r["image_id"] for r in rows.select(["image_id", "status"]).to_pylist() if r["status"] == "ok"}
    assert len(with_face) >= 0.995 * len(members)

    embedded = embed(rows.select(CHIP_COLUMNS), load_model(mirror=True))
    faces = face_rows(rows, "run", QualitySettings())
    ids = faces.column("face_id").to_pylist()
    assert embedded.column("face_id").to_pylist() == ids
    vectors = vectors_of(embedded.column("embedding"))
    assert vectors.shape == (len(ids), 128)
    assert 1.2 < np.linalg.norm(vectors, axis=1).mean() < 1.5

    usable = faces.column("is_usable").to_numpy(zero_copy_only=False)
    found = assign(ids, faces.column("image_id").to_pylist(), vectors, usable, ClusterSettings()).clusters.to_pylist()
    cluster_of = {r["face_id"]: r["cluster_id"] or r["face_id"] for r in found}
    main = [(chosen[m.uri], cluster_of[f"{m.image_id}-0"]) for m in members if m.image_id in with_face]
    scores = pairwise_scores([c for _, c in main], [s for s, _ in main])
    assert scores.f1 >= 0.93
