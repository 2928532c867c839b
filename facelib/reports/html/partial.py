"""Where labels are missing: shares with and without predictions, bounds, and what missing labels depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import (
    NOTHING,
    Html,
    count,
    element,
    estimate_text,
    html,
    number,
    paragraph,
    percent,
    percents,
    side_by_side,
    table,
)
from facelib.reports.html.svg_intervals import Band, Estimate, interval_chart
from facelib.reports.html.withholding import WITHHELD
from facelib.reports.measures_by_group import FACE_MEASURES

ANCHOR = "partial"
ALPHA = 0.05
"""Chance of a false finding among all measures and attributes that the rule tests."""
LEAST_V = 0.1
"""Smaller associations are not flagged: J. Cohen's small effect, Statistical Power Analysis (1988), section 7.2."""
_SERIES = ("labels alone", "corrected", "predicted only")
_FIFTHS = {1: "lowest fifth", 2: "second", 3: "third", 4: "fourth", 5: "highest fifth", 0: "not measured"}
_REASONS = {"few_labels": "too few labels", "no_probe": "no library", "plan_unfinished": "plan not finished"}
Row = Mapping[str, Any]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None where no attribute is labelled in part, or all that are so are withheld."""
    rows = data.rows("predicted_shares")
    if all(row["is_suppressed"] for row in rows):
        return None
    attributes = list(dict.fromkeys(row["attribute"] for row in rows))
    missing = data.rows("label_missingness")
    body = [
        paragraph(
            "Only some images have a label of these attributes. Shares are of the most prominent face of each image "
            "that has one. Whatever the missing labels are, the share among these images lies within the bounds. "
            "Labels alone and corrected shares say more, but only if labels are missing at random; their 95 % "
            "intervals are over identities and for where the archive came from, as those of complete counts are."
        ),
        paragraph(
            element("strong", "Predicted only is no census."),
            " It is the share of faces that a classifier, trained on the labels and on what the recognition model "
            "sees, puts into the group, its errors included. Corrected shares use it only as far as labelled faces "
            "show how wrong it is (prediction-powered inference); its weight is 0 where it is no help. Corrected "
            "shares need not add up to 100 %.",
        ),
    ]
    for position, attribute in enumerate(attributes):
        own = [row for row in rows if row["attribute"] == attribute]
        body += [element("h3", attribute), _shares(data, attribute, own, f"partial-{position}")]
        body.append(_missingness(attribute, [row for row in missing if row["attribute"] == attribute]))
    return Chapter(ANCHOR, "Where labels are missing", Html("".join(body)), (_rule(rows, missing),))


def _shares(data: ReportInput, attribute: str, rows: Sequence[Row], name: str) -> Html:
    bands, bodies = [], []
    for row in rows:
        if row["is_suppressed"]:
            bands.append(Band(row["category"], "", (Estimate(None, instead=WITHHELD),) * 3))
            bodies.append((row["category"], [[WITHHELD, *[NOTHING] * 5]]))
            continue
        instead = _REASONS.get(row["reason"], NOTHING)
        alone = _estimate(row, "labelled_share", "labelled_low", "labelled_high", instead)
        corrected = _estimate(row, "corrected_share", "corrected_low", "corrected_high", instead)
        naive = Estimate(row["naive_share"], instead=instead)
        n = count(row["n_labelled"])
        bands.append(Band(row["category"], f"n {n}", (alone, corrected, naive)))
        bounds = percents(row["bound_low"], row["bound_high"])
        cells = [n, bounds, _text(alone), _text(corrected), number(row["tuning"]), _text(naive)]
        bodies.append((row["category"], [cells]))
    chart = interval_chart(name, f"Shares of {attribute} from labels of a part", bands, _SERIES, "")
    head = [attribute, "n labelled", "bounds", "labels alone (95 %)", "corrected (95 %)", "weight of predictions"]
    caption = f"{attribute}: {_of_all(data, rows)}"
    head.append("predicted only: no census")
    return side_by_side(chart, table(caption, head, bodies, stacked=True), len(head))


def _of_all(data: ReportInput, rows: Sequence[Row]) -> str:
    """How many faces have no label, and how many were looked at."""
    found = rows[0]
    if found["n_unlabelled"] is None:
        return "how many faces have no label is withheld."
    text = f"{count(found['n_unlabelled'])} main faces have no label"
    looked = data.run.stages.get("balance", {}).get("partial_labels", {})
    if found["n_used"] < looked.get("main_faces", found["n_used"]):
        text += f"; shares are from {count(found['n_used'])} faces of identities drawn at random, bounds from all"
    if found["labels_drawn"] == "by_plan":
        text += "; labels are those of a plan of labels, weighted by it, and others that count for themselves"
    return f"{text}."


def _estimate(row: Row, share: str, low: str, high: str, instead: str) -> Estimate:
    return Estimate(row[share], row[low], row[high], instead)


def _text(found: Estimate) -> Html:
    return html(found.instead) if found.value is None else estimate_text(found.value, found.low, found.high)


def _missingness(attribute: str, rows: Sequence[Row]) -> Html:
    if all(row["is_suppressed"] for row in rows):
        return Html("")
    bins = [b for b in _FIFTHS if any(row["bin"] == b for row in rows)]
    bodies = []
    for measure, (whole, by_bin) in _by_measure(rows).items():
        cells = [_share(by_bin.get(b)) for b in bins]
        figures = [number(whole["cramers_v"]), _p(whole["p_holm"])]
        bodies.append((_title(measure), [[*cells, *figures]]))
    caption = (
        f"Share of faces without a label of {attribute}, by fifths of what was measured. V is Cramér's, 0 where a "
        "missing label has nothing to do with the measure; p is corrected for all measures and attributes (Holm). A "
        "reason that was not measured cannot be seen here."
    )
    head = ["measure", *(_FIFTHS[b] for b in bins), "V", "p"]
    return table(caption, head, bodies, stacked=True)


def _by_measure(rows: Sequence[Row]) -> dict[str, tuple[Row, dict[int, Row]]]:
    """By measure the row of all bins, and each bin's."""
    whole = {row["measure"]: row for row in rows if row["bin"] is None}
    return {
        measure: (row, {r["bin"]: r for r in rows if r["measure"] == measure and r["bin"] is not None})
        for measure, row in whole.items()
    }


