"""Who is in the archive: shares of every group among images, faces and identities, beside the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facelib.audit.intervals import wilson
from facelib.reports.html.cells import UNIT_WORDS
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
    percent,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "shares"


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without attributes."""
    attributes = data.cells.attributes
    if not attributes:
        return None
    body = [
        paragraph(
            "Points are shares among the units whose group is known, lines their 95 % intervals over identities. A "
            "person with many photographs weighs many times among images and once among identities, which are "
            "clusters and may be wrong. Only the most prominent face of an image carries its label."
        )
    ]
    for position, attribute in enumerate(attributes):
        body += [element("h3", attribute), _figure(data, attribute, f"shares-{position}"), _summary(data, attribute)]
    return Chapter(ANCHOR, "Who is in the archive", Html("".join(body)), _rules(data))


def _rules(data: ReportInput) -> tuple[Rule, ...]:
    everyone = [(a, g) for a in data.cells.attributes for g in data.cells.groups[a] if g is not None]
    declared = [(a, g) for a, g in everyone if a in data.declared]
    referenced = [(a, g) for a, g in everyone if _row(data, a, "image", g)["reference_share"] is not None]
    low, high = data.run.audit["flag_below"], data.run.audit["flag_above"]
    return (
        Rule(
            10,
            "Declared groups without an image",
            "a declared group has no image",
            f"{len(declared)} groups of {len(data.declared)} attributes with declared categories",
            tuple(f for a, g in declared if (f := _absent(data, a, g))),
        ),
        Rule(
            20,
            "Groups off their reference",
            f"a group's share is less than {low:g} or more than {high:g} times its reference share, as images, faces "
            "or identities, and its 95 % interval over identities excludes it",
            f"{len(referenced)} groups with a reference share",
            tuple(f for a, g in referenced if (f := _off_reference(data, a, g))),
        ),
        Rule(
            50,
            "Groups of few people with many photographs",
            f"a group's share of images is more than {high:g} times its share of identities, and their 95 % intervals "
            "are apart",
            f"{len(everyone)} groups",
            tuple(f for a, g in everyone if (f := _contrast(data, a, g))),
        ),
    )


def estimate(data: ReportInput, attribute: str, unit: str, group: str | None) -> Estimate:
    """The share of a group among units with a known group, or of the missing cell among all; or why there is none."""
    row = _row(data, attribute, unit, group)
    if data.withheld.hides(attribute, unit, group):
        return Estimate(None, instead=WITHHELD)
    if row["share"] is None:
        return Estimate(None, instead=NOTHING)
    known = known_units(data, attribute, unit)
    if group is None or known is None:
        return Estimate(row["share"], row["ci_low"], row["ci_high"])
    if known == 0:
        return Estimate(None, instead=NOTHING)
    effect = row["design_effect"] or 1.0
    low, high = wilson(row["n"] / effect, known / effect)
    return Estimate(row["n"] / known, float(low), float(high))


def known_units(data: ReportInput, attribute: str, unit: str) -> int | None:
    """Units with a known group; None where the number without one is withheld, as it would follow."""
    if data.withheld.hides(attribute, unit, None):
        return None
    row = data.totals[(attribute,), unit]
    return int(row["n"] - row["n_missing"])


def _row(data: ReportInput, attribute: str, unit: str, group: str | None) -> Any:
    return data.cells.single[attribute, unit][group]


def _figure(data: ReportInput, attribute: str, name: str) -> Html:
    units = data.cells.units
    drawn = [i for i, unit in enumerate(units) if unit != "face" or "subject" not in units]  # three at most
    bands, bodies = [], []
    for group in data.cells.groups[attribute]:
        rows = [_row(data, attribute, unit, group) for unit in units]
        if group is None and all(row["n"] == 0 for row in rows):
            continue
        estimates = [estimate(data, attribute, unit, group) for unit in units]
        hidden = [data.withheld.hides(attribute, unit, group) for unit in units]
        counts = [WITHHELD if hide else count(row["n"]) for hide, row in zip(hidden, rows, strict=True)]
        note = " · ".join("–" if counts[i] == WITHHELD else counts[i] for i in drawn)
        reference = rows[0]["reference_share"]
        bands.append(Band(group_text(group), f"n {note}", tuple(estimates[i] for i in drawn), reference))
        cells = [
            _cell(n, e, _ratio(data, attribute, unit, row))
            for n, e, unit, row in zip(counts, estimates, units, rows, strict=True)
        ]
        bodies.append((group_text(group), [[*cells, percent(reference)]]))
    words = [UNIT_WORDS[unit] for unit in units]
    has_reference = any(band.reference is not None for band in bands)
    series = [words[i] for i in drawn]
    chart = interval_chart(name, f"Shares of {attribute}", bands, series, "reference" if has_reference else "")
    head = [attribute, *words, "reference"]
    caption = "n, share among units of known group and 95 % interval"
    caption += "; below it, how many times the reference." if has_reference else "."
    caption += f" “{group_text(None)}” is its share of all units." if bodies[-1][0] == group_text(None) else ""
    if not has_reference:
        head, bodies = head[:-1], [(label, [line[:-1] for line in lines]) for label, lines in bodies]
    return side_by_side(chart, table(f"{attribute}: {caption}", head, bodies, stacked=True))


