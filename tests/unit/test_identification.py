"""Rates of a search in a gallery, against searches counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facelib.errors import ConfigError
from facelib.reports.identification import identification_rates

pytestmark = pytest.mark.unit

SEARCHES = [
    # who is on it, first candidate, score
    ("ann", "ann", 0.9),  # right, above
    ("ann", "bo", 0.8),  # wrong candidate above the threshold: not first, so a false negative
    ("bo", "bo", 0.4),  # right, but below
    ("bo", "", -np.inf),  # no face
    ("bo", "bo", 0.7),  # right, above
    ("eve", "ann", 0.6),  # not enrolled, above: a false positive
    ("eve", "bo", 0.5),  # not enrolled, at the threshold
    ("fay", "", -np.inf),  # not enrolled, no face
]


def test_rates_worked_by_hand() -> None:
    found = identification_rates(*zip(*SEARCHES, strict=True), {"ann", "bo"}, 0.5)
    assert (found.n_mated, found.n_non_mated) == (5, 3)
    assert (found.n_false_negative, found.n_false_positive, found.n_rank_one) == (3, 1, 3)
    assert (found.fnir, found.fpir, found.rank_one) == (3 / 5, 1 / 3, 3 / 5)


def test_without_a_threshold_only_the_rank_counts() -> None:
    found = identification_rates(*zip(*SEARCHES, strict=True), {"ann", "bo"}, -np.inf)
    assert found.fnir == 1 - found.rank_one
    assert found.n_false_positive == 2


def test_a_subject_that_is_enrolled_but_never_probed_changes_nothing() -> None:
    columns = list(zip(*SEARCHES, strict=True))
    assert identification_rates(*columns, {"ann", "bo"}, 0.5) == identification_rates(*columns, {"ann", "bo", "z"}, 0.5)


def test_random_searches_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    truth, first = rng.integers(0, 6, (2, 500)).astype(str)
    score, enrolled = rng.uniform(size=500), {"0", "1", "2"}
    found = identification_rates(truth, first, score, enrolled, 0.3)
    mated = [(t == f, s > 0.3) for t, f, s in zip(truth, first, score, strict=True) if t in enrolled]
    non_mated = [s > 0.3 for t, s in zip(truth, score, strict=True) if t not in enrolled]
    assert found.fnir == pytest.approx(1 - sum(r and a for r, a in mated) / len(mated))
    assert found.fpir == pytest.approx(sum(non_mated) / len(non_mated))


def test_a_rate_without_a_search_is_not_a_number() -> None:
    found = identification_rates(["a"], ["a"], [1.0], {"a"}, 0.5)
    assert math.isnan(found.fpir)
    assert found.fnir == 0


@pytest.mark.parametrize(("scores", "message"), [([0.1], "2 subjects, 2 candidates and 1"), ([0.1, np.nan], "NaN")])
def test_searches_that_are_not_whole_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        identification_rates(["a", "b"], ["a", "b"], scores, {"a"}, 0.5)
