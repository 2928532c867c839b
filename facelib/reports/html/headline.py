"""The findings of all chapters, the most important first, and what was looked at."""

from __future__ import annotations

from collections.abc import Sequence

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import Html, count, element, paragraph, table

ANCHOR = "findings"


def rules_of(chapters: Sequence[Chapter]) -> list[Rule]:
    """The rules of all chapters, the most important first, their findings by size."""
    return sorted((rule for chapter in chapters for rule in chapter.rules), key=lambda rule: rule.rank)


def chapter(data: ReportInput, chapters: Sequence[Chapter]) -> Chapter:
    """The first chapter, from all others."""
    rules = rules_of(chapters)
    body = [paragraph(_first_words(data))]
    total = sum(len(rule.findings) for rule in rules)
    if total:
        many = "1 finding" if total == 1 else f"{count(total)} findings"
        body.append(
            paragraph(f"{many}. Each is what a stated rule flags, neither a verdict nor a cause: where to look first.")
        )
        body += _findings(rules, {c.anchor: c.title for c in chapters})
    else:
        text = (
            "No rule flagged anything. That is no proof of balance: below is all that was looked at, and the chapter "
            "on what is not known says what was not."
        )
        body.append(paragraph(text))
    rows = [(rule.text, [[rule.looked_at, count(len(rule.findings))]]) for rule in rules]
    body.append(element("h3", "What was looked at"))
    body.append(table("Every rule, and what it flagged.", ["flagged when", "looked at", "findings"], rows, "llr"))
    return Chapter(ANCHOR, "Findings", Html("".join(body)))


def _findings(rules: Sequence[Rule], titles: dict[str, str]) -> list[Html]:
    """A list per rule that flagged something, numbered throughout."""
    parts, number = [], 1
    for rule in rules:
        if rule.findings:
            largest_first = sorted(rule.findings, key=lambda finding: -finding.size)
            listed = (_item(finding, titles) for finding in largest_first)
            parts += [element("h3", rule.heading), element("ol", *listed, class_="findings", start=str(number))]
            number += len(largest_first)
    return parts


def _item(finding: Finding, titles: dict[str, str]) -> Html:
    where = element("a", titles[finding.chapter], href=f"#{finding.chapter}")
    evidence = element("span", finding.evidence, ". See ", where, ".", class_="evidence")
    return element("li", element("strong", finding.sentence), " ", evidence)


def _first_words(data: ReportInput) -> str:
    account = data.run.account
    clusters = sum(row["clusters"] for row in data.rows("cluster_sizes"))
    labels = ", ".join(data.cells.attributes) or "none"
    return (
        f"{count(account['listed'])} images were listed; on {count(account['ok'])} of them a face was found. "
        f"{count(account['faces'])} faces form {count(clusters)} identities. Labels: {labels}."
    )
