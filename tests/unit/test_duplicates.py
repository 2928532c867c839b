"""Exact and near duplicates against brute force over random archives."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.cluster.hierarchy import DisjointSet

from facelib.clusters.duplicates import duplicate_rows

pytestmark = pytest.mark.unit

SCHEMA = pa.schema(
    [("image_id", pa.string()), ("uri", pa.string()), ("content_sha256", pa.string()), ("phash", pa.int64())]
)
Row = dict[str, Any]


def archive(n: int, seed: int) -> list[Row]:
    """Images of few contents; hashes are a few centres with up to six bits flipped; some are null."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(-(2**63), 2**63 - 1, 12)
    rows = []
    for i in range(n):
        bits = sum(1 << int(b) for b in rng.choice(64, rng.integers(0, 7), replace=False))
        flipped = int(np.array([int(centres[rng.integers(12)]) & (2**64 - 1) ^ bits], np.uint64).view(np.int64)[0])
        rows.append(
            {
                "image_id": f"id{rng.integers(10**9):09d}{i}",
                "uri": f"s3://b/{rng.integers(10**6)}-{i}",
                "content_sha256": None if rng.random() < 0.1 else f"sha{rng.integers(n)}",
                "phash": None if rng.random() < 0.2 else flipped,
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
        if ((a["phash"] ^ b["phash"]) & (2**64 - 1)).bit_count() <= distance:
            near.merge(a["image_id"], b["image_id"])
    return originals, {frozenset(s) for s in near.subsets() if len(s) > 1}


def groups(found: pa.Table) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    for row in found.to_pylist():
        if row["near_duplicate_group"] is not None:
            members.setdefault(row["near_duplicate_group"], set()).add(row["image_id"])
    return {name: frozenset(m) for name, m in members.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("distance", [0, 3, 8])
def test_agrees_with_brute_force(seed: int, distance: int) -> None:
    rows = archive(90, seed)
    found = duplicate_rows(table(rows), distance)
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
    assert duplicate_rows(chunked, 4).equals(duplicate_rows(table(rows), 4))


def test_a_group_is_named_by_its_members() -> None:
    rows = archive(60, 21)
    before = groups(duplicate_rows(table(rows), 4))
    gone = rows[0]["image_id"]
    after = groups(duplicate_rows(table(rows[1:]), 4))
    unchanged = {name: m for name, m in before.items() if gone not in m}
    assert unchanged.items() <= after.items()
    touched = {n for n, m in before.items() if gone in m}
    assert not touched & set(after)


def test_a_chain_of_copies_points_at_one_original() -> None:
    rows: list[Row] = [
        {"image_id": f"i{k}", "uri": f"u{k}", "content_sha256": "same", "phash": None} for k in (2, 0, 1)
    ]
    found = duplicate_rows(table(rows), 4).to_pylist()
    assert [(r["image_id"], r["duplicate_of"]) for r in found] == [("i1", "i0"), ("i2", "i0")]


def test_unread_and_undecoded_images_are_no_duplicates() -> None:
    rows: list[Row] = [{"image_id": f"i{k}", "uri": f"u{k}", "content_sha256": None, "phash": None} for k in range(3)]
    found = duplicate_rows(table(rows), 4)
    assert found.num_rows == 0
    assert found.schema.names == ["image_id", "duplicate_of", "near_duplicate_group"]


def test_no_images() -> None:
    assert duplicate_rows(table([]), 4).num_rows == 0
    assert duplicate_rows(SCHEMA.empty_table().slice(0, 0), 0).num_rows == 0
