"""The rows of `error_rates` as a report may show them, and which groups a common threshold treats worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facelib.reports.html.chapter import Finding, ReportInput, Rule
from facelib.reports.html.markup import count, named, number, percent, percents
from facelib.reports.html.withholding import WITHHELD

ANCHOR = "errors"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparisons:
    """The table `error_rates`. hidden: by attribute the groups whose figures the table withholds."""

    rows: Sequence[Row]
    attributes: Sequence[str]
    targets: Sequence[float]
    has_subjects: bool
    hidden: Mapping[str, frozenset[str | None]]

    @classmethod
    def of(cls, data: ReportInput) -> Comparisons:
        """From the run's table; empty without it."""
        rows = data.rows("error_rates")
        attributes = list(dict.fromkeys(r["attribute"] for r in rows if r["attribute"] is not None))
        targets = sorted({r["target_fmr"] for r in rows if r["target_fmr"] is not None}, reverse=True)
        found = cls(rows, attributes, targets, any(r["estimator"] == "subjects" for r in rows), {})
        first = targets[0] if targets else None
        hidden = {a: frozenset(r["group"] for r in found.within(a, first) if r["is_suppressed"]) for a in attributes}
        return cls(rows, attributes, targets, found.has_subjects, hidden)

    def overall(self, target: float | None) -> Row:
        """The row of all faces."""
        return next(r for r in self.rows if r["attribute"] is None and r["target_fmr"] == target)

    def is_supported(self, target: float) -> bool:
        """Whether the data support a threshold for this FMR."""
        return self.overall(target)["threshold"] is not None

    def within(self, attribute: str, target: float | None) -> list[Row]:
        """The row of each group with itself."""
        return [row for (a, b), row in self.between(attribute, target).items() if a == b]

    def between(self, attribute: str, target: float | None) -> dict[tuple[str, str], Row]:
        """The rows of all pairs of groups."""
        own = [r for r in self.rows if r["attribute"] == attribute and r["target_fmr"] == target]
        return {(r["group"], r["other_group"]): r for r in own if r["group"] is not None}

    def same_group_fmr(self, attribute: str, target: float) -> float | None:
        """FMR of two people of one group, whichever; None without such a pair."""
        rows = (r for r in self.rows if (r["attribute"], r["group"], r["target_fmr"]) == (attribute, None, target))
        found: float | None = next(rows)["fmr"]
        return found


def rules(data: ReportInput, found: Comparisons) -> tuple[Rule, ...]:
    """Groups that a threshold for all treats worse; none without verified subjects."""
    if not found.has_subjects:
        return ()
    times = float(data.run.audit["flag_above"])
    tested = [
        item for a in found.attributes for t in found.targets if found.is_supported(t) for item in _of(found, a, t)
    ]
    flagged: dict[tuple[str, str], list[tuple[float, float, str, Row, float]]] = {}
    for attribute, target, what, row, reference in tested:
        if row[f"{what}_ci_low"] > times * reference:
            item = (row[what] / reference, target, what, row, reference)
            flagged.setdefault((attribute, row["group"]), []).append(item)
    return (
        Rule(
            36,
            "Groups that one threshold for all treats worse",
            f"the 95 % interval of a group's FNMR lies wholly above {times:g} times that of all, or that of its FMR "
            f"wholly above {times:g} times both the FMR of all pairs and that of all pairs of one group (two people of "
            "one group are more alike than any two, in every group; intervals over subjects, not corrected for the "
            "number of groups)",
            f"{count(len(tested))} rates of {count(len({(a, r['group']) for a, _, _, r, _ in tested}))} groups",
            tuple(_finding(*key, sorted(items, key=lambda i: -i[0])) for key, items in flagged.items()),
        ),
    )


def _of(found: Comparisons, attribute: str, target: float) -> Iterator[tuple[str, float, str, Row, float]]:
    """Rates that are tested, each with what it is held against."""
    overall = found.overall(target)
    against = {
        "fmr": max(overall["fmr"] or 0.0, found.same_group_fmr(attribute, target) or 0.0),
        "fnmr": overall["fnmr"],
    }
    for row in found.within(attribute, target):
        for what, reference in against.items():
            if row["group"] not in found.hidden[attribute] and row[f"{what}_ci_low"] is not None and reference:
                yield attribute, target, what, row, reference


def _finding(attribute: str, group: str, items: Sequence[tuple[float, float, str, Row, float]]) -> Finding:
    """One finding per group, its worst rate first."""
    parts, evidence = [], []
    for times, target, what, row, reference in items:
        value, at = percent(row[what]), f"with the threshold set for {percent(target)}"
        if what == "fmr":
            parts.append(
                f"{value} of the pairs of two people of this group match {at}, {number(times)} times as many as of all "
                f"pairs within one group ({percent(reference)})"
            )
            n = _counts(row, "n_false_matches", "n_non_mated")
        else:
            parts.append(
                f"{value} of the pairs of one person are missed {at}, {number(times)} times as many as of all "
                f"({percent(reference)})"
            )
            n = _counts(row, "n_false_non_matches", "n_mated")
        interval = percents(row[f"{what}_ci_low"], row[f"{what}_ci_high"])
        evidence.append(f"{what.upper()}: n = {n}, 95 % interval {interval}")
    return Finding(items[0][0], f"{named([attribute], [group])}: {'; '.join(parts)}.", "; ".join(evidence), ANCHOR)


def _counts(row: Row, errors: str, comparisons: str) -> str:
    if row[comparisons] is None:
        return WITHHELD
    return f"{count(row[errors])} of {count(row[comparisons])} pairs, {count(row['n_subjects'])} subjects"
