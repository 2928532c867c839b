"""What the report cannot say: missing labels, undeclared groups, withheld figures, estimates and their biases."""

from __future__ import annotations

from facelib.reports.html.cells import UNIT_WORDS, UNITS
from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import (
    Html,
    count,
    element,
    estimate_text,
    html,
    items,
    paragraph,
    percent,
    percents,
    table,
)
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "unknown"
MISSING_SHARE = 0.05
"""More images without a label than this are flagged."""
_MOST_NAMED = 10
"""Undeclared values that are named, of an attribute."""
ESTIMATES = (
    "Identities are clusters of similar faces, made without labels. People who look alike to the model share one, more "
    "often in groups that the model tells apart badly; a person whose pictures differ much is several.",
    "A cluster's group is that of most of its labelled faces; a tie counts as no label.",
    "False match rates come from similarities between clusters. Merged people hide false matches, divided people add "
    "some, and beyond what can be counted a law of the tail continues the curve.",
    "Pairs on one photograph overstate the false match rate: relatives, one light, one camera. Copies overstate the "
    "true match rate.",
    "Pose is a coarse estimate from five landmarks. Sharpness and brightness are of the aligned face, so they mix "
    "camera, compression and skin.",
)
INTERVALS = (
    "Photographs of one person are not independent, so intervals of images and faces are over identities: they widen "
    "with the part of a few people in them. An identity is a verified person, else a cluster, else a face by itself; "
    "where clusters divide people, intervals are too narrow. Medians and the hardest tenth take faces as independent.",
    "They say how well the archive's shares tell those of its source, if it was drawn at random from it. They say "
    "nothing about people whom the source never showed.",
    "They do not hold errors of the labels, of the detector, of the clusters.",
    "Each is for one figure alone: of a hundred, about five miss by chance. A rule that tests many groups says how it "
    "corrects for that.",
)


def chapter(data: ReportInput) -> Chapter:
    """The chapter; always there."""
    body = [element("h3", "Labels")]
    if data.cells.attributes:
        text = (
            "A label is what the labels file says, often an annotator's perception, of the most prominent face of an "
            "image; other faces have none. Whether labels are missing at random is not known."
        )
        body += [paragraph(text), _labels(data)]
    else:
        body.append(paragraph("The run has no labels, so nothing can be said about groups of people."))
    if data.min_cell > 1 and data.cells.attributes:
        body += [element("h3", "Withheld figures"), _withheld(data)]
    body += [element("h3", "Estimates made without labels"), items(ESTIMATES)]
    body += [element("h3", "What the intervals do not cover"), items(INTERVALS)]
    return Chapter(ANCHOR, "What is not known", Html("".join(body)), _rules(data))


def _labels(data: ReportInput) -> Html:
    bodies = []
    for attribute in data.cells.attributes:
        row, n, share = data.cells.single[attribute, "image"][None], WITHHELD, html(WITHHELD)
        if not data.withheld.hides(attribute, "image", None):
            n, share = count(row["n"]), estimate_text(row["share"], row["ci_low"], row["ci_high"])
        declared = "yes" if attribute in data.declared else "no: an absent group cannot be seen"
        bodies.append((attribute, [[n, share, declared]]))
    head = ["attribute", "images without", "share (95 %)", "groups declared"]
    return table("Images without a label.", head, bodies, "lrrl")


def _withheld(data: ReportInput) -> Html:
    bodies = []
    for attribute in data.cells.attributes:
        hidden = [[data.withheld.hides(attribute, u, g) for g in data.cells.groups[attribute]] for u in UNITS]
        bodies.append((attribute, [[f"{sum(line)} of {len(line)}" for line in hidden]]))
    text = (
        f"Counts from 1 to {data.min_cell - 1} are withheld, with all figures from which they follow; where one would "
        "follow from a total, other groups are withheld too. This keeps small cells from being read as findings and "
        "from being read off this page. The tables of the run may withhold less."
    )
    head = ["attribute", *(UNIT_WORDS[unit] for unit in UNITS)]
    return Html(paragraph(text) + table("Withheld groups, “no label” included.", head, bodies))


