"""Curves over an axis, with bands, and points with intervals beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from facelib.reports.html import svg
from facelib.reports.html.markup import Html

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 272.0, 22.0, 210.0
_LINE = 11.0


@dataclass(frozen=True)
class Point:
    """A place on the axes, with an interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """A named run of points: joined by a line (intervals as a band), or `loose` (intervals as whiskers)."""

    label: str
    points: tuple[Point, ...]
    loose: bool = False


@dataclass(frozen=True)
class Axis:
    """Its name, its ends, where it is ticked, how a value is written, and how a value is placed (as a log, say)."""

    name: str
    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float | None], str]
    placed: Callable[[float], float] = float


def curve_chart(
    name: str, title: str, curves: Sequence[Curve], x: Axis, y: Axis, at: float | None = None, at_label: str = ""
) -> Html:
    """Curves labelled at their right ends; an upright line at x = `at`. Points outside the axes are left out."""
    across = svg.scale(x.placed(x.low), x.placed(x.high), _LEFT, _RIGHT)
    up = svg.scale(y.placed(y.low), y.placed(y.high), _BOTTOM, _TOP)
    root = svg.drawing(name, title, _described(curves, x, y, at, at_label), _BOTTOM + 36)
    for tick in y.ticks:
        v = up(y.placed(tick))
        svg.rule(root, _LEFT, v, _RIGHT, v, stroke=svg.FAINT, stroke_width=0.5)
        svg.write(root, _LEFT - 5, v + 3.5, y.text(tick), 10, text_anchor="end", fill="#555555")
    for tick in x.ticks:
        u = across(x.placed(tick))
        svg.rule(root, u, _BOTTOM, u, _BOTTOM + 3)
        svg.write(root, u, _BOTTOM + 14, x.text(tick), 10, text_anchor="middle", fill="#555555")
    svg.write(root, 0, 10, y.name, 10)
    svg.write(root, (_LEFT + _RIGHT) / 2, _BOTTOM + 30, x.name, 10, text_anchor="middle")
    if at is not None and x.low <= at <= x.high:
        u = across(x.placed(at))
        svg.rule(root, u, _TOP, u, _BOTTOM, stroke_dasharray="3 2")
        svg.write(root, u, _TOP - 3, at_label, 10, text_anchor="middle")
    ends = []
    for number, curve in enumerate(curves):
        colour = svg.COLOURS[min(number, len(svg.COLOURS) - 1)]
        inside = [p for p in curve.points if x.low <= p.x <= x.high and y.low <= p.y <= y.high]
        if inside:
            places = [(across(x.placed(p.x)), up(y.placed(p.y))) for p in inside]
            _draw(root, curve, inside, places, colour, lambda v: up(y.placed(max(v, y.low))))
            ends.append((places[-1][1], curve.label, colour))
    _label(root, ends)
    return svg.finished(root)


def _draw(
    root: Element,
    curve: Curve,
    points: Sequence[Point],
    places: Sequence[tuple[float, float]],
    colour: str,
    up: Callable[[float], float],
) -> None:
    bounded = [
        (u, up(p.low), up(p.high))
        for (u, _), p in zip(places, points, strict=True)
        if p.low is not None and p.high is not None
    ]
    if curve.loose:
        for u, low, high in bounded:
            svg.rule(root, u, low, u, high, stroke=colour, stroke_width=1.2)
    else:
        if bounded:
            outline = [(u, high) for u, _, high in bounded] + [(u, low) for u, low, _ in reversed(bounded)]
            svg.put(root, "polygon", points=_path(outline), fill=colour, fill_opacity=0.15)
        svg.put(root, "polyline", points=_path(places), fill="none", stroke=colour, stroke_width=1.8)
    if curve.loose or len(places) <= 12:
        for u, v in places:
            svg.put(root, "circle", cx=u, cy=v, r=2.6, fill=colour)


def _label(root: Element, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right ends, moved apart where they would overlap."""
    free = _TOP + 2
    for y, label, colour in sorted(ends):
        free = max(y + 3.5, free)
        name = svg.write(root, _RIGHT + 6, free, svg.fitted(label, svg.WIDTH - _RIGHT - 6, 10), 10)
        svg.put(name, "title", label)
        svg.rule(root, _RIGHT + 1, y, _RIGHT + 5, free - 3.5, stroke=colour, stroke_width=1.8)
        free += _LINE


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{u:.1f},{v:.1f}" for u, v in places)


def _described(curves: Sequence[Curve], x: Axis, y: Axis, at: float | None, at_label: str) -> str:
    sentences = [f"{y.name} over {x.name}."]
    if at is not None:
        sentences.append(f"{at_label}: {x.text(at)}.")
    for curve in curves:
        parts = []
        for p in curve.points:
            ends = "" if p.low is None or p.high is None else f" ({y.text(p.low)} to {y.text(p.high)})"
            parts.append(f"{y.text(p.y)}{ends} at {x.text(p.x)}")
        sentences.append(f"{curve.label}: {', '.join(parts)}.")
    return " ".join(sentences)
