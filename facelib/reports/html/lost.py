"""Whom the pipeline loses, and where: losses by stage and group, held against those of all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
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
    paragraph,
    percent,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.withholding import WITHHELD
from facelib.reports.losses import JOIN, STAGES, attributes_of, groups_of

ANCHOR = "losses"
MOST_CELLS = 30
"""Cells of a pair that are shown."""
ALPHA = 0.05
"""Chance of a false finding among all groups that a rule tests."""
_LOST = {
    "decode": "could not be decoded",
    "detect": "show no detected face",
    "quality": "have no usable face",
    "cluster": "have no face in a cluster",
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Loss:
    """A row of `losses` as it may be shown."""

    row: Row
    n_in: str
    lost: str
    estimate: Estimate


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without the table."""
    rows = data.rows("losses")
    if not rows:
        return None
    overall = {row["stage"]: row for row in rows if row["attribute"] is None}
    body = [
        paragraph(
            "An image passes a stage only after all before it. A rate is the share lost among the images that reached "
            "the stage, with its 95 % interval over identities; upright strokes are the rate of all images. A loss at "
            "the stage cluster is no fault by itself: a person with one photograph may well be noise."
        ),
        _overall(overall),
    ]
    shown = [stage for stage in STAGES if overall[stage]["rate"]]
    for position, attribute in enumerate(data.cells.attributes):
        body += [element("h3", attribute)] if shown else []
        for stage in shown:
            own = [row for row in rows if row["attribute"] == attribute and row["stage"] == stage]
            body.append(_figure(own, overall[stage]["rate"], f"loss-{position}-{stage}"))
    body += [_pair(rows, pair, shown) for pair in combinations(data.cells.attributes, 2)] if shown else []
    return Chapter(ANCHOR, "Whom the pipeline loses", Html("".join(body)), (_rule(data, rows, overall),))


def _overall(overall: Mapping[str, Row]) -> Html:
    bodies = [
        (
            stage,
            [
                [
                    _LOST[stage],
                    count(row["n_in"]),
                    count(row["n_in"] - row["n_out"]),
                    estimate_text(row["rate"], row["ci_low"], row["ci_high"]),
                ]
            ],
        )
        for stage, row in overall.items()
    ]
    return table("All images.", ["stage", "the images lost", "reached", "lost", "rate (95 %)"], bodies, "ll")


def shown_loss(row: Row) -> _Loss:
    """A row of a group as it may be shown."""
    if row["n_in"] is None:
        return _Loss(row, WITHHELD, WITHHELD, Estimate(None, instead=WITHHELD))
    n_in = count(row["n_in"])
    if row["n_in"] == 0:
        return _Loss(row, n_in, NOTHING, Estimate(None, instead="none reached it"))
    if row["rate"] is None:
        return _Loss(row, n_in, WITHHELD, Estimate(None, instead=WITHHELD))
    rate = Estimate(row["rate"], row["ci_low"], row["ci_high"])
    return _Loss(row, n_in, count(row["n_in"] - row["n_out"]), rate)


def _figure(rows: Sequence[Row], overall: float, name: str) -> Html:
    attribute, stage = rows[0]["attribute"], rows[0]["stage"]
    losses = [shown_loss(row) for row in rows if row["group"] is not None or row["n_in"] != 0]
    bands = [Band(group_text(loss.row["group"]), f"n {loss.n_in}", (loss.estimate,), overall) for loss in losses]
    bodies = [(group_text(loss.row["group"]), [[loss.n_in, loss.lost, _rate(loss.estimate)]]) for loss in losses]
    chart = interval_chart(name, f"Images lost at {stage} by {attribute}", bands, [f"lost at {stage}"], "all images")
    caption = f"{stage}: images that {_LOST[stage]}, by {attribute}; of all images {percent(overall)}."
    return side_by_side(chart, table(caption, [attribute, "reached", "lost", "rate (95 %)"], bodies))


