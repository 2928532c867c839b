"""Cross-fitted probabilities: each fold against a model fitted here, and what a prediction may depend on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from facelib.audit.probe import cross_fitted
from facelib.errors import ConfigError

pytest.importorskip("sklearn")
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.unit
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def _archive(subjects: int = 60, images: int = 240, seed: int = 0, labelled: float = 0.4) -> Data:
    """Embeddings, labels (three categories of subjects, −1 where missing), and subjects."""
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, subjects, images)
    category = rng.integers(0, 3, subjects)
    centre = np.eye(3, 8)[category] + rng.normal(0, 0.3, (subjects, 8))
    codes = np.where(rng.random(images) < labelled, category[subject], -1)
    return centre[subject] + rng.normal(0, 0.2, (images, 8)), codes, subject


def test_every_fold_is_the_model_of_the_other_subjects() -> None:
    points, codes, subject = _archive()
    found = cross_fitted(points, codes, subject, 3, folds=4)
    scaled = points - points.mean(axis=0)
    scaled /= np.sqrt((scaled**2).sum() / len(points))
    labelled = codes >= 0
    with_label = np.isin(subject, subject[labelled])
    np.testing.assert_array_equal(found.fold >= 0, with_label)
    assert set(found.fold[with_label].tolist()) == {0, 1, 2, 3}
    average = np.zeros((len(points), 3))
    for j in range(4):
        train = labelled & (found.fold != j)
        assert not set(subject[train]) & set(subject[found.fold == j])
        model = LogisticRegression(C=3, max_iter=1000).fit(scaled[train], codes[train])
        expected = model.predict_proba(scaled)
        np.testing.assert_allclose(found.probabilities[found.fold == j], expected[found.fold == j], atol=1e-9)
        average += expected * np.mean(found.fold[labelled] == j)
    assert not with_label.all()
    np.testing.assert_allclose(found.probabilities[~with_label], average[~with_label], atol=1e-9)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_a_subjects_labels_do_not_move_any_prediction_of_the_subject() -> None:
    points, codes, subject = _archive()
    before = cross_fitted(points, codes, subject, 3)
    for one in np.unique(subject[codes >= 0])[:8]:
        other = np.where((subject == one) & (codes >= 0), (codes + 1) % 3, codes)
        after = cross_fitted(points, other, subject, 3)
        own = subject == one
        np.testing.assert_array_equal(after.probabilities[own], before.probabilities[own])
        assert (after.probabilities[~own] != before.probabilities[~own]).any()


def test_folds_hold_equal_numbers_of_subjects_whatever_their_labels() -> None:
    points, codes, subject = _archive(subjects=150, images=300)
    found = cross_fitted(points, codes, subject, 3)
    one_each = np.unique(subject[codes >= 0], return_index=True)[1]
    count = np.bincount(found.fold[codes >= 0][one_each])
    assert count.max() - count.min() <= 1
    moved = cross_fitted(points, np.where(codes >= 0, (codes + 1) % 3, -1), subject, 3)
    np.testing.assert_array_equal(moved.fold, found.fold)


def test_equal_seeds_give_equal_predictions_and_others_other_folds() -> None:
    points, codes, subject = _archive()
    first, again, other = (cross_fitted(points, codes, subject, 3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert (first.fold != other.fold).any()


def test_embeddings_may_be_shifted_and_scaled() -> None:
    points, codes, subject = _archive()
    first, moved = (cross_fitted(p, codes, subject, 3) for p in (points, 50 * points + 7))
    np.testing.assert_allclose(moved.probabilities, first.probabilities, atol=1e-4)


def test_held_out_predictions_find_the_categories() -> None:
    points, codes, subject = _archive(labelled=0.5)
    truth = codes[codes >= 0]
    best = cross_fitted(points, codes, subject, 3).probabilities[codes >= 0].argmax(axis=1)
    assert np.mean(best == truth) > 0.8


def test_one_category_is_certain() -> None:
    points, codes, subject = _archive()
    found = cross_fitted(points, np.where(codes >= 0, 1, -1), subject, 3)
    np.testing.assert_array_equal(found.probabilities, np.tile([0.0, 1, 0], (len(points), 1)))


def test_a_category_of_one_subject_is_unknown_to_the_model_that_predicts_it() -> None:
    points, codes, subject = _archive()
    alone = subject[codes >= 0][0]
    codes = np.where(codes < 0, -1, np.where(subject == alone, 2, codes % 2))
    found = cross_fitted(points, codes, subject, 3)
    assert (found.probabilities[subject == alone, 2] == 0).all()
    assert (found.probabilities[(found.fold >= 0) & (found.fold != found.fold[subject == alone][0]), 2] > 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_two_subjects_make_two_folds_that_predict_each_other() -> None:
    points = np.random.default_rng(0).normal(size=(6, 3))
    found = cross_fitted(points, [0, 0, 1, 1, -1, -1], [0, 0, 1, 1, 1, 2], 2)
    assert sorted(set(found.fold.tolist())) == [-1, 0, 1]
    np.testing.assert_array_equal(found.probabilities[:5], [[0, 1], [0, 1], [1, 0], [1, 0], [1, 0]])
    np.testing.assert_allclose(found.probabilities[5], [0.5, 0.5])


def test_equal_embeddings_predict_shares() -> None:
    found = cross_fitted(np.ones((40, 4)), np.arange(40) % 4 // 3, np.arange(40), 2)
    np.testing.assert_allclose(found.probabilities[:, 1], 0.25, atol=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": [0, 1, 2, -1]}, "outside -1 … 1"),
        ({"codes": [0, 1, -1]}, "3 labels meet 4 images"),
        ({"codes": [0.0, 1.0, 0.0, -1.0]}, "outside -1 … 1"),
        ({"codes": [-1, -1, -1, -1]}, "one subject only"),
        ({"subjects": ["a", "a", "a", "b"]}, "one subject only"),
        ({"subjects": ["a", "b"]}, "2 subjects meet 4 images"),
        ({"folds": 1}, "folds is 1"),
        ({"embeddings": [[np.nan]] * 4}, "not a number"),
        ({"embeddings": [1.0, 2, 3, 4]}, "two axes"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, object], message: str) -> None:
    given = {"embeddings": [[1.0], [2], [3], [4]], "codes": [0, 1, 0, -1], "subjects": list("abcd"), "categories": 2}
    with pytest.raises(ConfigError, match=message):
        cross_fitted(**(given | change))


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ConfigError, match=r"facelib\[svm\]"):
        cross_fitted([[1.0], [2]], [0, 1], [0, 1], 2)
