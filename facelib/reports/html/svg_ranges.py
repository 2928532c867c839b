"""Distributions of a measure by group: middle half, middle four fifths, median."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from facelib.reports.html import svg
from facelib.reports.html.markup import Html, number

_LEFT, _RIGHT, _TOP, _HEIGHT = 112.0, 314.0, 22.0, 30.0


@dataclass(frozen=True)
class Spread:
    """Deciles 1 and 9, quartiles, median, in rising order; or, where None, why there are none."""

    label: str
    note: str
    quantiles: tuple[float, float, float, float, float] | None
    instead: str = ""


def range_chart(name: str, title: str, spreads: Sequence[Spread], median: float | None, unit: str) -> Html:
    """A strip per group, its median at the right; the upright line is the `median` of all."""
    known = [s.quantiles for s in spreads if s.quantiles]
    low, high = min((q[0] for q in known), default=0.0), max((q[4] for q in known), default=1.0)
    if low > 0 and low < 0.4 * high:
        low = 0.0
    place = svg.scale(low, high, _LEFT + 4, _RIGHT)
    bottom = _TOP + _HEIGHT * len(spreads)
    root = svg.drawing(name, title, _described(spreads, median, unit), bottom + 22)
    for tick in svg.ticks(low, high, 4):
        svg.rule(root, place(tick), _TOP, place(tick), bottom, stroke=svg.FAINT, stroke_width=0.5)
        svg.write(root, place(tick), bottom + 14, f"{tick:,g}", 10, text_anchor="middle", fill="#555555")
    if median is not None:
        x = place(median)
        svg.rule(root, x, _TOP - 4, x, bottom, stroke_dasharray="3 2")
        svg.write(root, x, _TOP - 8, f"all: {number(median)}{unit and ' ' + unit}", 10, text_anchor="middle")
    for row, spread in enumerate(spreads):
        _draw(root, spread, _TOP + _HEIGHT * row, place)
    return svg.finished(root)


def _draw(root: Element, spread: Spread, top: float, place: Callable[[float], float]) -> None:
    y = top + _HEIGHT / 2
    svg.rule(root, 0, top, svg.WIDTH, top, stroke="#dddddd", stroke_width=0.5)
    label = svg.write(root, 0, y - 2, svg.fitted(spread.label, _LEFT - 8))
    svg.put(label, "title", spread.label)
    svg.write(root, 0, y + 10, svg.fitted(spread.note, _LEFT - 6, 9), 9, fill="#555555")
    if spread.quantiles is None:
        svg.write(root, _LEFT + 6, y + 4, spread.instead, 9.5, fill="#555555")
        return
    first, lower, middle, upper, last = (place(q) for q in spread.quantiles)
    svg.rule(root, first, y, last, y, stroke=svg.SERIES[0], stroke_width=1.4)
    svg.rule(root, lower, y, upper, y, stroke=svg.SERIES[0], stroke_width=6, stroke_opacity=0.45)
    svg.put(root, "circle", cx=middle, cy=y, r=3.6, fill=svg.SERIES[0])
    svg.write(root, svg.WIDTH, y + 3.5, number(spread.quantiles[2]), 9.5, text_anchor="end")


def _described(spreads: Sequence[Spread], median: float | None, unit: str) -> str:
    sentences = [] if median is None else [f"Median of all: {number(median)} {unit}."]
    for spread in spreads:
        if spread.quantiles is None:
            sentences.append(f"{spread.label}: {spread.instead}.")
            continue
        first, lower, middle, upper, last = (number(q) for q in spread.quantiles)
        sentences.append(
            f"{spread.label} ({spread.note}): median {middle}, middle half {lower} to {upper}, "
            f"middle four fifths {first} to {last}."
        )
    return " ".join(sentences)
