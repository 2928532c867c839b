"""Differentials with intervals over subjects, from the same sets of subjects as those of the rates.

A differential measures spread, and chance spreads: in the data the rates of equal groups differ, and in a set drawn
from the data they differ once more. The middle 95 % of the sets therefore lie beyond the truth when groups are alike:
of three equal groups they never hold it. Two things mend the end that lies nearer to equality. It is no farther from
equality than the other end reflected at the value (the basic bootstrap: A. C. Davison and D. V. Hinkley, "Bootstrap
methods and their application" (1997), section 5.2), on the logarithm of a ratio; and it is equality itself when the
value is no greater than what equal groups show by chance. The other end is the percentile.

Chance is taken from the same sets: there each group's rate is divided by its rate in the data and multiplied by the
mean of the groups, so that all are equal but for the noise of each. A group without errors shows no noise: chance is
then unknown, and the interval reaches equality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facelib.audit.differentials import Float64, all_differentials, defined
from facelib.audit.resampled_errors import known_quantile, share

_TAIL = 0.025
_CHANCE = 0.95
_RATIOS = ("_ratio", "inequity_rate")
_FALLING = "fairness_discrepancy_rate"
"""1 when groups are equal, smaller when they are not."""


@dataclass(frozen=True)
class Differential:
    """A figure of `facelib.audit.differentials`, with the ends of its 95 % interval; None where undefined.

    Groups with equal rates show values up to `by_chance` (of a fairness discrepancy rate: down to it) in 95 % of the
    sets of as many subjects: a value within it shows no difference. It is None when a group has no errors, in the data
    or in many sets. A `low` without a `high` means that the interval has no upper end, because in some sets the
    smallest rate is 0.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    by_chance: float | None = None


def differentials_with_ends(
    fmr: Float64, fnmr: Float64, fmr_drawn: Float64, fnmr_drawn: Float64
) -> dict[str, Differential]:
    """Every figure by its name, from the rates (groups,) and those of R sets of subjects (R, groups).

    Groups whose rate is NaN are left out.
    """
    known = ~np.isnan(fmr), ~np.isnan(fnmr)
    figures = all_differentials(fmr, fnmr, *known)
    drawn = all_differentials(fmr_drawn, fnmr_drawn, *known)
    equal = all_differentials(_equalised(fmr, fmr_drawn), _equalised(fnmr, fnmr_drawn), *known)
    return {name: _with_ends(name, figure, drawn[name], equal[name]) for name, figure in figures.items()}


def _equalised(rates: Float64, drawn: Float64) -> Float64:
    """Rates of the sets (R, groups) if the groups had equal ones, their mean."""
    mean = np.nansum(rates) / max(1, np.count_nonzero(~np.isnan(rates)))
    return mean * share(drawn, np.broadcast_to(rates, drawn.shape))


def _with_ends(name: str, figure: Float64, drawn: Float64, equal: Float64) -> Differential:
    if not np.isfinite(figure):
        return Differential(None)
    value, sets = _distance(name, figure), _distance(name, drawn)
    chance = known_quantile(_distance(name, equal), _CHANCE)
    near, far = known_quantile(sets, _TAIL), known_quantile(sets, 1 - _TAIL)
    near = np.where(value > chance, np.maximum(np.minimum(near, 2 * value - far), 0.0), 0.0)
    ends = [_figure(name, np.where(np.isnan(far), np.nan, near)), _figure(name, far)]
    if name == _FALLING:
        ends.reverse()
    return Differential(float(figure), defined(ends[0]), defined(ends[1]), defined(_figure(name, chance)))


def _distance(name: str, figure: Float64) -> Float64:
    """From equality, on the scale on which a difference of figures is read: 0 … infinity."""
    if name.endswith(_RATIOS):
        return np.maximum(np.log(figure), 0.0)
    return 1 - figure if name == _FALLING else figure


def _figure(name: str, distance: Float64) -> Float64:
    if name.endswith(_RATIOS):
        return np.exp(distance)
    return 1 - distance if name == _FALLING else distance
