"""Inherited cluster ids and their account: cases worked out by hand, and random partitions against sets and loops."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import linear_sum_assignment

from facelib.clusters.lineage import INHERITING, Inherited, inherit_ids
from facelib.ids import cluster_id
from schemas.arrow import arrow_schema, conform
from schemas.tables import CLUSTER_LINEAGE

pytestmark = pytest.mark.unit

SEEDS = range(40)
Groups = dict[str, str]
"""cluster id → its faces, a letter each."""
Row = tuple[str | None, str | None, str, int, int | None, int | None]


def table(groups: Groups, noise: str = "") -> pa.Table:
    rows = [(face, name, len(faces)) for name, faces in groups.items() for face in faces]
    rows += [(face, None, None) for face in noise]  # type: ignore[misc]
    faces, names, sizes = zip(*sorted(rows), strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "face_id": pa.array(faces, pa.string()),
            "image_id": pa.array(faces, pa.string()),
            "cluster_id": pa.array(names, pa.string()),
            "role": pa.array(["core" if n else "noise" for n in names], pa.string()),
            "cluster_size": pa.array(sizes, pa.int64()),
        }
    )


def groups_of(clusters: pa.Table) -> dict[str, set[str]]:
    found = defaultdict(set)
    for face, name in zip(clusters["face_id"].to_pylist(), clusters["cluster_id"].to_pylist(), strict=True):
        if name is not None:
            found[name].add(face)
    return dict(found)


def rows_of(found: Inherited) -> list[Row]:
    names = ["cluster_id", "previous_cluster_id", "event", "n_shared", "n_previous", "n_current"]
    assert found.lineage.column_names == names
    return [tuple(row.values()) for row in found.lineage.to_pylist()]  # type: ignore[misc]


def inherited(current: Groups, previous: Groups, noise: str = "", previous_noise: str = "") -> Inherited:
    return inherit_ids(table(current, noise), table(previous, previous_noise))


@pytest.mark.parametrize(
    ("current", "previous", "rows"),
    [
        ({"x": "abc"}, {"p": "abc"}, [("p", "p", "kept", 3, 3, 3)]),
        ({"x": "abcd"}, {"p": "abc"}, [("p", "p", "grown", 3, 3, 4)]),
        ({"x": "ab"}, {"p": "abc"}, [("p", "p", "shrunk", 2, 3, 2)]),
        ({"x": "abyz"}, {"p": "abc"}, [("p", "p", "grown", 2, 3, 4)]),
        ({"x": "abz"}, {"p": "abc"}, [("p", "p", "grown", 2, 3, 3)]),
        ({"x": "az"}, {"p": "abc"}, [("p", "p", "shrunk", 1, 3, 2)]),
        ({"x": "abc"}, {}, [("x", None, "born", 0, None, 3)]),
        ({}, {"p": "abc"}, [(None, "p", "retired", 0, 3, None)]),
        ({"x": "ab"}, {"p": "cde"}, [("x", None, "born", 0, None, 2), (None, "p", "retired", 0, 3, None)]),
        (
            {"x": "abcde"},
            {"p": "abc", "q": "de"},
            [("p", "p", "grown", 3, 3, 5), ("p", "q", "merged", 2, 2, 5), (None, "q", "retired", 0, 2, None)],
        ),
        (
            {"x": "abc", "y": "de"},
            {"p": "abcde"},
            [("p", "p", "shrunk", 3, 5, 3), ("y", "p", "split", 2, 5, 2), ("y", None, "born", 0, None, 2)],
        ),
        (
            {"x": "abc", "y": "dexyz"},
            {"p": "abcd", "q": "exyz"},
            [("p", "p", "shrunk", 3, 4, 3), ("q", "p", "split", 1, 4, 5), ("q", "q", "grown", 4, 4, 5)],
        ),
        (
            {"x": "a", "y": "bcvwxyz"},
            {"p": "abc", "q": "vwxyz"},
            [("p", "p", "shrunk", 1, 3, 1), ("q", "p", "merged", 2, 3, 7), ("q", "q", "grown", 5, 5, 7)],
        ),
        (
            {"x": "avw", "y": "bxyz"},
            {"p": "ab", "q": "vw", "r": "xyz"},
            [
                ("q", "p", "split", 1, 2, 3),
                ("q", "q", "grown", 2, 2, 3),
                ("r", "p", "split", 1, 2, 4),
                ("r", "r", "grown", 3, 3, 4),
                (None, "p", "retired", 0, 2, None),
            ],
        ),
        (
            {"x": "avwx"},
            {"p": "abcde", "q": "vwx"},
            [("q", "p", "merged", 1, 5, 4), ("q", "q", "grown", 3, 3, 4), (None, "p", "retired", 0, 5, None)],
        ),
    ],
    ids=[
        "kept",
        "grown",
        "shrunk",
        "gained more than lost",
        "gained as many as lost",
        "lost more than gained",
        "born in the first run",
        "everything is gone",
        "nothing in common",
        "absorbed",
        "split off",
        "a face moved to another that lives on",
        "most faces moved but the id lives on",
        "halved between two others",
        "of the faces left, all were absorbed",
    ],
)
def test_events_by_hand(current: Groups, previous: Groups, rows: list[Row]) -> None:
    assert rows_of(inherited(current, previous)) == rows


def test_faces_that_became_noise_or_were_noise_are_in_no_cluster() -> None:
    found = inherited({"x": "abn"}, {"p": "abc", "q": "d"}, noise="cd", previous_noise="n")
    assert rows_of(found) == [("p", "p", "grown", 2, 3, 3), (None, "q", "retired", 0, 1, None)]
    assert found.clusters["cluster_id"].to_pylist() == ["p", "p", None, None, "p"]


@pytest.mark.parametrize(
    ("current", "previous", "heirs"),
    [
        ({"x": "abc", "y": "de"}, {"p": "abcde"}, {"abc": "p", "de": "y"}),
        ({"x": "abyz", "y": "cd"}, {"p": "abcd"}, {"abyz": "x", "cd": "p"}),
        ({"x": "ab"}, {"p": "acd", "q": "b"}, {"ab": "q"}),
        ({"p": "ab", "x": "cd"}, {"p": "acbd"}, {"ab": "p", "cd": "x"}),
        ({"a": "ab", "p": "cd"}, {"p": "acbd"}, {"ab": "a", "cd": "p"}),
        ({"x": "ab"}, {"p": "ac", "o": "bd"}, {"ab": "o"}),
        ({"y": "ab", "x": "cd"}, {"p": "abcd"}, {"ab": "y", "cd": "p"}),
        ({"x": "abc", "y": "dxyz", "z": "efg"}, {"p": "abcdefg", "q": "wxyz"}, {"abc": "p", "dxyz": "q", "efg": "z"}),
    ],
    ids=[
        "overlap",
        "then jaccard of the current",
        "then jaccard of the previous",
        "then the same id",
        "the same id, wherever it sorts",
        "then the previous id",
        "then the current id",
        "each id once",
    ],
)
def test_who_inherits(current: Groups, previous: Groups, heirs: dict[str, str]) -> None:
    found = groups_of(inherited(current, previous).clusters)
    assert {"".join(sorted(faces)): name for name, faces in found.items()} == heirs


def test_the_largest_overlap_keeps_its_id_where_an_optimal_assignment_would_move_it() -> None:
    """x holds 4 of p's 7 faces; assigning q to x and p to y would share 6 faces instead of 4."""
    found = inherited({"x": "abcdxyz", "y": "efg"}, {"p": "abcdefg", "q": "xyz"})
    assert groups_of(found.clusters) == {"p": set("abcdxyz"), "y": set("efg")}
    assert Counter(row[2] for row in rows_of(found)) == Counter(
        {"grown": 1, "merged": 1, "split": 1, "born": 1, "retired": 1}
    )


