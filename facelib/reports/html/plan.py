"""What to collect, and how to weight: for every attribute, what to add, and what adding or weighting comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    element,
    items,
    number,
    paragraph,
    side_by_side,
    table,
)
from facelib.reports.html.plan_pairs import Names, Row, arrow_text, change_text, pairs_table, said, total_text
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "plan"
_GOALS = {"shares": "shares", "evenness": "evenness", "interval": "error rates"}


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without the tables."""
    rows, summary = data.rows("sampling_plan"), data.rows("sampling_plan_summary")
    if not rows or not summary:
        return None
    cells: dict[tuple[Names, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((tuple(row["attributes"]), row["goal"]), []).append(row)
    totals = {(tuple(row["attributes"]), row["goal"], row["unit"]): row for row in summary}
    sets = list(dict.fromkeys(names for names, _ in cells))
    body = [_introduction(sets[0], totals)]
    for position, names in enumerate(names for names in sets if len(names) == 1):
        body += [
            element("h3", names[0]),
            _figure(data, names[0], cells, f"plan-{position}"),
            _whole(names, totals),
            _weights(totals[names, "shares", "image"]),
        ]
    pairs = [names for names in sets if len(names) == 2]
    if pairs:
        body += [element("h3", "Combinations of two attributes"), pairs_table(pairs, cells, totals)]
    return Chapter(ANCHOR, "What to collect, and how to weight", Html("".join(body)), (_rule(summary),))


def _introduction(names: Names, totals: Mapping[tuple[Names, str, str], Row]) -> Html:
    aims = [f"{word}: {totals[names, goal, 'image']['aim']}" for goal, word in _GOALS.items()]
    return Html(
        paragraph(
            "A plan is the least that reaches a goal by adding, for each goal and attribute by itself; what is added "
            "for one counts for the others too. Goals:"
        )
        + items(aims)
        + paragraph(
            "New identities must be new people. More photographs of people who are there, or copies, add images but no "
            "identities; and a person whom the archive has under another name is not new either. Weights are the other "
            "way: they repeat what is there and make nothing that is not, so a group without an image stays without."
        )
    )


def _figure(data: ReportInput, attribute: str, cells: Mapping[tuple[Names, str], Sequence[Row]], name: str) -> Html:
    bands, bodies = [], []
    by_trials = {row["groups"][0]: row for row in cells[(attribute,), "interval"]}
    for row in cells[(attribute,), "shares"]:
        group = row["groups"][0]
        hidden, few = (data.withheld.hides(attribute, unit, group) for unit in ("image", "cluster"))
        shares = [row[f"share_{when}"] for when in ("now", "collected", "weighted")]
        estimates = tuple(Estimate(None if hidden else s, instead=_instead(row, hidden)) for s in shares)
        bands.append(Band(group, "", estimates, row["target_share"]))
        trials = by_trials[group]
        bodies.append(
            (
                group,
                [
                    [
                        _n(row["images"], hidden),
                        _n(row["identities"], few),
                        _to_add(row, "images", hidden),
                        _to_add(row, "identities", few),
                        _to_add(trials, "identities", few),
                        WITHHELD if hidden or row["images"] is None else number(row["weight"]),
                    ]
                ],
            )
        )
    series = ("now", "collected", "weighted")
    title = f"Shares of {attribute} now, after collecting, and when weighted"
    chart = interval_chart(name, title, bands, series, "target" if bands[0].reference is not None else "")
    head = [attribute, "images", "identities", "add images", "add people", "add people for error rates", "weight"]
    caption = (
        f"{attribute}: what is there; what to add for the shares, and for error rates; and the weight of an image when "
        "weighting instead, the mean being 1."
    )
    return side_by_side(chart, table(caption, head, bodies, stacked=True), len(head))


def _instead(row: Row, hidden: bool) -> str:
    return WITHHELD if hidden or row["images"] is None else NOTHING


def _n(n: int | None, hidden: bool) -> str:
    return WITHHELD if hidden or n is None else count(n)


def _to_add(row: Row, unit: str, hidden: bool) -> str:
    """What to add to a cell; of a withheld one at most, which is what it should hold."""
    wanted, add = row[f"{unit}_wanted"], row[f"{unit}_to_add"]
    if hidden or row[unit] is None:
        return WITHHELD if wanted is None or row[unit] is not None else f"up to {count(wanted)}"
    if add is None:
        return NOTHING
    return "short" if row["status"] == "short" and add == 0 else count(add)


def _whole(names: Names, totals: Mapping[tuple[Names, str, str], Row]) -> Html:
    """By goal and unit, what to add in all and what the measures become."""
    bodies: list[tuple[str, list[list[str]]]] = []
    reasons: dict[str, list[str]] = {}
    for goal, word in _GOALS.items():
        lines = []
        for unit, name in (("image", "images"), ("cluster", "identities")):
            row = totals[names, goal, unit]
            lines.append([name, total_text(row), change_text(row, "evenness"), change_text(row, "imbalance")])
            if row["reason"]:
                reasons.setdefault(str(row["reason"]), []).append(f"{word}, {name}")
        bodies.append((word, lines))
    weighted = totals[names, "shares", "image"]
    if weighted["evenness_weighted"] is not None:
        words = [arrow_text(weighted[f"{m}_now"], weighted[f"{m}_weighted"]) for m in ("evenness", "imbalance")]
        bodies.append(("weights instead", [["images", "0", *words]]))
    caption = f"{names[0]} as a whole: units to add, and measures before → after. Evenness is 1 where all are equal."
    made = table(caption, ["goal", "unit", "to add", "evenness", "largest : smallest"], bodies, "ll", stacked=True)
    return Html(made + said(reasons))


def _weights(row: Row) -> Html:
    """What weighting comes to, in words."""
    if row["evenness_weighted"] is None:
        return paragraph(f"No weights: {row['weighting_reason']}.")
    text = "Weighted, " + (f"{count(row['units'])} images" if row["units"] is not None else "the images")
    if row["effective_sample_size"] is not None:
        text += f" count like {number(row['effective_sample_size'])} equally weighted ones (effective sample size)"
    else:
        text += " count like fewer, how many depends on the images per identity"
    reason = f" But {row['weighting_reason']}." if row["weighting_reason"] else ""
    return paragraph(f"{text}. facelib export makes the weights anew for the faces that it exports.{reason}")


def _rule(summary: Sequence[Row]) -> Rule:
    """Of a goal out of reach one finding per attribute: its pairs follow from it."""
    rows = [row for row in summary if row["unit"] == "image"]
    short: dict[str, list[Row]] = {}
    for row in rows:
        if row["status"] == "short" and len(row["attributes"]) == 1:
            short.setdefault(row["attributes"][0], []).append(row)
    found = [
        Finding(
            1.0,
            f"{attribute}: collecting cannot bring it about that {'; or that '.join(row['aim'] for row in failed)}.",
            "; ".join(dict.fromkeys(str(row["reason"]) for row in failed)),
            ANCHOR,
        )
        for attribute, failed in short.items()
    ]
    for row in rows:
        if row["weighting"] == "infeasible":
            names = " × ".join(row["attributes"])
            sentence = f"{names}: no weights give both attributes their reference shares."
            found.append(Finding(0.0, sentence, str(row["weighting_reason"]), ANCHOR))
    return Rule(
        45,
        "Targets that cannot be reached",
        "a goal cannot be reached because nothing can be collected for a group (audit.plan_closed), or no weights give "
        "two attributes their reference shares together",
        f"{len(rows)} goals of {len({tuple(row['attributes']) for row in rows})} attributes and pairs",
        tuple(found),
    )
