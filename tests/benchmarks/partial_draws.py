"""Archives drawn from a pool of labelled images, whose labels are then mostly forgotten, and estimates of shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facelib.audit.label_plan import label_plan
from facelib.audit.ppi import CategoryShares, category_shares
from facelib.audit.probe import cross_fitted

TARGETS: tuple[Literal["archive"], Literal["source"]] = ("archive", "source")
LABELLED = 0.1
FIRST = 0.05
LEAST_KEPT = 0.2
BINS = 2
_DRAWN = 0.7

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Points = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Drawn:
    """An archive drawn from a pool: rows of the pool in random order, and the shares of the categories."""

    rows: Ints
    archive: Floats
    """In the archive."""
    source: Floats
    """Where the numbers of the archive's images by category were drawn from."""


@dataclass(frozen=True)
class Intervals:
    """Intervals (draws, K) and the shares they should hold."""

    low: Floats
    high: Floats
    truth: Floats

    @property
    def covers(self) -> npt.NDArray[np.bool_]:
        return (self.low <= self.truth) & (self.truth <= self.high)

    @property
    def width(self) -> Floats:
        return self.high - self.low


@dataclass(frozen=True)
class Covered:
    """All draws of one attribute and target."""

    images: float
    corrected: Intervals
    labelled: Intervals
    tuning: Floats
    argmax_error: Floats
    """|predicted − true share| (draws, K)."""


def coverage(unit: Points, codes: Ints, draws: int, seed: int = 0) -> dict[str, Covered]:
    """By target: intervals for archives drawn from a pool of images with labels `codes` (n,), a tenth of them known."""
    random = np.random.default_rng(seed)
    drawn, found = [], []
    for _ in range(draws):
        drawn.append(_archive(codes, random))
        rows = drawn[-1].rows
        labels = _only(codes[rows], np.arange(rows.size) < LABELLED * rows.size)
        probabilities = _predicted(unit[rows], labels, codes)
        found.append({t: category_shares(labels, probabilities, t) for t in TARGETS})
    images = float(np.mean([d.rows.size for d in drawn]))
    return {t: _covered([f[t] for f in found], np.array([getattr(d, t) for d in drawn]), images) for t in TARGETS}


def with_plan(unit: Points, codes: Ints, draws: int, seed: int = 1) -> dict[str, Intervals]:
    """Intervals of archives' shares from first labels, which favour some categories, taken for a random sample, and
    with as many more at random or by the plan, where the first count for their own images alone.
    """
    random = np.random.default_rng(seed)
    truth, found = [], {"first": [], "random": [], "plan": []}
    for _ in range(draws):
        drawn = _archive(codes, random)
        own, n = codes[drawn.rows], max(int(FIRST * drawn.rows.size), 2 * BINS * (int(codes.max()) + 1))
        favour = random.uniform(LEAST_KEPT, 1, int(codes.max()) + 1)[own]
        is_first = np.zeros(own.size, np.bool_)
        is_first[random.choice(own.size, n, replace=False, p=favour / favour.sum())] = True
        labels = _only(own, is_first)
        guess = _predicted(unit[drawn.rows], labels, codes)
        found["first"].append(category_shares(labels, guess, "archive"))
        more = random.permutation(np.flatnonzero(~is_first))[:n]
        plan = label_plan(labels, guess, np.arange(own.size), n, seed=int(random.integers(1 << 31)), bins=BINS)
        chance = {"random": np.full(n, n / (own.size - n)), "plan": plan.inclusion}
        strata = {"random": np.zeros(n, np.int64), "plan": plan.stratum}
        for how, rows in (("random", more), ("plan", plan.rows)):
            inclusion, stratum, is_new = np.ones(own.size), np.full(own.size, -1), np.zeros(own.size, np.bool_)
            inclusion[rows], stratum[rows], is_new[rows] = chance[how], strata[how], True
            labels = _only(own, is_first | is_new)
            probabilities = _predicted(unit[drawn.rows], labels, codes)
            shares = category_shares(labels, probabilities, "archive", inclusion=inclusion, strata=stratum)
            found[how].append(shares)
        truth.append(drawn.archive)
    return {how: _intervals(shares, np.array(truth)) for how, shares in found.items()}


def _archive(codes: Ints, random: np.random.Generator) -> Drawn:
    """Shares of the pool times 0.2 … 1 by category, numbers drawn from these, images without replacement."""
    pool = np.bincount(codes)
    kept = pool * random.uniform(LEAST_KEPT, 1, pool.size)
    source = kept / kept.sum()
    count = np.minimum(random.multinomial(int(_DRAWN * np.min(pool / source)), source), pool)
    rows = [random.choice(np.flatnonzero(codes == k), n, replace=False) for k, n in enumerate(count.tolist())]
    return Drawn(random.permutation(np.concatenate(rows)), count / count.sum(), source)


def _only(codes: Ints, keep: npt.NDArray[np.bool_]) -> Ints:
    return np.where(keep, codes, -1)


def _predicted(unit: Points, labels: Ints, pool: Ints) -> Floats:
    return cross_fitted(unit, labels, np.arange(labels.size), int(pool.max()) + 1).probabilities


def _covered(found: list[CategoryShares], truth: Floats, images: float) -> Covered:
    return Covered(
        images,
        _intervals(found, truth),
        Intervals(np.array([f.labelled_low for f in found]), np.array([f.labelled_high for f in found]), truth),
        np.array([f.tuning for f in found]),
        np.abs(np.array([f.argmax_share for f in found]) - truth),
    )


def _intervals(found: list[CategoryShares], truth: Floats) -> Intervals:
    return Intervals(np.array([f.low for f in found]), np.array([f.high for f in found]), truth)
