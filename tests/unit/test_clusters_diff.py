"""`facelib clusters diff`: two runs written by hand, pairs counted one by one, and what the reader is told."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score

from facelib.cli.main import main
from facelib.clusters.difference import Difference, compare
from facelib.clusters.lineage import inherit_ids
from facelib.spark.run_record import RunRecord
from facelib.spark.tables import Place, write_arrow
from facelib.storage import StorageSettings, open_store
from schemas.arrow import arrow_schema
from schemas.tables import CLUSTERS

pytestmark = pytest.mark.unit

SEEDS = range(30)
Labels = dict[str, str | None]

BEFORE: Labels = dict.fromkeys("abc", "p") | dict.fromkeys("de", "q") | dict.fromkeys("vwxyz", "r") | {"n": None}
AFTER: Labels = (
    dict.fromkeys("abcde", "p") | dict.fromkeys("vwx", "r2") | dict.fromkeys("yz", "s") | {"n": None, "m": "t"}
)
"""q joined p, y and z left r for s; r has another id, m is new."""


def table(labels: Labels) -> pa.Table:
    sizes = Counter(labels.values())
    rows = [
        {
            "run_id": "r",
            "face_id": face,
            "image_id": face,
            "cluster_id": name,
            "role": "core" if name else "noise",
            "similarity_to_centroid": 1.0 if name else None,
            "cluster_size": sizes[name] if name else None,
            "weight": 1.0 if name else None,
            "is_cohort": False,
        }
        for face, name in labels.items()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(CLUSTERS))


def random_labels(seed: int) -> tuple[Labels, Labels]:
    rng = np.random.default_rng(seed)
    width = int(rng.integers(2, 30))
    before, other = rng.integers(-1, width, (2, 70))
    after = np.where(rng.random(70) < rng.choice([0, 0.2, 1]), other, before)
    runs = []
    for prefix, label in (("p", before), ("n", after)):
        gone = rng.random(70) < 0.15
        runs.append(
            {f"f{i:02d}": f"{prefix}{k}" if k >= 0 else None for i, k in enumerate(label.tolist()) if not gone[i]}
        )
    return runs[0], runs[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_equal_counting_them(seed: int) -> None:
    a, b = random_labels(seed)
    both = sorted(a.keys() & b.keys())
    counted: Counter[tuple[bool, bool]] = Counter()
    for f, g in combinations(both, 2):
        counted[a[f] is not None and a[f] == a[g], b[f] is not None and b[f] == b[g]] += 1
    pairs = compare(table(a), table(b)).pairs
    assert pairs.n_pairs == sum(counted.values())
    assert (pairs.together, pairs.together_only_a, pairs.together_only_b) == (
        counted[True, True],
        counted[True, False],
        counted[False, True],
    )
    expected = adjusted_rand_score([a[f] or f for f in both], [b[f] or f for f in both])
    assert pairs.adjusted_rand_index == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_faces_are_counted_as_sets_say(seed: int) -> None:
    a, b = random_labels(seed)
    found = compare(table(a), table(b))
    assert (found.faces_both, found.only_a, found.only_b) == (
        len(a.keys() & b.keys()),
        len(a.keys() - b.keys()),
        len(b.keys() - a.keys()),
    )
    named = dict(zip(b, inherit_ids(table(b), table(a)).clusters["cluster_id"].to_pylist(), strict=True))
    assert found.faces_moved == sum(a[f] != named[f] for f in a.keys() & b.keys())
    assert (found.clusters_a, found.clusters_b) == tuple(len(set(run.values()) - {None}) for run in (a, b))


@pytest.mark.parametrize("seed", SEEDS)
def test_runs_with_inherited_ids_differ_by_what_their_lineage_says(seed: int) -> None:
    a, b = (table(labels) for labels in random_labels(seed))
    made = inherit_ids(b, a)
    found, with_own_ids = compare(a, made.clusters), compare(a, b)
    counts = Counter(made.lineage["event"].to_pylist())
    assert {event: n for event, n in found.events.items() if n} == dict(counts)
    assert found.same_id == found.unchanged == counts["kept"]
    assert with_own_ids.same_id == 0
    assert (with_own_ids.events, with_own_ids.pairs) == (found.events, found.pairs)


def test_indexes_of_degenerate_partitions() -> None:
    one, apart = dict.fromkeys("abc", "p"), dict(zip("abc", "pqr", strict=True))

    def index(a: Labels, b: Labels) -> float | None:
        return compare(table(a), table(b)).pairs.adjusted_rand_index

    assert index(one, one) == index(apart, apart) == index(dict.fromkeys("abc"), apart) == 1.0
    assert index(one, apart) == 0.0
    assert index({"a": "p"}, {"a": "p"}) is None
    assert index({"a": "p", "b": "p"}, {"y": "p", "z": "p"}) is None


def test_the_difference_by_hand() -> None:
    found = compare(table(BEFORE), table(AFTER))
    assert found.events == {"kept": 0, "grown": 1, "shrunk": 1, "born": 2, "retired": 1, "merged": 1, "split": 1}
    assert (found.faces_a, found.faces_b, found.faces_both, found.faces_moved) == (11, 12, 11, 4)
    assert (found.clusters_a, found.clusters_b, found.unchanged, found.same_id) == (3, 4, 0, 0)
    assert (found.pairs.together, found.pairs.together_only_a, found.pairs.together_only_b) == (8, 6, 6)
    row = {"cluster_id": "p", "previous_cluster_id": "q", "n_shared": 2, "n_previous": 2, "n_current": 5}
    assert found.merges == [row]
    assert found.splits == [
        {"cluster_id": "s", "previous_cluster_id": "r", "n_shared": 2, "n_previous": 5, "n_current": 2}
    ]


def test_the_largest_are_listed_first_and_no_more_than_asked_for() -> None:
    sizes = {"p": 9, "q": 2, "r": 4, "s": 2, "t": 3}
    before: Labels = {f"{name}{i}": name for name, n in sizes.items() for i in range(n)}
    after: Labels = dict.fromkeys(before, "all")

    def listed(found: Difference) -> list[Any]:
        return [row["previous_cluster_id"] for row in found.merges]

    assert listed(compare(table(before), table(after))) == ["r", "t", "q", "s"]
    assert listed(compare(table(before), table(after), 2)) == ["r", "t"]
    assert listed(compare(table(before), table(after), 0)) == []
    assert [row["n_shared"] for row in compare(table(after), table(before)).splits] == [4, 3, 2, 2]


@pytest.fixture
def output(tmp_path: Path) -> str:
    """An output with the runs A and B, and a run C that has no clusters yet."""
    place = Place(str(tmp_path / "out"), StorageSettings())
    store = open_store(place.uri)
    for run_id, labels in (("A", BEFORE), ("B", AFTER), ("C", None)):
        record = RunRecord.begin("in", {}, {}, "")
        record.run_id = run_id
        if labels is not None:
            record.add_table(CLUSTERS, write_arrow(table(labels), CLUSTERS, place, record.folder(CLUSTERS)))
        record.save(store)
    return place.uri


def test_text_for_a_reader(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "diff", "A", "B", "--output", output]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "A → B",
        "faces     11 → 12: 11 in both, 0 only before, 1 only after; 4 changed cluster",
        "clusters  3 → 4: 0 unchanged (0 with the same id), 1 grown, 1 shrunk, 2 born, 1 retired",
        "pairs     8 together in both, 6 only before, 6 only after; adjusted Rand index "
        f"{adjusted_rand_score(*([run[f] or f for f in BEFORE] for run in (BEFORE, AFTER))):.6f}",
        "merged    1",
        "  2 of 2 faces of q → p (5)",
        "split     1",
        "  2 of 5 faces of r → s (2)",
    ]


def test_text_says_when_it_does_not_list_all(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "diff", "A", "B", "--output", output, "--limit", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["merged    1, largest 0 of them", "split     1, largest 0 of them"]


def test_json_for_a_program(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "diff", "A", "B", "--output", output, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run_a"], found["run_b"], found["is_empty"]) == ("A", "B", False)
    assert found["faces"] == {"a": 11, "b": 12, "both": 11, "only_a": 0, "only_b": 1, "moved": 4}
    assert found["clusters"] == {"a": 3, "b": 4, "unchanged": 0, "unchanged_with_same_id": 0}
    assert found["events"]["born"] == 2
    assert found["pairs"]["n_pairs"] == 55
    assert found["pairs"]["together_only_b"] == 6
    assert found["pairs"]["adjusted_rand_index"] == pytest.approx(
        adjusted_rand_score(*([run[f] or f for f in BEFORE] for run in (BEFORE, AFTER)))
    )
    assert (found["merges"][0]["previous_cluster_id"], found["splits"][0]["cluster_id"]) == ("q", "s")


def test_a_run_does_not_differ_from_itself(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "diff", "A", "A", "--output", output]) == 0
    assert capsys.readouterr().out == "A → A: nothing changed, 11 faces in 3 clusters\n"
    assert main(["clusters", "diff", "A", "A", "--output", output, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["is_empty"], found["clusters"]["unchanged_with_same_id"]) == (True, 3)


def test_a_change_of_ids_alone_or_of_noise_alone_is_a_change() -> None:
    renamed: Labels = {face: f"{name}2" if name else None for face, name in BEFORE.items()}
    found = compare(table(BEFORE), table(renamed))
    assert (found.is_empty, found.unchanged, found.same_id, found.faces_moved) == (False, 3, 0, 0)
    noisier = {**BEFORE, "a": None}
    found = compare(table(BEFORE), table(noisier))
    assert (found.is_empty, found.events["shrunk"], found.faces_moved) == (False, 1, 1)
    assert not compare(table(BEFORE), table({**BEFORE, "o": None})).is_empty


@pytest.mark.parametrize(
    ("runs", "message"),
    [(("A", "Z"), "there is no run Z"), (("C", "A"), "run C has no table clusters yet: run the stage")],
)
def test_a_run_without_clusters_is_named(
    runs: tuple[str, str], message: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clusters", "diff", *runs, "--output", output]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
