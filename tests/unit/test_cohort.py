"""Cohorts, drawn and given, weights against sorted distances, and what they are for: one FMR for all groups."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import facelib.clusters.cohort
from facelib.clusters.cohort import Cohort, cohort_digest, draw_cohort, given_cohort, weights
from facelib.clusters.neighbours import normalise
from facelib.clusters.settings import ClusterSettings
from facelib.clusters.space import Space
from facelib.demo.planted_embeddings import KINDS, Planted, planted_embeddings
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit

SETTINGS = ClusterSettings()


@functools.cache
def _planted(kind: str) -> tuple[Planted, Cohort]:
    """1,500 faces, 30 % of them junk, and their cohort."""
    planted = planted_embeddings(1500, KINDS[kind], 7, junk_share=0.3)
    cohort = draw_cohort(planted.embeddings, np.arange(1500), SETTINGS)
    assert cohort is not None
    return planted, cohort


@functools.cache
def _two_groups(seed: int, people: int = 250, each: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit rows, subject and group of `each` faces of `people` subjects per group: those of group 0 differ by 0.6 of
    what those of 1 do."""
    rng = np.random.default_rng(seed)

    def directions(n: int) -> np.ndarray:
        return normalise(rng.normal(size=(n, 24)))

    base, faces = directions(1), []
    for spread in (0.6, 1.0):
        subjects = base + 0.5 * directions(1) + spread * directions(people)
        faces.append(np.repeat(subjects, each, axis=0) + 0.3 * directions(people * each))
    unit = normalise(np.concatenate(faces))
    return unit, np.repeat(np.arange(2 * people), each), np.repeat([0, 1], people * each)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cohort_has_one_face_of_nearly_every_identity_and_keeps_the_junk(kind: str) -> None:
    planted, cohort = _planted(kind)
    is_junk = planted.is_junk[cohort.rows]
    faces = np.bincount(planted.identities[cohort.rows][~is_junk])
    n_identities = len(np.unique(planted.identities[~planted.is_junk]))
    assert np.count_nonzero(faces) >= 0.8 * n_identities
    assert np.count_nonzero(faces > 1) <= 0.02 * n_identities
    assert faces.sum() <= 1.02 * np.count_nonzero(faces)
    assert np.count_nonzero(is_junk) >= 0.75 * np.count_nonzero(planted.is_junk)


def test_rows_ascend_and_point_to_the_embeddings() -> None:
    planted, cohort = _planted("dlib")
    assert (np.diff(cohort.rows) > 0).all()
    np.testing.assert_array_equal(cohort.unit, planted.embeddings[cohort.rows])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_come_from_sorted_distances_to_the_others(kind: str) -> None:
    """w² = typical / geometric mean of the distances of rank 0.2 % to 0.8 %, from the third on, itself left out."""
    planted, cohort = _planted(kind)
    m = len(cohort.rows)
    first = max(3, round(0.002 * m))
    last = max(first + 2, round(0.008 * m))
    rows = planted.embeddings.astype(np.float64)
    expected = np.empty(len(rows))
    for i, distance in enumerate(1 - rows @ cohort.unit.T.astype(np.float64)):
        others = np.sort(distance[cohort.rows != i])
        expected[i] = np.exp(np.log(others[first - 1 : last]).mean())
    found = weights(planted.embeddings, cohort)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.sqrt(cohort.typical / expected), rtol=1e-4)
    assert np.exp(np.log(found.astype(np.float64)).mean()) == pytest.approx(1, abs=0.02)


def _ring(n: int, near: np.ndarray) -> Cohort:
    """Faces at the given cosines to the first axis, each in a plane of its own."""
    unit = np.zeros((n, n + 1), np.float32)
    unit[:, 0] = near
    unit[np.arange(n), np.arange(1, n + 1)] = np.sqrt(1 - near**2)
    return Cohort(np.arange(n), unit, 0.5)


