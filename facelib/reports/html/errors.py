"""Who is confused with whom: error rates by group and between groups at one threshold for all, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facelib.reports.html.chapter import Chapter, ReportInput
from facelib.reports.html.error_findings import ANCHOR, Comparisons, rules
from facelib.reports.html.error_spread import clusters, differentials
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    element,
    estimate_text,
    html,
    paragraph,
    percent,
    side_by_side,
    table,
)
from facelib.reports.html.svg_heat import Cell, heat_chart
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.withholding import WITHHELD

_MOST_ACROSS = 12
"""Groups of a heat map; with more it is left to the table."""
_WORDS = {"fmr": "False match rate", "fnmr": "False non-match rate"}
_PAIRS = {"fmr": "pairs of two people", "fnmr": "pairs of one person"}
_COUNTS = {"fmr": ("n_non_mated", "n_false_matches"), "fnmr": ("n_mated", "n_false_non_matches")}
Row = Mapping[str, Any]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without the table, and without groups when there are no verified subjects either."""
    found = Comparisons.of(data)
    if not found.rows or not (found.has_subjects or found.attributes):
        return None
    body = [*_words(data, found), *([_overall(found)] if found.has_subjects else [])]
    for position, attribute in enumerate(found.attributes):
        body += [element("h3", attribute), *_attribute(data, found, attribute, f"errors-{position}")]
    return Chapter(ANCHOR, "Who is confused with whom", Html("".join(body)), rules(data, found))


def _words(data: ReportInput, found: Comparisons) -> list[Html]:
    if not found.has_subjects:
        text = (
            "The run has no verified subjects, so nobody knows which pairs are of one person: the false non-match rate "
            "(FNMR) of no group is known. The false match rates (FMR) below are estimated from similarities between "
            "clusters, at their floor; the chapter on thresholds has more of them."
        )
        return [paragraph(text)]
    facts = data.run.stages.get("balance", {}).get("errors", {})
    drawn = ""
    if facts.get("faces", 0) < facts.get("of_faces", 0):
        drawn = (
            f" Of {count(facts['of_subjects'])} subjects with {count(facts['of_faces'])} faces, "
            f"{count(facts['subjects'])} with {count(facts['faces'])} were drawn."
        )
    return [
        paragraph(
            "The false match rate (FMR) is the share of pairs of two people that match, the false non-match rate "
            "(FNMR) that of pairs of one person that do not. All main faces of verified subjects are compared with "
            "each other by the cosine of their embeddings, as a verification system would, exact copies of an image "
            f"once.{drawn} One threshold serves all groups: it is set so that a given share of all pairs of two people "
            "match. Intervals (95 %) are over subjects, since pairs that share one depend on each other."
        ),
        paragraph(
            "What the labels get wrong counts as an error of the model: a person under two names makes false matches, "
            "a photograph under a wrong name false non-matches. The smaller the rate, the more of it such mistakes "
            "may be. Neither the intervals nor the findings know of them."
        ),
    ]


def _overall(found: Comparisons) -> Html:
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    for target in found.targets:
        row = found.overall(target)
        if row["is_suppressed"] or row["threshold"] is None:
            why = WITHHELD if row["is_suppressed"] else "too few pairs"
            bodies.append((percent(target), [[why, NOTHING, NOTHING, NOTHING, NOTHING]]))
            continue
        cells = [f"{row['threshold']:.4f}", count(row["n_subjects"]), count(row["n_faces"])]
        bodies.append((percent(target), [[*cells, _estimate(row, "fmr"), _estimate(row, "fnmr")]]))
    caption = (
        "All faces, by the FMR that the threshold is set for. “Too few pairs” means that fewer than ten false matches "
        "are expected."
    )
    return table(caption, ["set for", "threshold", "subjects", "faces", "FMR", "FNMR"], bodies, stacked=True)


def _attribute(data: ReportInput, found: Comparisons, attribute: str, name: str) -> list[Html]:
    supported = [t for t in found.targets if found.is_supported(t)]
    if found.has_subjects and not supported:
        return [paragraph("There are too few pairs of two people to set a threshold, so no rate is known.")]
    first, others = (supported[0] if supported else None), supported[1:]
    body = [_figure(found, attribute, first, "fmr", f"{name}-fmr")]
    if found.has_subjects:
        body += [_figure(found, attribute, first, "fnmr", f"{name}-fnmr"), _cross(found, attribute, first, name)]
        body += [_others(found, attribute, others)] if others else []
        body += [differentials(data, attribute), clusters(data, found, attribute)]
    return body


