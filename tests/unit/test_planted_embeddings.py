"""Planted embeddings: sizes, junk, lengths, repetition, and that similarity tells identities apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from facelib.demo.planted_embeddings import KINDS, EmbeddingKind, planted_embeddings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_float32_of_unit_length_and_of_the_kinds_dimensions(kind: str) -> None:
    planted = planted_embeddings(500, KINDS[kind], 1)
    assert planted.embeddings.shape == (500, KINDS[kind].dimensions)
    assert planted.embeddings.dtype == np.float32
    assert planted.embeddings.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(planted.embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 99, 1000, 2999])
@pytest.mark.parametrize("junk_share", [0.0, 0.05, 0.45])
def test_the_count_of_faces_and_the_share_of_junk_are_exact(n: int, junk_share: float) -> None:
    planted = planted_embeddings(n, KINDS["dlib"], 3, junk_share=junk_share)
    assert len(planted.embeddings) == len(planted.identities) == len(planted.is_junk) == n
    assert np.count_nonzero(planted.is_junk) == round(n * junk_share)


def test_junk_faces_are_each_their_own() -> None:
    planted = planted_embeddings(2000, KINDS["facenet"], 5, junk_share=0.2)
    of_junk = planted.identities[planted.is_junk]
    assert len(set(of_junk.tolist())) == 400
    assert not np.isin(of_junk, planted.identities[~planted.is_junk]).any()
    names = np.unique(planted.identities)
    np.testing.assert_array_equal(names, np.arange(len(names)))


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
def test_sizes_follow_the_power_law(exponent: float) -> None:
    """Shares of identities of 1, 2 and 3 faces, each within four standard deviations of the law's."""
    planted = planted_embeddings(50_000, EmbeddingKind(4, 4, 0.0, 0.5, 0.25), 7, exponent=exponent, largest=100)
    sizes = np.bincount(planted.identities[~planted.is_junk])
    assert sizes.min() >= 1
    assert sizes.max() <= 100
    law = np.arange(1, 101) ** -exponent
    for size in (1, 2, 3):
        share = law[size - 1] / law.sum()
        error = np.sqrt(share * (1 - share) / len(sizes))
        assert np.mean(sizes == size) == pytest.approx(share, abs=4 * error)


@pytest.mark.parametrize(("n", "largest", "limit"), [(3000, 1000, 30), (3000, 7, 7), (100, 1000, 2)])
def test_no_identity_is_larger_than_asked_for_or_a_hundredth_of_the_faces(n: int, largest: int, limit: int) -> None:
    planted = planted_embeddings(n, KINDS["plain"], 8, exponent=0.5, largest=largest)
    assert np.bincount(planted.identities).max() == limit


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (planted_embeddings(700, KINDS["arcface"], seed) for seed in (9, 9, 10))
    for name in ("embeddings", "identities", "is_junk"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert not np.array_equal(other.embeddings, first.embeddings)


def test_faces_are_in_random_order() -> None:
    planted = planted_embeddings(2000, KINDS["dlib"], 11, junk_share=0.3)
    position = np.flatnonzero(planted.is_junk)
    assert position.mean() == pytest.approx(1000, abs=100)  # four standard deviations
    assert np.mean(planted.identities[1:] == planted.identities[:-1]) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_mated_faces_are_more_alike_than_others(kind: str) -> None:
    """By the share of pairs of pairs in the right order, the area under the ROC curve (Mann and Whitney)."""
    planted = planted_embeddings(1500, KINDS[kind], 12, junk_share=0.1)
    u, v = np.triu_indices(1500, 1)
    cosine = (planted.embeddings @ planted.embeddings.T)[u, v]
    mated = planted.identities[u] == planted.identities[v]
    area = mannwhitneyu(cosine[mated], cosine[~mated]).statistic / (np.count_nonzero(mated) * np.count_nonzero(~mated))
    assert 0.99 < area <= 1
    assert cosine[mated].min() < cosine[~mated].max()  # not so far apart that any floor would do


@pytest.mark.parametrize("kind", KINDS)
def test_non_mated_faces_have_the_mean_cosine_of_their_kind(kind: str) -> None:
    planted = planted_embeddings(1500, KINDS[kind], 13, junk_share=0)
    u, v = np.triu_indices(1500, 1)
    cosine = (planted.embeddings @ planted.embeddings.T)[u, v]
    non_mated = planted.identities[u] != planted.identities[v]
    assert cosine[non_mated].mean() == pytest.approx(KINDS[kind].common, abs=0.005)


def test_junk_faces_are_a_crowd() -> None:
    """More alike than strangers on average, though no two belong together."""
    planted = planted_embeddings(2000, KINDS["plain"], 14, junk_share=0.2)
    junk, faces = planted.embeddings[planted.is_junk], planted.embeddings[~planted.is_junk]
    pairs = (junk @ junk.T)[np.triu_indices(len(junk), 1)]
    assert pairs.mean() == pytest.approx(0.25 / 1.25, abs=0.02)  # two unit vectors and a shared part of half the length
    assert (junk @ faces.T).mean() < 0.05
