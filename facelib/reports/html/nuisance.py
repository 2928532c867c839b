"""What makes faces hard in one group and not in another: pose, sharpness, light, resolution, images per identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facelib.audit.association import holm
from facelib.audit.excess import excess_p
from facelib.reports.html.cells import UNIT_WORDS
from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.lost import ALPHA
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    element,
    estimate_text,
    group_text,
    named,
    number,
    paragraph,
    percent,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_ranges import Spread, range_chart
from facelib.reports.html.withholding import WITHHELD
from facelib.reports.measures_by_group import CLUSTER_MEASURES, FACE_MEASURES

ANCHOR = "measures"
_MEASURES = FACE_MEASURES | CLUSTER_MEASURES
_END = {"low": ("lowest", "less"), "high": ("highest", "more")}
Row = Mapping[str, Any]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without the table, or without attributes."""
    rows = data.rows("measures_by_group")
    if not rows or not data.cells.attributes:
        return None
    body = [
        paragraph(
            "A group that is photographed from farther away, in worse light or from the side looks worse in every "
            "comparison, whatever the model. Points are medians, thick lines the middle half, thin lines the middle "
            "four fifths; the dashed line is the median of all. Hard is the tenth of all that lies at the end stated: "
            "a group like all others has as large a part of it as all. Faces are the most prominent of each image."
        )
    ]
    measured = dict.fromkeys(row["measure"] for row in rows)
    for position, attribute in enumerate(data.cells.attributes):
        body.append(element("h3", attribute))
        body += [_figure(data, rows, attribute, name, f"measure-{position}-{name}") for name in measured]
    return Chapter(ANCHOR, "What makes faces hard, by group", Html("".join(body)), (_rule(data, rows),))


def _withheld(data: ReportInput, rows: Sequence[Row]) -> set[str | None]:
    """Groups of one attribute and measure whose figures must not be shown."""
    groups, counts = [row["group"] for row in rows], [row["n"] for row in rows]
    return data.withheld.of_line(rows[0]["attribute"], rows[0]["unit"], groups, counts)


def _figure(data: ReportInput, rows: Sequence[Row], attribute: str, name: str, chart_name: str) -> Html:
    measure = _MEASURES[name]
    everyone = next((row for row in rows if row["measure"] == name and row["attribute"] is None), None)
    own = [row for row in rows if row["measure"] == name and row["attribute"] == attribute]
    if everyone is None or not everyone["n"] or not own:
        return Html("")
    hidden = _withheld(data, own)
    spreads, bodies = [], []
    for row in own:
        label = group_text(row["group"])
        text = WITHHELD if row["group"] in hidden else None if row["n"] else "0"
        if text is None:
            spreads.append(
                Spread(label, f"n {count(row['n'])}", tuple(row[q] for q in ("q10", "q25", "q50", "q75", "q90")))
            )
            bodies.append((label, [_figures(row)]))
        elif row["group"] is not None or text != "0":
            spreads.append(
                Spread(label, "" if text == WITHHELD else "n 0", None, text if text == WITHHELD else NOTHING)
            )
            bodies.append((label, [[text, NOTHING, NOTHING, NOTHING]]))
    bodies.append(("all", [_figures(everyone)]))
    what = f"{measure.title[0].upper()}{measure.title[1:]}{f' in {measure.unit}' if measure.unit else ''}"
    chart = range_chart(chart_name, f"{what}, by {attribute}", spreads, everyone["q50"], measure.unit)
    end, beyond = _END[measure.hard]
    caption = (
        f"{what}: {UNIT_WORDS[everyone['unit']]} by {attribute}. Hard is the {end}: {number(everyone['hard_limit'])} "
        f"or {beyond}."
    )
    head = [attribute, "n", "median (95 %)", "middle half", "hard (95 %)"]
    return side_by_side(chart, table(caption, head, bodies))


def _figures(row: Row) -> list[str]:
    low, high = row["median_low"], row["median_high"]
    ends = "" if low is None else " " + element("small", f"({number(low)}–{number(high)})")
    return [
        count(row["n"]),
        Html(f"{number(row['q50'])}{ends}"),
        f"{number(row['q25'])}–{number(row['q75'])}",
        estimate_text(row["hard_share"], row["ci_low"], row["ci_high"]),
    ]


def _rule(data: ReportInput, rows: Sequence[Row]) -> Rule:
    """Groups with more than their part of what is hard."""
    overall = {row["measure"]: row["hard_share"] for row in rows if row["attribute"] is None and row["n"]}
    tested = [row for row in rows if row["attribute"] is not None and row["group"] is not None and row["n"]]
    expected = [overall[row["measure"]] for row in tested]
    p = holm(excess_p([row["n_hard"] for row in tested], [row["n"] for row in tested], expected))
    times = data.run.audit["flag_above"]
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["attribute"] is not None:
            lines.setdefault((row["measure"], row["attribute"]), []).append(row)
    hidden = {key: _withheld(data, line) for key, line in lines.items()}
    by_group: dict[tuple[str, str], list[tuple[float, Row]]] = {}
    for row, chance, share in zip(tested, p.tolist(), expected, strict=True):
        is_hidden = row["group"] in hidden[row["measure"], row["attribute"]]
        if chance < ALPHA and row["hard_share"] > times * share and not is_hidden:
            by_group.setdefault((row["attribute"], row["group"]), []).append((row["hard_share"] / share, row))
    return Rule(
        40,
        "Groups whose photographs are harder",
        f"a group's part of the hard tenth of a measure is more than {times:g} times that of all, and more than chance "
        f"explains (exact binomial test, Holm's correction over all groups and measures, {100 * ALPHA:g} %)",
        f"{count(len(tested))} groups in {len(overall)} measures",
        tuple(_finding(a, g, sorted(found, key=lambda f: -f[0]), overall) for (a, g), found in by_group.items()),
    )


def _finding(attribute: str, group: str, found: Sequence[tuple[float, Row]], overall: Mapping[str, float]) -> Finding:
    """One finding per group: the measures in which it is hard, the worst first."""
    parts, evidence = [], []
    for _, row in found:
        measure = _MEASURES[row["measure"]]
        end, beyond = _END[measure.hard]
        limit = f"{number(row['hard_limit'])}{f' {measure.unit}' if measure.unit else ''} or {beyond}"
        share, every = percent(row["hard_share"]), percent(overall[row["measure"]])
        parts.append(
            f"{share} of its {UNIT_WORDS[row['unit']]} are among the {end} in {measure.title} ({limit}), against "
            f"{every} of all"
        )
        interval = percents(row["ci_low"], row["ci_high"])
        evidence.append(f"{measure.title}: n = {count(row['n_hard'])} of {count(row['n'])}, 95 % interval {interval}")
    return Finding(found[0][0], f"{named([attribute], [group])}: {'; '.join(parts)}.", "; ".join(evidence), ANCHOR)
