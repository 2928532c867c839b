"""What the figures come from: account of the images, run, models, settings, checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facelib.reports.html.chapter import Chapter, Finding, ReportInput, Rule
from facelib.reports.html.markup import Html, count, element, paragraph, table

ANCHOR = "provenance"


def chapter(data: ReportInput) -> Chapter:
    """The chapter; always there."""
    run = data.run
    facts = {"run": run.run_id, "began": run.started_at, **run.versions}
    body = [
        element("h3", "Images and faces"),
        paragraph(account_text(data)),
        _values("Rejected images by reason.", ["reason", "images"], run.account["rejected"], "lr"),
        element("h3", "Run and versions"),
        _values("The run, and the versions of what made it.", ["what", "value"], facts),
        element("h3", "Models"),
        _values("Models, each with the beginning of the digest of its files.", ["part", "model"], run.models),
        element("h3", "Settings"),
    ]
    if run.settings:
        rows = [(name, [[value, default]]) for name, value, default in run.settings]
        caption = "Settings that differ from their defaults; those of storage and Spark are left out."
        body.append(table(caption, ["setting", "value", "default"], rows, "lll"))
    else:
        body.append(paragraph("All settings but those of storage and Spark have their defaults."))
    return Chapter(ANCHOR, "Where the figures come from", Html("".join(body)), _rules(data))


def _values(caption: str, head: list[str], values: Mapping[str, Any], align: str = "ll") -> Html:
    if not values:
        return Html("")
    texts = {k: count(v) if isinstance(v, int) else str(v) for k, v in values.items()}
    return table(caption, head, [(k, [[v]]) for k, v in texts.items()], align)


def account_text(data: ReportInput) -> str:
    """How many images were listed and what became of them, and of their faces."""
    account = data.run.account
    rejected = sum(account["rejected"].values())
    roles = " + ".join(f"{count(n)} {role}" for role, n in account["roles"].items())
    return (
        f"{count(account['listed'])} images listed = {count(account['ok'])} ok + {count(rejected)} rejected. "
        f"{count(account['faces'])} faces{f' = {roles}' if roles else ''}."
    )


def _rules(data: ReportInput) -> tuple[Rule, ...]:
    """Expectations of the data-quality gate that did not hold; the critical ones stop a run from being published."""
    checks = data.rows("checks")
    failed = [check for check in checks if not check["success"]]
    rule = Rule(
        90,
        "Data quality",
        "an expectation of the data-quality gate does not hold",
        f"{count(len(checks))} expectations",
        tuple(_finding(check) for check in failed),
    )
    return (rule,) if checks else ()


def _finding(check: Mapping[str, Any]) -> Finding:
    where = check["table_name"] + (f".{check['column_name']}" if check["column_name"] else "")
    n = "not counted by row" if check["n_unexpected"] is None else f"n = {count(check['n_unexpected'])} rows"
    return Finding(1.0, f"{check['expectation']} does not hold on {where} ({check['severity']}).", n, ANCHOR)
