"""Two shares compared exactly at effective numbers of units, which need not be whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaincinv, ndtr, ndtri

from facelib.errors import ConfigError

Float64 = npt.NDArray[np.float64]
_Z = np.linspace(-11.0, 11.0, 89)
_WEIGHTS = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()
_TINY = 1e-300
_STEPS = 60
_CLOSE = 1e-6
_FAR = 10.0
_BLOCK = 4096


@dataclass(frozen=True)
class Comparison:
    """low, high: interval of the first share minus the second, −1 … 1. p_value: two-sided, 0 … 1. float64 (S,)."""

    low: Float64
    high: Float64
    p_value: Float64


@dataclass(frozen=True)
class _Beta:
    """Beta distributions, a and b (S,); a point at 0 where a is 0, at 1 where b is 0."""

    a: Float64
    b: Float64

    @property
    def mean(self) -> Float64:
        return np.asarray(self.a / (self.a + self.b))

    @property
    def variance(self) -> Float64:
        return np.asarray(self.mean * (1 - self.mean) / (self.a + self.b + 1))

    def take(self, rows: npt.NDArray[np.intp]) -> _Beta:
        return _Beta(self.a[rows], self.b[rows])

    def nodes(self) -> Float64:
        """Values at the probabilities Φ(z), (S, nodes); counted from the upper end where that is nearer."""
        a, b = np.maximum(self.a, _TINY)[:, None], np.maximum(self.b, _TINY)[:, None]
        middle = _Z.size // 2 + 1
        low, high = betaincinv(a, b, ndtr(_Z[:middle])), 1 - betaincinv(b, a, ndtr(-_Z[middle:]))
        found = np.concatenate([low, high], axis=1)
        return np.where(self.a[:, None] == 0, 0.0, np.where(self.b[:, None] == 0, 1.0, found))


@dataclass(frozen=True)
class _Difference:
    """X − Y of independent X and Y, as W − V of which V is the narrower: X − Y, or (1 − Y) − (1 − X)."""

    w: _Beta
    v_nodes: Float64
    mean: Float64
    deviation: Float64

    @classmethod
    def of(cls, x: _Beta, y: _Beta) -> _Difference:
        """From X and Y, or the other way round where X is the narrower."""
        turned = x.variance < y.variance
        w = _Beta(np.where(turned, y.b, x.a), np.where(turned, y.a, x.b))
        v = _Beta(np.where(turned, x.b, y.a), np.where(turned, x.a, y.b))
        return cls(w, v.nodes(), x.mean - y.mean, np.sqrt(x.variance + y.variance))

    def tail(self, t: Float64, upper: bool) -> Float64:
        """P(X − Y ≥ t) if `upper`, else P(X − Y ≤ t); (S,) for t (S,)."""
        at = self.v_nodes + t[:, None]
        a, b = self.w.a[:, None], self.w.b[:, None]
        chance = (betaincc if upper else betainc)(np.maximum(a, _TINY), np.maximum(b, _TINY), np.clip(at, 0, 1))
        at_zero, at_one = (at <= 0, at <= 1) if upper else (at >= 0, at >= 1)
        return np.asarray(np.where(a == 0, at_zero, np.where(b == 0, at_one, chance)) @ _WEIGHTS)

    def quantile(self, chance: float, upper: bool) -> Float64:
        """t, (S,), whose tail has this chance: the root of a rising function on the probit scale, on which it is nearly
        a line, by false position (Illinois), after a first guess."""
        aim, sign = float(ndtri(chance)), -1.0 if upper else 1.0
        found = np.clip(self.mean + sign * aim * self.deviation, -1, 1)
        low, high = np.full(found.size, -1.0), np.full(found.size, 1.0)
        f_low, f_high = np.full(found.size, -_FAR), np.full(found.size, _FAR)
        side, rows = np.zeros(found.size), np.arange(found.size)
        for _ in range(_STEPS):
            part = _Difference(self.w.take(rows), self.v_nodes[rows], self.mean, self.deviation)
            f = sign * (ndtri(np.clip(part.tail(found[rows], upper), _TINY, 1 - 1e-16)) - aim)
            right = f >= 0
            f_low[rows] = np.where(right, np.where(side[rows] > 0, f_low[rows] / 2, f_low[rows]), f)
            f_high[rows] = np.where(right, f, np.where(side[rows] < 0, f_high[rows] / 2, f_high[rows]))
            low[rows], high[rows] = np.where(right, low[rows], found[rows]), np.where(right, found[rows], high[rows])
            side[rows] = np.where(right, 1.0, -1.0)
            rows = rows[(np.abs(f) > _CLOSE) & (high[rows] - low[rows] > 1e-13)]
            if not rows.size:
                break
            found[rows] = (low[rows] * f_high[rows] - high[rows] * f_low[rows]) / (f_high[rows] - f_low[rows])
        return found


def compare_shares(
    x: npt.ArrayLike, m: npt.ArrayLike, y: npt.ArrayLike, n: npt.ArrayLike, confidence: float = 0.95
) -> Comparison:
    """The share x / m against the share y / n of independent units; 0 ≤ x ≤ m, 0 ≤ y ≤ n, all (S,), m and n > 0.

    For whole numbers the p-value is twice the smaller one-sided one of Fisher's exact test, at most 1, by the identity
    P = P(X ≤ Y) with X ~ Beta(x, m − x + 1) and Y ~ Beta(y + 1, n − y); the interval is the melded one, of the same
    distributions, so that it excludes 0 where p < 1 − confidence. Both are conservative for few units. Beta
    distributions take any positive number, which is how effective numbers of units are used.

    Raises ConfigError for counts outside these ranges and a confidence outside (0, 1).

    Sources: P. M. E. Altham, "Exact Bayesian analysis of a 2 × 2 contingency table, and Fisher's exact significance
    test", Journal of the Royal Statistical Society B 31 (1969) 261–269 (the identity); M. P. Fay, M. A. Proschan and
    E. Brittain, "Combining one-sample confidence procedures for inference in the two-sample case", Biometrics 71 (2015)
    146–156 (the interval); E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193–201 (exact intervals at
    effective numbers of units).
    """
    arrays = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, m, y, n)))
    a, of_a, b, of_b = (np.atleast_1d(v).ravel() for v in arrays)
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: give a value between 0 and 1, such as 0.95")
    if not np.all((of_a > 0) & (of_b > 0) & (a >= 0) & (b >= 0) & (a <= of_a) & (b <= of_b)):
        raise ConfigError(
            "a count of two shares is outside 0 … units, or there are no units: count both from one table"
        )
    low, high, p = np.empty(a.size), np.empty(a.size), np.empty(a.size)
    for start in range(0, a.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        low[part], high[part], p[part] = _compared(a[part], of_a[part], b[part], of_b[part], (1 - confidence) / 2)
    return Comparison(low, high, p)


def _compared(x: Float64, m: Float64, y: Float64, n: Float64, tail: float) -> tuple[Float64, Float64, Float64]:
    not_x, not_y = m - x, n - y
    least = _Difference.of(_Beta(x, not_x + 1), _Beta(y + 1, not_y))
    most = _Difference.of(_Beta(x + 1, not_x), _Beta(y, not_y + 1))
    zero = np.zeros(x.size)
    p = 2 * np.minimum(least.tail(zero, upper=False), most.tail(zero, upper=True))
    low = np.where((x == 0) & (not_y == 0), -1.0, least.quantile(tail, upper=False))
    high = np.where((not_x == 0) & (y == 0), 1.0, most.quantile(tail, upper=True))
    return low, high, np.minimum(p, 1.0)
