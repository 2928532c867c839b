"""What `error_rates` and `error_summary` must not give, so that no small number of people follows."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facelib.reports.html.withholding import Line, protected

Row = dict[str, Any]


@dataclass(frozen=True)
class Withheld:
    """groups: categories without any figure. counts: others whose counts are not given, and rates to two digits."""

    groups: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()


def withheld_groups(
    categories: Sequence[str],
    counts: Sequence[Sequence[int | None]],
    elsewhere: Collection[str],
    min_cell: int,
) -> Withheld:
    """What must not be given of each category.

    counts: lines of counts, each one per category and, last, of the faces or subjects without one, which tell nobody's
    group; None where it is withheld. A category with a count below `min_cell` that is not 0 gives no figure. The counts
    of others are withheld when they are `elsewhere` in the run, or where the sum of a line, which is taken to be known,
    would tell a small one: then the smallest that serves.
    """
    small = {c for line in counts for c, n in zip(categories, line, strict=False) if n is None or 0 < n < min_cell}
    lines = []
    for *own, _ in counts:
        known = [None if c in elsewhere else n for c, n in zip(categories, own, strict=True)]
        lines.append(Line.of(known, float(sum(n or 0 for n in own)), min_cell))
    hidden = set(elsewhere) & set(categories)
    if lines and min_cell:
        smallest_first = np.argsort(lines[0].counts, kind="stable").tolist()
        found = protected(lines, smallest_first, min_cell)
        hidden |= {c for c, h in zip(categories, found, strict=True) if h}
    return Withheld(frozenset(small), frozenset(hidden - small))


def without_counts(figures: Row) -> Row:
    """Rates to two significant digits, ends of intervals outwards, so that they do not tell counts; no counts."""
    return {n: None if n == "n" or n.startswith("n_") else _coarse(v, n) for n, v in figures.items()}


def without_counts_falling(figures: Row) -> Row:
    """The same for a figure that is 1 where groups are equal: two digits of its distance from 1."""
    other = {"ci_low": "ci_high", "ci_high": "ci_low"}
    turned = {other.get(n, n): None if v is None else 1 - v for n, v in figures.items()}
    return {other.get(n, n): None if v is None else 1 - v for n, v in without_counts(turned).items()}


def _coarse(value: float | None, name: str) -> float | None:
    if value is None or value == 0 or not math.isfinite(value):
        return value
    digits = 1 - math.floor(math.log10(abs(value)))
    way = math.floor if name.endswith("low") else math.ceil if name.endswith("high") else round
    scaled = value * 10.0**digits
    whole = round(scaled)
    return (whole if math.isclose(whole, scaled, rel_tol=1e-12) else way(scaled)) / 10.0**digits