def test_a_face_of_the_cohort_does_not_count_itself() -> None:
    """Of 300, ranks 3 to 5 count. All are 0.5 from the probe but for a few nearer; a copy of the probe is itself."""
    probe = np.eye(301, dtype=np.float32)[:1]
    nearer = np.full(300, 0.5)
    nearer[:5] = 0.9, 0.9, 0.8, 0.8, 0.8  # ranks 1 to 5
    cohort = _ring(300, nearer)
    assert weights(probe, cohort)[0] == pytest.approx((0.5 / 0.2) ** 0.5, rel=1e-5)
    unit = cohort.unit.copy()
    unit[299] = probe[0]
    assert weights(probe, Cohort(cohort.rows, unit, 0.5))[0] == pytest.approx((0.5 / 0.2) ** 0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("near", "weight"), [(0.999999, 2.0), (0.9, 2.0), (0.875, 2.0), (0.5, 1.0), (-0.99, 0.5012519)]
)
def test_weights_are_limited(near: float, weight: float) -> None:
    """Typical is 0.5: a distance of 0.1 would weigh 2.24."""
    probe = np.eye(251, dtype=np.float32)[:1]
    assert weights(probe, _ring(250, np.full(250, near)))[0] == pytest.approx(weight, rel=1e-5)


def test_the_least_weight() -> None:
    cohort = _ring(250, np.full(250, -0.99))
    assert weights(np.eye(251, dtype=np.float32)[:1], Cohort(cohort.rows, cohort.unit, 0.1))[0] == 0.5


def test_copies_of_one_face_give_finite_weights() -> None:
    cohort = Cohort(np.arange(300), np.repeat(np.eye(1, 4, dtype=np.float32), 300, axis=0), 0.5)
    np.testing.assert_array_equal(weights(cohort.unit[:7], cohort), np.full(7, 2, np.float32))


def test_no_faces_have_no_weights() -> None:
    _, cohort = _planted("plain")
    assert weights(np.empty((0, cohort.unit.shape[1]), np.float32), cohort).shape == (0,)


@pytest.mark.parametrize("seed", [1, 2])
def test_crowded_faces_weigh_more_than_one_and_sparse_ones_less(seed: int) -> None:
    unit, _, group = _two_groups(seed)
    cohort = draw_cohort(unit, np.arange(len(unit)), SETTINGS)
    assert cohort is not None
    weight = weights(unit, cohort)
    assert np.median(weight[group == 0]) > 1.05
    assert np.median(weight[group == 1]) < 0.95


