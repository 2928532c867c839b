"""The parts of charts: elements, scales, marks, colours.

Charts are 360 units wide, the width of a phone, so that their text is never shrunk. Each is an `svg` with role `img`,
a title and a description that holds the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from facelib.reports.html.markup import Html, clean

WIDTH = 360.0
INK = "#222222"
FAINT = "#b8b8b8"
SERIES = ("#0072B2", "#D55E00", "#009E73")
"""Blue, vermilion and bluish green of M. Okabe and K. Ito, "Color Universal Design" (2008); each has a shape too."""
COLOURS = (*SERIES, "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
_CHARACTER = 0.56
"""Mean width of a character over the height of its font; generous for the system fonts."""


def drawing(name: str, title: str, description: str, height: float) -> Element:
    """An empty chart. `name` is unique on the page; `description` says in words what the chart shows."""
    root = Element(
        "svg",
        {"role": "img", "viewBox": f"0 0 {WIDTH:g} {height:g}", "aria-labelledby": f"{name}-title {name}-text"},
    )
    for tag, suffix, text in (("title", "title", title), ("desc", "text", description)):
        SubElement(root, tag, {"id": f"{name}-{suffix}"}).text = clean(text)
    return root


def finished(root: Element) -> Html:
    """The chart as markup."""
    return Html(tostring(root, "unicode"))


def put(parent: Element, tag: str, text: str | None = None, **attributes: float | str) -> Element:
    """Add an element; underscores in names become hyphens, numbers are rounded to a tenth."""
    return _put(parent, tag, text, attributes)


def write(parent: Element, x: float, y: float, text: str, size: float = 11, **attributes: float | str) -> Element:
    """Text whose base line begins (or, by `text_anchor`, ends) at x, y."""
    given: dict[str, float | str] = {"x": x, "y": y, "font_size": size, "fill": INK}
    return _put(parent, "text", text, given | attributes)


def write_over(parent: Element, x: float, y: float, text: str, size: float, **attributes: float | str) -> Element:
    """Text on a white halo, readable across lines."""
    halo: dict[str, float | str] = {"stroke": "#ffffff", "stroke_width": 3, "paint_order": "stroke"}
    return write(parent, x, y, text, size, **(halo | attributes))


def rule(parent: Element, x1: float, y1: float, x2: float, y2: float, **attributes: float | str) -> Element:
    """A straight line."""
    given: dict[str, float | str] = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": INK}
    return _put(parent, "line", None, given | attributes)


def _put(parent: Element, tag: str, text: str | None, attributes: Mapping[str, float | str]) -> Element:
    given = {k.replace("_", "-"): v if isinstance(v, str) else f"{round(v, 1):g}" for k, v in attributes.items()}
    child = SubElement(parent, tag, given)
    if text is not None:
        child.text = clean(text)
    return child


def mark(parent: Element, x: float, y: float, series: int) -> None:
    """The point of a series: circle, square, triangle."""
    fill = SERIES[series]
    if series == 0:
        put(parent, "circle", cx=x, cy=y, r=3.6, fill=fill)
    elif series == 1:
        put(parent, "rect", x=x - 3.2, y=y - 3.2, width=6.4, height=6.4, fill=fill)
    else:
        put(parent, "path", d=f"M{x:.1f} {y - 4.2:.1f}l4.2 7.4h-8.4z", fill=fill)


def fitted(text: str, width: float, size: float = 11) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width`."""
    room = int(width / (size * _CHARACTER))
    text = clean(text)
    return text if len(text) <= room else text[: max(1, room - 1)].rstrip() + "…"


def text_width(text: str, size: float = 11) -> float:
    """About how wide a text is."""
    return len(text) * size * _CHARACTER


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Values low … high to places start … end; what lies outside stays at the edge."""
    width = high - low or 1.0
    return lambda value: start + (end - start) * min(1.0, max(0.0, (value - low) / width))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values within low … high, at most `most` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]
