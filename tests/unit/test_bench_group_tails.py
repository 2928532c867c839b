"""The benchmark `group_tails`: what it counts, against brute force, and how it judges an estimate."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import group_tails

from facelib.audit.group_tails import GroupRates
from facelib.clusters.floor import FloorEstimate
from facelib.clusters.neighbours import normalise
from facelib.errors import ConfigError

pytestmark = pytest.mark.unit


def test_pairs_of_two_subjects_are_counted_in_corrected_similarity() -> None:
    rng = np.random.default_rng(1)
    unit, weight = normalise(rng.normal(size=(30, 5))), rng.uniform(0.8, 1.2, 30).astype(np.float32)
    subject = rng.integers(12, size=30).astype(str)
    floor = FloorEstimate(0.7, 1e-3, 0.03, "tail", 30, dimension=4.0)
    kind = group_tails.Clustered("a", "cosine", unit, weight, np.arange(30), subject, pa.table({}), floor)
    rows = np.arange(3, 28)
    similarity = [
        1 - (1 - float(unit[a] @ unit[b])) * weight[a] * weight[b]
        for a in rows
        for b in rows
        if a < b and subject[a] != subject[b]
    ]
    above, pairs = kind.counted(rows)
    assert pairs == len(similarity)
    assert above.tolist() == [sum(s > floor.looser(factor) for s in similarity) for factor in (1, 10, 100, 0.01)]
    assert above[0] > 0


def test_an_estimate_is_judged_by_its_ratio_and_its_interval() -> None:
    rates = GroupRates(np.array([2e-3, 1e-3]), np.array([1e-3, 5e-4]), np.array([4e-3, 2e-3]), np.zeros(2, bool))
    group = group_tails.Measured("g", 100, rates, np.array([5, 0]), 5000)
    assert group.ratio(0) == pytest.approx(2)
    assert np.isnan(group.ratio(1))
    assert (group.covers(0), group.covers(1)) == (True, False)
    few = group_tails.Measured("few", 100, rates, np.array([7, 0]), 5000)
    many = group_tails.Measured("many", 100, rates, np.array([50, 0]), 20_000)
    assert group_tails._agreement([group, few, many], 0) == ("0.80 (0.80 to 0.80)", "1 of 1", "1 of 1")
    assert group_tails._agreement([group], 1) == ("–", "–", "–")


def test_it_needs_photographs() -> None:
    with pytest.raises(ConfigError, match="the benchmark group_tails needs the photographs of lfw_dev"):
        group_tails.run(None)
