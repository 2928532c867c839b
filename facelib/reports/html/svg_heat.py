"""Two attributes against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from facelib.reports.html import svg
from facelib.reports.html.markup import Html

_LEFT, _LETTER_WIDTH, _SMALLEST_TEXT, _HATCH = 104.0, 5.2, 7.0, 6
_STOPS = ("fff6cf", "f0dc7f", "c8b866", "948e77", "666970", "35456c", "00224e")
"""Cividis (Nuñez, Anderton and Renslow, PLoS ONE 13 (2018) e0199239), turned so that more is darker."""


@dataclass(frozen=True)
class Cell:
    """A cell's text, and its share of the largest cell, 0–1; None where it is withheld."""

    text: str
    level: float | None


def heat_chart(
    name: str, title: str, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Cell]]
) -> Html:
    """A grid of cells, darker where there is more (area of colour by square root); 0 is crossed out, what is
    withheld is hatched. `cells` holds a row per name in `rows`. Text that does not fit a cell is left out."""
    width = (svg.WIDTH - _LEFT) / max(1, len(columns))
    height = min(28.0, max(16.0, width))
    widest = max((svg.text_width(c, 10) for c in columns), default=0.0)
    is_slanted = widest > width - 4
    top = 14.0 + (min(78.0, widest * 0.82) if is_slanted else 6.0)
    root = svg.drawing(name, title, _described(rows, columns, cells), top + height * len(rows) + 4)
    for j, column in enumerate(columns):
        x, y = _LEFT + width * (j + 0.5) + (3 if is_slanted else 0), top - 5
        turned = {"transform": f"rotate(-55 {x:.1f} {y:.1f})"} if is_slanted else {"text_anchor": "middle"}
        label = svg.write(root, x, y, svg.fitted(column, 90, 10), 10, **turned)
        svg.put(label, "title", column)
    for i, row in enumerate(rows):
        y = top + height * i
        label = svg.write(root, 0, y + height / 2 + 4, svg.fitted(row, _LEFT - 6))
        svg.put(label, "title", row)
        for j, cell in enumerate(cells[i]):
            _draw(root, cell, _LEFT + width * j, y, width, height)
    return svg.finished(root)


def _draw(root: Element, cell: Cell, x: float, y: float, width: float, height: float) -> None:
    fill, ink = _shade(cell.level) if cell.level else ("#ffffff", svg.INK)
    box = svg.put(root, "rect", x=x + 0.5, y=y + 0.5, width=width - 1, height=height - 1, fill=fill, stroke="#cccccc")
    svg.put(box, "title", cell.text)
    if cell.level is None:
        svg.put(root, "path", d=_hatching(x + 1, y + 1, width - 2, height - 2), stroke="#999999", stroke_width=0.6)
    elif cell.level == 0:
        svg.rule(root, x + 3, y + height - 3, x + width - 3, y + 3, stroke="#D55E00", stroke_width=1)
    size = min(10.0, (width - 2) / max(1, len(cell.text)) / _LETTER_WIDTH * 9)
    if size >= _SMALLEST_TEXT:
        write = svg.write if cell.level else svg.write_over
        write(root, x + width / 2, y + height / 2 + 3.4, cell.text, size, text_anchor="middle", fill=ink)


def _hatching(x: float, y: float, width: float, height: float) -> str:
    """The path of slanting lines that fill a box."""
    strokes = []
    for step in range(_HATCH, int(width + height), _HATCH):
        right, below = max(0.0, step - height), max(0.0, step - width)
        start, end = (x + right, y + step - right), (x + step - below, y + below)
        strokes.append(f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}")
    return "".join(strokes)


def _shade(level: float) -> tuple[str, str]:
    """Fill and ink of a share 0–1 of the largest cell."""
    place = math.sqrt(min(1.0, max(0.0, level))) * (len(_STOPS) - 1)
    k = min(int(place), len(_STOPS) - 2)
    low, high = (bytes.fromhex(_STOPS[i]) for i in (k, k + 1))
    mixed = [round(a + (b - a) * (place - k)) for a, b in zip(low, high, strict=True)]
    light = (0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2]) > 135
    return "#" + bytes(mixed).hex(), svg.INK if light else "#ffffff"


def _described(rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Cell]]) -> str:
    lines = [
        f"{row}: {', '.join(f'{column} {cell.text}' for column, cell in zip(columns, line, strict=True))}."
        for row, line in zip(rows, cells, strict=True)
    ]
    return " ".join(lines)
