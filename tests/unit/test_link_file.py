"""Files of links: how they are read, which faces they name, and what is wrong with them in one sentence."""

from __future__ import annotations

import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facelib.cli.arguments import build_parser
from facelib.clusters.link_file import Links, check_contradictions, read_links, resolve_links
from facelib.errors import ConfigError, ObjectNotFoundError

pytestmark = pytest.mark.unit

ROOT = "s3://bucket/faces/"
FACES = ["i0-0", "i0-1", "i1-0", "i2-0", "i3-1"]
IMAGES = ["i0", "i0", "i1", "i2", "i3"]
URIS = [f"{ROOT}a/ä 0.jpg"] * 2 + [f"{ROOT}a/1.jpg", "s3://elsewhere/2.jpg", f"{ROOT}3.jpg"]


def _write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


def _links(*pairs: tuple[str, str], file: str = "f.csv") -> Links:
    return Links(file, pairs)


def test_a_csv_and_a_parquet_file_give_the_same_pairs(tmp_path: Path) -> None:
    pairs = (("i0-0", "a/1.jpg"), ("x,y", 'say "b"'))
    text = '\ufeff note , b,a \r\nx,a/1.jpg, i0-0 \r\n\r\n,"say ""b""","x,y"\r\n'
    a, b = zip(*pairs, strict=True)
    pq.write_table(pa.table({"b": b, "other": [1, 2], "a": a}), tmp_path / "l.PARQUET")
    assert read_links(_write(tmp_path / "l.csv", text)).pairs == pairs
    assert read_links(str(tmp_path / "l.PARQUET")).pairs == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "has no column a"),
        ("a,b\n", "is empty: give it pairs"),
        ("a,c\n1,2\n", "has no column b: name its two columns a and b"),
        ("a,b,a\n1,2,3\n", "has more than one column a"),
        ("a,b\n1,2\n3\n", "row 2: column b is empty"),
        ("a,b\n ,secret\n", "row 1: column a is empty"),
        ('a,b\n"secret"x,2\n', "is not valid CSV"),
    ],
)
def test_a_csv_that_is_unfit_is_named_with_the_fix(text: str, message: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "l.csv", text)
    with pytest.raises(ConfigError, match=message) as raised:
        read_links(path)
    assert str(raised.value).startswith(f"links file {path}")
    assert "secret" not in str(raised.value)


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="does not exist: check --must-link and --cannot-link"):
        read_links(str(tmp_path / "gone.csv"))
    with pytest.raises(ConfigError, match=r"neither \.csv nor \.parquet"):
        read_links(_write(tmp_path / "l.txt", "a,b\n1,2\n"))
    with pytest.raises(ConfigError, match="not a readable Parquet file"):
        read_links(_write(tmp_path / "l.parquet", "a,b\n1,2\n"))
    (tmp_path / "latin.csv").write_bytes("a,b\nä,b\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_links(str(tmp_path / "latin.csv"))
    pq.write_table(pa.table({"a": ["x", None], "b": ["y", "z"]}), tmp_path / "null.parquet")
    with pytest.raises(ConfigError, match="row 2: column a is empty"):
        read_links(str(tmp_path / "null.parquet"))


@pytest.mark.parametrize(
    ("key", "face"),
    [
        ("i0-1", 1),
        ("i0", 0),
        (f"{ROOT}a/ä 0.jpg", 0),
        ("a/ä 0.jpg", 0),
        ("./a/1.jpg", 2),
        ("a/x/../1.jpg", 2),
        ("s3://elsewhere/2.jpg", 3),
    ],
)
def test_a_key_is_a_face_an_image_a_uri_or_a_path(key: str, face: int) -> None:
    for root in (ROOT, ROOT.rstrip("/")):
        found = resolve_links(_links((key, "i3-1"), ("i3-1", key)), FACES, IMAGES, URIS, root)
        np.testing.assert_array_equal(found, [[face, 4], [4, face]])


def test_local_files_are_named_by_path_too(tmp_path: Path) -> None:
    uris = [f"file://{tmp_path}/in/{name}.jpg" for name in ("x", "y")]
    links = _links((f"{tmp_path}/in/x.jpg", "y.jpg"), (uris[1], f"file://{tmp_path}/in/../in/x.jpg"))
    found = resolve_links(links, ["i-0", "j-0"], ["i", "j"], uris, f"file://{tmp_path}/in/")
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])


@pytest.mark.parametrize("key", ["i9-0", "i3", "3.jpg", "ftp://x/y", "../../../..", "1.jpg"])
def test_a_key_without_a_face_is_named_by_row_and_column_and_not_repeated(key: str) -> None:
    """i3 has a second face only: its first one was not kept."""
    with pytest.raises(ConfigError, match=r"links file f\.csv, row 2: column b names no face of this run") as raised:
        resolve_links(_links(("i0-0", "i1-0"), ("i0-0", key)), FACES, IMAGES, URIS, ROOT)
    assert f" {key}" not in str(raised.value)


def test_a_pair_of_one_face_is_refused() -> None:
    with pytest.raises(ConfigError, match="row 1: a and b are one face"):
        resolve_links(_links(("i0", "a/ä 0.jpg")), FACES, IMAGES, URIS, ROOT)


def test_a_contradiction_names_the_rows_that_make_it() -> None:
    must, cannot = _links(file="m.csv"), _links(file="c.csv")
    chain = np.array([[8, 9], [2, 1], [5, 0], [1, 0]])
    with pytest.raises(ConfigError, match=r"c\.csv, row 2, keeps apart what links file m\.csv, rows 2 and 4, link:"):
        check_contradictions(must, chain, cannot, np.array([[0, 9], [0, 2]]))
    with pytest.raises(ConfigError, match=r"c\.csv, row 1, keeps apart what links file m\.csv, row 3, links: drop one"):
        check_contradictions(must, chain, cannot, np.array([[0, 5]]))
    check_contradictions(must, chain, cannot, np.array([[0, 9], [3, 4]]))
    check_contradictions(must, np.zeros((0, 2), np.int64), cannot, np.zeros((0, 2), np.int64))


@pytest.mark.parametrize("seed", range(20))
def test_contradictions_are_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    must = rng.integers(0, 15, (8, 2))
    graph = nx.MultiGraph(must.tolist())
    for a, b in itertools.combinations(range(15), 2):
        joined = a in graph and b in graph and nx.has_path(graph, a, b)
        if not joined:
            check_contradictions(_links(), must, _links(), np.array([[a, b]]))
            continue
        length = nx.shortest_path_length(graph, a, b)
        with pytest.raises(ConfigError) as raised:
            check_contradictions(_links(), must, _links(), np.array([[a, b]]))
        said = str(raised.value).split("links file f.csv, row")[2].split("link")[0]
        rows = [int(word.strip(", ")) for word in said.replace("s ", " ").replace("and", "").split() if word != "s"]
        assert len(rows) == length
        assert nx.has_path(nx.Graph(must[np.array(rows) - 1].tolist()), a, b)


@pytest.mark.parametrize("command", [["run", "--images", "i"], ["cluster"]])
def test_commands_take_files_of_links(command: list[str]) -> None:
    given = build_parser().parse_args([*command, "--output", "o", "--must-link", "m.csv", "--cannot-link", "c.parquet"])
    assert (given.must_link, given.cannot_link) == ("m.csv", "c.parquet")
    plain = build_parser().parse_args([*command, "--output", "o"])
    assert (plain.must_link, plain.cannot_link) == (None, None)
