"""Charts of the report: drawn to scale, and told in words."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from facelib.reports.html.markup import number, percent
from facelib.reports.html.svg_curves import Axis, Curve, Point, curve_chart
from facelib.reports.html.svg_heat import Cell, heat_chart
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.svg_ranges import Spread, range_chart

pytestmark = pytest.mark.unit


def text_of(root: Element) -> str:
    return " ".join(text for part in root.iter() for text in [part.text] if text)


def test_the_words_of_an_interval_chart_hold_its_figures() -> None:
    bands = [
        Band("F & <M>", "n 30", (Estimate(0.3, 0.25, 0.36), Estimate(None, instead="withheld")), reference=0.5),
        Band("x" * 99, "n 7", (Estimate(0.7, 0.64, 0.75), Estimate(0.01, 0.0, 0.2))),
    ]
    root = fromstring(interval_chart("a", "T", bands, ["images", "faces"], "reference"))
    words = (root[1].text or "").replace("\N{NO-BREAK SPACE}", " ")
    assert words.startswith("F & <M> (n 30): images 30.0 % (25.0–36.0 %), faces withheld, reference 50.0 %.")
    assert "images 70.0 % (64.0–75.0 %), faces 1.0 % (0–20.0 %)." in words
    assert "withheld" in text_of(root)
    lines = [float(e.get("x1", "0")) for e in root.iter("line")]
    assert all(0 <= x <= 360 for x in lines)


def test_intervals_are_drawn_to_scale() -> None:
    """0.25 … 0.75 of a largest end of 0.75 spans two thirds of the axis, the point is in its middle."""
    root = fromstring(interval_chart("a", "T", [Band("g", "", (Estimate(0.5, 0.25, 0.75),))], ["s"], ""))
    (interval,) = [e for e in root.iter("line") if e.get("stroke-width") == "1.8"]
    ticks = {e.text: float(e.get("x", "0")) for e in root.iter("text") if e.get("text-anchor") == "middle"}
    zero, half = ticks["0 %"], (ticks["40 %"] + ticks["60 %"]) / 2
    ends = [float(interval.get(name, "0")) for name in ("x1", "x2")]
    assert ends == pytest.approx([(zero + half) / 2, half + (half - zero) / 2], abs=0.2)
    point = next(e for e in root.iter("circle") if float(e.get("cy", "0")) > 20)
    assert float(point.get("cx", "0")) == pytest.approx(half, abs=0.2)


def test_the_words_of_other_charts_hold_their_figures() -> None:
    spreads = [Spread("a", "n 5", (1.0, 2.0, 3.0, 4.0, 5.0)), Spread("b", "", None, "withheld")]
    words = fromstring(range_chart("r", "T", spreads, 2.5, "px"))[1].text
    assert (
        words
        == "Median of all: 2.50 px. a (n 5): median 3, middle half 2 to 4, middle four fifths 1 to 5. b: withheld."
    )
    cells = [[Cell("12", 1.0), Cell("0", 0.0)], [Cell("withheld", None), Cell("3", 0.25)]]
    heat = fromstring(heat_chart("h", "T", ["r", "s"], ["c", "d"], cells))
    assert heat[1].text == "r: c 12, d 0. s: c withheld, d 3."
    assert len(list(heat.iter("rect"))) == 4
    assert len(list(heat.iter("path"))) == 1  # the hatching
    x, y = Axis("size", 1, 8, (1, 8), number), Axis("share", 0.0, 1.0, (0.0, 1.0), percent)
    curve = fromstring(
        curve_chart("c", "T", [Curve("k", (Point(1, 1.0), Point(8, 0.25, 0.2, 0.3)))], x, y, 2.0, "floor")
    )
    words = (curve[1].text or "").replace("\N{NO-BREAK SPACE}", " ")
    assert words == "share over size. floor: 2. k: 100 % at 1, 25.0 % (20.0 % to 30.0 %) at 8."


def test_dark_cells_have_light_text_and_light_cells_dark_text() -> None:
    root = fromstring(heat_chart("h", "T", ["r"], ["c", "d"], [[Cell("9", 1.0), Cell("1", 0.05)]]))
    inks = {e.text: e.get("fill") for e in root.iter("text")}
    assert (inks["9"], inks["1"]) == ("#ffffff", "#222222")