def test_a_digest_that_another_cluster_inherited_is_digested_again() -> None:
    own = cluster_id("ab")
    previous = {own: "abcde"}
    found = groups_of(inherited({own: "ab", "y": "cde"}, previous).clusters)
    assert found[own] == set("cde")
    (made,) = set(found) - {own}
    assert made.startswith("c")
    assert len(made) == len(own)
    again = groups_of(inherited({own: "ab", "y": "cde", "z": "fgh"}, {**previous, "q": "gh"}).clusters)
    assert again[made] == set("ab")


def test_a_digest_of_a_retired_cluster_is_not_used_again() -> None:
    own = cluster_id("ab")
    found = inherited({own: "ab"}, {own: "xy"}, previous_noise="ab")
    ((made, before, event, *_), retired) = rows_of(found)
    assert (before, event) == (None, "born")
    assert made not in (None, own)
    assert retired == (None, own, "retired", 0, 2, None)


def test_ids_in_use_by_any_cluster_of_either_run_are_passed_over() -> None:
    own = cluster_id("ab")
    (first,) = groups_of(inherited({own: "ab"}, {own: "xy"}).clusters)
    (second,) = groups_of(inherited({own: "ab"}, {own: "xy", first: "z"}).clusters)
    assert len({own, first, second}) == 3
    assert groups_of(inherited({own: "ab", first: "z"}, {own: "xy"}).clusters) == {second: set("ab"), first: {"z"}}