def _figure(found: Comparisons, attribute: str, target: float | None, what: str, name: str) -> Html:
    """Chart and table of the rate within each group."""
    overall, comparisons = found.overall(target)[what], _COUNTS[what]
    bands, bodies = [], []
    for row in found.within(attribute, target):
        group, is_hidden = row["group"], row["group"] in found.hidden[attribute]
        estimate, n = (
            Estimate(row[what], row[f"{what}_ci_low"], row[f"{what}_ci_high"], "no pair"),
            _count(row, "n_faces"),
        )
        cells = [n, _count(row, "n_subjects"), *(_count(row, c) for c in comparisons), _estimate(row, what)]
        if is_hidden:
            estimate, n, cells = Estimate(None, instead=WITHHELD), WITHHELD, [WITHHELD, *[NOTHING] * 4]
        note = "" if is_hidden else "counts withheld" if n == WITHHELD else f"{n} faces"
        bands.append(Band(group, note, (estimate,), overall))
        bodies.append((group, [cells]))
    series = what.upper()
    chart = interval_chart(name, f"{_WORDS[what]} within groups of {attribute}", bands, [series], "all faces")
    of_all = f" of all faces {percent(overall)}" if overall is not None else " of all faces not known"
    if target is None:
        caption = f"{_WORDS[what]} by {attribute}, estimated at the floor;{of_all}."
        plain = [(group, [[cells[0], cells[-1]]]) for group, ((*cells,),) in bodies]
        return side_by_side(chart, table(caption, [attribute, "faces", f"{series} (95 %)"], plain))
    caption = (
        f"{_WORDS[what]} by {attribute}, threshold set for an FMR of {percent(target)} of all: {_PAIRS[what]} within "
        f"each group;{of_all}."
    )
    head = [attribute, "faces", "subjects", "pairs", "errors", f"{series} (95 %)"]
    return side_by_side(chart, table(caption, head, bodies, stacked=True), 6)


def _cross(found: Comparisons, attribute: str, target: float | None, name: str) -> Html:
    groups = [row["group"] for row in found.within(attribute, target)]
    if len(groups) < 2:
        return Html("")
    if len(groups) > _MOST_ACROSS:
        return paragraph(f"Rates between the {len(groups)} groups are in the table error_rates.")
    cells = found.between(attribute, target)
    shown = [r["fmr"] for (a, b), r in cells.items() if r["fmr"] is not None and not {a, b} & found.hidden[attribute]]
    largest = max(shown, default=0.0) or 1.0
    drawn, bodies = [], []
    for group in groups:
        line, words = [], []
        for other in groups:
            row = cells[group, other]
            if {group, other} & found.hidden[attribute]:
                line.append(Cell(WITHHELD, None))
                words.append(html(WITHHELD))
            elif row["fmr"] is None:
                line.append(Cell(NOTHING, None))
                words.append(html(NOTHING))
            else:
                line.append(Cell(percent(row["fmr"]), row["fmr"] / largest))
                words.append(_estimate(row, "fmr"))
        drawn.append(line)
        bodies.append((group, [words]))
    title = f"False match rate between groups of {attribute}"
    caption = (
        f"False match rate between groups of {attribute}, one face in each; on the diagonal within the group. "
        f"Threshold set for {percent(target)}. The order of two faces does not matter, so both halves are equal. "
        "Darker: more; crossed out: none; hatched: withheld or no pair."
    )
    chart = heat_chart(f"{name}-between", title, groups, groups, drawn)
    return side_by_side(chart, table(caption, [attribute, *groups], bodies, stacked=True), len(groups))


def _others(found: Comparisons, attribute: str, targets: Sequence[float]) -> Html:
    """The rates within groups at further thresholds."""
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    rows = {t: {row["group"]: row for row in found.within(attribute, t)} for t in targets}
    for group in rows[targets[0]]:
        if group in found.hidden[attribute]:
            lines = [[percent(t), WITHHELD, WITHHELD] for t in targets]
        else:
            lines = [[percent(t), *(_estimate(rows[t][group], what) for what in ("fmr", "fnmr"))] for t in targets]
        bodies.append((group, lines))
    caption = f"Within groups of {attribute} at other thresholds."
    return table(caption, [attribute, "set for", "FMR (95 %)", "FNMR (95 %)"], bodies)


def _count(row: Row, name: str) -> str:
    return WITHHELD if row[name] is None else count(row[name])


def _estimate(row: Row, what: str) -> Html:
    return estimate_text(row[what], row[f"{what}_ci_low"], row[f"{what}_ci_high"])
