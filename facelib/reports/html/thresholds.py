"""What other thresholds would do: estimated false match rates around the floor, for all and by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    element,
    estimate_text,
    group_text,
    html,
    named,
    number,
    paragraph,
    rate,
    rates,
    side_by_side,
    table,
)
from facelib.reports.html.svg import ticks
from facelib.reports.html.svg_curves import Axis, Curve, Point, curve_chart
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "thresholds"
_MOST_CURVES = 6
_SMALLEST_RATE = 1e-12
Row = Mapping[str, Any]
Key = tuple[tuple[str, ...], tuple[str | None, ...]]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without the table."""
    curves = _by_group(data)
    everyone = curves.pop(((), ()), [])
    if not everyone:
        return None
    method = data.run.stages.get("cluster", {}).get("floor", {}).get("method")
    body = [
        paragraph(
            "The false match rate (FMR) is the share of pairs of two people that would be accepted. It is estimated "
            f"without labels, from similarities between "
            f"clusters{f' (method of this run: {method})' if method else ''}. Pairs of faces on one photograph are two "
            "people: their rate is counted, and overstates the FMR because relatives stand together. Copies of a "
            "photograph are one person: their rate is an upper bound of the true match rate."
        ),
        side_by_side(_whole_curve(everyone), _table(everyone)),
    ]
    for position, attribute in enumerate(data.cells.attributes):
        own = {key[1][0]: rows for key, rows in curves.items() if key[0] == (attribute,)}
        if own:
            body += [element("h3", attribute), _groups(data, attribute, own, everyone, f"thresholds-{position}")]
    return Chapter(ANCHOR, "Thresholds", Html("".join(body)), _rules(data, curves, everyone))


def _by_group(data: ReportInput) -> dict[Key, list[Row]]:
    """Rows by rising similarity: of the whole archive under empty names, and of groups."""
    found: dict[Key, list[Row]] = {}
    for row in sorted(data.rows("threshold_curve"), key=lambda r: r["similarity"]):
        key = tuple(row.get("attributes") or ()), tuple(row.get("groups") or ())
        found.setdefault(key, []).append(row)
    return found


def _withheld(own: Mapping[str | None, Sequence[Row]]) -> set[str | None]:
    """Groups whose figures are withheld."""
    return {group for group, rows in own.items() if rows[0].get("is_suppressed")}


def _faces(row: Row) -> str:
    return WITHHELD if row["n_faces"] is None else count(row["n_faces"])


def _points(rows: Sequence[Row], name: str, low: str, high: str) -> tuple[Point, ...]:
    return tuple(
        Point(row["similarity"], row[name], row.get(low), row.get(high))
        for row in rows
        if row[name] is not None and row[name] > _SMALLEST_RATE
    )


def _whole_curve(rows: Sequence[Row]) -> Html:
    counted = _points(rows, "same_photograph_rate", "same_photograph_ci_low", "same_photograph_ci_high")
    estimated = _points(rows, "fmr_estimated", "fmr_ci_low", "fmr_ci_high")
    curves = [Curve("estimated", estimated), Curve("one photograph", counted, loose=True)]
    return _curve("thresholds-all", "False match rate by threshold", curves, rows, "FMR", _power, 1.0)


def _curve(
    name: str,
    title: str,
    curves: Sequence[Curve],
    rows: Sequence[Row],
    what: str,
    text: Callable[[float | None], str],
    least: float,
) -> Html:
    """Curves over similarity on a scale of powers of ten that holds all points and goes up to `least` at least."""
    values = [point.y for curve in curves for point in curve.points]
    if not values:
        return paragraph("There is no estimate and there are no pairs to count, so there is no curve to draw.")
    ends_above = [point.high for curve in curves for point in curve.points if point.high]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(*values, *ends_above, least)))
    step = max(1, math.ceil((high - low) / 6))
    ends = rows[0]["similarity"], rows[-1]["similarity"]
    x = Axis("similarity", *ends, tuple(ticks(*ends)), _similarity)
    powers = tuple(10.0**k for k in range(high, low - 1, -step))
    y = Axis(what, 10.0**low, 10.0**high, powers, text, math.log10)
    floor = _at_floor(rows)
    return curve_chart(name, title, curves, x, y, floor["similarity"] if floor else None, "floor")


def _multiple(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2g}"


def _times_all(label: str, rows: Sequence[Row], everyone: Sequence[Row]) -> Curve:
    """A group's rates as multiples of those of all at the same similarity."""
    every = {row["similarity"]: row["fmr_estimated"] for row in everyone}
    points = []
    for row in rows:
        base, rate_ = every.get(row["similarity"]), row["fmr_estimated"]
        if base and rate_:
            ends = (row[name] / base if row[name] else None for name in ("fmr_ci_low", "fmr_ci_high"))
            points.append(Point(row["similarity"], rate_ / base, *ends))
    return Curve(label, tuple(points))


def _power(value: float | None) -> str:
    return rate(value).replace("1.0e", "1e")