def _fmr(similarity: np.ndarray, subject: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """FMR within each group, at the threshold where it is 1e-3 over both."""
    non_mated = np.triu(subject[:, None] != subject, 1)
    within = [similarity[non_mated & (group[:, None] == g) & (group == g)] for g in (0, 1)]
    threshold = np.quantile(np.concatenate(within), 1 - 1e-3)
    crowded, sparse = (float(np.mean(pairs > threshold)) for pairs in within)
    return crowded, sparse


@pytest.mark.parametrize("seed", [1, 2])
def test_one_threshold_gives_both_groups_about_the_same_fmr(seed: int) -> None:
    unit, subject, group = _two_groups(seed)
    cohort = draw_cohort(unit, np.arange(len(unit)), SETTINGS)
    assert cohort is not None
    crowded, sparse = _fmr(unit @ unit.T, subject, group)
    assert crowded > 10 * sparse
    space = Space.corrected(unit, weights(unit, cohort))
    crowded, sparse = _fmr(space.left @ space.right.T, subject, group)
    assert 1 / 3 < crowded / sparse < 3


@pytest.mark.parametrize("seed", [1, 2])
def test_a_given_cohort_of_all_groups_gives_an_archive_of_few_people_one_fmr(seed: int) -> None:
    """95 people of each group, four faces each; the cohort has a face of the other 405, or of those of one group."""
    unit, subject, group = _two_groups(seed, 500, 4)
    few, one_each = subject % 500 < 95, np.arange(len(unit)) % 4 == 0
    archive, subject, group = unit[few], subject[few], group[few]
    assert draw_cohort(archive, np.arange(len(archive)), SETTINGS) is None

    def ratio(cohort: np.ndarray) -> float:
        space = Space.corrected(archive, weights(archive, given_cohort(archive, cohort, SETTINGS)))
        crowded, sparse = _fmr(space.left @ space.right.T, subject, group)
        return crowded / max(sparse, 1e-9)

    crowded, sparse = _fmr(archive @ archive.T, subject, group)
    assert crowded > 10 * sparse
    assert 1 / 3 < ratio(unit[~few & one_each]) < 3
    assert ratio(unit[~few & one_each][405:]) > 10  # the sparse group only: it does not show what is crowded


@pytest.mark.parametrize("kind", KINDS)
def test_distances_to_a_given_cohort_are_typical_in_the_archive(kind: str) -> None:
    """Typical: the geometric mean over faces of that of the distances of rank 3 to 5 of 300, by sorting."""
    unit = _planted(kind)[0].embeddings
    archive, templates = unit[300:], unit[:300]
    cohort = given_cohort(archive, templates, SETTINGS)
    distance = np.sort(1 - archive.astype(np.float64) @ templates.T.astype(np.float64), axis=1)[:, 2:5]
    expected = np.exp(np.log(distance).mean(axis=1))
    assert cohort.typical == pytest.approx(np.exp(np.log(expected).mean()), rel=1e-4)
    found = np.clip(np.sqrt(cohort.typical / expected), 0.5, 2)
    np.testing.assert_allclose(weights(archive, cohort), found, rtol=1e-4)
    np.testing.assert_array_equal(cohort.unit, templates)
    assert (cohort.rows.shape, cohort.source) == ((0,), "given")


def test_the_typical_distance_comes_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = _planted("dlib")[0].embeddings
    of_all = given_cohort(unit, unit[:300], SETTINGS).typical
    monkeypatch.setattr(facelib.clusters.cohort, "SAMPLE", 200)
    first, again, other = (given_cohort(unit, unit[:300], ClusterSettings(seed=s)).typical for s in (1, 1, 2))
    assert first == again
    assert len({of_all, first, other}) == 3
    assert first == pytest.approx(of_all, rel=0.1)


def test_weights_do_not_depend_on_how_many_cosines_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    planted, cohort = _planted("facenet")
    whole = weights(planted.embeddings, cohort)
    monkeypatch.setattr(facelib.clusters.cohort, "_PRODUCT", 7 * len(cohort.unit))
    np.testing.assert_allclose(weights(planted.embeddings, cohort), whole, rtol=1e-6)
    monkeypatch.setattr(facelib.clusters.cohort, "_PRODUCT", 1)
    np.testing.assert_allclose(weights(planted.embeddings[:5], cohort), whole[:5], rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [(199, 128, "199 templates of 128 values and must have at least 200 of 128"), (300, 64, "300 templates of 64")],
)
def test_too_few_templates_or_another_length_are_refused(rows: int, columns: int, message: str) -> None:
    unit = _planted("dlib")[0].embeddings
    with pytest.raises(ConfigError, match=message):
        given_cohort(unit, unit[:rows, :columns], SETTINGS)


def test_a_digest_tells_given_cohorts_apart() -> None:
    unit, drawn = _planted("plain")[0].embeddings, _planted("plain")[1]
    cohort = given_cohort(unit, unit[:300], SETTINGS)
    assert cohort.digest == cohort_digest(unit[:300].copy())
    assert len({cohort_digest(u) for u in (unit[:300], unit[:301], unit[1:301])}) == 3
    assert (drawn.digest, drawn.source) == (None, "archive")


def test_an_archive_of_less_than_two_hundred_identities_has_none() -> None:
    rng = np.random.default_rng(5)
    subjects = normalise(rng.normal(size=(180, 64)))
    unit = normalise(np.repeat(subjects, 5, axis=0) + 0.05 * rng.normal(size=(900, 64)))
    assert draw_cohort(unit, np.arange(900), SETTINGS) is None
    assert draw_cohort(unit[::5], np.arange(180), SETTINGS) is None


def test_the_cohort_of_a_sample_is_the_same_every_time_and_another_with_another_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(facelib.clusters.cohort, "SAMPLE", 700)
    unit, image = _two_groups(1)[0], np.arange(1000)
    first, again, other = (draw_cohort(unit, image, ClusterSettings(seed=seed)) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(again.rows, first.rows)
    assert again.typical == first.typical
    assert not np.array_equal(other.rows, first.rows)
    assert len(first.rows) < 700
    assert first.rows.max() > 900  # drawn from all faces
    np.testing.assert_array_equal(first.unit, unit[first.rows])
