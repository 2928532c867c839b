"""How often intervals over clustered units hold the true value, in archives drawn from a known source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks.results_file import Result
from facelib.audit.diversity import effective_categories, evenness, shannon
from facelib.audit.intervals import wilson
from facelib.audit.reference import flag, share_ratios, total_variation, uniform
from facelib.audit.resampling import (
    Patterns,
    Sparse,
    cluster_bootstrap,
    cluster_counts,
    patterns,
    percentile_interval,
    share_intervals,
)

PACKAGES = ("numpy", "scipy")
IDENTITIES = np.array([0.6, 0.25, 0.1, 0.04, 0.01])
"""Share of the identities of the source in each category."""
SHOWN = (0, 3, 4)
_NEAR = np.array([0.55, 0.25, 0.13, 0.05, 0.02])
_Z = float(norm.ppf(0.975))
Float64 = npt.NDArray[np.float64]
Ends = tuple[Float64, Float64]
METHODS = ("Wilson, images", "percentile", "BCa", "log odds", "share_intervals")


@dataclass(frozen=True)
class Source:
    """Archives of `identities`; `sizes` gives each category the chances of 1, 2, … images per identity.

    `other` is the chance that an image has a category drawn evenly instead of its identity's.
    """

    name: str
    identities: int
    sizes: tuple[Float64, ...]
    other: float = 0.0

    @property
    def shares(self) -> Float64:
        """True shares of the images, (S,)."""
        images = IDENTITIES * [float(chances @ np.arange(1, chances.size + 1)) for chances in self.sizes]
        return (1 - self.other) * images / images.sum() + self.other * uniform(images.size)

    def draw(self, rng: np.random.Generator) -> Sparse:
        """Images by identity and category of one archive."""
        category = rng.choice(IDENTITIES.size, self.identities, p=IDENTITIES)
        size = np.zeros(self.identities, np.int64)
        for k, chances in enumerate(self.sizes):
            mine = category == k
            size[mine] = 1 + rng.choice(chances.size, mine.sum(), p=chances)
        identity = np.repeat(np.arange(self.identities), size)
        values = category[identity]
        changed = rng.random(values.size) < self.other
        values[changed] = rng.integers(0, IDENTITIES.size, changed.sum())
        return cluster_counts(identity, values, IDENTITIES.size)


def power_law(exponent: float, largest: int) -> Float64:
    """Chances of 1 … largest images, falling as n^−exponent."""
    chances = np.arange(1.0, largest + 1) ** -exponent
    return np.asarray(chances / chances.sum())


def always(images: int) -> Float64:
    """Chances of 1 … images, all on the last."""
    return np.eye(images)[-1]


SOURCES = (
    Source("one image each", 300, (always(1),) * 5),
    Source("one image each", 30, (always(1),) * 5),
    Source("ten images each", 300, (always(10),) * 5),
    Source("power law 2, up to 100", 300, (power_law(2, 100),) * 5),
    Source("power law 2, up to 500", 2000, (power_law(2, 500),) * 5),
    Source("power law 2, up to 500", 20000, (power_law(2, 500),) * 5),
    Source("the same, 20 % of labels vary", 300, (power_law(2, 100),) * 5, 0.2),
    Source("small categories 1 image, others 10", 1000, (*(always(10),) * 3, *(always(1),) * 2)),
    Source("small categories 20 images, others 1", 1000, (*(always(1),) * 3, *(always(20),) * 2)),
    Source("small categories heavier tail", 1000, (*(power_law(2.5, 200),) * 3, *(power_law(1.7, 200),) * 2)),
)


def run(data: Path | None, quick: bool = False) -> list[Result]:
    """Coverage and width of intervals of shares, flags raised in vain, coverage of other figures, and time."""
    del data
    draws, replicates = (5, 50) if quick else (1000, 1000)
    sources = SOURCES[:4] if quick else SOURCES
    note = (
        f"{draws} archives each; bootstraps of {replicates} replicates; intervals at 95 %. The standard error of a "
        f"coverage near 95 % is {100 * (0.95 * 0.05 / draws) ** 0.5:.1f}."
    )
    trials = [(s, *_trials(s, draws, replicates)) for s in sources]
    coverage = [row for source, found, _ in trials for row in _coverage_rows(source, found)]
    vain = [row for source, _, flags in trials for row in _flag_rows(source, flags)]
    alike = [s for s in sources if s.other == 0 and np.allclose(s.shares, IDENTITIES)]
    figures = [_figure_row(s, -(-draws // 4), min(replicates, 400)) for s in alike]
    columns = ("images per identity", "identities", "of them in the category", *METHODS, "width / percentile")
    flag_columns = (*columns[:3], "ratio alone", "and Wilson, images", "and share_intervals")
    return [
        Result("Intervals that hold the true share of a category, %", columns, tuple(coverage), (note,)),
        Result("Categories flagged although the source meets the reference, %", flag_columns, tuple(vain)),
        Result(
            "Percentile intervals that hold the true figure, %",
            ("images per identity", "identities", *_FIGURES),
            tuple(figures),
            (f"{-(-draws // 4)} archives each; far: at a distance of 0.45 from equal shares; near: 0.05 from others.",),
        ),
        _speed(10_000 if quick else 100_000, 50 if quick else 1000),
    ]


def _trials(source: Source, draws: int, replicates: int) -> tuple[list[dict[str, Ends]], dict[str, Float64]]:
    rng = np.random.default_rng(7)
    found, flags = [], []
    for i in range(draws):
        clusters = patterns(source.draw(rng))
        ends = methods(clusters, replicates, seed=i)
        found.append(ends)
        ratio = share_ratios(clusters.totals, source.shares)
        alone = (ratio < 0.8) | (ratio > 1.25)
        both = [flag(ratio, *(e / source.shares for e in ends[m])) for m in ("Wilson, images", "share_intervals")]
        flags.append([alone, *both])
    return found, dict(zip(("alone", "images", "clusters"), np.mean(flags, axis=0), strict=True))


def methods(clusters: Patterns, replicates: int, seed: int) -> dict[str, Ends]:
    """(low, high) of every category's share, by METHODS."""
    totals = clusters.totals.astype(np.float64)
    share = totals / totals.sum()
    drawn = cluster_bootstrap(clusters, lambda t: t / t.sum(), replicates, seed)
    ours = share_intervals(clusters)
    found = (
        wilson(totals, totals.sum()),
        percentile_interval(drawn),
        _bca(clusters, share, drawn),
        _log_odds(clusters, share),
        (ours.low, ours.high),
    )
    return dict(zip(METHODS, found, strict=True))


