"""1:1 verification: the protocol of LFW on cases worked by hand, rates over all pairs against counting pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from facelib.errors import ConfigError
from facelib.reports import all_pairs, comparisons, verification

pytestmark = pytest.mark.unit

PAIRS = """1\t2
Ann\t1\t2
Bo\t3\t14
Ann\t1\tBo\t3
Cy\t7\tAnn\t2
"""


def test_pairs_file_is_read_as_lfw_defines_it(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS)
    assert verification.read_pairs(path) == [
        verification.Pair("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True),
        verification.Pair("Bo/Bo_0003.jpg", "Bo/Bo_0014.jpg", True),
        verification.Pair("Ann/Ann_0001.jpg", "Bo/Bo_0003.jpg", False),
        verification.Pair("Cy/Cy_0007.jpg", "Ann/Ann_0002.jpg", False),
    ]
    path.write_text(PAIRS.replace("1\t2\n", "1\t3\n", 1))
    with pytest.raises(ConfigError, match="holds 4 pairs"):
        verification.read_pairs(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with the numbers"),
        ("name,other\n", "does not begin with the numbers"),
        ("1\t1\nAnn\t1\nAnn\t1\tBo\t2\n", "line 2 of pairs file p.txt is neither"),
        ("1\t1\nAnn\t1\t2\nAnn\tx\tBo\t2\n", "line 3 of pairs file p.txt is neither"),
    ],
)
def test_a_file_of_another_form_is_refused_without_its_names(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        verification.parse_pairs(text.encode(), "p.txt")
    assert "Ann" not in str(refused.value)


def test_a_header_with_one_number_means_one_fold() -> None:
    pairs = verification.parse_pairs(b"1\nAnn\t1\t2\nAnn\t1\tBo\t3\n", "p.txt")
    assert [p.is_mated for p in pairs] == [True, False]


def test_folds_are_balanced_runs() -> None:
    is_mated = np.array([True, True, False, False, False, False, True, True])
    assert verification.balanced_folds(is_mated, 2).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    fold = verification.balanced_folds(np.arange(1200) // 300 % 2 == 0)
    counts = np.unique(np.column_stack((fold, np.arange(1200) // 300 % 2)), axis=0, return_counts=True)[1]
    assert counts.tolist() == [60] * 20


def test_best_threshold_lies_halfway_between_two_scores() -> None:
    scores = np.array([0.9, 0.2, 0.6, 0.5, 0.1])
    is_mated = np.array([True, False, True, False, True])
    assert verification.best_threshold(scores, is_mated) == pytest.approx(0.55)


def test_best_threshold_never_parts_equal_scores() -> None:
    """Between the two scores of 0.5 a threshold would get all three right; no threshold lies there."""
    scores, is_mated = np.array([0.5, 0.5, 0.8]), np.array([False, True, True])
    assert verification.best_threshold(scores, is_mated) == -np.inf


def test_cross_validation_of_a_case_worked_by_hand() -> None:
    """Fold 1 alone says 0.5, which gets 3 of 4 of fold 0 right; fold 0 alone says 0.3, and gets 3 of 4 of fold 1."""
    scores = np.array([0.9, 0.4, 0.2, 0.1, 0.8, 0.6, 0.4, 0.2])
    is_mated = np.array([True, True, False, False, True, True, False, False])
    fold = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = verification.cross_validated(scores, is_mated, fold)
    assert found.mean == pytest.approx(0.75)
    assert found.standard_error == pytest.approx(0)
    assert found.threshold == pytest.approx((0.5 + 0.3) / 2)


def test_standard_error_of_a_case_worked_by_hand() -> None:
    """Accuracies 1 and 0.5: deviation with n − 1 is 0.5 / √2, over √2 folds 0.25."""
    scores, is_mated = np.array([0.9, 0.1, 0.9, 0.6]), np.array([True, False, True, False])
    found = verification.cross_validated(scores, is_mated, np.array([0, 0, 1, 1]))
    assert (found.mean, found.standard_error) == (pytest.approx(0.75), pytest.approx(0.25))


def test_true_match_rate_of_a_case_worked_by_hand() -> None:
    """One of ten non-mated scores may exceed the threshold, so it is the second largest of them."""
    non_mated = np.arange(10) / 10
    mated = np.array([0.7, 0.8, 0.85, 0.95])
    assert verification.true_match_rate(mated, non_mated, 0.1) == (0.5, 0.8)
    assert verification.true_match_rate(mated, non_mated, 0.05) == (0.25, 0.9)


def test_pairs_accuracy_counts_what_has_no_face_or_is_not_listed() -> None:
    """Rows 0 and 1 are alike, 2 and 3 are alike; e has no face; z is not in the archive."""
    unit = np.array([[1, 0], [0.8, 0.6], [-1, 0], [-0.8, 0.6]], np.float32)
    images = {name: f"id-{name}" for name in "abcde"}
    rows = {f"id-{name}": row for row, name in enumerate("abcd")}
    kinds = [("ab", True), ("cd", True), ("ae", True), ("ac", False), ("bd", False), ("az", False), ("ce", False)]
    pairs = [verification.Pair(first, second, kind) for (first, second), kind in kinds]
    found = verification.pairs_accuracy(pairs, images, rows, unit)
    assert (found.n_pairs, found.n_mated, found.n_not_listed, found.n_without_face, found.folds) == (6, 3, 1, 2, 3)
    assert found.accuracy.mean == pytest.approx(5 / 6)  # only the mated pair without a face is wrong
    with pytest.raises(ConfigError, match="1 mated and 0 non-mated ones have both images"):
        verification.pairs_accuracy(pairs[:1], images, rows, unit)


def generated(seed: int, sizes: Sequence[int], spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings (n, 8) of subjects with these numbers of faces, shuffled, and the subjects' names."""
    rng = np.random.default_rng(seed)
    subject = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    faces = rng.normal(size=(len(sizes), 8))[subject] + spread * rng.normal(size=(len(subject), 8))
    unit = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)
    return unit, np.array([f"s{i * 7 % 101:03d}" for i in subject])


