"""Contact sheets of a run: who is on them, from which shards, and where they may not lie."""

from __future__ import annotations

import base64
import re
import stat
from collections import Counter
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Output, facelib
from pyspark.sql import SparkSession

from facelib.demo.archive import PlantedArchive
from facelib.storage import local

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def output(spark: SparkSession, archive: PlantedArchive, tmp_path_factory: pytest.TempPathFactory) -> Output:
    folder = tmp_path_factory.mktemp("show") / "out"
    command = ("run", "--images", str(archive.images), "--output", str(folder))
    assert facelib(*command, "--set", "extract.shard_images=20") == 0
    return Output(str(folder))


def show(output: Output, to: Path, *options: str) -> int:
    return facelib("clusters", "show", "--output", output.uri, "--to", str(to), *options)


def pages(folder: Path) -> list[str]:
    """Cluster ids in the order of the index; each has its page."""
    listed = re.findall(r'<li><a href="(\w+)\.html">', (folder / "index.html").read_text("utf-8"))
    assert {p.name for p in folder.glob("*.html")} == {"index.html", *(f"{c}.html" for c in listed)}
    return listed


def by_size(output: Output) -> list[str]:
    sizes = Counter(r["cluster_id"] for r in output.rows("clusters") if r["cluster_id"])
    return sorted(sizes, key=lambda c: (-sizes[c], c))


def test_a_page_shows_every_face_of_the_cluster_with_its_own_chip(output: Output, tmp_path: Path) -> None:
    cluster = by_size(output)[0]
    assert show(output, tmp_path / "sheets", cluster) == 0
    assert pages(tmp_path / "sheets") == [cluster]
    text = (tmp_path / "sheets" / f"{cluster}.html").read_text("utf-8")
    shown = re.findall(r'<li><img src="data:image/jpeg;base64,([^"]+)" alt="face (\S+),.*?<small>(.*?)<br>', text, re.S)
    members = {r["face_id"]: r for r in output.rows("clusters") if r["cluster_id"] == cluster}
    uris = {r["image_id"]: r["uri"] for r in output.rows("images")}
    chips = {
        f"{r['image_id']}-{r['face_index']}": r["chip"]
        for shard in Path(output.uri).glob("store/extracted/*/*.parquet")
        for r in pq.read_table(shard, columns=["image_id", "face_index", "chip"]).to_pylist()
    }
    assert len(shown) == len(members) > 2
    for data, face, uri in shown:
        assert base64.b64decode(data) == chips[face]
        assert unescape(uri) == uris[members[face]["image_id"]]
    order = [members[face]["similarity_to_centroid"] for _, face, _ in shown]
    assert order == sorted(order)
    similarities = [e["similarity"] for e in output.rows("edges") if e["face_a"] in members and e["face_b"] in members]
    assert f"of its {len(similarities)} edges {np.mean(similarities):.3f}" in text


def test_the_pages_are_for_their_owner_alone(output: Output, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "sheets"
    assert show(output, folder, "--largest", "2") == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()} == {0o600}


def test_the_largest_and_then_the_least_alike_in_the_same_folder(output: Output, tmp_path: Path) -> None:
    assert show(output, tmp_path, "--largest", "3") == 0
    assert pages(tmp_path) == by_size(output)[:3]
    assert show(output, tmp_path, "--suspicious", "4") == 0
    found = pages(tmp_path)
    length: dict[str, list[float]] = {}
    for row in output.rows("clusters"):
        if row["role"] == "core":
            length.setdefault(row["cluster_id"], []).append(row["similarity_to_centroid"])
    mean = {c: (len(v) * np.mean(v) ** 2 - 1) / (len(v) - 1) for c, v in length.items() if len(v) > 1}
    assert found == sorted(mean, key=lambda c: (mean[c], c))[:4]


def test_only_the_shards_of_the_faces_shown_are_read(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = by_size(output)[-1]
    members = [r["image_id"] for r in output.rows("clusters") if r["cluster_id"] == cluster]
    shard_of = {r["image_id"]: r["shard"] for r in output.rows("images")}
    read: list[str] = []
    get = local.LocalStore.get

    def counted(self: local.LocalStore, key: str, **options: object) -> bytes:
        read.append(key)
        return get(self, key, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(local.LocalStore, "get", counted)
    assert show(output, tmp_path, cluster) == 0
    shards = [key.rsplit("/", 1)[1] for key in read if key.startswith("store/")]
    assert sorted(shards) == sorted({f"{shard_of[image]}.parquet" for image in members})
    assert len(shards) < len(output.record()["shards"])


def test_an_unknown_cluster_is_named(output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(output, tmp_path, by_size(output)[0], "c0ffee") == 2
    assert "has no cluster c0ffee" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [(), ("c1", "--largest", "2"), ("--largest", "2", "--suspicious", "2")])
def test_one_way_to_choose_clusters_is_needed(
    output: Output, tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(output, tmp_path, *options) == 2
    assert "say which clusters to show" in capsys.readouterr().err


def test_a_folder_where_sheets_must_not_lie_is_refused(
    output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "index.html").write_text("mine")
    (tmp_path / "file").write_text("")
    cases = {
        Path(output.uri) / "runs" / "sheets": "inside the output of a run",
        tmp_path / "full": "files that are not contact sheets",
        tmp_path / "file": "is a file",
    }
    for to, message in cases.items():
        assert show(output, to, "--largest", "1") == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "full" / "index.html").read_text() == "mine"
    assert facelib("clusters", "show", "--output", output.uri, "--to", "s3://b/sheets", "--largest", "1") == 2
    assert "not a local path" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_named(output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(output, tmp_path, "--largest", "1", "--run", "r0") == 2
    assert "there is no run r0" in capsys.readouterr().err