def test_rows_and_other_columns_stay_as_they_were() -> None:
    current = table({"x": "ac", "y": "b"}, "n").take([2, 0, 3, 1])
    found = inherit_ids(current, table({"p": "ac"})).clusters
    assert found.column_names == current.column_names
    assert found["cluster_id"].to_pylist() == ["p", "p", None, "y"]
    for name in ("face_id", "image_id", "role", "cluster_size"):
        assert found[name].equals(current[name])


def test_the_lineage_keeps_to_its_contract() -> None:
    found = inherited({"x": "abcz", "y": "d"}, {"p": "abcd", "q": "e"}).lineage
    contract = arrow_schema(CLUSTER_LINEAGE)
    assert found.schema == pa.schema([field for field in contract if field.name != "run_id"])
    whole = conform(found.append_column("run_id", pa.array(["r"] * len(found))), CLUSTER_LINEAGE)
    assert len(whole) == len(found) == 4
    assert set(found["event"].to_pylist()) <= set(CLUSTER_LINEAGE.column("event").values)


@pytest.mark.parametrize("twice", ["current", "previous"])
def test_a_face_that_occurs_twice_is_refused(twice: str) -> None:
    once, doubled = table({"x": "ab"}), pa.concat_tables([table({"x": "ab"}), table({"y": "b"})])
    with pytest.raises(ValueError, match="a face_id occurs twice"):
        inherit_ids(*((doubled, once) if twice == "current" else (once, doubled)))


def random_runs(seed: int) -> tuple[pa.Table, pa.Table]:
    """Two partitions of faces that partly overlap, with noise; some ids of the current one occur in the previous."""
    rng = np.random.default_rng(seed)
    faces = np.array([f"f{i:03d}" for i in range(120)])
    width = int(rng.integers(3, 40))
    before = rng.integers(-1, width, 120)
    moved = rng.random(120) < rng.choice([0.0, 0.1, 0.4, 1.0])
    after = np.where(moved, rng.integers(-1, width, 120), before)

    def run(label: np.ndarray, prefix: str, gone: np.ndarray) -> pa.Table:
        names = [f"{prefix if rng.random() < 0.8 else 's'}{k:02d}" for k in range(width)]
        rows = [(f, names[k] if k >= 0 else None) for f, k in zip(faces[~gone], label[~gone], strict=True)]
        rng.shuffle(rows)
        ids, clusters = zip(*rows, strict=True)
        return pa.table({"face_id": pa.array(ids), "cluster_id": pa.array(clusters, pa.string())})

    return run(after, "n", rng.random(120) < 0.1), run(before, "p", rng.random(120) < 0.1)