def _cell(n: str, found: Estimate, ratio: Html) -> Html:
    if found.value is None:
        return html(n)
    return Html(f"{n} · {estimate_text(found.value, found.low, found.high)}{ratio}")


def _ratio(data: ReportInput, attribute: str, unit: str, row: Any) -> Html:
    """How many times the reference, on a line of its own; nothing where there is none."""
    if row["ratio"] is None or data.withheld.hides(attribute, unit, row["groups"][0]):
        return Html("")
    if known_units(data, attribute, unit) is None:  # the ratio would tell how many have no label
        text = "off the reference" if row["is_flagged"] else "within limits"
    else:
        text = f"{number(row['ratio'])} ×"
    return Html("<br>" + (element("strong", f"▲ {text}") if row["is_flagged"] else element("small", text)))


def _summary(data: ReportInput, attribute: str) -> Html:
    """Evenness and what goes with it, by unit."""
    bodies: list[tuple[str, Sequence[Sequence[str]]]] = []
    has_reference = any(r["reference_share"] is not None for r in data.cells.single[attribute, "image"].values())
    for unit in data.cells.units:
        row = data.totals[(attribute,), unit]
        hidden = [data.withheld.hides(attribute, unit, g) for g in data.cells.groups[attribute]]
        missing = WITHHELD if hidden[-1] else count(row["n_missing"])
        present = WITHHELD if all(hidden) else f"{row['categories_present']} of {row['categories']}"
        figures = [number(row[name]) for name in ("evenness", "effective_categories", "imbalance_ratio")]
        against = [number(row[name]) for name in ("total_variation", "p_value")] if has_reference else []
        rest = [WITHHELD if any(hidden) and text == NOTHING else text for text in (*figures, *against)]
        bodies.append((UNIT_WORDS[unit], [[count(row["n"]), missing, present, *rest]]))
    caption = (
        f"{attribute} as a whole. Evenness is 1, and the effective number of groups that of all groups, where all are "
        "equally frequent."
    )
    head = ["unit", "n", "no label", "groups present", "evenness", "effective groups", "largest : smallest"]
    if has_reference:
        head += ["part off the reference", "p"]
        caption += (
            " Off the reference is the part that would have to change group to meet it (total variation), p the chance "
            "of as much if identities were drawn from the reference."
        )
    return table(caption, head, bodies, stacked=True)


def _absent(data: ReportInput, attribute: str, group: str) -> Finding | None:
    row = _row(data, attribute, "image", group)
    if row["n"] != 0 or data.withheld.hides(attribute, "image", group):
        return None
    known = known_units(data, attribute, "image")
    evidence = f"n = 0 of {count(data.totals[(attribute,), 'image']['n'])} images"
    if known:
        evidence = (
            f"n = 0 of {count(known)} images of known group, 95 % interval {percents(0.0, float(wilson(0, known)[1]))}"
        )
    return Finding(row["reference_share"] or 0.0, f"No image shows {named([attribute], [group])}.", evidence, ANCHOR)


def _off_reference(data: ReportInput, attribute: str, group: str) -> Finding | None:
    """The unit that is farthest off in the sentence, all that may be shown in the evidence."""
    shown = [
        (unit, row, estimate(data, attribute, unit, group))
        for unit in data.cells.units
        if (row := _row(data, attribute, unit, group))["ratio"] and not data.withheld.hides(attribute, unit, group)
    ]
    flagged = [(max(row["ratio"], 1 / row["ratio"]), unit, row, e) for unit, row, e in shown if row["is_flagged"]]
    if not flagged:
        return None
    size, unit, row, found = max(flagged, key=lambda f: f[0])
    known = known_units(data, attribute, unit)
    reference = f"its reference share of {percent(row['reference_share'])}"
    relation = f"off {reference}" if known is None else f"{number(row['ratio'])} times {reference}"
    evidence = [
        f"{UNIT_WORDS[u]}: n = {_n_of(data, attribute, u, r['n'])}, {percent(e.value)}, 95 % interval "
        f"{percents(e.low, e.high)}"
        for u, r, e in shown
    ]
    sentence = f"{named([attribute], [group])}: {percent(found.value)} of {UNIT_WORDS[unit]}, {relation}."
    return Finding(size, sentence, "; ".join(evidence), ANCHOR)


def _n_of(data: ReportInput, attribute: str, unit: str, n: int) -> str:
    known = known_units(data, attribute, unit)
    return count(n) if known is None else f"{count(n)} of {count(known)}"


def _contrast(data: ReportInput, attribute: str, group: str) -> Finding | None:
    images, people = (estimate(data, attribute, unit, group) for unit in ("image", "cluster"))
    if images.value is None or not people.value or images.low is None or people.high is None:
        return None
    times = images.value / people.value
    if times <= data.run.audit["flag_above"] or images.low <= people.high:
        return None
    evidence = [
        f"{UNIT_WORDS[unit]}: n = {_n_of(data, attribute, unit, _row(data, attribute, unit, group)['n'])}, 95 % "
        f"interval {percents(e.low, e.high)}"
        for unit, e in (("image", images), ("cluster", people))
    ]
    sentence = (
        f"{named([attribute], [group])}: {percent(images.value)} of images but {percent(people.value)} of identities, "
        "so few people with many photographs."
    )
    return Finding(times, sentence, "; ".join(evidence), ANCHOR)
