"""Which attributes go together, with each other and with what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import NOTHING, Html, count, element, number, paragraph, table
from facelib.reports.html.withholding import WITHHELD
from facelib.reports.measures_by_group import FACE_MEASURES

ANCHOR = "associations"
ALPHA = 0.05
STRONG = 0.3
"""Smaller associations are not flagged; 0.1, 0.3, 0.5 are small, medium, large (Cohen 1988, for w)."""
_KINDS = {"source": "source (first folder)", "camera": "camera"}
Row = Mapping[str, Any]


def chapter(data: ReportInput) -> Chapter | None:
    """The chapter; None without pairs."""
    rows = data.rows("associations")
    if not rows:
        return None
    body = [
        paragraph(
            "Cramér's V, corrected for chance, is 0 where one value says nothing about the other and 1 where it "
            "settles it. A model trained on groups that differ in sharpness, pose or source may learn that "
            "instead of faces. Measures are cut into fifths of equal size; an identity counts once, with the group "
            "that most of its images have and its mean measure. The camera is the one that EXIF names; no name is a "
            "kind of its own. Association is not cause."
        )
    ]
    for kind, title in (("attribute", "Between attributes"), ("measure", "Between attributes and measures")):
        own = [row for row in rows if row["kind"] == kind]
        if own:
            body += [element("h3", title), _table(own)]
    return Chapter(ANCHOR, "What goes together", Html("".join(body)), (_rule(rows),))


def _title(other: str) -> str:
    return FACE_MEASURES[other].title if other in FACE_MEASURES else _KINDS.get(other, other)


def _table(rows: list[dict[str, Any]]) -> Html:
    bodies = []
    for row in rows:
        counts = [WITHHELD if row[name] is None else count(row[name]) for name in ("n", "identities")]
        figures = [number(row["cramers_v"]), counts[1], number(row["identity_v"])]
        bodies.append((f"{row['attribute']} and {_title(row['other'])}", [[counts[0], *figures, _chance(row)]]))
    caption = "Bias-corrected V over images and over identities, and the chance of as much if both were independent."
    return table(caption, ["pair", "images", "V", "identities", "V", "p (Holm)"], bodies)


def _chance(row: Row) -> str:
    p = row["p_adjusted"]
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _rule(rows: list[dict[str, Any]]) -> Rule:
    tested = [row for row in rows if row["p_adjusted"] is not None and row["identity_v"] is not None]
    strong = [row for row in tested if row["p_adjusted"] < ALPHA and row["identity_v"] >= STRONG]
    return Rule(
        55,
        "Attributes that go together",
        f"V over identities is {STRONG:g} or more, and more than chance explains (G test over identities, Holm's "
        f"correction over all pairs, {100 * ALPHA:g} %)",
        f"{count(len(tested))} pairs",
        tuple(_finding(row) for row in strong),
    )


def _finding(row: Row) -> Finding:
    sentence = f"{row['attribute']} and {_title(row['other'])} go together: V = {number(row['identity_v'])}."
    of = WITHHELD if row["identities"] is None else count(row["identities"])
    return Finding(row["identity_v"], sentence, f"n = {of} identities, p {_chance(row)}", ANCHOR)