def pair_by_pair(unit: np.ndarray, names: np.ndarray) -> list[tuple[float, str, str]]:
    """(cosine, subject, subject) of every pair."""
    cosine = unit @ unit.T
    return [(float(cosine[i, j]), names[i], names[j]) for i, j in combinations(range(len(unit)), 2)]


SIZES = (9, 7, 5, 4, 4, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1)
RATES = (0.2, 0.05, 0.02, 0.001)


@pytest.mark.parametrize("tile", [1024, 7])
def test_counts_and_rates_equal_counting_pair_by_pair(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "_TILE", tile)
    unit, names = generated(5, SIZES, 0.6)
    pairs = pair_by_pair(unit, names)
    mated, non_mated = (np.array([c for c, a, b in pairs if (a == b) == kind]) for kind in (True, False))
    found = all_pairs.verify(unit, names, RATES, resamples=5)
    assert (found.n_faces, found.n_subjects) == (sum(SIZES), len(SIZES))
    assert (found.n_mated, found.n_non_mated) == (len(mated), len(non_mated))
    for point in found.points[:3]:
        tmr, threshold = verification.true_match_rate(mated, non_mated, point.fmr)
        assert (point.tmr, point.threshold) == (tmr, pytest.approx(threshold, abs=1e-6))
    for point in found.roc:
        counts = ((non_mated > point.threshold).sum(), (mated > point.threshold).sum())
        assert (point.false_matches, point.true_matches) == counts
    assert (found.roc[0].false_matches, found.roc[0].true_matches) == (len(non_mated), len(mated))
    assert (found.roc[-1].false_matches, found.roc[-1].true_matches) == (0, 0)