def by_loops(current: dict[str, set[str]], previous: dict[str, set[str]]) -> dict[str, str]:
    """Current → previous cluster that it continues: the rule as it reads, over sets."""
    pairs = [
        (-len(c & p), -len(c & p) / len(c | p), a != b, b, a)
        for a, c in current.items()
        for b, p in previous.items()
        if c & p
    ]
    found: dict[str, str] = {}
    for *_, b, a in sorted(pairs):
        if a not in found and b not in found.values():
            found[a] = b
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_random_partitions_inherit_as_the_rule_reads(seed: int) -> None:
    current, previous = random_runs(seed)
    found = inherit_ids(current, previous)
    old, new = groups_of(previous), groups_of(found.clusters)
    names = {frozenset(faces): name for name, faces in new.items()}
    heirs = by_loops(groups_of(current), old)
    for own, faces in groups_of(current).items():
        name = names[frozenset(faces)]
        if own in heirs:
            assert name == heirs[own]
        else:
            assert name not in old
            assert name == own or own in old
    for name, faces in old.items():
        if faces in new.values():
            assert new[name] == faces


@pytest.mark.parametrize("seed", SEEDS)
def test_random_lineage_reconciles_with_the_sets(seed: int) -> None:
    current, previous = random_runs(seed)
    found = inherit_ids(current, previous)
    old, new = groups_of(previous), groups_of(found.clusters)
    rows = rows_of(found)
    assert len({row[:2] for row in rows}) == len(rows)
    assert {r[:2] for r in rows if r[3]} == {(a, b) for a in new for b in old if new[a] & old[b]}
    for name, before, event, n_shared, n_previous, n_current in rows:
        was, now = old.get(before or "", set()), new.get(name or "", set())
        assert (n_previous, n_current) == (len(was) or None, len(now) or None)
        assert n_shared == len(was & now)
        left = sum(face in was for faces in new.values() for face in faces)
        expected = {
            "kept": name == before and was == now,
            "grown": name == before and was != now and len(now) >= len(was),
            "shrunk": name == before and len(now) < len(was),
            "merged": before is not None and name not in (None, before) and 2 * n_shared > left,
            "split": before is not None and name not in (None, before) and 2 * n_shared <= left,
            "born": before is None and name not in old,
            "retired": name is None and before not in new,
        }
        assert [e for e, holds in expected.items() if holds] == [event]
    everything_old, everything_new = set().union(*old.values()), set().union(*new.values())
    for name, faces in new.items():
        own = [r for r in rows if r[0] == name]
        assert sum(r[2] in (*INHERITING, "born") for r in own) == 1
        assert sum(r[3] for r in own) + len(faces - everything_old) == len(faces)
    for name, faces in old.items():
        own = [r for r in rows if r[1] == name]
        assert sum(r[2] in (*INHERITING, "retired") for r in own) == 1
        assert sum(r[2] == "merged" for r in own) <= 1
        assert sum(r[3] for r in own) + len(faces - everything_new) == len(faces)
    events = Counter(r[2] for r in rows)
    assert len(new) - len(old) == events["born"] - events["retired"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_does_not_matter_and_a_second_time_changes_nothing(seed: int) -> None:
    current, previous = random_runs(seed)
    found = inherit_ids(current, previous)
    rng = np.random.default_rng(seed)
    shuffled, other = (t.take(rng.permutation(len(t))) for t in (current, previous))
    again = inherit_ids(shuffled, other)
    assert again.lineage.equals(found.lineage)
    assert again.clusters.sort_by("face_id").equals(found.clusters.sort_by("face_id"))
    twice: Any = inherit_ids(found.clusters, previous)
    assert twice.clusters.equals(found.clusters)
    assert twice.lineage.equals(found.lineage)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_matching_is_stable_and_holds_half_of_the_best_total(seed: int) -> None:
    current, previous = random_runs(seed)
    old, new = groups_of(previous), groups_of(inherit_ids(current, previous).clusters)
    shared = np.array([[len(new[a] & old[b]) for b in old] for a in new])
    got = np.array([[shared[i, j] * (a == b) for j, b in enumerate(old)] for i, a in enumerate(new)])
    assert (shared <= np.maximum(got.max(1)[:, None], got.max(0)[None])).all()
    best = shared[linear_sum_assignment(-shared)].sum()
    assert best / 2 <= got.sum() <= best
