"""The report as one HTML file that asks for nothing from anywhere."""

from __future__ import annotations

from facelib.reports.html import (
    associations,
    errors,
    headline,
    identities,
    intersections,
    lost,
    nuisance,
    partial,
    plan,
    provenance,
    shares,
    thresholds,
    unknown,
)
from facelib.reports.html.chapter import Chapter, Finding, ReportInput
from facelib.reports.html.markup import Html, element, html, paragraph
from facelib.reports.html.style import STYLE

CHAPTERS = (
    shares.chapter,
    intersections.chapter,
    associations.chapter,
    lost.chapter,
    identities.chapter,
    nuisance.chapter,
    thresholds.chapter,
    errors.chapter,
    partial.chapter,
    plan.chapter,
    unknown.chapter,
    provenance.chapter,
)
"""In the order in which they are read. To add one: a function from ReportInput to Chapter or None."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def chapters(data: ReportInput) -> list[Chapter]:
    """All chapters that the run's tables allow, the findings first."""
    found = [chapter for make in CHAPTERS if (chapter := make(data))]
    return [headline.chapter(data, found), *found]


def findings(data: ReportInput) -> list[Finding]:
    """What the first chapter lists, in its order."""
    return [finding for rule in headline.rules_of(chapters(data)[1:]) for finding in rule.findings]


def report_page(data: ReportInput) -> str:
    """The whole file. Equal input gives equal bytes. It holds groups, counts and figures: no face, name or address."""
    made = chapters(data)
    title = f"Audit of run {data.run.run_id}"
    links = [element("li", element("a", c.title, href=f"#{c.anchor}")) for c in made]
    body = [
        element("h1", title),
        paragraph(
            "For whoever decides what to collect, what to drop and how to weight before a face-recognition model is "
            "trained again. Shares stand with their n and an interval; what is withheld or not known says so."
        ),
        element("nav", element("ul", *links), aria_label="Chapters"),
        *(element("section", element("h2", c.title, id=c.anchor), c.body) for c in made),
        element("footer", paragraph(f"facelib {data.run.versions.get('facelib', '')}, run {data.run.run_id}.")),
    ]
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html(title)}</title><style>{STYLE}</style>"
    )
    main = element("main", *body)
    return Html(f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{main}</body></html>\n')
