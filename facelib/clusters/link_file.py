"""Files of must-link and cannot-link pairs, and the faces they name."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facelib.clusters.links import conflicts, must_link_groups
from facelib.clusters.space import IntArray
from facelib.errors import ConfigError, ObjectNotFoundError
from facelib.ids import face_id
from facelib.storage import StorageSettings, open_store
from facelib.storage.uris import resolve

COLUMNS = ("a", "b")


@dataclass(frozen=True)
class Links:
    """Pairs of keys as a file gives them; `pairs[i]` is row i + 1, the first one below the header."""

    file: str
    pairs: tuple[tuple[str, str], ...]


def read_links(path: str, settings: StorageSettings | None = None) -> Links:
    """The pairs of a CSV (UTF-8, comma, header row) or Parquet file in a folder or object storage.

    Columns `a` and `b` hold text; others are ignored, surrounding whitespace is stripped, blank lines of a CSV do not
    count as rows. Raises ConfigError for an unknown suffix, an unreadable or empty file, a missing or doubled column
    and an empty cell; ObjectNotFoundError for a file that is not there. No message holds a value of the file.
    """
    parent, slash, name = path.rpartition("/")
    suffix = name.rpartition(".")[2].lower()
    if suffix not in _READERS:
        raise ConfigError(f"links file {path} is neither .csv nor .parquet: convert it to one of them")
    try:
        data = open_store(parent or slash or ".", settings).get(name)
    except ObjectNotFoundError:
        raise ObjectNotFoundError(f"links file {path} does not exist: check --must-link and --cannot-link") from None
    rows = _READERS[suffix](data, path)
    if not rows:
        raise ConfigError(f"links file {path} is empty: give it pairs in columns a and b, or leave it out")
    pairs = []
    for number, row in enumerate(rows, start=1):
        a, b = (str(value if value is not None else "").strip() for value in row)
        if not (a and b):
            raise ConfigError(f"links file {path}, row {number}: column {'b' if a else 'a'} is empty: fill or drop it")
        pairs.append((a, b))
    return Links(path, tuple(pairs))


def _read_csv(data: bytes, file: str) -> list[tuple[object, ...]]:
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = next((row for row in rows if row), [])
        places = _places([name.strip() for name in header], file)
        return [tuple(row[i] if i < len(row) else None for i in places) for row in rows if row]
    except UnicodeDecodeError:
        raise ConfigError(f"links file {file} is not UTF-8: save it as UTF-8") from None
    except csv.Error:
        raise ConfigError(f"links file {file} is not valid CSV: quote fields that hold a comma or a quote") from None


def _read_parquet(data: bytes, file: str) -> list[tuple[object, ...]]:
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data))
        _places(parquet.schema_arrow.names, file)
        table = parquet.read(columns=list(COLUMNS))
        return list(zip(*(table.column(c).to_pylist() for c in COLUMNS), strict=True))
    except (pa.ArrowException, OSError):
        raise ConfigError(f"links file {file} is not a readable Parquet file: write it again") from None


_READERS: dict[str, Callable[[bytes, str], list[tuple[object, ...]]]] = {"csv": _read_csv, "parquet": _read_parquet}


def _places(names: Sequence[str], file: str) -> list[int]:
    if not names:
        raise ConfigError(f"links file {file} is empty: give it pairs in columns a and b, or leave it out")
    for column in COLUMNS:
        if names.count(column) != 1:
            fault = "more than one column" if column in names else "no column"
            raise ConfigError(f"links file {file} has {fault} {column}: name its two columns a and b")
    return [names.index(column) for column in COLUMNS]


def resolve_links(
    links: Links, face_ids: Sequence[str], image_ids: Sequence[str], uris: Sequence[str], root: str
) -> IntArray:
    """The two faces of every pair, (n, 2) int64: positions in `face_ids`, in the order of the file.

    `face_ids`, `image_ids` and `uris` hold each face's id, image and the image's URI; `root` is what URIs begin with
    before the path below `--images` (`Listing.root`). A key is a face_id, an image_id, a URI, or a path below `root`;
    one of an image means its most prominent face (index 0).
    ConfigError, with file and row, when a key matches no face, and for a pair of one face with itself.
    """
    found = {face: i for i, face in enumerate(face_ids)}
    of_uri: dict[str, int] = {}
    for image, uri in zip(image_ids, uris, strict=True):
        main = found.get(face_id(image, 0))
        if main is not None:
            of_uri[uri] = main
            found.setdefault(image, main)
    folder = root.rstrip("/")

    def position(key: str, row: int, column: str) -> int:
        place = found.get(key, of_uri.get(key, of_uri.get(f"{folder}/{key}")))
        if place is None:
            place = of_uri.get(_canonical(folder, key))
        if place is None:
            raise ConfigError(
                f"links file {links.file}, row {row}: column {column} names no face of this run: give a face_id, or "
                "the image_id, URI or path below --images of an image with a face, or drop the row"
            )
        return place

    rows = []
    for row, (a, b) in enumerate(links.pairs, start=1):
        rows.append((position(a, row, "a"), position(b, row, "b")))
        if rows[-1][0] == rows[-1][1]:
            raise ConfigError(f"links file {links.file}, row {row}: a and b are one face: name two faces or drop it")
    return np.array(rows, np.int64).reshape(-1, 2)


def _canonical(folder: str, key: str) -> str:
    try:
        return resolve(folder, key)
    except ConfigError:
        return ""


def check_contradictions(must: Links, must_pairs: IntArray, cannot: Links, cannot_pairs: IntArray) -> None:
    """ConfigError, with the rows, when a cannot-link pair is must-linked, directly or through other faces.

    The pairs are what `resolve_links` gives for the two files.
    """
    n = 1 + max((int(pairs.max()) for pairs in (must_pairs, cannot_pairs) if len(pairs)), default=-1)
    broken = conflicts(must_link_groups(n, must_pairs), cannot_pairs)
    if not len(broken):
        return
    a, b = broken[0].tolist()
    row = 1 + int(np.flatnonzero((cannot_pairs == [a, b]).all(axis=1))[0])
    chain = [str(r) for r in sorted(_rows_between(must_pairs, a, b))]
    rows = f"row {chain[0]}" if len(chain) == 1 else f"rows {', '.join(chain[:-1])} and {chain[-1]}"
    raise ConfigError(
        f"links file {cannot.file}, row {row}, keeps apart what links file {must.file}, {rows}, "
        f"{'links' if len(chain) == 1 else 'link'}: drop one of them"
    )


def _rows_between(pairs: IntArray, start: int, end: int) -> list[int]:
    """Rows of the shortest chain of pairs from one face to another, counted from 1 (breadth first)."""
    ways: dict[int, list[tuple[int, int]]] = {}
    for row, (a, b) in enumerate(pairs.tolist(), start=1):
        ways.setdefault(a, []).append((b, row))
        ways.setdefault(b, []).append((a, row))
    came: dict[int, tuple[int, int]] = {start: (start, 0)}
    queue = deque([start])
    while queue and end not in came:
        face = queue.popleft()
        for other, row in ways.get(face, []):
            if other not in came:
                came[other] = (face, row)
                queue.append(other)
    rows = []
    while end != start:
        end, row = came[end]
        rows.append(row)
    return rows[::-1]
