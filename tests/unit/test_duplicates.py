"""Exact and near duplicates against brute force over random archives."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.cluster.hierarchy import DisjointSet

from facelib.clusters.duplicate_settings import DuplicateSettings
from facelib.clusters.duplicates import duplicate_rows

pytestmark = pytest.mark.unit

HASHES = ("phash", "dhash", "phash_mirror", "dhash_mirror")
SCHEMA = pa.schema(
    [(c, pa.string()) for c in ("image_id", "uri", "content_sha256")] + [(h, pa.int64()) for h in HASHES]
)
Row = dict[str, Any]


def archive(n: int, seed: int) -> list[Row]:
    """Images of few contents and few pictures, some mirrored, with up to twelve bits flipped; some are null."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(-(2**63), 2**63 - 1, (12, 4))
    rows = []
    for i in range(n):
        hashes = pictures[rng.integers(12)][[2, 3, 0, 1] if rng.random() < 0.3 else [0, 1, 2, 3]]
        for _ in range(rng.integers(0, 13)):
            hashes[rng.integers(4)] ^= np.int64(1) << np.int64(rng.integers(63))
        decoded = rng.random() < 0.8
        rows.append(
            {
                "image_id": f"id{rng.integers(10**9):09d}{i}",
                "uri": f"s3://b/{rng.integers(10**6)}-{i}",
                "content_sha256": None if rng.random() < 0.1 else f"sha{rng.integers(n)}",
                **{name: int(h) if decoded else None for name, h in zip(HASHES, hashes, strict=True)},
            }
        )
    return rows


def table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def brute_force(rows: list[Row], distance: int) -> tuple[dict[str, str], set[frozenset[str]]]:
    """(duplicate → original, groups of near duplicates) by comparing all pairs."""
    originals = {}
    for row in rows:
        same = [r for r in rows if r["content_sha256"] == row["content_sha256"] is not None]
        first = min(same, key=lambda r: r["uri"], default=row)
        if first is not row:
            originals[row["image_id"]] = first["image_id"]
    near = DisjointSet([r["image_id"] for r in rows])
    for a, b in combinations([r for r in rows if r["phash"] is not None], 2):
        if min(bits(p, q) for p in codes(a) for q in codes(b)) <= distance:
            near.merge(a["image_id"], b["image_id"])
    return originals, {frozenset(s) for s in near.subsets() if len(s) > 1}


def codes(row: Row) -> list[tuple[int, int]]:
    return [(row["phash"], row["dhash"]), (row["phash_mirror"], row["dhash_mirror"])]


def bits(p: tuple[int, int], q: tuple[int, int]) -> int:
    return sum(((a ^ b) & (2**64 - 1)).bit_count() for a, b in zip(p, q, strict=True))


def groups(found: pa.Table) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    for row in found.to_pylist():
        if row["near_duplicate_group"] is not None:
            members.setdefault(row["near_duplicate_group"], set()).add(row["image_id"])
    return {name: frozenset(m) for name, m in members.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("distance", [0, 6, 14])
def test_agrees_with_brute_force(seed: int, distance: int) -> None:
    rows = archive(90, seed)
    found = duplicate_rows(table(rows), DuplicateSettings(distance))
    originals, near = brute_force(rows, distance)
    duplicates = {r["image_id"]: r["duplicate_of"] for r in found.to_pylist() if r["duplicate_of"] is not None}
    assert duplicates == originals
    assert set(groups(found).values()) == near
    assert set(found["image_id"].to_pylist()) == set(originals) | {i for g in near for i in g}
    assert len(set(found["image_id"].to_pylist())) == found.num_rows


def test_order_and_chunks_of_the_input_do_not_matter() -> None:
    rows = archive(60, 20)
    rng = np.random.default_rng(20)
    shuffled = [rows[i] for i in rng.permutation(60)]
    chunked = pa.concat_tables([table(shuffled[:7]), table(shuffled[7:]), table([])])
    assert duplicate_rows(chunked, DuplicateSettings(4)).equals(duplicate_rows(table(rows), DuplicateSettings(4)))


def test_a_group_is_named_by_its_members() -> None:
    rows = archive(60, 21)
    before = groups(duplicate_rows(table(rows), DuplicateSettings(4)))
    gone = rows[0]["image_id"]
    after = groups(duplicate_rows(table(rows[1:]), DuplicateSettings(4)))
    unchanged = {name: m for name, m in before.items() if gone not in m}
    assert unchanged.items() <= after.items()
    touched = {n for n, m in before.items() if gone in m}
    assert not touched & set(after)


def test_a_chain_of_copies_points_at_one_original() -> None:
    rows: list[Row] = [{"image_id": f"i{k}", "uri": f"u{k}", "content_sha256": "same"} for k in (2, 0, 1)]
    found = duplicate_rows(table(rows), DuplicateSettings(4)).to_pylist()
    assert [(r["image_id"], r["duplicate_of"]) for r in found] == [("i1", "i0"), ("i2", "i0")]


def test_unread_and_undecoded_images_are_no_duplicates() -> None:
    rows: list[Row] = [{"image_id": f"i{k}", "uri": f"u{k}", "content_sha256": None} for k in range(3)]
    found = duplicate_rows(table(rows), DuplicateSettings(4))
    assert found.num_rows == 0
    assert found.schema.names == ["image_id", "duplicate_of", "near_duplicate_group"]


def test_no_images() -> None:
    assert duplicate_rows(table([]), DuplicateSettings(4)).num_rows == 0
    assert duplicate_rows(SCHEMA.empty_table().slice(0, 0), DuplicateSettings(0)).num_rows == 0


@pytest.mark.parametrize("distance", [-1, 25])
def test_refuses_a_distance_out_of_range(distance: int) -> None:
    with pytest.raises(ValueError, match=r"duplicates\.max_distance"):
        DuplicateSettings(distance)
