"""What a chapter of the report is made from, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from facelib.reports.html.cells import Cells
from facelib.reports.html.markup import Html
from facelib.reports.html.withholding import Withheld


@dataclass(frozen=True)
class RunFacts:
    """What the report says about the run itself.

    settings: name, value and default of every setting that differs from its default. audit: the section `audit` of
    the configuration. account: the conservation of the run (`facelib.reports.conservation`). stages: those of run.json.
    """

    run_id: str
    started_at: str
    versions: Mapping[str, str]
    models: Mapping[str, str]
    settings: tuple[tuple[str, str, str], ...]
    audit: Mapping[str, Any]
    account: Mapping[str, Any]
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportInput:
    """A run's tables by name, and the run. Tables that are not there are left out of the report.

    tables: `balance`, `balance_summary`, `losses`, `threshold_curve`, `checks` under their contracts; `cluster_sizes`,
    `measures_by_group` under the schemas of the modules of `facelib.reports` that make them.
    """

    tables: Mapping[str, pa.Table]
    run: RunFacts

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table; none when the run has no such table."""
        return self.tables[name].to_pylist() if name in self.tables else []

    @cached_property
    def cells(self) -> Cells:
        """The table `balance`, found by attribute, unit and group."""
        return Cells.of(self.rows("balance"))

    @cached_property
    def totals(self) -> Mapping[tuple[tuple[str, ...], str], Mapping[str, Any]]:
        """The table `balance_summary`, by attributes and unit."""
        return {(tuple(row["attributes"]), row["unit"]): row for row in self.rows("balance_summary")}

    @cached_property
    def withheld(self) -> Withheld:
        """Which figures of groups must not be shown."""
        return Withheld(self.min_cell, self.cells)

    @property
    def min_cell(self) -> int:
        """Counts below this are withheld."""
        return int(self.run.audit["min_cell"])

    @property
    def declared(self) -> list[str]:
        """Attributes whose categories were declared, so that an absent group is seen."""
        audit = self.run.audit
        return [a for a in self.cells.attributes if a in audit["categories"] or a in audit.get("edges", ())]


@dataclass(frozen=True)
class Finding:
    """One flagged thing: a sentence, and the n and interval behind it. Of one rule, those of larger `size` come first.

    chapter: the anchor of the chapter that shows more.
    """

    size: float
    sentence: str
    evidence: str
    chapter: str


@dataclass(frozen=True)
class Rule:
    """One rule, whether or not it flagged anything.

    rank: findings of rules of lower rank come first. heading: what its findings have in common. text: what is
    flagged. looked_at: at how much it looked.
    """

    rank: int
    heading: str
    text: str
    looked_at: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Chapter:
    """A part of the report. `anchor` is unique on the page; `rules` go to the headline."""

    anchor: str
    title: str
    body: Html
    rules: tuple[Rule, ...] = ()
