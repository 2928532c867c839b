"""Shares with their intervals, one band per group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from facelib.reports.html import svg
from facelib.reports.html.markup import Html, percent, percents

_LEFT, _RIGHT, _TOP = 112.0, 314.0, 24.0
_STEP, _PAD = 13.0, 9.0


@dataclass(frozen=True)
class Estimate:
    """A share 0–1 with its interval; or, where `value` is None, why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    instead: str = ""


@dataclass(frozen=True)
class Band:
    """One group: an estimate per series, and what they are compared with."""

    label: str
    note: str
    estimates: tuple[Estimate, ...]
    reference: float | None = None


def interval_chart(
    name: str,
    title: str,
    bands: Sequence[Band],
    series: Sequence[str],
    reference: str,
) -> Html:
    """Points with interval lines from 0 to the largest value; values stand at the right.

    bands: one per group, each with an estimate per series. series: their names, up to three. reference: what the
    upright strokes are; "" without any.
    """
    ends = [e.high or e.value or 0.0 for b in bands for e in b.estimates] + [b.reference or 0.0 for b in bands]
    largest = max(ends, default=0.0) or 1.0
    place = svg.scale(0.0, largest, _LEFT, _RIGHT)
    heights = [max(34.0 if b.note else 24.0, _STEP * len(b.estimates) + _PAD) for b in bands]
    root = svg.drawing(name, title, _described(bands, series, reference), _TOP + sum(heights) + 22)
    _key(root, series, reference)
    bottom = _TOP + sum(heights)
    for tick in svg.ticks(0.0, largest, 4):
        svg.rule(root, place(tick), _TOP, place(tick), bottom, stroke=svg.FAINT, stroke_width=0.5)
        svg.write(root, place(tick), bottom + 14, f"{100 * tick:g} %", 10, text_anchor="middle", fill="#555555")
    y = _TOP
    for band, height in zip(bands, heights, strict=True):
        _draw(root, band, y, height, place)
        y += height
    return svg.finished(root)


def _key(root: Element, series: Sequence[str], reference: str) -> None:
    x = _LEFT
    for number, word in enumerate(series):
        svg.mark(root, x + 4, 10, number)
        svg.write(root, x + 11, 14, word, 10)
        x += 20 + svg.text_width(word, 10)
    if reference:
        svg.rule(root, x + 3, 4, x + 3, 16, stroke_width=1.6)
        svg.write(root, x + 9, 14, reference, 10)


def _draw(root: Element, band: Band, top: float, height: float, place: Callable[[float], float]) -> None:
    middle = top + height / 2
    svg.rule(root, 0, top, svg.WIDTH, top, stroke="#dddddd", stroke_width=0.5)
    label = svg.write(root, 0, middle - 3 if band.note else middle + 4, svg.fitted(band.label, _LEFT - 8))
    svg.put(label, "title", band.label)
    if band.note:
        svg.write(root, 0, middle + 10, svg.fitted(band.note, _LEFT - 6, 9), 9, fill="#555555")
    if band.reference is not None:
        x = place(band.reference)
        svg.rule(root, x, top + 2, x, top + height - 2, stroke_width=1.6)
    first = middle - _STEP * (len(band.estimates) - 1) / 2
    for number, estimate in enumerate(band.estimates):
        y = first + _STEP * number
        if estimate.value is None:
            svg.write_over(root, _LEFT + 2, y + 3.5, estimate.instead, 9.5, fill="#555555")
            continue
        x = place(estimate.value)
        low, high = (place(v) if v is not None else x for v in (estimate.low, estimate.high))
        svg.rule(root, low, y, high, y, stroke=svg.SERIES[number], stroke_width=1.8)
        svg.mark(root, x, y, number)
        svg.write(root, svg.WIDTH, y + 3.5, percent(estimate.value), 9.5, text_anchor="end")


def _within(estimate: Estimate) -> str:
    return "" if estimate.low is None else f" ({percents(estimate.low, estimate.high)})"


def _described(bands: Sequence[Band], series: Sequence[str], reference: str) -> str:
    sentences = []
    for band in bands:
        parts = [
            f"{word} {e.instead}" if e.value is None else f"{word} {percent(e.value)}{_within(e)}"
            for word, e in zip(series, band.estimates, strict=True)
        ]
        if band.reference is not None:
            parts.append(f"{reference} {percent(band.reference)}")
        note = f" ({band.note})" if band.note else ""
        sentences.append(f"{band.label}{note}: {', '.join(parts)}.")
    return " ".join(sentences)
