"""The benchmarks `normalisation` and `planted`: their figures against brute force and cases worked by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cohort_scores, graph_choices, labelled, normalisation, planted, planted_child, planted_peers
from benchmarks import planted_row as row
from benchmarks.face_set import Faces, together, usable_by_id

from facelib.clusters.agreement import pairwise_scores
from facelib.clusters.cohort import Cohort, weights
from facelib.clusters.engine import LOCAL
from facelib.clusters.settings import ClusterSettings
from facelib.demo.planted_embeddings import KINDS, planted_embeddings
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def unit_rows(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_normalised_scores_follow_their_formulas_pair_by_pair() -> None:
    test, cohort = unit_rows(6, 16, 1), unit_rows(300, 16, 2)
    top = -np.sort(-(test.astype(np.float64) @ cohort.T.astype(np.float64)), axis=1)
    weight = weights(test, Cohort(np.full(300, -1), cohort, _typical(cohort)))
    found = {name: score(test, cohort) for name, score in cohort_scores.SCORES.items()}
    plain, mean, adaptive, ours = found.values()
    for a in range(6):
        for b in range(6):
            cosine = float(test[a] @ test[b])
            assert plain[a, b] == pytest.approx(cosine, abs=1e-5)
            assert mean[a, b] == pytest.approx(cosine - top[a, :50].mean() / 2 - top[b, :50].mean() / 2, abs=1e-5)
            z = [(cosine - top[i, :200].mean()) / top[i, :200].std() for i in (a, b)]
            assert adaptive[a, b] == pytest.approx(np.mean(z), abs=1e-3)
            assert ours[a, b] == pytest.approx(1 - (1 - cosine) * weight[a] * weight[b], abs=1e-5)


def _typical(cohort: np.ndarray) -> float:
    """Geometric mean of 1 - cosine to the other members of rank 3 to 5, by sorting."""
    other = -np.sort(-(cohort @ cohort.T), axis=1)[:, 1:]
    return float(np.exp(np.log(1 - other[:, 2:5]).mean()))


def side(unit: np.ndarray, subjects: list[str], race: list[str]) -> normalisation.Side:
    groups = {"race and gender": np.array(race), "age": np.array(["3-9"] * len(race))}
    return normalisation.Side(unit, np.array(subjects), groups)


def test_rates_of_a_direction_against_counting_pairs() -> None:
    lfw, strangers = unit_rows(60, 8, 3), unit_rows(80, 8, 4)
    lfw[1::2] = lfw[::2] + 0.1 * unit_rows(30, 8, 5)
    lfw /= np.linalg.norm(lfw, axis=1, keepdims=True)
    subjects = [f"s{i // 2}" for i in range(60)]
    sums = normalisation.Measured("split", "LFW", "cosine")
    races = ["x", "y"] * 40
    normalisation.add_direction(
        sums, side(lfw, subjects, [""] * 60), side(strangers, list("z" * 80), races), lfw[:5], cohort_scores.cosine
    )
    of_lfw = {(i, j): float(lfw[i] @ lfw[j]) for i in range(60) for j in range(i)}
    of_strangers = {(i, j): float(strangers[i] @ strangers[j]) for i in range(80) for j in range(i)}
    non_mated = sorted([s for (i, j), s in of_lfw.items() if i // 2 != j // 2], reverse=True)
    mated = [s for (i, j), s in of_lfw.items() if i // 2 == j // 2]
    assert (sums.members, sums.non_mated, sums.pooled) == (5, 1740, 1740 + 80 * 79 // 2)
    assert sums.rates[0] == pytest.approx(
        [np.mean(np.array(mated) > non_mated[1]), *[np.mean(np.array(mated) > non_mated[0])] * 2]
    )
    threshold = max(*non_mated, *of_strangers.values())
    assert sums.pooled_rates == [np.mean(np.array(mated) > threshold)]
    assert sums.pairs["race and gender"] == {"x": 780, "y": 780}
    assert sum(sums.false["age"].values()) == 0


def test_splits_share_no_subject() -> None:
    groups = {"view2_fold": np.array(["1", "1", "2", "2"]), "gender": np.array(["F", "F", "M", "F"])}
    lfw = normalisation.Side(unit_rows(4, 4, 0), np.array(["a", "a", "b", "c"]), groups)
    fairface = normalisation.Side(
        unit_rows(4, 4, 1), np.array(["1", "2", "3", "4"]), {"gender": np.array(["Male", "Female"] * 2)}
    )
    found = normalisation._splits(lfw, fairface)
    assert list(found) == ["random", "folds 1, 2", "women, men"]
    for (of, rows), (_, others) in found.values():
        assert not set(of.subjects[rows].tolist()) & set(of.subjects[~rows].tolist())
        assert others.sum() == 2


def test_false_merges_are_the_pairs_of_two_people_in_one_cluster() -> None:
    rng = np.random.default_rng(3)
    predicted, truth = rng.integers(0, 9, 80), rng.integers(0, 20, 80)
    pairs = [(i, j) for i in range(80) for j in range(i)]
    wrong = sum(predicted[i] == predicted[j] and truth[i] != truth[j] for i, j in pairs)
    assert graph_choices.false_merges(predicted, truth) == wrong > 0


def test_choice_table_has_a_row_for_every_choice_and_the_default_twice() -> None:
    archive = graph_choices._planted(300)
    found = dict(graph_choices._variants(archive, quick=True))
    assert found["false edges per face", "0.04 (default)"] == found["**default**", ""]
    assert {name for name, _ in found} == {
        "**default**", "edge weight", "incoherent clusters", "neighbours", "false edges per face"
    }  # fmt: skip
    assert all(float(cells[1]) > 0.8 for cells in found.values())


def faces(prefix: str, usable: list[bool]) -> Faces:
    n = len(usable)
    ids = [f"{prefix}{n - i}" for i in range(n)]
    names = np.array([prefix] * n)
    return Faces(ids, ids, unit_rows(n, 4, n), np.array(usable), np.ones(n, bool), names)


def test_archives_are_put_together_and_sorted_by_id() -> None:
    both = together(faces("b", [True, False]), faces("a", [True] * 3))
    assert both.identities.tolist() == ["b", "b", "a", "a", "a"]
    assert [both.face_ids[i] for i in usable_by_id(both)] == ["a1", "a2", "a3", "b2"]


def test_missing_fairface_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fairface_dev beside lfw_dev"):
        labelled.photographs(tmp_path / "lfw_dev")


def test_distance_is_transferred_by_the_count_below_it() -> None:
    assert planted_child.between([0.2, 0.4, 0.8], 1) == pytest.approx(0.3)
    assert planted_child.between([0.2, 0.4, 0.8], 0) == 0.2
    assert planted_child.between([0.2, 0.4, 0.8], 9) == 0.8


def test_exponent_of_costs() -> None:
    assert planted.exponent((10, 2.0), (1000, 200.0)) == pytest.approx(1)
    assert planted.exponent((10, 2.0), (100, 200.0)) == pytest.approx(2)


def test_oracle_counts_non_mated_pairs_only() -> None:
    made = planted_embeddings(300, KINDS["arcface"], 5)
    found = planted_peers.oracle(made, [0.9, 1.2])
    x = made.embeddings.astype(np.float64)
    distance = np.sqrt(np.maximum(2 - 2 * x @ x.T, 0))[made.identities[:, None] != made.identities]
    assert found["counts"] == [int((distance < d).sum()) for d in (0.9, 1.2)]
    assert found["distances"][:50] == pytest.approx(np.sort(distance)[:50].tolist(), abs=1e-5)


def test_scan_gives_what_the_peer_itself_gives() -> None:
    made = planted_embeddings(300, KINDS["plain"], 6)
    distances = (0.7, 0.9, 1.1)
    for peer in set(planted_peers.PEERS) - planted_peers.WITHOUT_DISTANCE:
        find = planted_peers.PEERS[peer]
        found = planted_peers.scan(peer, made.embeddings, distances, made.identities)
        expected = [pairwise_scores(find(made.embeddings, d), made.identities).f1 for d in distances]
        assert found == pytest.approx(expected), peer
        assert len(set(found)) > 1


def test_known_neighbours_are_the_nearest_above_the_floor() -> None:
    unit = unit_rows(120, 8, 7)
    a, b = planted_peers.known_neighbours(unit, 0.3, 4, seed=0)
    similarity = unit @ unit.T - 2 * np.eye(120)
    expected = {(i, int(j)) for i in range(120) for j in np.argsort(-similarity[i])[:4] if similarity[i, j] > 0.3}
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == expected


def test_check_tells_compared_pairs_from_edges() -> None:
    made = planted_embeddings(400, KINDS["plain"], row.SEED)
    settings = ClusterSettings(exact_faces=100, cells=40, min_canary_f=0, neighbours=2, recall=0.95)
    watched = row.Watched(LOCAL)
    found = row.cluster(made, watched, settings)
    checked = row.check(found, watched.search, 400)
    assert checked["edges"] < checked["compared_by_face"] < 1
    assert checked["compared_by_face"] > 0.9
    assert checked["compared"] > 0.9
    assert {"cells of n faces", "pairs in n cells"} <= set(watched.seconds)


def test_pool_computes_what_one_process_computes() -> None:
    made = planted_embeddings(300, KINDS["plain"], row.SEED)
    settings = ClusterSettings(exact_faces=100, cells=20, min_canary_f=0)
    with row.pool_engine(2) as engine:
        assert row.cluster(made, engine, settings).clusters.equals(row.cluster(made, LOCAL, settings).clusters)


def test_row_that_takes_too_long_and_row_that_fails_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join([str(Path(__file__).resolve().parents[i]) for i in (1, 2)]))
    request = {"what": "peer", "peer": "average linkage (SciPy)", "faces": 3000, "distance": 1.0}
    assert planted_child.measured_apart(request, 0.001)["failed"] == "did not finish in 0 s"
    assert "KeyError" in planted_child.measured_apart(request | {"peer": "nothing"})["failed"]
    found = planted_child.measured_apart(request | {"faces": 200})
    assert found["seconds"] > 0
    assert found["whole"] >= found["peak"] > 1 << 20
    json.dumps(found)


def test_refusal_is_told_without_its_advice() -> None:
    error = "Traceback\n  x\nfacelib.errors.DegenerateResultError: one cluster holds all: raise cluster.floor"
    assert planted_child._reason(error) == "refused: one cluster holds all"