def _rules(data: ReportInput) -> tuple[Rule, ...]:
    attributes = data.cells.attributes
    return (
        Rule(0, "No labels", "the run has no labels", "the whole run", () if attributes else (_no_labels(),)),
        Rule(
            5,
            "Values that are none of the declared groups",
            "a label has a value that is none of the declared groups; it counts as missing",
            f"{len(data.declared)} attributes with declared groups",
            tuple(f for a in data.declared if (f := _outside(data, a))),
        ),
        Rule(
            60,
            "Missing labels",
            f"more than {100 * MISSING_SHARE:g} % of the images have no label, and the 95 % interval lies above that",
            f"{len(attributes)} attributes",
            tuple(f for a in attributes if (f := _missing(data, a))),
        ),
        Rule(
            70,
            "Undeclared groups",
            "the groups of an attribute are not declared, so an absent group cannot be seen",
            f"{len(attributes)} attributes",
            tuple(_undeclared(a, len(data.cells.groups[a]) - 1) for a in attributes if a not in data.declared),
        ),
        Rule(
            80,
            "Groups that are withheld",
            "a group's figures are withheld, because it is small or because a small one would follow",
            f"{len(attributes)} attributes, as {', '.join(UNIT_WORDS.values())}",
            tuple(f for a in attributes if (f := _small(data, a))),
        ),
    )


def _no_labels() -> Finding:
    sentence = "Nothing can be said about groups of people, only about the archive as a whole."
    return Finding(1.0, sentence, "n = 0 labels", ANCHOR)


def _missing(data: ReportInput, attribute: str) -> Finding | None:
    row = data.cells.single[attribute, "image"][None]
    if data.withheld.hides(attribute, "image", None) or row["ci_low"] is None or row["ci_low"] <= MISSING_SHARE:
        return None
    sentence = f"{percent(row['share'])} of the images have no label of {attribute}; what they show is not known."
    of = count(data.totals[(attribute,), "image"]["n"])
    evidence = f"n = {count(row['n'])} of {of}, 95 % interval {percents(row['ci_low'], row['ci_high'])}"
    return Finding(row["share"], sentence, evidence, ANCHOR)


def _outside(data: ReportInput, attribute: str) -> Finding | None:
    rows = [r for r in data.rows("balance") if r["estimator"] == "undeclared" and r["attributes"] == [attribute]]
    if not rows:
        return None
    values = ", ".join(row["groups"][0] for row in rows[:_MOST_NAMED])
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    is_hidden = any(row["n"] is None for row in rows)
    n = WITHHELD if is_hidden else count(sum(row["n"] for row in rows))
    sentence = f"{attribute}: {values}{more} is none of the declared groups. Correct the labels or declare the value."
    return Finding(float(len(rows)), sentence, f"n = {n} images; the setting is audit.categories", ANCHOR)


def _undeclared(attribute: str, n: int) -> Finding:
    sentence = (
        f"The groups of {attribute} are not declared: those that occur are shown, one that is absent cannot be seen."
    )
    return Finding(1.0, sentence, f"n = {n} groups; the setting is audit.categories", ANCHOR)


def _small(data: ReportInput, attribute: str) -> Finding | None:
    found = {
        unit: [g for g in data.cells.groups[attribute] if g is not None and data.withheld.hides(attribute, unit, g)]
        for unit in UNITS
    }
    names = [f"{', '.join(groups)} (as {UNIT_WORDS[unit]})" for unit, groups in found.items() if groups]
    if not names:
        return None
    sentence = f"{attribute}: nothing can be said about {'; '.join(names)}."
    size = max(len(groups) for groups in found.values())
    evidence = f"n is below {data.min_cell}, or would tell an n below it; both are withheld"
    return Finding(float(size), sentence, evidence, ANCHOR)