def test_a_rate_with_too_few_false_matches_is_not_supported() -> None:
    unit, names = generated(5, SIZES, 0.6)
    total = len(pair_by_pair(unit, names)) - sum(n * (n - 1) // 2 for n in SIZES)
    enough, too_few = 10.001 / total, 9.999 / total
    supported, not_supported = all_pairs.verify(unit, names, (enough, too_few), resamples=5).points
    assert supported.tmr is not None
    assert not_supported == all_pairs.OperatingPoint(too_few, pytest.approx(9.999))
    assert not_supported.tmr is not_supported.threshold is not_supported.tmr_ends is None


@pytest.mark.parametrize("spare", [1000, -170])
def test_intervals_equal_a_bootstrap_pair_by_pair(spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each set is written out: a pair as often as its subject, or the product of its two, was drawn."""
    kept: list[int] = []

    def compare_all(unit: np.ndarray, subject: np.ndarray, keep: int) -> comparisons.Comparisons:
        kept.append(keep)
        return comparisons.compare_all(unit, subject, keep)

    monkeypatch.setattr(all_pairs, "compare_all", compare_all)
    monkeypatch.setattr(all_pairs, "_SPARE", spare)
    unit, names = generated(6, SIZES, 0.6)
    resamples, seed = 60, 3
    order = list(dict.fromkeys(names))
    pairs = pair_by_pair(unit, names)
    drawn: dict[float, list[tuple[float, float]]] = {rate: [] for rate in RATES[:3]}
    for times in all_pairs.subject_multiplicities(len(order), resamples, seed):
        assert times.sum() == len(order)
        of = dict(zip(order, times, strict=True))
        mated = [c for c, a, b in pairs if a == b for _ in range(of[a])]
        non_mated = [c for c, a, b in pairs if a != b for _ in range(of[a] * of[b])]
        for rate, values in drawn.items():
            values.append(verification.true_match_rate(np.array(mated), np.array(non_mated), rate))
    points = all_pairs.verify(unit, names, RATES, resamples, seed).points
    for point, values in zip(points[:3], drawn.values(), strict=True):
        low, high = np.percentile(values, [2.5, 97.5], axis=0)
        assert point.tmr_ends == (pytest.approx(low[0]), pytest.approx(high[0]))
        assert point.threshold_ends == (pytest.approx(low[1], abs=1e-6), pytest.approx(high[1], abs=1e-6))
        assert low[0] < high[0]
    assert (len(kept) > 1) == (spare < 0)  # where too few pairs are kept for a set, more are fetched


def test_sets_without_a_mated_pair_are_left_out() -> None:
    """One of six subjects has two faces, on opposite sides: they never match, where they were drawn at all."""
    unit = np.array([[1, 0], [-1, 0], *([[0.6, 0.8], [0.8, 0.6]] * 2), [0, 1]], np.float32)
    point = all_pairs.verify(unit, ["a", "a", "b", "c", "d", "e", "f"], (0.6,), resamples=50).points[0]
    assert (point.tmr, point.tmr_ends) == (0.0, (0.0, 0.0))
    times = all_pairs.subject_multiplicities(6, 50, 0)
    assert 0 < sum(t[0] == 0 for t in times) < 50


def test_names_of_subjects_do_not_matter() -> None:
    unit, names = generated(6, SIZES, 0.6)
    renamed = np.array([n[::-1] for n in names])
    assert all_pairs.verify(unit, names, RATES, 20) == all_pairs.verify(unit, renamed, RATES, 20)


def test_a_sample_takes_whole_subjects_that_fit() -> None:
    names = np.repeat([f"s{i}" for i in range(40)], 5)
    assert all_pairs.sample_subjects(names, 200, 0).all()
    taken = all_pairs.sample_subjects(names, 52, 0)
    assert np.unique(names[taken], return_counts=True)[1].tolist() == [5] * 10
    assert (taken == all_pairs.sample_subjects(names, 52, 0)).all()
    assert (taken != all_pairs.sample_subjects(names, 52, 1)).any()
    with pytest.raises(ConfigError, match="do not fit into 9 faces: raise --max-faces"):
        all_pairs.sample_subjects(names, 9, 0)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a", "a"]])
def test_subjects_without_a_mated_or_a_non_mated_pair_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="label two faces of one subject"):
        all_pairs.verify(np.eye(3, dtype=np.float32), names, (0.1,))


@pytest.mark.parametrize("rate", [0.0, 1.0, -1e-3, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="outside 0 … 1"):
        all_pairs.check_rates((1e-3, rate))