def _similarity(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _fmr(row: Row) -> Html:
    low, high = row.get("fmr_ci_low"), row.get("fmr_ci_high")
    if low is None or high is None:
        return html(rate(row["fmr_estimated"]))
    return Html(f"{rate(row['fmr_estimated'])} {element('small', f'({rates(low, high)})')}")


def _edges(value: float | None) -> str:
    return number(value) if value is None or value >= 0.01 else rate(value)


def _table(rows: Sequence[Row]) -> Html:
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    for row in rows:
        cells = [_fmr(row), _edges(row["false_edges_per_face"])]
        for name in ("same_photograph", "copies"):
            cells.append(estimate_text(*(row[f"{name}_{part}"] for part in ("rate", "ci_low", "ci_high"))))
        label = f"{row['similarity']:.4f}"
        bodies.append((element("strong", f"{label} floor") if row["is_floor"] else label, [cells]))
    pairs, copies = count(rows[0]["n_same_photograph"]), count(rows[0]["n_copies"])
    caption = (
        f"All faces, by similarity; n = {pairs} pairs on one photograph, {copies} copies and pairs given as one person."
    )
    head = ["similarity", "FMR", "false edges per face", "one photograph (95 %)", "copies (95 %)"]
    return table(caption, head, bodies, stacked=True)


def _groups(
    data: ReportInput, attribute: str, own: Mapping[str | None, Sequence[Row]], everyone: Sequence[Row], name: str
) -> Html:
    hidden = _withheld(own)
    at_floor = {g: row for g, rows in own.items() if (row := _at_floor(rows))}
    drawable = [g for g, row in at_floor.items() if g not in hidden and row["fmr_estimated"] is not None]
    highest = sorted(drawable, key=lambda g: -at_floor[g]["fmr_estimated"])[:_MOST_CURVES]
    curves = [_times_all(group_text(g), own[g], everyone) for g in own if g in highest]
    what = "times the FMR of all"
    chart = _curve(name, f"False match rate within groups of {attribute}", curves, everyone, what, _multiple, 1.0)
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    for group, row in at_floor.items():
        cells = [WITHHELD, NOTHING, NOTHING]
        if group not in hidden:
            cells = [_faces(row), _fmr(row), row["estimator"] or "too few to tell"]
        bodies.append((group_text(group), [cells]))
    if whole := _at_floor(everyone):
        bodies.append(("all", [[_faces(whole), _fmr(whole), whole["estimator"] or NOTHING]]))
    more = f" It shows the {_MOST_CURVES} highest." if len(drawable) > _MOST_CURVES else ""
    caption = (
        f"{attribute}: false match rate among the faces of one group, at the floor; the chart shows it at all "
        f"similarities as a multiple of that of all.{more}"
    )
    return side_by_side(chart, table(caption, [attribute, "faces", "FMR (95 %)", "from"], bodies))


def _at_floor(rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row["is_floor"]), None)


def _rules(data: ReportInput, curves: Mapping[Key, Sequence[Row]], everyone: Sequence[Row]) -> tuple[Rule, ...]:
    """Groups whose faces are confused with each other more often than those of all."""
    whole = _at_floor(everyone)
    single = {(a[0], g[0]): rows for (a, g), rows in curves.items() if len(a) == 1}
    if not single or whole is None or not whole["fmr_estimated"]:
        return ()
    times, expected, findings = data.run.audit["flag_above"], whole["fmr_estimated"], []
    for attribute in dict.fromkeys(a for a, _ in single):
        own = {group: rows for (a, group), rows in single.items() if a == attribute}
        hidden = _withheld(own)
        shown = {g: row for g, rows in own.items() if g not in hidden and (row := _at_floor(rows))}
        known = {g: row for g, row in shown.items() if row["fmr_ci_low"] is not None}
        usual = max(expected, median(row["fmr_estimated"] for row in known.values()) if known else 0.0)
        for group, row in known.items():
            if row["fmr_estimated"] > times * usual and row["fmr_ci_low"] > usual:
                findings.append(_finding(attribute, group, row, expected))
    return (
        Rule(
            35,
            "Groups whose people are confused more often",
            f"the estimated false match rate within a group is, at the floor, over {times:g} times that of all and "
            "that of the median group of the attribute (people of one group are more alike than any two), and its 95 % "
            "interval lies above both",
            f"{count(len(single))} groups",
            tuple(findings),
        ),
    )


def _finding(attribute: str, group: str | None, row: Row, expected: float) -> Finding:
    times = row["fmr_estimated"] / expected
    return Finding(
        times,
        f"{named([attribute], [group])}: two people of this group are taken for one at the floor with an estimated "
        f"chance of {rate(row['fmr_estimated'])}, {number(times)} times that of all ({rate(expected)}).",
        f"n = {_faces(row)} faces, 95 % interval {rates(row['fmr_ci_low'], row['fmr_ci_high'])}, estimated "
        "without verified subjects",
        ANCHOR,
    )