def _share(row: Row | None) -> Html:
    if row is None:
        return html(NOTHING)
    if row["is_suppressed"]:
        return html(WITHHELD)
    return estimate_text(row["share"], row["ci_low"], row["ci_high"])


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _title(measure: str) -> str:
    known = FACE_MEASURES[measure]
    return f"{known.title}{f', {known.unit}' if known.unit else ''}"


def _rule(shares: Sequence[Row], rows: Sequence[Row]) -> Rule:
    """Attributes whose labels are missing by something that was measured, unless a plan says why."""
    at_random = {row["attribute"] for row in shares if row["labels_drawn"] == "at_random"}
    tested = [r for r in rows if r["bin"] is None and r["p_holm"] is not None and r["attribute"] in at_random]
    flagged: dict[str, list[Row]] = {}
    for row in tested:
        is_large = row["cramers_v"] is not None and row["cramers_v"] > LEAST_V
        if is_large and row["p_holm"] < ALPHA:
            flagged.setdefault(row["attribute"], []).append(row)
    return Rule(
        55,
        "Labels that are missing for a reason",
        f"a missing label depends on a measure: Cramér's V above {LEAST_V:g}, and more than chance explains (score "
        f"test over identities, Holm's correction over all measures and attributes, {100 * ALPHA:g} %)",
        f"{count(len(tested))} measures of {len({row['attribute'] for row in tested})} attributes labelled in part and "
        "not by a plan",
        tuple(_finding(attribute, found, rows) for attribute, found in flagged.items()),
    )


def _finding(attribute: str, found: Sequence[Row], rows: Sequence[Row]) -> Finding:
    """One finding per attribute: the measures that labels depend on, the strongest first."""
    by_measure = _by_measure([row for row in rows if row["attribute"] == attribute])
    ordered = sorted(found, key=lambda row: -row["cramers_v"])
    parts, evidence = [], []
    for row in ordered:
        fifths = [r for b, r in sorted(by_measure[row["measure"]][1].items()) if b and r["share"] is not None]
        low, high = (min(fifths, key=lambda r: r["share"]), max(fifths, key=lambda r: r["share"]))
        parts.append(
            f"{FACE_MEASURES[row['measure']].title} ({percent(high['share'])} of faces without a label in the "
            f"{_name(high)}, {percent(low['share'])} in the {_name(low)})"
        )
        evidence.append(
            f"{FACE_MEASURES[row['measure']].title}: n = {count(row['n_unlabelled'])} of {count(row['n'])}, V = "
            f"{number(row['cramers_v'])}, p {_p(row['p_holm'])}"
        )
    sentence = (
        f"{attribute}: whether a face has a label depends on {'; on '.join(parts)}. Shares from labels, corrected or "
        "not, may be wrong for the others; the bounds hold."
    )
    return Finding(ordered[0]["cramers_v"], sentence, "; ".join(evidence), ANCHOR)


def _name(row: Row) -> str:
    name = _FIFTHS[row["bin"]]
    return name if name.endswith("fifth") else f"{name} fifth"