def _bca(clusters: Patterns, share: Float64, drawn: Float64) -> Ends:
    """B. Efron, Journal of the American Statistical Association 82 (1987) 171–185; jackknife over clusters."""
    counts, totals = clusters.counts.toarray(), clusters.totals
    without = (totals - counts) / np.maximum(totals.sum() - counts.sum(axis=1, keepdims=True), 1)
    d = np.average(without, axis=0, weights=clusters.times) - without
    square, cube = clusters.times @ d**2, clusters.times @ d**3
    a = np.divide(cube, 6 * square**1.5, out=np.zeros(share.size), where=square > 0)
    rank = ((drawn < share) + (drawn == share) / 2).mean(axis=0)
    z0 = norm.ppf(np.clip(rank, 1 / (len(drawn) + 1), len(drawn) / (len(drawn) + 1)))
    levels = [norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in (-_Z, _Z)]
    low, high = (np.array([np.quantile(drawn[:, k], level[k]) for k in range(share.size)]) for level in levels)
    return low, high


def _log_odds(clusters: Patterns, share: Float64) -> Ends:
    """Normal interval of ln(p / (1 − p)) with the linearised variance; the point itself at 0 and 1."""
    counts = clusters.counts.toarray().astype(np.float64)
    off = counts - share * counts.sum(axis=1, keepdims=True)
    variance = clusters.times @ off**2 / float(clusters.totals.sum()) ** 2
    inside = (share > 0) & (share < 1)
    half = np.divide(_Z * np.sqrt(variance), share * (1 - share), out=np.zeros(share.size), where=inside)
    return expit(logit(share) - half), expit(logit(share) + half)


def _coverage_rows(source: Source, found: Sequence[dict[str, Ends]]) -> list[tuple[str, ...]]:
    true = source.shares
    held = {m: np.mean([(e[m][0] <= true) & (true <= e[m][1]) for e in found], axis=0) for m in METHODS}
    width = {m: np.mean([e[m][1] - e[m][0] for e in found], axis=0) for m in METHODS}
    ratio = width["share_intervals"] / width["percentile"]
    return [(*_names(source, k), *(_percent(held[m][k]) for m in METHODS), f"{ratio[k]:.2f}") for k in SHOWN]


def _flag_rows(source: Source, flags: dict[str, Float64]) -> list[tuple[str, ...]]:
    return [(*_names(source, k), *(_percent(f[k]) for f in flags.values())) for k in SHOWN]


def _names(source: Source, k: int) -> tuple[str, str, str]:
    inside = source.identities * IDENTITIES[k]
    return source.name, f"{source.identities:,}", f"{inside:,.0f}" if inside >= 1 else f"{inside:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


_FIGURES: dict[str, Callable[[Float64], float | None]] = {
    "entropy": shannon,
    "evenness": lambda t: evenness(t, IDENTITIES.size),
    "effective categories": effective_categories,
    "total variation, far": lambda t: total_variation(t, uniform(IDENTITIES.size)),
    "total variation, near": lambda t: total_variation(t, _NEAR),
}


def _figure_row(source: Source, draws: int, replicates: int) -> tuple[str, ...]:
    rng = np.random.default_rng(8)
    true = [figure(IDENTITIES * 1e9) for figure in _FIGURES.values()]
    held = []
    for i in range(draws):
        clusters = patterns(source.draw(rng))
        drawn = cluster_bootstrap(clusters, lambda t: np.array([f(t) for f in _FIGURES.values()]), replicates, seed=i)
        low, high = percentile_interval(drawn)
        held.append((low <= true) & (true <= high))
    return source.name, f"{source.identities:,}", *(_percent(h) for h in np.mean(held, axis=0))


def _speed(identities: int, replicates: int) -> Result:
    rng = np.random.default_rng(9)
    size = rng.choice(np.arange(1, 301), identities, p=power_law(2, 300))
    identity = np.repeat(np.arange(identities), size)
    rows = []
    for name, varies in (("one category", 0.0), ("30 % of labels vary", 0.3)):
        category = rng.integers(0, 20, identities)[identity]
        changed = rng.random(category.size) < varies
        category[changed] = rng.integers(0, 20, changed.sum())
        begun = [time.process_time()]
        clusters = patterns(cluster_counts(identity, category, 20))
        begun.append(time.process_time())
        share_intervals(clusters)
        begun.append(time.process_time())
        cluster_bootstrap(clusters, shannon, replicates)
        begun.append(time.process_time())
        seconds = (f"{s:.2f}" for s in np.diff(begun))
        rows.append((name, f"{identities:,}", f"{identity.size:,}", f"{clusters.times.size:,}", *seconds))
    columns = ("identities have", "identities", "images", "patterns", "count, s", "share_intervals, s", "bootstrap, s")
    return Result(f"CPU time with 20 categories, bootstrap of {replicates:,} replicates", columns, tuple(rows))