def _pair(rows: Sequence[Row], pair: tuple[str, str], stages: Sequence[str]) -> Html:
    """The cells of a pair with their rates at every stage; of many the ones that lose most, compared with all."""
    by_cell: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        if attributes_of(row) == list(pair) and row["stage"] in stages:
            by_cell.setdefault(tuple(groups_of(row)), {})[row["stage"]] = row
    if not by_cell:
        return Html("")
    title, caption = JOIN.join(pair), "Rates of cells of both attributes (95 %)"
    chosen = list(by_cell)
    if len(chosen) > MOST_CELLS:
        chosen.sort(key=lambda cell: -max(row["ci_low"] or 0.0 for row in by_cell[cell].values()))
        chosen = chosen[:MOST_CELLS]
        caption += f"; the {MOST_CELLS} of {len(by_cell)} that surely lose most, by the lower end of their intervals"
    bodies = []
    for cell in chosen:
        losses = [(stage, shown_loss(by_cell[cell][stage])) for stage in stages]
        lines = [[stage, loss.n_in, loss.lost, _rate(loss.estimate)] for stage, loss in losses]
        bodies.append((JOIN.join(cell), lines))
    return Html(element("h3", title) + table(f"{caption}.", [title, "stage", "reached", "lost", "rate"], bodies, "ll"))


def _rate(found: Estimate) -> Html:
    return html(found.instead) if found.value is None else estimate_text(found.value, found.low, found.high)


def _rule(data: ReportInput, rows: Sequence[Row], overall: Mapping[str, Row]) -> Rule:
    """Groups that lose more at a stage than all images do: beyond chance, and by more than the flag limit."""
    tested = [r for r in rows if r["group"] is not None and r["p_adjusted"] is not None]
    times = data.run.audit["flag_above"]
    rates = {(r["stage"], r["attribute"], r["group"]): r["rate"] for r in rows}
    by_group: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[float, Row]]] = {}
    for row in tested:
        if row["p_adjusted"] < ALPHA and _loses_more(row, rates, times):
            key = tuple(attributes_of(row)), tuple(groups_of(row))
            by_group.setdefault(key, []).append((row["rate"] / overall[row["stage"]]["rate"], row))
    return Rule(
        25,
        "Groups that the pipeline loses more often",
        f"a group loses more than {times:g} times as large a share at a stage as all images do, and more than chance "
        "explains (test against all other images over identities, Holm's correction over all groups and stages of "
        f"attributes, and over those of pairs, {100 * ALPHA:g} %); a combination of two is told only where it loses "
        "that much more than either of its groups, too, and its interval excludes their rates",
        f"{count(len(tested))} groups at {len({row['stage'] for row in tested})} stages",
        tuple(_finding(*key, found, overall) for key, found in by_group.items()),
    )


def _loses_more(row: Row, rates: Mapping[tuple[str, str | None, str | None], float | None], times: float) -> bool:
    """Whether a group loses that many times as much as all images, a combination also as much as each of its groups."""
    stage, names, groups = row["stage"], attributes_of(row), groups_of(row)
    own = [(stage, *cell) for cell in zip(names, groups, strict=True)] if len(names) > 1 else []
    margins = [rates[cell] or 0.0 for cell in own]
    most = max([rates[stage, None, None] or 0.0, *margins])
    return bool(row["rate"] > times * most and all(row["ci_low"] > rate for rate in margins))


def _finding(
    attributes: Sequence[str], groups: Sequence[str], found: list[tuple[float, Row]], overall: Mapping[str, Row]
) -> Finding:
    """One finding per group: the stages where it loses too much, the worst first."""
    parts, evidence = [], []
    for _, row in sorted(found, key=lambda f: -f[0]):
        loss, stage = shown_loss(row), row["stage"]
        every = percent(overall[stage]["rate"])
        parts.append(
            f"{percent(row['rate'])} of the images that reached {stage} {_LOST[stage]}, against {every} of all"
        )
        interval = percents(row["ci_low"], row["ci_high"])
        evidence.append(f"{stage}: n = {loss.lost} of {loss.n_in}, 95 % interval {interval}")
    sentence = f"{named(attributes, groups)}: {'; '.join(parts)}."
    return Finding(max(times for times, _ in found), sentence, "; ".join(evidence), ANCHOR)
