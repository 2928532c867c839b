"""Plans of two attributes together, one line for each pair, and how figures of plans are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facelib.reports.html.markup import NOTHING, Html, count, number, paragraph, table

_NAMED = 5
"""Most combinations of a pair that are named."""
Row = Mapping[str, Any]
Names = tuple[str, ...]


def pairs_table(
    pairs: Sequence[Names],
    cells: Mapping[tuple[Names, str], Sequence[Row]],
    totals: Mapping[tuple[Names, str, str], Row],
) -> Html:
    """A line per pair. cells: rows of `sampling_plan` by attributes and goal; totals: of the summary, and unit."""
    bodies = []
    reasons: dict[str, list[str]] = {}
    for names in pairs:
        rows = cells[names, "shares"]
        images, people = totals[names, "shares", "image"], totals[names, "shares", "cluster"]
        of = {status: sum(row["status"] == status for row in rows) for status in ("collect", "withheld")}
        effective = images["effective_sample_size"]
        for row, unit in ((images, "images"), (people, "people")):
            if row["reason"]:
                reasons.setdefault(str(row["reason"]), []).append(f"{' × '.join(names)}, {unit}")
        bodies.append(
            (
                " × ".join(names),
                [
                    [
                        f"{of['collect']} of {len(rows)}",
                        count(of["withheld"]),
                        total_text(images),
                        total_text(people),
                        change_text(images, "evenness"),
                        NOTHING
                        if effective is None
                        else f"{number(images['evenness_weighted'])} (n {number(effective)})",
                        _largest(rows),
                    ]
                ],
            )
        )
    head = ["attributes", "to fill", "hidden", "add images", "add people", "evenness", "weighted", "most needed"]
    caption = (
        "Combinations of two attributes, for the goal of shares; weighted: evenness and effective sample size. Every "
        "combination is a row of the table sampling_plan."
    )
    return Html(table(caption, head, bodies, "l" + "r" * 6 + "l", stacked=True) + said(reasons))


def _largest(rows: Sequence[Row]) -> str:
    needed = [row for row in rows if row["status"] == "collect" and row["images_to_add"]]
    first = sorted(needed, key=lambda row: -row["images_to_add"])[:_NAMED]
    return "; ".join(f"{' with '.join(row['groups'])} {count(row['images_to_add'])}" for row in first) or NOTHING


def said(reasons: Mapping[str, Sequence[str]]) -> str:
    """Each reason once, and where it holds."""
    return "".join(paragraph(f"{'; '.join(where)}: {reason}.") for reason, where in reasons.items())


def total_text(row: Row) -> str:
    """What to add in all, or that there is no plan."""
    if row["to_add"] is None:
        return "no plan"
    most = "at most " if row["units"] is None and row["to_add"] else ""
    return f"{most}{count(row['to_add'])}" + (", not enough" if row["status"] == "short" else "")


def change_text(row: Row, measure: str) -> str:
    """A measure before and after collecting."""
    return arrow_text(row[f"{measure}_now"], row[f"{measure}_collected"])


def arrow_text(before: float | None, after: float | None) -> str:
    """A figure before and after."""
    return NOTHING if before is None and after is None else f"{number(before)} → {number(after)}"
